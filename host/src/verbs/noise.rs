//! `noise`: the forward process on one text.

use std::io::Write;

use anyhow::bail;
use micro_diffusion::rng::{Purpose, Stream};

use crate::Outcome;
use crate::cli::NoiseOptions;
use crate::picture::MASK;
use crate::terminal;

pub(crate) fn run(options: &NoiseOptions) -> anyhow::Result<Outcome> {
    if options.text.is_empty() {
        bail!("the text is empty; give some letters, for example: micro-diffusion noise josephine");
    }
    let mut out = terminal::results();
    for line in levels(&options.text, options.seed) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    terminal::say(
        "Each letter is hidden with the probability on the left; the model learns to bring it back.",
    );
    Ok(Outcome::Done)
}

/// `text` at rising noise levels: each letter has one number in \[0, 1), and is masked where the level exceeds it.
pub(crate) fn levels(text: &str, seed: u64) -> Vec<String> {
    // Training has the children of its steps.
    let stream = Stream::new(seed, Purpose::Noise).child(u32::MAX, 0);
    let characters: Vec<(char, f64)> = text
        .chars()
        .zip(0..)
        .map(|(character, position)| (character, f64::from(stream.draw(position, 0)[0]) / 4_294_967_296.0))
        .collect();
    let line = |percent: u32| {
        let level = f64::from(percent) / 100.0;
        let noisy: String =
            characters.iter().map(|(character, u)| if *u < level { MASK } else { *character }).collect();
        format!("{percent:>4} %  {noisy}")
    };
    [0, 20, 40, 60, 80, 100].into_iter().map(line).collect()
}
