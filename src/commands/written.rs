//! A settings file that a command has found out: what is written is what is read.

use std::path::Path;

use serde_json::{Map, Value};

use super::never_over;
use crate::failure::Cause;
use crate::plan::view::offer::{self, Offer};
use crate::run::Services;
use crate::settings::Settings;

/// The text of the file: what is set already, and what is offered. `by`: the command that writes it; `place`: what it will be called.
pub fn text(services: &Services, offers: &[Offer], by: &str, place: &str) -> Result<String, Cause> {
    let text = offer::file(&services.settings.set()?, offers, by)?;
    let read: Option<Map<String, Value>> =
        serde_saphyr::from_str(&text).map_err(|error| Cause::bug(format!("{place} would be no YAML: {error}")))?;
    match Settings::faults(place, &read.unwrap_or_default())?.into_iter().next() {
        Some(fault) => Err(fault.cause),
        None => Ok(text),
    }
}

/// Writes it, and over no file. `instead`: what to type where there is one.
pub fn write(services: &Services, file: &Path, text: &str, instead: &str) -> Result<(), Cause> {
    never_over(&services.world, file, instead)?;
    let cannot = |error| Cause::usage(format!("cannot write {}: {error}", file.display()));
    services.world.files.write(file, text.as_bytes(), 0o600).map_err(cannot)
}
