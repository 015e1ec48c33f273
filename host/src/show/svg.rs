//! The pictures of a run as SVG: the curves of training, and the unmasking of one text.
//!
//! Colours are chosen to be read on a light and on a dark page, since a picture in a page cannot know which it is on.

use anyhow::Context;
use maud::html;
use micro_diffusion::text::Alphabet;
use plotters::prelude::{
    ChartBuilder, Circle, IntoDrawingArea, LineSeries, PathElement, RGBColor, SVGBackend, SeriesLabelPosition,
};
use plotters::style::{Color, IntoFont};
use unicode_width::UnicodeWidthChar;

use crate::engine::draw::{Drawn, Frame};

/// Width and height of the curves.
const CURVES: (u32, u32) = (840, 420);
/// Points of the training curve, each the mean of as many steps.
const POINTS: usize = 200;
const TRAINING: RGBColor = RGBColor(74, 137, 220);
const HELD_OUT: RGBColor = RGBColor(232, 126, 36);
const INK: RGBColor = RGBColor(128, 128, 128);

/// The training loss and the held-out score over the steps.
pub(crate) fn curves(losses: &[f32], held_out: &[(u32, f64)]) -> anyhow::Result<String> {
    let width = losses.len().div_ceil(POINTS).max(1);
    let training: Vec<(f64, f64)> = (0..)
        .zip(losses.chunks(width))
        .map(|(index, chunk)| {
            let mean = chunk.iter().map(|loss| f64::from(*loss)).sum::<f64>() / chunk.len() as f64;
            ((index * width) as f64 + chunk.len() as f64 / 2.0, mean)
        })
        .collect();
    let held_out: Vec<(f64, f64)> = held_out.iter().map(|(step, nelbo)| (f64::from(*step), *nelbo)).collect();
    let label = format!("training loss, mean of {width} step{}", if width == 1 { "" } else { "s" });
    let mut picture = String::new();
    draw(&mut picture, losses.len(), &label, &training, &held_out)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot draw the curves")?;
    Ok(picture)
}

fn draw(
    picture: &mut String,
    steps: usize,
    label: &str,
    training: &[(f64, f64)],
    held_out: &[(f64, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(picture, CURVES).into_drawing_area();
    let (bottom, top) = range(training.iter().chain(held_out).map(|(_, nats)| *nats));
    let text = |size: f64| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(28)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..steps as f64, bottom..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(INK.mix(0.0))
        .bold_line_style(INK.mix(0.2))
        .axis_style(INK)
        .label_style(text(14.0))
        .axis_desc_style(text(15.0))
        .x_desc("training steps")
        .y_desc("nats a name")
        .x_label_formatter(&|step| tick(*step))
        .y_label_formatter(&|nats| tick(*nats))
        .draw()?;
    let line =
        |colour: RGBColor| move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2));
    let visible = |point: &&(f64, f64)| point.1 <= top;
    chart
        .draw_series(LineSeries::new(training.iter().filter(visible).copied(), TRAINING.stroke_width(2)))?
        .label(label)
        .legend(line(TRAINING));
    let held_out: Vec<(f64, f64)> = held_out.iter().filter(visible).copied().collect();
    if !held_out.is_empty() {
        chart
            .draw_series(LineSeries::new(held_out.iter().copied(), HELD_OUT.stroke_width(2)))?
            .label("held-out NELBO, estimated")
            .legend(line(HELD_OUT));
        chart.draw_series(held_out.iter().map(|point| Circle::new(*point, 4, HELD_OUT.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(text(15.0))
        .margin(16)
        .draw()?;
    area.present()?;
    Ok(())
}

/// A number at an axis: whole where it is whole, else as many of two places as it needs.
fn tick(value: f64) -> String {
    ((value * 100.0).round() / 100.0).to_string()
}

/// From just below the lowest to where all but the first, steep part of the curves is in view.
fn range(nats: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut nats: Vec<f64> = nats.collect();
    nats.sort_by(f64::total_cmp);
    let (lowest, highest) = (nats.first().copied().unwrap_or(0.0), nats.last().copied().unwrap_or(1.0));
    let median = nats.get(nats.len() / 2).copied().unwrap_or(1.0);
    // The fall from pure chance would flatten all that follows.
    let top = highest.min(lowest + 8.0 * (median - lowest).max(0.5));
    (lowest.floor(), top.ceil())
}

/// Side of one position's square.
const CELL: usize = 34;
/// Squares that the picture has room for at least, as the legend is as wide.
const LEAST: usize = 12;
/// Room for the labels of the steps, and above and below the squares.
const LEFT: usize = 96;
const ABOVE: usize = 58;
const BELOW: usize = 64;

const STYLE: &str = ".unmasking text{font-family:ui-sans-serif,system-ui,sans-serif;font-size:13px;fill:#808080;text-anchor:middle}\
.unmasking .label{text-anchor:end}.unmasking .title{text-anchor:start}\
.unmasking .letter{font-size:19px;fill:#1d4f8f}.unmasking .sure{fill:#fff}\
.unmasking .cell{fill:#4a89dc}.unmasking .mask{fill:#808080;fill-opacity:.13}\
.unmasking .fresh{stroke:#e87e24;stroke-width:2.5}\
@media(prefers-color-scheme:dark){.unmasking .letter:not(.sure){fill:#cfe3ff}}";

/// How one text emerges: a row for each state, a column for each position.
pub(crate) fn unmasking(alphabet: Alphabet, frames: &[Frame], text: &str) -> String {
    let positions = frames.first().map_or(0, |frame| frame.symbols.len());
    let width = LEFT + positions.max(LEAST) * CELL + 16;
    let height = ABOVE + frames.len() * CELL + BELOW;
    let before = std::iter::once(None).chain(frames.iter().map(Some));
    let rows: Vec<_> = (0..).zip(frames.iter().zip(before)).collect();
    html! {
        svg class="unmasking" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" {
            title { "How “" (text) "” emerges from masks" }
            style { (maud::PreEscaped(STYLE)) }
            text class="title" style="font-size:16px" x=(LEFT) y="24" { "From masks to a name, one position in each step" }
            @for position in 0..positions {
                text x=(center(position)) y=(ABOVE - 8) { (position + 1) }
            }
            @for (row, (frame, before)) in rows {
                @let y = ABOVE + row * CELL;
                text class="label" x=(LEFT - 14) y=(y + 22) {
                    @if row == 0 { "all masked" } @else { "step " (row) }
                }
                @for (position, symbol) in frame.symbols.iter().enumerate() {
                    @let fresh = before.is_some_and(|before: &Frame| before.symbols[position].is_none());
                    (cell(alphabet, *symbol, frame.confidence[position], fresh && symbol.is_some(), position, y))
                }
            }
            (legend(ABOVE + frames.len() * CELL + 22))
        }
    }
    .into_string()
}

/// The middle of a position's column.
fn center(position: usize) -> usize {
    LEFT + position * CELL + CELL / 2
}

/// One position in one state.
fn cell(
    alphabet: Alphabet,
    symbol: Option<u8>,
    confidence: u16,
    fresh: bool,
    position: usize,
    y: usize,
) -> maud::Markup {
    let share = f64::from(confidence) / 65_536.0;
    let (x, side) = (LEFT + position * CELL + 2, CELL - 4);
    let fresh = if fresh { " fresh" } else { "" };
    html! {
        @match symbol {
            None => rect class="mask" x=(x) y=(y + 2) width=(side) height=(side) rx="5" {},
            Some(symbol) => {
                rect class={ "cell" (fresh) } x=(x) y=(y + 2) width=(side) height=(side) rx="5"
                    fill-opacity=(format!("{:.2}", 0.08 + 0.92 * share)) {}
                @let sure = if share > 0.55 { " sure" } else { "" };
                text class={ "letter" (sure) } x=(center(position)) y=(y + CELL / 2 + 6) {
                    (alphabet.character(symbol).unwrap_or('?'))
                }
            }
        }
    }
}

/// What the shades and signs mean.
fn legend(y: usize) -> maud::Markup {
    html! {
        @for tenth in 0..10_usize {
            rect class="cell" x=(LEFT + 2 + tenth * 14) y=(y) width="14" height="14"
                fill-opacity=(format!("{:.2}", 0.08 + 0.092 * (tenth as f64 + 0.5))) {}
        }
        text class="label" x=(LEFT - 6) y=(y + 12) { "unsure" }
        text class="title" style="font-size:13px" x=(LEFT + 150) y=(y + 12) { "sure of the letter when it was drawn" }
        rect class="mask fresh" x=(LEFT + 2) y=(y + 22) width="14" height="14" rx="3" {}
        text class="title" style="font-size:13px" x=(LEFT + 24) y=(y + 34) { "drawn in this step" }
    }
}

/// Columns of names.
const ACROSS: usize = 4;
/// Height of a line of names; width of a position, and of one for characters that take two columns of a terminal.
const LINE: usize = 32;
const NARROW: usize = 15;
const FULL: usize = 22;
/// Positions between two names.
const BETWEEN: usize = 2;

const MOVING: &str = ".emerging text{font:20px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle;fill:#4a89dc;\
animation:9s linear infinite}.emerging .mask{fill:#808080}\
@media(prefers-reduced-motion:reduce){.emerging text{animation:none}}";

/// How all of `drawn` emerge at once, again and again; a reader that does not animate shows the names.
pub(crate) fn emerging(drawn: &[Drawn]) -> String {
    let longest = drawn.iter().map(|drawn| drawn.text.chars().count()).max().unwrap_or(0);
    let steps = drawn.iter().map(|drawn| drawn.frames.len()).max().unwrap_or(1).max(2) - 1;
    let wide = drawn.iter().flat_map(|drawn| drawn.text.chars()).any(|letter| letter.width() == Some(2));
    let side = if wide { FULL } else { NARROW };
    let pitch = (longest + BETWEEN) * side;
    let (width, height) = (ACROSS * pitch, drawn.len().div_ceil(ACROSS) * LINE + 8);
    let moments: String = (0..=steps).map(|step| keyframes(step, steps)).collect();
    html! {
        svg class="emerging" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" {
            title { "Names emerging from masks" }
            style { (maud::PreEscaped(MOVING)) (maud::PreEscaped(moments)) }
            @for (index, drawn) in drawn.iter().enumerate() {
                @for (position, character) in drawn.text.chars().enumerate() {
                    @let x = index % ACROSS * pitch + position * side + side;
                    @let y = index / ACROSS * LINE + LINE - 8;
                    @let step = revealed(&drawn.frames, position);
                    text.mask style=(format!("animation-name:mask{step};opacity:0")) x=(x) y=(y) { "_" }
                    text style=(format!("animation-name:letter{step}")) x=(x) y=(y) { (character) }
                }
            }
        }
    }
    .into_string()
}

/// The step that `position` was last drawn in.
fn revealed(frames: &[Frame], position: usize) -> usize {
    let masked = |frame: &Frame| frame.symbols.get(position).is_some_and(Option::is_none);
    frames.iter().rposition(masked).map_or(0, |last| last + 1)
}

/// The moving of what is drawn in step `step` of `steps`: its mask goes, its letter comes and stays for a while.
fn keyframes(step: usize, steps: usize) -> String {
    let at = 6.0 + 60.0 * step as f64 / steps as f64;
    let (just, settled) = (at - 0.1, at + 6.0);
    format!(
        "@keyframes mask{step}{{0%,{just:.1}%{{opacity:.45}}{at:.1}%,100%{{opacity:0}}}}\
         @keyframes letter{step}{{0%,{just:.1}%{{opacity:0;fill:#e87e24}}{at:.1}%{{opacity:1;fill:#e87e24}}\
         {settled:.1}%,97%{{opacity:1;fill:#4a89dc}}100%{{opacity:0;fill:#4a89dc}}}}"
    )
}
