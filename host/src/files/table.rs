//! Tables: a list in one column of a CSV or TSV file.

use anyhow::{Context, anyhow, bail};

use crate::files::characters::Invisible;
use crate::files::origin::Origin;
use crate::files::preparation::prepare;

/// Separators of the cells of a row, with their names.
const SEPARATORS: [(u8, &str); 4] = [(b'\t', "tab"), (b';', "semicolon"), (b',', "comma"), (b'|', "bar")];
/// Most rows that are examined to tell a table from other text.
const LOOKED_AT: usize = 1000;
/// Most cells of a row in a message, and most characters of each.
const LISTED: usize = 20;
const CELL: usize = 40;
/// Fewest rows of a text that looks like a table.
const FEWEST: usize = 3;
/// A text looks like a table if all but one row in this many have as many cells.
const SPARED: usize = 20;

/// The separator of `text` if it looks like a table, the separator's name, and the number of cells in a row.
fn separator(text: &str) -> Option<(u8, &'static str, usize)> {
    SEPARATORS.into_iter().find_map(|(separator, name)| {
        let rows: Vec<usize> = reader(text, separator)
            .records()
            .take(LOOKED_AT)
            .map_while(Result::ok)
            .map(|row| row.len())
            .collect();
        let cells = *rows.first()?;
        let others = rows.iter().filter(|row| **row != cells).count();
        (cells > 1 && others * SPARED <= rows.len()).then_some((separator, name, cells))
    })
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

/// A hint that `text` looks like a table, if it does, and how to take one column.
pub(crate) fn notice(text: &str) -> Option<String> {
    let (separator, name, cells) = separator(text)?;
    text.lines().nth(FEWEST - 1)?;
    let first = reader(text, separator).records().next()?.ok()?;
    Some(format!(
        "the list looks like a table of {cells} columns with a {name} between, whose first row is: {}; to \
         take one column, give its number, such as --column 1, or, if the first row is a heading, its name",
        list(&first)
    ))
}

/// Reads one column of the table `text` from `origin`: by a name from its first row, or by a number from 1. Each cell
/// comes with the number of the line where its row begins.
pub(crate) fn column(origin: &Origin, text: &str, column: &str) -> anyhow::Result<Vec<(usize, String)>> {
    let source = origin.name();
    let separator = separator(text).map_or(b',', |(separator, ..)| separator);
    let rows: Result<Vec<csv::StringRecord>, _> = reader(text, separator).records().collect();
    let rows = rows
        .map_err(|error| anyhow!("{source} is no table ({error}); leave out --column, or save it as CSV"))?;
    let first = rows
        .first()
        .with_context(|| format!("{source} has no line to train on; put one example on each line"))?;
    let most = rows.iter().map(csv::StringRecord::len).max().unwrap_or(0);
    let plain =
        |text: &str| prepare(text, false, &mut Invisible::new()).unwrap_or_else(|_| text.trim().to_owned());
    let is_named = |(place, name): (usize, &str)| (plain(name) == plain(column)).then_some(place);
    let named: Vec<usize> = first.iter().enumerate().filter_map(is_named).collect();
    let numbers = if most == 1 { "the number 1".to_owned() } else { format!("a number from 1 to {most}") };
    let (place, header) = match (&*named, column.parse::<usize>()) {
        ([place], _) => (*place, 1),
        (_, Ok(number)) if (1..=most).contains(&number) => (number - 1, 0),
        ([], Ok(number)) => {
            bail!(
                "{source} has no column {number}; give --column {numbers}, or one of the names in its first \
                 row: {}",
                list(first)
            )
        }
        ([], Err(_)) => {
            bail!(
                "{source} has no column “{column}”; give --column {numbers}, or one of the \
                 names in its first row: {}",
                list(first)
            )
        }
        (several, _) => bail!(
            "{source} has {count} columns called “{column}”; give a number instead, such as --column \
             {number}, and remove the first row, which would be read as an example: {}",
            list(first),
            count = several.len(),
            number = several.first().map_or(1, |place| place + 1)
        ),
    };
    let (mut read, mut line) = (0, 1);
    // A cell may hold tabs and line ends, and a line of a list may not.
    let cell = |row: &csv::StringRecord| {
        // The reader counts the end of a line, and blank lines, when it comes to the next row.
        let ended = row.position().map_or(read, |position| position.byte() as usize);
        let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let begin = ended + text.as_bytes()[ended..].iter().take_while(is_end).count();
        line += text.as_bytes()[read..begin].iter().filter(|byte| **byte == b'\n').count();
        read = begin;
        (line, row.get(place).unwrap_or_default().replace(['\r', '\n', '\t'], " "))
    };
    Ok(rows.iter().skip(header).map(cell).collect())
}

/// Lists the cells of `row`, the first [`LISTED`] of them, each up to [`CELL`] characters.
fn list(row: &csv::StringRecord) -> String {
    let cut = |cell: &str| match cell.trim().char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", &cell.trim()[..end]),
        None => cell.trim().to_owned(),
    };
    let more = if row.len() > LISTED { Some("…".to_owned()) } else { None };
    row.iter().take(LISTED).map(cut).chain(more).collect::<Vec<_>>().join(", ")
}
