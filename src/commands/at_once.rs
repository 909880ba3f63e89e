//! What is wrong with a command line by itself, in the settings that it is given with and beside the files that are there: told before the API
//! server is asked.

use std::path::Path;

use super::{adopt, check, halt, never_over, rehearse, skip};
use crate::cli::Command;
use crate::failure::Cause;
use crate::settings::Settings;
use crate::world::World;

/// # Errors
/// Usage: it can come to nothing, whatever the cluster is like.
pub fn at_once(command: &Command, settings: &Settings, world: &World) -> Result<(), Cause> {
    match command {
        Command::Check { write_config: Some(file), .. } => unless_stdout(world, file, check::INSTEAD),
        Command::Adopt { write_config: Some(file), .. } => unless_stdout(world, file, adopt::INSTEAD),
        Command::Rehearse(wanted) => {
            rehearse::known(wanted)?;
            wanted.save.as_deref().map_or(Ok(()), |file| unless_stdout(world, file, rehearse::INSTEAD))
        }
        Command::Halt(options) => halt::can_block(options, settings),
        Command::SkipPhase(options) => skip::phase(options).map(|_| ()),
        _ => Ok(()),
    }
}

/// `-` is stdout, and no file.
fn unless_stdout(world: &World, file: &Path, instead: &str) -> Result<(), Cause> {
    if file == Path::new("-") { Ok(()) } else { never_over(world, file, instead) }
}
