//! The manual page and the shells' completions of this program, for whoever packages it. Made from the command line's
//! own definition, so that they cannot tell another story.

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Writes them into `dir`, which must exist.
pub fn run<C: CommandFactory>(dir: &Path) -> anyhow::Result<()> {
    let command = C::command();
    let name = command.get_name().to_owned();
    clap_mangen::Man::new(command.clone())
        .section("8")
        .generate_to(dir)
        .with_context(|| format!("cannot write into {}", dir.display()))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), &name, dir)
            .with_context(|| format!("cannot write into {}", dir.display()))?;
    }
    Ok(())
}
