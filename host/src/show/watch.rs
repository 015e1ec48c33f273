//! `sample --watch`: the unmasking of all names side by side, in place.
//!
//! A region of the terminal is painted anew for each step, with as many names as it holds. With redraws, each further change of
//! a name counts as a step, so names with fewer changes are complete earlier. A line below counts the steps and explains the
//! signs. The last state of the names stays, with their marks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use console::Term;
use micro_diffusion::text::Alphabet;

use crate::engine::draw::{Drawn, Frame};
use crate::files::novelty::Known;
use crate::show::columns::{cell, folded, padded, width};
use crate::show::marks::{MARK_COLUMNS, marked};
use crate::show::picture::{MASK, Painter};

/// Time from masks to names for one screen.
const TIME: Duration = Duration::from_millis(2400);
/// Longest time of one state.
const LONGEST: Duration = Duration::from_millis(160);
/// Longest time between two looks at [`STOP`].
const BLINK: Duration = Duration::from_millis(40);
/// Columns between two names.
const GAP: usize = 3;

/// The look of the show.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) alphabet: Alphabet<'a>,
    /// The list of the model, if known.
    pub(crate) known: Option<&'a Known<'a>>,
    /// Steps a second; by default a screen of names takes [`TIME`], or more.
    pub(crate) speed: Option<f64>,
}

/// The terminal, if stdout is one that can be painted on.
pub(crate) fn terminal() -> anyhow::Result<Option<Term>> {
    let term = Term::stdout();
    if !term.is_term() || std::env::var_os("TERM").is_some_and(|name| name == "dumb") {
        return Ok(None);
    }
    // The first Ctrl-C ends the show in order; the second ends the program.
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            let _ = Term::stdout().show_cursor();
            std::process::exit(130);
        }
    })?;
    Ok(Some(term))
}

/// Set by Ctrl-C and read between two states.
static STOP: AtomicBool = AtomicBool::new(false);

/// Whether the show must end.
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Shows the names emerging, until all have or it is [`stopped`]. The cursor comes back in any case.
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
            // The window changed, and old lines may lie anywhere in it: the page begins anew.
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

/// The layout of names.
struct Grid<'a> {
    look: Look<'a>,
    painter: Painter<'a>,
    /// Rows and columns of the window.
    window: (u16, u16),
    /// Positions shown of each unfinished name: at most those of the names and of the window.
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

    /// Time of each of `steps` states.
    fn pause(&self, steps: usize) -> Duration {
        match self.look.speed {
            Some(speed) => Duration::from_secs_f64(1.0 / speed),
            None => (TIME / u32::try_from(steps).unwrap_or(1).max(1)).min(LONGEST),
        }
    }

    /// Animates one screen of names from masks to names; false if the window changed meanwhile.
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
        // The letters drawn last stay highlighted for a moment.
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

    /// The step's number, and the meaning of the signs as far as there is room.
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

    /// A name after `step` steps, padded to equal width.
    fn name(&self, drawn: &Drawn, step: usize) -> String {
        let Some(last) = drawn.frames.len().checked_sub(1) else { return " ".repeat(self.width) };
        if step > last {
            // The name was complete in the state before, so no letter is fresh.
            return self.name_in(&self.cut(&drawn.frames[last]), None);
        }
        let before = step.checked_sub(1).map(|before| self.cut(&drawn.frames[before]));
        self.name_in(&self.cut(&drawn.frames[step]), before.as_ref())
    }

    /// Cuts `frame` to the room for it.
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

    /// Formats the names as `sample` prints them, with marks. If one is wider than its place, each gets lines of its own.
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
