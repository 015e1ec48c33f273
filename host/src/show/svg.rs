//! The pictures of a run as SVG: one text emerging from masks, many texts emerging, and their shared style.
//!
//! A picture stands in a page or by itself, on light or dark ground, wide or on a telephone. So it brings its own ground,
//! colours for both, and text that grows where space is short.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use micro_diffusion::text::Alphabet;
use unicode_width::UnicodeWidthChar;

use crate::engine::draw::{Drawn, Frame};
use crate::files::characters::{joins, runs_left};
use crate::files::novelty::Novelty;
use crate::show::columns::alone;
use crate::show::marks::{Tally, mark};

/// Colours by name, for light and dark ground.
const COLOURS: [(&str, &str, &str); 9] = [
    ("ground", "#fbfaf7", "#13161c"),
    ("card", "#ffffff", "#1a1e26"),
    ("ink", "#1c2430", "#ece9e2"),
    ("quiet", "#5a6472", "#a3acba"),
    ("faint", "#c4c8ce", "#4a5260"),
    ("line", "#e4e2dc", "#2b303a"),
    ("accent", "#0f766e", "#5fd4c4"),
    ("bar", "#b9dcd6", "#2c5a55"),
    ("warm", "#b4540a", "#f0a35e"),
];

/// Writes the colours as variables of a page.
pub(crate) fn page_colours() -> String {
    let variables = |dark: bool| {
        COLOURS.iter().fold(String::new(), |mut all, (name, light, night)| {
            let _ = write!(all, "--{name}:{};", if dark { night } else { light });
            all
        })
    };
    let (light, dark) = (variables(false), variables(true));
    format!(":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}")
}

/// The style of a picture: for each colour a class that fills and one that draws lines. Some viewers do not know
/// variables.
pub(crate) fn picture_style() -> String {
    let classes = |dark: bool| {
        COLOURS.iter().fold(String::new(), |mut all, (name, light, night)| {
            let colour = if dark { night } else { light };
            let _ = write!(
                all,
                ".picture .{name}{{fill:{colour}}}.picture .{name}-line{{stroke:{colour};fill:none}}"
            );
            all
        })
    };
    let (_, light, dark) = COLOURS[0];
    format!(
        ".picture:root{{color-scheme:light dark;background:{light};max-width:100%;height:auto}}\
         .picture text{{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}}{}\
         @media(prefers-color-scheme:dark){{.picture:root{{background:{dark}}}{}}}",
        classes(false),
        classes(true)
    )
}

/// Side of one position's square.
const CELL: usize = 34;
/// Positions in a row; more go below.
const ACROSS: usize = 12;
/// Most states shown.
const STATES: usize = 14;
/// Margins for the labels of the steps, and above and below the squares.
const LEFT: usize = 120;
const ABOVE: usize = 72;
const BELOW: usize = 88;
/// Narrowest picture, for its legend.
const LEAST: usize = 430;

const GRID: &str = ".unmasking text{font-size:14px;text-anchor:middle}.unmasking .label{text-anchor:end}\
.unmasking .title,.unmasking .note{text-anchor:start}.unmasking .title{font-size:19px}.unmasking .letter{font-size:19px}\
.unmasking .fresh{stroke-width:2.5}\
@media(max-width:560px){.unmasking text{font-size:17px}.unmasking .letter,.unmasking .title{font-size:21px}}";

/// Chooses `most` of `count` states: the first, the last, and evenly spread ones between.
pub(crate) fn shown(count: usize, most: usize) -> Vec<usize> {
    let kept = count.min(most.max(2));
    (0..kept).map(|index| if kept < 2 { 0 } else { index * (count - 1) / (kept - 1) }).collect()
}

/// Draws one text emerging: a row for each state, a column for each position, from right to left for a script read so.
pub(crate) fn unmasking(alphabet: Alphabet, drawn: &Drawn, novelty: Novelty) -> String {
    let (frames, text) = (&drawn.frames, &drawn.text);
    let positions = frames.first().map_or(0, |frame| frame.symbols.len());
    let across = positions.clamp(1, ACROSS);
    let lines = positions.div_ceil(across).max(1);
    let height_of_row = lines * CELL + if lines > 1 { 10 } else { 0 };
    let rows = shown(frames.len(), STATES);
    let width = (LEFT + across * CELL + 16).max(LEAST);
    let bottom = ABOVE + rows.len() * height_of_row;
    let height = bottom + BELOW;
    let left = runs_left(text);
    let place = |position: usize| {
        let column = position % across;
        let column = if left { across - 1 - column } else { column };
        (LEFT + column * CELL, position / across * CELL)
    };
    let before = std::iter::once(None).chain(rows.iter().map(|row| frames.get(*row)));
    html! {
        svg class="picture unmasking" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" {
            title { "How “" (text) "” emerges from masks" }
            style { (PreEscaped(picture_style())) (PreEscaped(GRID)) }
            text class="title ink" x="16" y="32" {
                @if lines == 1 { "“" (text) "” emerges from masks" } @else { "A line emerges from masks" }
            }
            @for position in 0..across {
                text class="quiet" x=(place(position).0 + CELL / 2) y=(ABOVE - 8) { (position + 1) }
            }
            @for (index, (row, before)) in rows.iter().zip(before).enumerate() {
                @let y = ABOVE + index * height_of_row;
                text class="label quiet" x=(LEFT - 12) y=(y + 22) {
                    @if *row == 0 { "all masked" } @else { "step " (row) }
                }
                @let frame = &frames[*row];
                @for (position, symbol) in frame.symbols.iter().enumerate() {
                    @let (x, down) = place(position);
                    @let fresh = before.is_some_and(|before: &Frame| before.symbols[position].is_none());
                    (cell(alphabet, *symbol, frame.confidence[position], fresh, (x, y + down)))
                }
            }
            (legend(bottom + 18, rows.len() == frames.len(), novelty))
        }
    }
    .into_string()
}

/// Draws one position in one state, `fresh` if just drawn.
fn cell(
    alphabet: Alphabet,
    symbol: Option<u8>,
    confidence: u16,
    fresh: bool,
    (x, y): (usize, usize),
) -> Markup {
    let share = f64::from(confidence) / 65_536.0;
    let (left, top, side) = (x + 2, y + 2, CELL - 4);
    html! {
        @match symbol {
            None => rect class="faint" x=(x + 10) y=(y + CELL - 11) width=(CELL - 20) height="3" rx="1.5" {},
            Some(symbol) => {
                rect class="bar" x=(left) y=(top) width=(side) height=(side) rx="6" fill-opacity=(format!("{:.2}", 0.1 + 0.9 * share)) {}
                @if fresh { rect class="warm-line fresh" x=(left) y=(top) width=(side) height=(side) rx="6" {} }
                text class="letter ink" x=(x + CELL / 2) y=(y + CELL / 2 + 7) { (alphabet.character(symbol).map_or_else(String::new, alone)) }
            }
        }
    }
}

/// Explains shades and signs; `complete` if all steps are shown.
fn legend(y: usize, complete: bool, novelty: Novelty) -> Markup {
    html! {
        rect class="warm-line fresh" x="18" y=(y) width="14" height="14" rx="3" {}
        text class="note quiet" x="42" y=(y + 13) { (if complete { "drawn in this step" } else { "drawn since the row above" }) }
        @for tenth in 0..5_usize {
            rect class="bar" x=(17 + tenth * 4) y=(y + 24) width="4" height="14" fill-opacity=(format!("{:.2}", 0.1 + 0.2 * tenth as f64)) {}
        }
        text class="note quiet" x="42" y=(y + 37) { "how likely the likeliest letter was there" }
        text class="note quiet" x="18" y=(y + 61) {
            @match novelty {
                Novelty::New => "It is new: no line of the list.",
                Novelty::HeldOut => "It is a held-out line, which the model never saw.",
                Novelty::Training => "It is a training line: a copy.",
            }
        }
    }
}

/// Height of a line of names; width of a position, and of one for characters that take two columns of a terminal.
const LINE: usize = 34;
const NARROW: usize = 15;
const FULL: usize = 24;
/// Positions between two names.
const BETWEEN: usize = 3;
/// Widest row of names, and narrowest picture, for its legend.
const WIDEST: usize = 660;
const NARROWEST: usize = 480;

const MOVING: &str = ".emerging .name text,.emerging text.name{font:20px ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}\
.emerging .cells text{text-anchor:middle}.emerging .moves{animation:12s linear infinite}.emerging .note{font-size:14px}\
.emerging .under{text-decoration:underline}\
@media(max-width:560px){.emerging .note{font-size:20px}}\
@media(prefers-reduced-motion:reduce){.emerging .moves{animation:none}}";

/// Draws all of `drawn` emerging at once, again and again; a reader without animation shows the names.
pub(crate) fn emerging(drawn: &[Drawn], novelties: &[Novelty]) -> String {
    let longest = drawn.iter().map(|drawn| clusters(&drawn.text).len()).max().unwrap_or(0);
    let steps = drawn.iter().map(|drawn| drawn.frames.len()).max().unwrap_or(1).max(2) - 1;
    let wide = drawn.iter().flat_map(|drawn| drawn.text.chars()).any(|letter| letter.width() == Some(2));
    let side = if wide { FULL } else { NARROW };
    let pitch = (longest + BETWEEN) * side;
    let across = (WIDEST / pitch).clamp(1, 4);
    let lines = drawn.len().div_ceil(across);
    let (width, height) = ((across * pitch + 2 * NARROW).max(NARROWEST), (lines + 1) * LINE + 34);
    let is_joined = |drawn: &Drawn| drawn.text.chars().any(joins);
    let kinds =
        [APART, JOINED].map(|kind| (kind, drawn.iter().any(|drawn| is_joined(drawn) == (kind == JOINED))));
    let kinds = kinds.into_iter().filter(|(_, any)| *any);
    let moments: String =
        kinds.flat_map(|(kind, _)| (0..=steps).map(move |step| keyframes(kind, step, steps))).collect();
    let tally = Tally::of(novelties.iter().copied()).in_words(true);
    html! {
        svg class="picture emerging" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" {
            title { "Names emerging from masks: " (tally) }
            style { (PreEscaped(picture_style())) (PreEscaped(MOVING)) (PreEscaped(moments)) }
            @for (index, (drawn, novelty)) in drawn.iter().zip(novelties).enumerate() {
                @let x = NARROW + index % across * pitch;
                @let y = index / across * LINE + LINE + 4;
                @let sign = mark(*novelty).unwrap_or_default();
                @if is_joined(drawn) { (joined(drawn, sign, (x, pitch, y))) } @else { (apart(drawn, sign, (x, pitch, side, y))) }
            }
            text class="note quiet" x=(NARROW) y=(height - 16) { (tally) }
        }
    }
    .into_string()
}

/// Draws a name in columns, one for each letter, from right to left for a script read so. Its space begins at `x` and is
/// `pitch` wide.
fn apart(drawn: &Drawn, sign: &str, (x, pitch, side, y): (usize, usize, usize, usize)) -> Markup {
    let left = runs_left(&drawn.text);
    let clusters = clusters(&drawn.text);
    let centre = |place: usize| {
        let across = place * side + side / 2;
        if left { x + pitch - BETWEEN * side - across } else { x + across }
    };
    html! {
        g class="name cells" {
            @for (place, (text, last)) in clusters.iter().enumerate() {
                @let step = revealed(&drawn.frames, *last);
                text.moves.faint style=(format!("animation-name:mask{step};opacity:0")) x=(centre(place)) y=(y) { "_" }
                text.moves.ink style=(format!("animation-name:letter{step}")) x=(centre(place)) y=(y) { (text) }
            }
            @if !sign.is_empty() { text.quiet x=(centre(clusters.len())) y=(y) { (sign) } }
        }
    }
}

/// Draws a name whose letters join in one piece: a line under each masked letter is as wide as the letter.
fn joined(drawn: &Drawn, sign: &str, (x, pitch, y): (usize, usize, usize)) -> Markup {
    let left = runs_left(&drawn.text);
    let (direction, x) = if left { ("rtl", x + pitch - BETWEEN * NARROW) } else { ("ltr", x) };
    html! {
        text class="name" direction=(direction) style=(format!("direction:{direction};unicode-bidi:plaintext;text-anchor:start")) x=(x) y=(y) {
            @for (text, last) in clusters(&drawn.text) {
                @let step = revealed(&drawn.frames, last);
                tspan.under.faint.moves style=(format!("animation-name:under{step};fill-opacity:0")) {
                    tspan.ink.moves style=(format!("animation-name:joined{step};fill-opacity:1")) { (text) }
                }
            }
            @if !sign.is_empty() { tspan.quiet { " " (sign) } }
        }
    }
}

/// The letters of `text` with their marks, each with the position of its last character.
pub(crate) fn clusters(text: &str) -> Vec<(String, usize)> {
    let mut clusters: Vec<(String, usize)> = Vec::new();
    for (place, character) in text.chars().enumerate() {
        match clusters.last_mut() {
            Some((cluster, last)) if character.width().unwrap_or(0) == 0 || cluster.ends_with('\u{200D}') => {
                cluster.push(character);
                *last = place;
            }
            _ => clusters
                .push((if clusters.is_empty() { alone(character) } else { character.to_string() }, place)),
        }
    }
    clusters
}

/// The step in which `position` was last drawn.
pub(crate) fn revealed(frames: &[Frame], position: usize) -> usize {
    let masked = |frame: &Frame| frame.symbols.get(position).is_some_and(Option::is_none);
    frames.iter().rposition(masked).map_or(0, |last| last + 1)
}

/// A kind of animation: names for mask and letter, and the property that hides them.
type Kind = [&'static str; 3];
const APART: Kind = ["mask", "letter", "opacity"];
const JOINED: Kind = ["under", "joined", "fill-opacity"];

/// The keyframes of step `step` of `steps`: its mask goes, its letter comes and stays for a while.
fn keyframes([mask, letter, seen]: Kind, step: usize, steps: usize) -> String {
    let at = 6.0 + 48.0 * step as f64 / steps as f64;
    let just = at - 0.1;
    format!(
        "@keyframes {mask}{step}{{0%,{just:.1}%{{{seen}:1}}{at:.1}%,100%{{{seen}:0}}}}\
         @keyframes {letter}{step}{{0%,{just:.1}%{{{seen}:0}}{at:.1}%,97%{{{seen}:1}}100%{{{seen}:0}}}}"
    )
}
