//! How texts and masks are shown in a terminal.

use anstyle::{AnsiColor, Style};
use micro_diffusion::text::{Alphabet, PAD};

use crate::network::Frame;

/// How a masked position is shown.
pub(crate) const MASK: char = '_';
/// How a shown PAD is shown.
pub(crate) const BLANK: char = '·';
/// Headings.
pub(crate) const HEADING: Style = Style::new().bold();
/// What is not there yet.
const FAINT: Style = Style::new().dimmed();
/// What has just been revealed.
const FRESH: Style = AnsiColor::Green.on_default().bold();

/// A state as text; the symbols that `before` had masked stand out.
pub(crate) fn frame(alphabet: Alphabet, frame: &Frame, before: Option<&Frame>) -> String {
    let mut line = String::new();
    for (position, symbol) in frame.symbols.iter().enumerate() {
        let fresh = before.is_some_and(|before| before.symbols[position].is_none());
        let (character, style) = match symbol {
            None => (MASK, FAINT),
            Some(PAD) => (BLANK, FAINT),
            Some(symbol) => {
                let style = if fresh { FRESH } else { Style::new() };
                (alphabet.character(*symbol).unwrap_or(MASK), style)
            }
        };
        line.push_str(&format!("{}{character}{}", style.render(), style.render_reset()));
    }
    line
}

/// The unmasking of one text, a line for each state.
pub(crate) fn trace(alphabet: Alphabet, frames: &[Frame]) -> Vec<String> {
    let before = std::iter::once(None).chain(frames.iter().map(Some));
    frames.iter().zip(before).map(|(now, before)| frame(alphabet, now, before)).collect()
}
