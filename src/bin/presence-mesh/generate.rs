//! `generate`: what packages are made of.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::{Cli, GenerateCommand};
use crate::output;

pub fn run(command: &GenerateCommand) -> anyhow::Result<()> {
    match command {
        GenerateCommand::Man { dir } => man(dir),
        GenerateCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut visible(), "presence-mesh", &mut script);
            let script = String::from_utf8(script).context("a script that is no text")?;
            // clap_complete 4.6 takes the hyphen of the program's name for a space in one of two places, so that
            // bash completes nothing after the first command.
            let script = script.replace("presence__subcmd__mesh", "presence__mesh");
            output::raw(&script)
        }
    }
}

/// The command line without what is hidden, which completions would show.
fn visible() -> clap::Command {
    let whole = Cli::command();
    let shown = whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    clap::Command::new("presence-mesh")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown.cloned())
}

/// One page for each command, as git does: `presence-mesh-run.1`.
fn man(dir: &Path) -> anyhow::Result<()> {
    let written =
        fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.with_context(|| format!("cannot write to {}", dir.display()))
}
