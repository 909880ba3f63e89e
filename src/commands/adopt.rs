//! `adopt`: what a shell pipeline has left that ran under our names, and how to come from it to this program. Nothing of that is done here.

use std::path::Path;

use super::written;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::view::adopt::{Adoption, Seen, adoption};
use crate::report::{self, Printed, data};
use crate::run::{Services, view};
use crate::words::command;

const PLACE: &str = "adopt";

/// What is recognised and what follows; refused while a chain is in flight. With a file, the settings that follow are written there; `-` prints
/// them in place of the rest.
pub async fn adopt(services: &Services, write_config: Option<&Path>) -> Result<Outcome, Failure> {
    let stdout = write_config == Some(Path::new("-"));
    let file = write_config.filter(|_| !stdout);
    let seen = view::adopt::look(services).await.map_err(super::status::away)?;
    let config = file.map(|file| file.display().to_string());
    let found = found(services, &seen, config.as_deref()).map_err(Failure::nothing_begun)?;
    if !stdout {
        print(services, &found).map_err(Failure::nothing_begun)?;
    }
    found.at_rest(&seen).map_err(Failure::nothing_begun)?;
    if stdout {
        let text = written::text(services, &found.settings, PLACE, "-").map_err(Failure::nothing_begun)?;
        services.session.print(&Printed::document(&text)).map_err(Failure::nothing_begun)?;
    }
    if let Some(file) = file {
        write(services, &found, file).map_err(Failure::nothing_begun)?;
    }
    if !found.found() && !stdout {
        services.session.next(PLACE, "what an installation needs is told by", "k8s-upgrade check");
    }
    Ok(if found.found() { Outcome::Done } else { Outcome::Nothing })
}

/// What to type where the file is there.
pub(super) const INSTEAD: &str = "k8s-upgrade adopt --write-config -    # prints the settings instead";

fn found(services: &Services, seen: &Seen, config: Option<&str>) -> Result<Adoption, Cause> {
    let all = serde_json::to_value(&*services.settings).map_err(|error| Cause::bug(format!("settings as JSON: {error}")))?;
    adoption(seen, config, |key| all[key].as_str().map(str::to_owned))
}

fn print(services: &Services, found: &Adoption) -> Result<(), Cause> {
    let (namespace, cluster) = (&services.cluster.namespace, &services.settings.cluster_name);
    let printed = match services.session.json {
        true => Printed::pretty(&data::Adoption::of(found, namespace, cluster))?,
        false => report::adopt_text(found, namespace, cluster),
    };
    services.session.print(&printed)
}

fn write(services: &Services, found: &Adoption, file: &Path) -> Result<(), Cause> {
    let place = file.display().to_string();
    let text = written::text(services, &found.settings, PLACE, &place)?;
    written::write(services, file, &text, INSTEAD)?;
    let what = match found.settings.len() {
        0 => "the pipeline had none otherwise than what is in force".to_owned(),
        count => format!("{count} setting(s) of the pipeline are in it"),
    };
    services.session.did(PLACE, format!("{place} is written: {what}"));
    services.session.next(PLACE, "once you have read it", &command!("k8s-upgrade check --config {}", place));
    Ok(())
}
