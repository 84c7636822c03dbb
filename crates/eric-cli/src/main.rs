//! The binary `eric`: the hub, commands that talk to one or measure it, and commands for a store that no hub has open. The only place
//! that names engines.

#[cfg(target_os = "linux")]
mod bench;
mod channel;
mod engine;
mod history;
mod listen;
mod listener;
mod logging;
mod manual;
mod output;
mod payload;
mod publish;
mod serve;
mod store;
mod target;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A message hub for the web: channels, listeners, a queue per listener, delivered as Server-Sent Events.
///
/// Start one:       eric serve
/// Listen to it:    eric listen news bob --create
/// Publish to it:   eric publish news greeting "hello, world"
#[derive(Debug, Parser)]
#[command(name = "eric", version, arg_required_else_help = true, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a hub until SIGTERM or SIGINT.
    Serve(serve::Serve),
    Publish(publish::PublishCommand),
    Dispatch(publish::DispatchCommand),
    Listen(listen::Listen),
    Watch(listen::Watch),
    Channel(channel::ChannelCommand),
    Listener(listener::ListenerCommand),
    History(history::History),
    Ack(listener::Ack),
    Store(store::StoreCommand),
    Verify(verify::Verify),
    #[cfg(target_os = "linux")]
    Bench(bench::Bench),
    Completions(manual::Completions),
    Manual(manual::Manual),
}

/// What went wrong, by whose fault; the exit code says it too.
#[derive(Debug)]
enum Failure {
    /// The command was misused: 2.
    Usage(String),
    /// It failed: 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// The same failure, with what had happened before.
    fn after(self, what: &str) -> Self {
        match self {
            Self::Usage(text) => Self::Usage(format!("{text} ({what})")),
            Self::Failed(error) => Self::Failed(anyhow::anyhow!("{error:#} ({what})")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<eric_client::Error> for Failure {
    fn from(error: eric_client::Error) -> Self {
        // Its text says it all; what caused it would say it again.
        Self::Failed(anyhow::anyhow!("{error}"))
    }
}

/// Runs a command that talks to a hub.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(command)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Serve(command) => command.run(),
        Command::Publish(command) => command.run(),
        Command::Dispatch(command) => command.run(),
        Command::Listen(command) => command.run(),
        Command::Watch(command) => command.run(),
        Command::Channel(command) => command.run(),
        Command::Listener(command) => command.run(),
        Command::History(command) => command.run(),
        Command::Ack(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Verify(command) => command.run(),
        #[cfg(target_os = "linux")]
        Command::Bench(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Manual(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(what)) => {
            eprintln!("error: {what}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
        // Who reads has enough, as `head` does.
        Err(Failure::Failed(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
