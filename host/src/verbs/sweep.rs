//! `sweep`: names at several temperatures side by side.

use std::io::Write;

use crate::cli::{Outcome, SweepOptions};
use crate::engine::draw::Request;
use crate::files::model::{List, ModelBytes};
use crate::files::preparation::Preparation;
use crate::show::columns::{padded, width};
use crate::show::marks::{LEGEND, marked};
use crate::show::messages::announced;
use crate::show::picture::HEADING;
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Columns between two names.
const GAP: usize = 2;
/// Temperatures from the likeliest letter alone to nearly any letter.
const TEMPERATURES: [f64; 6] = [0.0, 0.4, 0.6, 0.8, 1.0, 1.5];

pub(crate) fn run(options: &SweepOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    let model = announced(&mut bytes)?;
    let waiting = Waiting::new("reading the list", 0, false);
    let list = model.list(options.input.as_deref(), &options.list.over(&Preparation::default()));
    let list = if options.input.is_some() { Ok(list?) } else { list };
    let known = list.as_ref().ok().map(List::known);
    drop(waiting);
    if let (Some(_), Ok(list)) = (&options.input, &list) {
        list.notes.iter().for_each(|text| terminal::say(&terminal::note(text)));
    }
    let waiting = Waiting::new("drawing", TEMPERATURES.len(), false);
    let mut columns = Vec::new();
    for temperature in TEMPERATURES {
        let request = Request::of(options.sampler, temperature, options.seed);
        columns.push(model.network.draw(&request, 0..options.num)?);
        waiting.note(1);
    }
    drop(waiting);
    let columns = columns.iter().zip(TEMPERATURES).map(|(names, temperature)| {
        let names = names.iter().map(|drawn| marked(&drawn.text, known.as_ref()));
        Column::new(format!("T = {temperature}"), names.collect())
    });
    let columns: Vec<Column> = columns.collect();
    let mut out = terminal::results();
    for (number, table) in tables(&columns, terminal::width_of_results()).into_iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let headings: String = table.iter().map(|column| padded(&column.heading, column.width)).collect();
        writeln!(out, "{}{}{}", HEADING.render(), headings.trim_end(), HEADING.render_reset())?;
        for row in 0..options.num as usize {
            let line: String = table.iter().map(|column| padded(&column.names[row], column.width)).collect();
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    // The table has marks in a pipe too, so its legend goes with it.
    if known.is_some() {
        out.lines(&format!("\n{LEGEND}"))?;
    }
    out.flush()?;
    if let Err(error) = &list {
        terminal::say(&terminal::note(&format!("{error:#}")));
    }
    terminal::say(
        "The higher the temperature, the bolder the names; at 0 every letter is the likeliest at its turn.",
    );
    Ok(Outcome::Done)
}

/// The names at one temperature.
struct Column {
    heading: String,
    names: Vec<String>,
    /// Display columns, with the gap to the next.
    width: usize,
}

impl Column {
    fn new(heading: String, names: Vec<String>) -> Self {
        let widest = names.iter().chain([&heading]).map(|cell| width(cell)).max().unwrap_or(0);
        Self { heading, names, width: widest + GAP }
    }
}

/// Splits `columns` into tables no wider than `terminal`, one below the other.
fn tables(columns: &[Column], terminal: Option<usize>) -> Vec<&[Column]> {
    let (mut tables, mut rest) = (Vec::new(), columns);
    while !rest.is_empty() {
        let mut used = 0;
        let fits = |column: &&Column| {
            used += column.width;
            terminal.is_none_or(|terminal| used - GAP <= terminal)
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let table;
        (table, rest) = rest.split_at(count);
        tables.push(table);
    }
    tables
}
