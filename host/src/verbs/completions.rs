//! `completions` and `man`: a shell's completion script and manual pages, generated from the command line's definition.

use std::io::Write;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::cli::{Arguments, CompletionsOptions, ManOptions, Outcome};
use crate::show::terminal;

/// Prints the completion script of a shell.
pub(crate) fn completions(options: &CompletionsOptions) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "micro-diffusion", &mut script);
    let mut out = terminal::bytes();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Prints the manual page of the program or of one verb.
pub(crate) fn man(options: &ManOptions) -> anyhow::Result<Outcome> {
    let mut program = Arguments::command();
    program.build();
    let command = match &options.verb {
        None => program,
        Some(verb) => match program.find_subcommand(verb) {
            Some(command) => command.clone(),
            None => program
                .error(
                    ErrorKind::InvalidSubcommand,
                    format!("there is no verb “{verb}”; list the verbs with: micro-diffusion --help"),
                )
                .exit(),
        },
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    let mut out = terminal::bytes();
    out.write_all(&page)?;
    out.flush()?;
    Ok(Outcome::Done)
}
