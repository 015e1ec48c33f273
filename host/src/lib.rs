//! Everything that the program `micro-diffusion` does: its engine, its files, what it shows and its verbs.
//!
//! Each file uses only those above it, and no verb uses another; `tests/architecture.rs` checks it. The public part is what
//! benchmarks, tests and fuzzing call.
#![warn(clippy::print_stdout, clippy::print_stderr)]

/// Trains, draws and scores. The engine knows no option, no file and no terminal.
pub mod engine {
    // 1. Training.
    pub(crate) mod split;
    pub(crate) mod settings;
    pub(crate) mod language;
    pub mod aligned;
    pub mod kernels;
    pub mod step;
    pub(crate) mod relay;
    pub(crate) mod teaching;
    pub(crate) mod trainer;
    pub(crate) mod quantised_training;

    // 2. Drawing and scoring.
    pub(crate) mod description;
    pub mod source;
    pub mod retrieval;
    pub mod calibration;
    pub(crate) mod forms;
    pub(crate) mod draw;
    pub(crate) mod score;
    pub mod counting;

    // 3. Networks behind one interface.
    pub(crate) mod network;
    pub(crate) mod compiled;
    pub(crate) mod configurations;
    pub(crate) mod preview;
    pub(crate) mod choice;
    pub(crate) mod quantise;
    pub(crate) mod cost;
}

/// Reads and writes files: texts, models, run folders, checkpoints, source code.
pub mod files {
    pub(crate) mod memory;
    pub(crate) mod characters;
    pub(crate) mod quoting;
    pub(crate) mod origin;
    pub(crate) mod decoding;
    pub(crate) mod preparation;
    pub(crate) mod table;
    pub(crate) mod room;
    pub mod novelty;
    pub(crate) mod corpus;
    pub(crate) mod format;
    pub(crate) mod run;
    pub(crate) mod run_list;
    pub(crate) mod checkpoint;
    pub(crate) mod safetensors;
    pub(crate) mod prefix;
    pub(crate) mod source_code;
    pub(crate) mod c_sampler;
    pub(crate) mod arduino;
    pub(crate) mod model;
    pub(crate) mod teachers;
    pub(crate) mod page;
    pub mod readers;
}

/// Shows texts, progress, pictures and reports.
pub(crate) mod show {
    pub(crate) mod columns;
    pub(crate) mod terminal;
    pub(crate) mod marks;
    pub(crate) mod waiting;
    pub(crate) mod picture;
    pub(crate) mod messages;
    pub(crate) mod progress;
    pub(crate) mod watch;
    pub(crate) mod svg;
    pub(crate) mod curves;
    pub(crate) mod story;
    pub(crate) mod statistics;
    pub(crate) mod report;
}

pub(crate) mod cli;

/// The verbs of the command line.
pub(crate) mod verbs {
    pub(crate) mod train;
    pub(crate) mod sample;
    pub(crate) mod eval;
    pub(crate) mod score;
    pub(crate) mod noise;
    pub(crate) mod sweep;
    pub(crate) mod bench;
    pub(crate) mod inspect;
    pub(crate) mod export;
    pub(crate) mod completions;
}

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, Outcome, Verb};
use crate::show::terminal;

/// Runs the verb on the command line; returns the exit code for the shell.
pub fn run() -> ExitCode {
    let result = match Arguments::try_parse() {
        Ok(arguments) => rayon::ThreadPoolBuilder::new()
            .num_threads(arguments.threads())
            .build()
            .map_err(|error| {
                anyhow::anyhow!("cannot start the worker threads: {error}; give fewer with --threads")
            })
            // The verb runs inside the pool, so that a parallel loop starts without waking another thread first.
            .and_then(|pool| pool.install(|| verb(arguments.verb))),
        // Requested help and versions go to stdout.
        Err(shown) if !shown.use_stderr() => {
            shown.print().map(|()| Outcome::Done).map_err(|error| terminal::named(error).into())
        }
        Err(wrong) => {
            terminal::say(wrong.render().ansi().to_string().trim_end());
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let why = terminal::shown(&format!("{error:#}"));
            terminal::say(&format!(
                "{}error:{} {why}",
                terminal::ERROR.render(),
                terminal::ERROR.render_reset()
            ));
            ExitCode::FAILURE
        }
    }
}

fn verb(verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Train(options) => verbs::train::run(&options),
        Verb::Sample(options) => verbs::sample::run(&options),
        Verb::Eval(options) => verbs::eval::run(&options),
        Verb::Score(options) => verbs::score::run(&options),
        Verb::Noise(options) => verbs::noise::run(&options),
        Verb::Sweep(options) => verbs::sweep::run(&options),
        Verb::Bench(options) => verbs::bench::run(&options),
        Verb::Inspect(options) => verbs::inspect::run(&options),
        Verb::Export(options) => verbs::export::run(&options),
        Verb::Completions(options) => verbs::completions::completions(&options),
        Verb::Man(options) => verbs::completions::man(&options),
    }
}

/// Whether the reader of our output closed it, which is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
