//! `noise`: the forward process on one text.

use std::io::Write;

use crate::cli::{NoiseOptions, Outcome};
use crate::files::preparation;
use crate::show::columns::fit_levels;
use crate::show::picture::noise_levels;
use crate::show::terminal;

pub(crate) fn run(options: &NoiseOptions) -> anyhow::Result<Outcome> {
    let text = preparation::text("the text", &options.text, false, "micro-diffusion noise josephine")?;
    let mut out = terminal::results();
    for line in fit_levels(&noise_levels(&text, options.seed), &text, terminal::width_of_results()) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    terminal::say(
        "Each letter is hidden with the probability on the left; the model learns to bring it back.",
    );
    Ok(Outcome::Done)
}
