//! `sample --watch`: the unmasking of all names side by side, in place.
//!
//! A region of the terminal is painted anew for each step, as many names at a time as it holds, above a line that counts the
//! steps and says what the signs mean. The last state of the names stays, with the marks of those that are lines of the list.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use console::Term;
use micro_diffusion::text::Alphabet;

use crate::engine::draw::{Drawn, Frame};
use crate::files::novelty::Known;
use crate::show::columns::{cell, folded, padded, width};
use crate::show::marks::{MARK_COLUMNS, marked};
use crate::show::picture::{MASK, Painter};

/// How long one screen of names takes from masks to names.
const TIME: Duration = Duration::from_millis(2400);
/// The longest that one state is shown.
const LONGEST: Duration = Duration::from_millis(160);
/// The longest time between two looks at whether it is to end.
const BLINK: Duration = Duration::from_millis(40);
/// Columns between two names.
const GAP: usize = 3;

/// How names are to be shown.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) alphabet: Alphabet<'a>,
    /// The list that the model was trained on, if it is known.
    pub(crate) known: Option<&'a Known<'a>>,
    /// Steps a second; by default so many that a screen of names takes [`TIME`], or more.
    pub(crate) speed: Option<f64>,
}

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
pub(crate) fn show(term: &Term, look: &Look, drawn: &[Drawn]) -> anyhow::Result<()> {
    term.hide_cursor()?;
    let shown = show_pages(term, look, drawn);
    term.show_cursor()?;
    Ok(shown?)
}

fn show_pages(term: &Term, look: &Look, drawn: &[Drawn]) -> std::io::Result<()> {
    let mut rest = drawn;
    while !rest.is_empty() && !stopped() {
        let grid = Grid::new(*look, drawn, term.size());
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

/// Sleeps for `pause`, or until it is [`stopped`].
fn sleep(pause: Duration) {
    let mut left = pause;
    while !left.is_zero() && !stopped() {
        let nap = left.min(BLINK);
        std::thread::sleep(nap);
        left -= nap;
    }
}

/// How names are laid out.
struct Grid<'a> {
    look: Look<'a>,
    painter: Painter<'a>,
    /// Rows and columns of the window that it is laid out for.
    window: (u16, u16),
    /// Positions shown of each name on the way: no more than the names or the window are wide.
    positions: usize,
    /// Columns of each name, with its mark.
    width: usize,
    /// Names side by side.
    across: usize,
    /// Lines.
    down: usize,
    colour: bool,
}

impl<'a> Grid<'a> {
    fn new(look: Look<'a>, drawn: &[Drawn], window: (u16, u16)) -> Self {
        let painter = Painter { shaded: true, ..Painter::new(look.alphabet) };
        let (rows, columns) = (usize::from(window.0), usize::from(window.1));
        let longest = drawn.iter().map(|drawn| drawn.text.chars().count()).max().unwrap_or(1);
        let positions = longest.min(columns / painter.cell).max(1);
        let mark = if look.known.is_some() { MARK_COLUMNS } else { 0 };
        let width = (positions * painter.cell + mark).min(columns);
        let across = ((columns + GAP) / (width + GAP)).max(1);
        // The last two lines are for the steps and the prompt.
        let down = rows.saturating_sub(2).clamp(1, drawn.len().div_ceil(across).max(1));
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        let colour = choice != anstream::ColorChoice::Never;
        Self { look, painter, window, positions, width, across, down, colour }
    }

    /// Names shown at a time.
    fn page(&self) -> usize {
        self.across * self.down
    }

    /// How long each of `steps` states is shown.
    fn pause(&self, steps: usize) -> Duration {
        match self.look.speed {
            Some(speed) => Duration::from_secs_f64(1.0 / speed),
            None => (TIME / u32::try_from(steps).unwrap_or(1).max(1)).min(LONGEST),
        }
    }

    /// One screen of names from masks to names; false where the window changed on the way.
    fn animate(&self, term: &Term, page: &[Drawn]) -> std::io::Result<bool> {
        // The first state is of masks alone.
        let states = page.iter().map(|drawn| drawn.frames.len()).max().unwrap_or(0);
        for state in 0..states {
            if state > 0 {
                sleep(self.pause(states));
                if stopped() {
                    break;
                }
                if term.size() != self.window {
                    return Ok(false);
                }
                term.clear_line()?;
                term.move_cursor_up(page.len().div_ceil(self.across))?;
            }
            let names: Vec<String> = page.iter().map(|drawn| self.name(drawn, state)).collect();
            self.paint(term, &names)?;
            term.write_str(&self.status(state, states.saturating_sub(1)))?;
            term.flush()?;
        }
        // What was drawn last is seen to be so.
        sleep(self.pause(states).min(LONGEST));
        term.clear_line()?;
        if !stopped() {
            term.move_cursor_up(page.len().div_ceil(self.across))?;
            self.paint(term, &self.names(page))?;
        }
        term.flush()?;
        Ok(true)
    }

    /// Paints `names` side by side.
    fn paint(&self, term: &Term, names: &[String]) -> std::io::Result<()> {
        for line in names.chunks(self.across) {
            term.clear_line()?;
            term.write_line(line.join(&" ".repeat(GAP)).trim_end())?;
        }
        Ok(())
    }

    /// Which step it is, and what the signs mean, as far as there is room.
    fn status(&self, step: usize, steps: usize) -> String {
        let colours = if self.colour {
            &[", green just drawn", ", brighter where the network was surer"][..]
        } else {
            &[]
        };
        // The last column stays free, where some terminals would begin a new line.
        let room = usize::from(self.window.1).saturating_sub(1);
        let mut status = format!("step {step} of {steps}");
        for part in [format!("   {MASK} masked")].iter().map(String::as_str).chain(colours.iter().copied()) {
            if width(&status) + width(part) > room {
                break;
            }
            status.push_str(part);
        }
        if width(&status) <= room { status } else { String::new() }
    }

    /// A name after `step` steps, as wide as all are.
    fn name(&self, drawn: &Drawn, step: usize) -> String {
        let Some(last) = drawn.frames.len().checked_sub(1) else { return " ".repeat(self.width) };
        if step > last {
            // It has been whole since the state before, and nothing of it is fresh.
            return self.name_in(&self.cut(&drawn.frames[last]), None);
        }
        let before = step.checked_sub(1).map(|before| self.cut(&drawn.frames[before]));
        self.name_in(&self.cut(&drawn.frames[step]), before.as_ref())
    }

    /// `frame`, as far as there is room for it.
    fn cut(&self, frame: &Frame) -> Frame {
        Frame {
            symbols: frame.symbols.iter().take(self.positions).copied().collect(),
            confidence: frame.confidence.clone(),
        }
    }

    fn name_in(&self, frame: &Frame, before: Option<&Frame>) -> String {
        let line = padded(&self.painter.frame(frame, before), self.width);
        if self.colour { line } else { console::strip_ansi_codes(&line).into_owned() }
    }

    /// The names as they are printed elsewhere, with their marks. Where one of them is wider than its place, each has lines of its
    /// own.
    fn names(&self, page: &[Drawn]) -> Vec<String> {
        let names: Vec<String> = page.iter().map(|drawn| marked(&drawn.text, self.look.known)).collect();
        if names.iter().all(|name| width(name) <= self.width) {
            return names.iter().map(|name| padded(name, self.width)).collect();
        }
        names
            .iter()
            .flat_map(|name| folded(name, 0, name.chars().map(cell), usize::from(self.window.1)))
            .collect()
    }
}
