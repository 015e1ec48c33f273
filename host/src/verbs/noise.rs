//! `noise`: the forward process on one text.

use std::io::Write;

use anyhow::bail;

use crate::cli::{NoiseOptions, Outcome};
use crate::show::picture::noise_levels;
use crate::show::terminal;

pub(crate) fn run(options: &NoiseOptions) -> anyhow::Result<Outcome> {
    if options.text.is_empty() {
        bail!("the text is empty; give some letters, for example: micro-diffusion noise josephine");
    }
    let mut out = terminal::results();
    for line in noise_levels(&options.text, options.seed) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    terminal::say(
        "Each letter is hidden with the probability on the left; the model learns to bring it back.",
    );
    Ok(Outcome::Done)
}
