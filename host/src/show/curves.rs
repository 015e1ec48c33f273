//! The curves of a run as SVG: training loss, held-out estimate with its error, and score of record.

use maud::{Markup, PreEscaped, html};

use crate::engine::preview::Point;
use crate::show::svg::picture_style;

/// Width and height, and margins around the plot.
const SIZE: (f64, f64) = (720.0, 464.0);
const LEFT: f64 = 74.0;
const RIGHT: f64 = 44.0;
const ABOVE: f64 = 106.0;
const BELOW: f64 = 66.0;
/// Points of the training curve; each is the mean of equally many steps.
const POINTS: usize = 200;
/// Standard errors drawn on either side of a value.
const ERRORS: f64 = 2.0;
/// Horizontal lines, about.
const TICKS: f64 = 5.0;

const STYLE: &str = ".curves text{font-size:14px}.curves .y{text-anchor:end}.curves .x{text-anchor:middle}\
.curves .thin{stroke-width:1}.curves .thick{stroke-width:2.2;stroke-linejoin:round}.curves .band{fill-opacity:.25}\
@media(max-width:560px){.curves text{font-size:22px}.curves .thick{stroke-width:3.2}}";

/// The score of record of a run's model.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Steps done when the scored state was the model.
    pub(crate) step: usize,
    pub(crate) nats: f64,
    /// Standard error over the orders.
    pub(crate) error: f64,
}

/// The training loss and the held-out score over the steps.
pub(crate) fn curves(losses: &[f32], curve: &[Point], record: Option<Record>) -> String {
    let width = losses.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[f32]| chunk.iter().map(|loss| f64::from(*loss)).sum::<f64>() / chunk.len() as f64;
    let place = |index: usize, chunk: &[f32]| (index * width) as f64 + chunk.len() as f64 / 2.0;
    let training: Vec<(f64, f64)> =
        losses.chunks(width).enumerate().map(|(index, chunk)| (place(index, chunk), mean(chunk))).collect();
    let nats = training.iter().map(|(_, nats)| *nats).chain(curve.iter().map(|point| point.nats));
    let plot = Plot::new(losses.len().max(1) as f64, nats.chain(record.map(|record| record.nats)));
    let (across, down) = (SIZE.0 - LEFT - RIGHT, SIZE.1 - ABOVE - BELOW);
    let held_out: Vec<(f64, f64)> = curve.iter().map(|point| (f64::from(point.step), point.nats)).collect();
    let edge = |sign: f64| {
        move |point: &Point| (f64::from(point.step), point.nats + sign * ERRORS * point.error.unwrap_or(0.0))
    };
    let band: Vec<(f64, f64)> =
        curve.iter().map(edge(1.0)).chain(curve.iter().rev().map(edge(-1.0))).collect();
    html! {
        svg class="picture curves" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", SIZE.0, SIZE.1)) width=(SIZE.0) height=(SIZE.1) role="img" {
            title { "Nats a name over the steps of training" }
            style { (PreEscaped(picture_style())) (PreEscaped(STYLE)) }
            @for nats in ticks(plot.bottom, plot.top) {
                @let y = ABOVE + plot.y(nats);
                path class="line-line thin" d=(format!("M{LEFT} {y:.1}h{across}")) {}
                text class="y quiet" x=(LEFT - 10.0) y=(format!("{:.1}", y + 5.0)) { (number(nats)) }
            }
            @for step in ticks(0.0, plot.steps) {
                text class="x quiet" x=(format!("{:.1}", LEFT + plot.x(step))) y=(SIZE.1 - BELOW + 26.0) { (number(step)) }
            }
            text class="x quiet" x=(LEFT + across / 2.0) y=(SIZE.1 - 12.0) { "training steps" }
            svg x=(LEFT) y=(ABOVE) width=(across) height=(down) overflow="hidden" {
                path class="faint-line thick" d=(plot.path(&training)) {}
                @if !held_out.is_empty() {
                    path class="accent band" d=(plot.path(&band) + "z") {}
                    path class="accent-line thick" d=(plot.path(&held_out)) {}
                    @for (x, y) in &held_out { circle class="accent" cx=(format!("{:.1}", plot.x(*x))) cy=(format!("{:.1}", plot.y(*y))) r="3.2" {} }
                }
            }
            @if let Some(record) = record { (diamond(LEFT + plot.x(record.step as f64), ABOVE + plot.y(record.nats))) }
            (legend(width, curve, record))
        }
    }
    .into_string()
}

/// The legend, above the plot.
fn legend(width: usize, curve: &[Point], record: Option<Record>) -> Markup {
    let line = |class: &str, y: f64| html! { path class=(class) d=(format!("M{LEFT} {y}h24")) {} };
    let text = |y: f64, text: String| html! { text class="ink" x=(LEFT + 34.0) y=(y + 6.0) { (text) } };
    let of = if width == 1 { "each step".to_owned() } else { format!("mean of {width} steps") };
    html! {
        text class="quiet" x=(LEFT + 16.0) y=(ABOVE + 18.0) { "nats a name" }
        @let first = 16.0;
        (line("faint-line thick", first)) (text(first, format!("training loss, {of}")))
        @if !curve.is_empty() {
            (line("accent-line thick", first + 28.0)) (text(first + 28.0, "held-out estimate".to_owned()))
        }
        @if let Some(record) = record {
            (diamond(LEFT + 12.0, first + 56.0))
            (text(first + 56.0, format!("NELBO of record: {:.3} ± {:.3}", record.nats, record.error)))
        }
    }
}

/// A diamond around a point: the score of record.
fn diamond(x: f64, y: f64) -> Markup {
    html! { path class="warm" d=(format!("M{x:.1} {:.1}l7 7l-7 7l-7 -7z", y - 7.0)) {} }
}

/// Maps steps and nats to the plot.
struct Plot {
    steps: f64,
    bottom: f64,
    top: f64,
}

impl Plot {
    /// Spans from just below the lowest of `nats` up to the curves without their first, steep part.
    fn new(steps: f64, nats: impl Iterator<Item = f64>) -> Self {
        let mut nats: Vec<f64> = nats.filter(|nats| nats.is_finite()).collect();
        nats.sort_by(f64::total_cmp);
        let (lowest, highest) = (nats.first().copied().unwrap_or(0.0), nats.last().copied().unwrap_or(1.0));
        let median = nats.get(nats.len() / 2).copied().unwrap_or(1.0);
        // The fall from pure chance would flatten all that follows.
        let top = highest.min(lowest + 8.0 * (median - lowest).max(0.5));
        let bottom = lowest.floor();
        Self { steps, bottom, top: top.ceil().max(bottom + 1.0) }
    }

    fn x(&self, step: f64) -> f64 {
        step / self.steps * (SIZE.0 - LEFT - RIGHT)
    }

    fn y(&self, nats: f64) -> f64 {
        (self.top - nats) / (self.top - self.bottom) * (SIZE.1 - ABOVE - BELOW)
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let place = |(index, (step, nats)): (usize, &(f64, f64))| {
            format!("{}{:.1} {:.1}", if index == 0 { 'M' } else { 'L' }, self.x(*step), self.y(*nats))
        };
        points.iter().enumerate().map(place).collect()
    }
}

/// Round numbers from `from` to `to`, about [`TICKS`] steps apart.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0) * power;
    let first = (from / step).ceil() as i64;
    (first..).map(|index| index as f64 * step).take_while(|tick| *tick <= to + step / 1e6).collect()
}

/// A number at an axis: with commas if whole, else with up to two decimals.
fn number(value: f64) -> String {
    if value.fract().abs() > 1e-6 {
        return ((value * 100.0).round() / 100.0).to_string();
    }
    grouped(value as u64)
}

/// `count` with a comma before each three digits.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
