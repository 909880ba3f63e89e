//! `completions`: scripts that ask the program; and `man`, which writes the manual.

use std::path::Path;

use super::manual::pages;
use crate::cli::Shell;
use crate::failure::{Cause, Outcome};
use crate::report::Out;
use crate::world::World;

/// The completions of one shell: they ask this program.
fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../completions/k8s-upgrade.bash"),
        Shell::Zsh => include_str!("../../completions/_k8s-upgrade"),
        Shell::Fish => include_str!("../../completions/k8s-upgrade.fish"),
        Shell::Kubectl => include_str!("../../completions/kubectl_complete-upgrade"),
    }
}

/// Writes the completions of a shell to stdout.
pub fn completions(stdout: &Out, shell: Shell) -> Result<Outcome, Cause> {
    super::install::write_out(stdout, script(shell).as_bytes())?;
    Ok(Outcome::Done)
}

/// Writes every page into the folder.
pub fn man(world: &World, folder: &Path) -> Result<Outcome, Cause> {
    let cannot = |error: std::io::Error| Cause::usage(format!("cannot write manual pages into {}: {error}", folder.display()));
    let pages = pages()?;
    world.files.make_folder(folder).map_err(cannot)?;
    for (name, text) in pages {
        world.files.write(&folder.join(name), &text, 0o644).map_err(cannot)?;
    }
    Ok(Outcome::Done)
}
