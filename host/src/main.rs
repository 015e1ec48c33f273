//! Train and sample masked text diffusion models from the command line.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod aligned;
mod bench;
mod checkpoint;
mod cli;
mod completions;
mod config;
mod corpus;
mod eval;
mod export;
mod glimpse;
mod inspect;
mod integers;
mod interchange;
mod memory;
mod model;
mod narrator;
mod network;
mod noise;
mod owners;
mod phases;
mod picture;
mod quantise;
mod report;
mod rounding;
mod run;
mod sample;
mod settings;
mod statistics;
mod svg;
mod sweep;
mod terminal;
mod train;
mod trainer;
mod vector;
mod watch;

// What fuzzing runs: `tests/fuzz` compiles this program as a library, and `cargo test` runs it on the corpora.
#[cfg(test)]
#[path = "../../tests/fuzz.rs"]
mod fuzz;
#[cfg(test)]
#[path = "../../tests/steps.rs"]
mod steps;
#[cfg(any(test, fuzzing))]
mod inputs;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;

use std::process::ExitCode;

use clap::Parser;

/// What a command's end means to the shell.
pub(crate) enum Outcome {
    /// All done: 0.
    Done,
    /// Stopped by the user with the work saved: 130, as for any interrupted program.
    Interrupted,
}

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let threads = arguments.threads();
    let result = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(anyhow::Error::from)
        // Inside the pool, so that a parallel loop starts without waking another thread first.
        .and_then(|pool| pool.install(|| run(arguments.verb)));
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let why = terminal::shown(&format!("{error:#}"));
            terminal::say(&format!("{}error:{} {why}", cli::ERROR.render(), cli::ERROR.render_reset()));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: cli::Verb) -> anyhow::Result<Outcome> {
    match verb {
        cli::Verb::Train(options) => train::run(&options),
        cli::Verb::Sample(options) => sample::run(&options),
        cli::Verb::Eval(options) => eval::run(&options),
        cli::Verb::Noise(options) => noise::run(&options),
        cli::Verb::Sweep(options) => sweep::run(&options),
        cli::Verb::Bench(options) => bench::run(&options),
        cli::Verb::Inspect(options) => inspect::run(&options),
        cli::Verb::Export(options) => export::run(&options),
        cli::Verb::Completions(options) => completions::completions(&options),
        cli::Verb::Man(options) => completions::man(&options),
    }
}

/// Whoever read our output has seen enough: no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
