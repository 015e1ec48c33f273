//! `sweep`: names at several temperatures side by side.

use std::io::Write;

use crate::cli::{Outcome, SweepOptions};
use crate::engine::draw::Request;
use crate::files::model::ModelBytes;
use crate::show::columns::{padded, width};
use crate::show::messages::announce;
use crate::show::picture::HEADING;
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Columns between two names.
const GAP: usize = 2;
/// From always the same to anything goes.
const TEMPERATURES: [f64; 6] = [0.0, 0.4, 0.6, 0.8, 1.0, 1.5];

pub(crate) fn run(options: &SweepOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    announce(&bytes);
    let model = bytes.open()?;
    let waiting = Waiting::new("drawing", TEMPERATURES.len(), false);
    let mut columns = Vec::new();
    for temperature in TEMPERATURES {
        let request = Request::of(options.sampler, temperature, options.seed);
        columns.push(model.network.draw(&request, 0..options.num)?);
        waiting.note(1);
    }
    drop(waiting);
    let widths = columns.iter().flatten().map(|drawn| width(&drawn.text));
    let width = widths.max().unwrap_or(0).max(model.file.shape().positions) + GAP;
    let mut out = terminal::results();
    let headings: String = TEMPERATURES.iter().map(|t| format!("{:<width$}", format!("T = {t}"))).collect();
    writeln!(out, "{}{}{}", HEADING.render(), headings.trim_end(), HEADING.render_reset())?;
    for row in 0..options.num as usize {
        let line: String = columns.iter().map(|column| padded(&column[row].text, width)).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()?;
    terminal::say(
        "The higher the temperature, the bolder the names; at 0 every letter is the likeliest at its turn.",
    );
    Ok(Outcome::Done)
}
