//! The binary `eric`: the only place that names engines.

mod logging;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A message hub for the web: channels, listeners, a queue per listener, delivered as Server-Sent Events.
#[derive(Debug, Parser)]
#[command(name = "eric", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a hub until SIGTERM or SIGINT.
    Serve(serve::Serve),
}

/// What went wrong, by whose fault; the exit code says it too.
#[derive(Debug)]
enum Failure {
    /// The command was misused: 2.
    Usage(String),
    /// It failed: 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Serve(serve) => serve.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(what)) => {
            eprintln!("error: {what}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
