//! `eric completions` and `eric manual`: from the same source as `--help`.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{Cli, Failure};

/// Prints what a shell needs to complete commands.
///
/// Example: eric completions bash > ~/.local/share/bash-completion/completions/eric
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Prints the manual page, with every command.
///
/// Example: eric manual | man -l -
#[derive(Debug, Args)]
pub(crate) struct Manual {}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "eric", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}

impl Manual {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut command = Cli::command();
        command.build();
        let mut page = Vec::new();
        let main = clap_mangen::Man::new(command.clone());
        main.render(&mut page)?;
        for part in command.get_subcommands().filter(|part| part.get_name() != "help") {
            let part = part.clone().display_name(format!("eric {}", part.get_name()));
            clap_mangen::Man::new(part).render(&mut page)?;
        }
        Ok(io::stdout().write_all(&page)?)
    }
}
