//! `sample --watch`: the unmasking of all names side by side, in place.
//!
//! A region of the terminal is painted anew for each step, as many names at a time as it holds. The last state stays.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use console::Term;
use micro_diffusion::text::Alphabet;

use crate::engine::draw::{Drawn, Frame};
use crate::show::columns::padded;
use crate::show::picture::Painter;

/// How long one screen of names takes from masks to names.
const TIME: Duration = Duration::from_millis(2400);
/// The longest that one state is shown.
const LONGEST: Duration = Duration::from_millis(160);
/// Columns between two names.
const GAP: usize = 3;

/// The terminal, if stdout is one that can be painted on.
pub(crate) fn terminal() -> anyhow::Result<Option<Term>> {
    let term = Term::stdout();
    if !term.is_term() || std::env::var_os("TERM").is_some_and(|name| name == "dumb") {
        return Ok(None);
    }
    // The first time, the show itself ends and puts things in order; the second time, whatever holds it up.
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            let _ = Term::stdout().show_cursor();
            std::process::exit(130);
        }
    })?;
    Ok(Some(term))
}

/// Set by Ctrl-C; the show looks at it between two states.
static STOP: AtomicBool = AtomicBool::new(false);

/// Whether the show is to end.
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Shows how the names emerge, until all have or it is [`stopped`]. Whatever ends it, the cursor comes back.
pub(crate) fn show(term: &Term, alphabet: Alphabet, drawn: &[Drawn]) -> anyhow::Result<()> {
    term.hide_cursor()?;
    let shown = show_pages(term, alphabet, drawn);
    term.show_cursor()?;
    Ok(shown?)
}

fn show_pages(term: &Term, alphabet: Alphabet, drawn: &[Drawn]) -> std::io::Result<()> {
    let painter = Painter { shaded: true, ..Painter::new(alphabet) };
    let mut rest = drawn;
    while !rest.is_empty() && !stopped() {
        let grid = Grid::new(painter, drawn, term.size());
        let (page, after) = rest.split_at(grid.page().min(rest.len()));
        if grid.animate(term, page)? {
            rest = after;
        } else {
            // What the old lines became in the new window cannot be known; the page begins anew.
            term.clear_screen()?;
        }
    }
    Ok(())
}

/// How names are laid out.
struct Grid<'a> {
    painter: Painter<'a>,
    /// Rows and columns of the window that it is laid out for.
    window: (u16, u16),
    /// Positions shown of each name: no more than the names or the window are wide.
    positions: usize,
    /// Names side by side.
    across: usize,
    /// Lines.
    down: usize,
    colour: bool,
}

impl<'a> Grid<'a> {
    fn new(painter: Painter<'a>, drawn: &[Drawn], window: (u16, u16)) -> Self {
        let (rows, columns) = (usize::from(window.0), usize::from(window.1));
        let longest = drawn.iter().map(|drawn| drawn.text.chars().count()).max().unwrap_or(1);
        let positions = longest.min(columns / painter.cell).max(1);
        let across = ((columns + GAP) / (positions * painter.cell + GAP)).max(1);
        // The last line is the prompt's.
        let down = rows.saturating_sub(1).clamp(1, drawn.len().div_ceil(across).max(1));
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Self { painter, window, positions, across, down, colour: choice != anstream::ColorChoice::Never }
    }

    /// Names shown at a time.
    fn page(&self) -> usize {
        self.across * self.down
    }

    /// One screen of names from masks to names; false where the window changed on the way.
    fn animate(&self, term: &Term, page: &[Drawn]) -> std::io::Result<bool> {
        let steps = page.iter().map(|drawn| drawn.frames.len()).max().unwrap_or(0);
        let pause = (TIME / u32::try_from(steps).unwrap_or(1).max(1)).min(LONGEST);
        for step in 0..=steps {
            if step > 0 {
                std::thread::sleep(pause);
                if stopped() {
                    return Ok(true);
                }
                if term.size() != self.window {
                    return Ok(false);
                }
                term.move_cursor_up(page.len().div_ceil(self.across))?;
            }
            let names: Vec<String> = page.iter().map(|drawn| self.name(drawn, step)).collect();
            for line in names.chunks(self.across) {
                term.clear_line()?;
                term.write_line(line.join(&" ".repeat(GAP)).trim_end())?;
            }
            term.flush()?;
        }
        Ok(true)
    }

    /// A name after `step` steps, as wide as all are; after all of them as it is printed elsewhere.
    fn name(&self, drawn: &Drawn, step: usize) -> String {
        let width = self.positions * self.painter.cell;
        if step >= drawn.frames.len() {
            let text: String = drawn.text.chars().take(self.positions).collect();
            return padded(&text, width);
        }
        let cut = |frame: &Frame| Frame {
            symbols: frame.symbols.iter().take(self.positions).copied().collect(),
            confidence: frame.confidence.clone(),
        };
        let before = step.checked_sub(1).map(|before| cut(&drawn.frames[before]));
        let frame = cut(&drawn.frames[step]);
        let blank = width - frame.symbols.len() * self.painter.cell;
        let line = self.painter.frame(&frame, before.as_ref()) + &" ".repeat(blank);
        if self.colour { line } else { console::strip_ansi_codes(&line).into_owned() }
    }
}
