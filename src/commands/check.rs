//! `check`: what an installation and an upgrade need, before and after installing.

use std::path::Path;

use super::written;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::view::check::{Standing, count};
use crate::report::{self, Printed, data};
use crate::run::{Services, view};
use crate::words::command;

/// Every section; what is not as it must be refuses. With a file, the settings that this cluster seems to need are written there; `-` prints
/// them in place of the sections.
pub async fn check(services: &Services, write_config: Option<&Path>) -> Result<Outcome, Failure> {
    let sections = view::check::check(services).await.map_err(super::status::away)?;
    if write_config == Some(Path::new("-")) {
        let settings = settings(services, "-").await.map_err(Failure::nothing_begun)?;
        services.session.print(&Printed::document(&settings.text)).map_err(Failure::nothing_begun)?;
    } else {
        let cluster = &services.settings.cluster_name;
        let text = match services.session.json {
            true => Printed::pretty(&data::Check::of(&sections, cluster)).map_err(Failure::nothing_begun)?,
            false => report::check_text(&sections, cluster),
        };
        services.session.print(&text).map_err(Failure::nothing_begun)?;
    }
    if let Some(file) = write_config.filter(|file| *file != Path::new("-")) {
        write(services, file).await.map_err(Failure::nothing_begun)?;
    }
    let bad = count(&sections, Standing::Bad);
    if bad == 0 {
        return Ok(Outcome::Done);
    }
    // What each says, and what to type, stands above.
    let cause = Cause::refused(format!("{bad} thing(s) that an upgrade needs are missing or wrong"));
    Err(Failure { cause, place: String::new(), state: String::new(), next: Vec::new() })
}

struct Written {
    text: String,
    /// Settings that do not fit as they are, and how many of them something was found for.
    offered: usize,
    found: usize,
}

async fn settings(services: &Services, place: &str) -> Result<Written, Cause> {
    let offers = view::check::offers(services).await?;
    let text = written::text(services, &offers, "check", place)?;
    let found = offers.iter().filter(|offer| !offer.values.is_empty()).count();
    Ok(Written { text, offered: offers.len(), found })
}

/// What to type where the file is there.
pub(super) const INSTEAD: &str = "k8s-upgrade check --write-config -    # prints the settings instead";

async fn write(services: &Services, file: &Path) -> Result<(), Cause> {
    let place = file.display().to_string();
    let Written { text, offered, found } = settings(services, &place).await?;
    written::write(services, file, &text, INSTEAD)?;
    let what = match offered {
        0 => "every setting fits as it is".to_owned(),
        _ => format!("{found} of the {offered} setting(s) that do not fit were found"),
    };
    services.session.did("check", format!("{place} is written: {what}"));
    services.session.next("check", "once you have read it", &command!("k8s-upgrade check --config {}", place));
    Ok(())
}
