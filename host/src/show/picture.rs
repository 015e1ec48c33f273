//! Texts and masks in a terminal.

use anstyle::{Ansi256Color, AnsiColor, Style};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::text::Alphabet;

use crate::engine::draw::Frame;
use crate::show::columns::{alone, cell, padded};

/// The sign of a masked position.
pub(crate) const MASK: char = '_';
/// The style of headings.
pub(crate) const HEADING: Style = Style::new().bold();
/// The style of masks.
const FAINT: Style = Style::new().dimmed();
/// The style of letters just drawn.
const FRESH: Style = AnsiColor::Green.on_default().bold();

/// Paints the states of texts over one alphabet.
#[derive(Clone, Copy)]
pub(crate) struct Painter<'a> {
    pub(crate) alphabet: Alphabet<'a>,
    /// Columns of one position: 2 where a character of the alphabet takes two.
    pub(crate) cell: usize,
    /// Whether letters brighten with the confidence of their draw.
    pub(crate) shaded: bool,
}

impl<'a> Painter<'a> {
    pub(crate) fn new(alphabet: Alphabet<'a>) -> Self {
        let cells = alphabet.characters().chars().map(cell);
        Self { alphabet, cell: cells.max().unwrap_or(1), shaded: false }
    }

    /// Paints a state as text; symbols that differ from `before` stand out. A narrow symbol is padded to the columns of a
    /// wide one, except at the end.
    pub(crate) fn frame(&self, frame: &Frame, before: Option<&Frame>) -> String {
        let (mut line, mut blanks) = (String::new(), 0);
        for (position, symbol) in frame.symbols.iter().enumerate() {
            let fresh = before.is_some_and(|before| before.symbols[position] != *symbol);
            let (character, style) = match symbol {
                None => (MASK, FAINT),
                Some(symbol) => {
                    let shade = if self.shaded { shade(frame.confidence[position]) } else { Style::new() };
                    (self.alphabet.character(*symbol).unwrap_or(MASK), if fresh { FRESH } else { shade })
                }
            };
            line.extend(std::iter::repeat_n(' ', blanks));
            line.push_str(&format!("{}{}{}", style.render(), alone(character), style.render_reset()));
            blanks = self.cell - cell(character);
        }
        line
    }

    /// Paints the unmasking of one text, a line for each state.
    pub(crate) fn trace(&self, frames: &[Frame]) -> Vec<String> {
        let before = std::iter::once(None).chain(frames.iter().map(Some));
        frames.iter().zip(before).map(|(now, before)| self.frame(now, before)).collect()
    }
}

/// A style that brightens with confidence: from greyed teal over blue to the terminal's own colour and bold. Each is
/// legible on light and dark terminals.
fn shade(confidence: u16) -> Style {
    const PERCENT: u16 = 655;
    let colour = |number: u8| Style::new().fg_color(Some(Ansi256Color(number).into()));
    match confidence / PERCENT {
        0..40 => colour(66),
        40..65 => colour(31),
        65..90 => Style::new(),
        _ => Style::new().bold(),
    }
}

/// Levels of noise shown, in per cent.
const LEVELS: [u32; 6] = [0, 20, 40, 60, 80, 100];

/// Hides letters of `text` at rising noise levels, in per cent. Each letter has one number in \[0, 1) and is masked,
/// `None`, at levels above it.
pub(crate) fn noisy(text: &str, seed: u64) -> Vec<(u32, Vec<Option<char>>)> {
    // Training uses the children of its steps; this child is none of them.
    let stream = Stream::new(seed, Purpose::Noise).child(u32::MAX, 0);
    let characters: Vec<(char, f64)> = text
        .chars()
        .zip(0..)
        .map(|(character, position)| (character, f64::from(stream.draw(position, 0)[0]) / 4_294_967_296.0))
        .collect();
    let level = |percent: u32| {
        let level = f64::from(percent) / 100.0;
        (percent, characters.iter().map(|(character, u)| Some(*character).filter(|_| *u >= level)).collect())
    };
    LEVELS.map(level).into()
}

/// [`noisy`] for a terminal: a letter takes equal columns at each level.
pub(crate) fn noise_levels(text: &str, seed: u64) -> Vec<String> {
    let line = |(percent, letters): (u32, Vec<Option<char>>)| {
        let columns = text.chars().zip(letters);
        let noisy: String = columns
            .map(|(character, letter)| padded(&alone(letter.unwrap_or(MASK)), cell(character)))
            .collect();
        format!("{percent:>4} %  {noisy}")
    };
    noisy(text, seed).into_iter().map(line).collect()
}
