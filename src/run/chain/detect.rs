//! Detection: what runs, what there is, and whether a chain is to be started.

use std::time::Duration;

use crate::clients::{Gauge, Packages, Release};
use crate::failure::Cause;
use crate::names;
use crate::node::{Available, Inspect, Refresh};
use crate::packages::IN_USE;
use crate::permit::ChangeClass;
use crate::plan::decide::detect::{self, Detection};
use crate::plan::decide::{order, target};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::Facts;
use crate::plan::model::version::Version;
use crate::run::outside::{Monitoring, seconds};
use crate::run::session::Session;
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::world::World;

const INDEX: Duration = Duration::from_secs(60);
const PLACE: &str = "detect";

/// Looks for a release to go to. Changes nothing.
pub async fn detect(settings: &Settings, world: &World, facts: &Facts) -> Result<Detection, Cause> {
    let running = target::running(facts).ok_or_else(|| Cause::hold("no node of the cluster can be seen"))?;
    let packages = Packages::new(&settings.packages_url, world.web.clone());
    let versions = |answer: Answer<Option<Vec<Release>>>| match answer {
        Answer::Known(releases) => {
            Answer::Known(releases.unwrap_or_default().into_iter().map(|release| release.version).collect())
        }
        Answer::Unknown(why) => Answer::Unknown(why),
    };
    let current = versions(packages.releases(running.minor, INDEX).await);
    let next = versions(packages.releases(running.minor + 1, INDEX).await);
    detect::detect(facts, &current, &next)
}

/// Whether the package index lists `target`; unknown where it cannot be read.
pub async fn released(settings: &Settings, world: &World, target: Version) -> Answer<bool> {
    let packages = Packages::new(&settings.packages_url, world.web.clone());
    match packages.releases(target.minor, INDEX).await {
        Answer::Known(releases) => Answer::Known(releases.iter().flatten().any(|release| release.version == target)),
        Answer::Unknown(why) => Answer::Unknown(why),
    }
}

/// What a person is told of a target that does not exist.
pub fn not_released(settings: &Settings, target: Version) -> Cause {
    let Version { major, minor, .. } = target;
    Cause::refused(format!("{target} is no release: the package index of v{major}.{minor} does not list it"))
        .detail([format!("{}/core:/stable:/v{major}.{minor}/deb/", settings.packages_url.trim_end_matches('/'))])
        .next("k8s-upgrade detect --dry-run          # says which releases there are")
}

/// Tells Prometheus what detection found.
pub async fn push_detection(session: &Session, monitoring: &Monitoring, facts: &Facts, found: &Detection) {
    let mut gauges: Vec<Gauge> = found
        .available
        .iter()
        .map(|available| {
            let target = available.target.map_or(String::new(), |target| target.to_string());
            Gauge::new(names::METRIC_AVAILABLE, if available.target.is_some() { 1.0 } else { 0.0 })
                .label("kind", available.kind.word())
                .label("running", &found.running.to_string())
                .label("target", &target)
        })
        .collect();
    gauges.push(Gauge::new(names::METRIC_LAST_CHECK, seconds(session.now())));
    monitoring.push(names::PUSH_JOB_DETECTION, &gauges).await;
    // A Pushgateway that was restarted has forgotten the chain's gauges; the annotations have not.
    monitoring.push_run(&facts.marks).await;
}

/// Asks the package manager of the first control plane whether it can install `target`, where its repository is that of the target's minor version.
/// (A new minor version's repository is set up by preflight, which then asks the same.)
pub async fn installable(ssh: &Ssh, facts: &Facts, target: Version) -> Result<(), Cause> {
    let Some(master) = order::first_control_plane(facts) else { return Ok(()) };
    let state = ssh.on_node(master, &Inspect).await?;
    if !state.sources.iter().any(|source| *source.minor == *target.series()) {
        return Ok(());
    }
    ssh.change_node(master, ChangeClass::Prepare, "refresh package lists", &Refresh).await?;
    let offered = ssh.on_node(master, &Available { package: "kubeadm" }).await?;
    if offered.iter().any(|revision| revision.starts_with(&format!("{target}-"))) {
        return Ok(());
    }
    Err(Cause::hold(format!("the package index lists {target}, but {} on {} cannot install it", IN_USE.name, master.name))
        .detail(offered.into_iter().take(5))
        .during(PLACE))
}
