//! The client commands: arguments in, calls of the control API, answers on stdout, messages on stderr in PostgreSQL's
//! style. Knows of the server only the API's types; the journal alone it can also read by itself, for offline proof.

mod args;
mod client;
mod commands;
mod duration;
mod failure;
mod login;
mod loopback;
mod oidc;
mod output;
mod server;
mod service_file;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use failure::Failure;

/// Reads the arguments of this process and does what they say: 0 done, 1 refused or failed, 2 usage.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let usage = error.use_stderr();
            // Where even that cannot be printed there is nobody to tell.
            let _ = error.print();
            return if usage { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}

/// Commands that serve build their own runtime; the others make do with one thread.
fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { options, command } = arguments;
    match command {
        Command::Serve { config } => crate::app::serve(&config).map_err(Failure::from),
        Command::Check { config } => {
            let advice = crate::app::check(&config).map_err(Failure::from)?;
            advice.iter().for_each(|text| output::notice(&format!("warning: {text}")));
            Ok(())
        }
        Command::Completions { shell } => commands::completions(shell),
        Command::Token => commands::token(&options),
        Command::Witness(arguments) => commands::witness::run(arguments),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(commands::run(&options, command))
        }
    }
}
