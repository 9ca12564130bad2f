//! `orchctl generate` (hidden): manual pages and shells' completions, for whoever packages Orch. Made from the command
//! lines' own definitions, so that they cannot tell another story. `orch-api --generate` makes its own.

use super::error::{CtlError, Done};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;
use std::path::Path;

/// Writes the pages of `orchctl`, of each of its subcommands and of `orch-worker`, and the completions of both.
pub fn run(orchctl: clap::Command, dir: &Path) -> Done {
    std::fs::create_dir_all(dir)
        .and_then(|()| write_all(orchctl, dir))
        .map_err(|error| CtlError::Failed(format!("cannot write into {}: {error}", dir.display())))
}

fn write_all(orchctl: clap::Command, dir: &Path) -> io::Result<()> {
    let worker = crate::program::command();
    clap_mangen::generate_to(orchctl.clone(), dir)?;
    Man::new(worker.clone()).section("8").generate_to(dir)?;
    for mut command in [orchctl, worker] {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command, &name, dir)?;
        }
    }
    Ok(())
}
