//! Detection: what runs, what there is, and whether a chain is to be started.

use std::time::Duration;

use crate::clients::{Gauge, Packages};
use crate::failure::Cause;
use crate::names;
use crate::packages::IN_USE;
use crate::plan::decide::detect::{self, Detection, Index};
use crate::plan::decide::{order, release, target, when};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::Facts;
use crate::plan::model::marks::Edit;
use crate::plan::model::version::Version;
use crate::run::nodes;
use crate::run::outside::{Monitoring, seconds};
use crate::run::services::Services;
use crate::run::session::Session;
use crate::settings::Settings;
use crate::words::RunId;
use crate::world::World;

const INDEX: Duration = Duration::from_secs(60);
const PLACE: &str = "detect";

/// What detection looks at, and what it makes of it.
pub struct Looked {
    pub found: Detection,
    /// Releases that are there above what runs, wanted or not; None: an index did not answer.
    pub above: Option<Vec<Version>>,
}

/// Looks for a release to go to. Changes nothing.
///
/// # Errors
/// Holds: no node can be seen.
pub async fn look(settings: &Settings, world: &World, facts: &Facts) -> Result<Looked, Cause> {
    let running = target::running(facts).ok_or_else(|| Cause::hold("no node of the cluster can be seen"))?;
    let current = index(settings, world, running.minor).await;
    let next = index(settings, world, running.minor + 1).await;
    let answered = [&current, &next].into_iter().all(|index| matches!(index, Answer::Known(_)));
    let above = answered.then(|| detect::above(running, [&current, &next]));
    Ok(Looked { found: release::wanted(facts, &settings.releases(), current, next, world.clock.now())?, above })
}

/// The same, where only what it makes of it matters.
///
/// # Errors
/// As [`look`].
pub async fn detect(settings: &Settings, world: &World, facts: &Facts) -> Result<Detection, Cause> {
    Ok(look(settings, world, facts).await?.found)
}

/// Records since when what is there is known, where a release must come of age; what cannot be recorded comes of age later.
pub async fn remember(services: &Services, place: &str, facts: &Facts, looked: &Looked) {
    let Some(above) = looked.above.as_ref().filter(|_| services.settings.releases().wait_for_age()) else { return };
    let seen = facts.marks.seen.with(above.iter().copied(), services.session.now());
    if services.session.dry_run || seen == facts.marks.seen {
        return;
    }
    if let Err(cause) = services.record.mark_namespace(place, "record which releases are there", &[Edit::seen(&seen)]).await {
        services.session.warn(place, format!("since when releases are there could not be recorded: {}", cause.what));
    }
}

/// Whether the package index lists `target`; unknown where it cannot be read, or cannot be believed.
pub async fn released(settings: &Settings, world: &World, facts: &Facts, target: Version) -> Answer<bool> {
    detect::released(facts, target, &index(settings, world, target.minor).await)
}

/// What the package index lists of v1.`minor`.
async fn index(settings: &Settings, world: &World, minor: u32) -> Index {
    let repository = IN_USE.repository_of(&settings.packages_url, &format!("1.{minor}"));
    match Packages::new(&repository, world.web.clone()).releases(minor, INDEX).await {
        Answer::Known(releases) => {
            Answer::Known(releases.map(|releases| releases.into_iter().map(|release| release.version).collect()))
        }
        Answer::Unknown(why) => Answer::Unknown(why),
    }
}

/// What a person is told of a target that does not exist.
pub fn not_released(settings: &Settings, target: Version) -> Cause {
    let Version { major, minor, .. } = target;
    Cause::refused(format!("{target} is no release: the package index of v{major}.{minor} does not list it"))
        .detail([format!("{}/", IN_USE.repository_of(&settings.packages_url, &target.series()))])
        .next("k8s-upgrade detect --dry-run          # says which releases there are")
}

/// Tells Prometheus what detection found, in place of what the one before had found: of what nobody knows now, no gauge says anything.
/// `found` is None where nobody has looked, or nothing was to be seen.
pub async fn push_detection(session: &Session, monitoring: &Monitoring, found: Option<&Detection>) {
    let each = found.into_iter().flat_map(|found| found.available.iter().map(|available| (found.running, available)));
    let mut gauges: Vec<Gauge> = each
        .map(|(running, available)| {
            let target = available.target.map_or(String::new(), |target| target.to_string());
            Gauge::new(names::METRIC_AVAILABLE, if available.target.is_some() { 1.0 } else { 0.0 })
                .label("kind", available.kind.word())
                .label("running", &running.to_string())
                .label("target", &target)
        })
        .collect();
    gauges.push(Gauge::new(names::METRIC_LAST_CHECK, seconds(session.now())));
    monitoring.replace(names::PUSH_JOB_DETECTION, &gauges).await;
}

/// Records that the run is deferred, for the watch to try it again. False: it was already, and whoever is told of it knows.
pub async fn defer(services: &Services, place: &str, run: &RunId, target: Version) -> bool {
    let policy = nodes::window::policy(&services.cluster, &services.settings).await;
    let closed = when::may_begin(&policy.calendar, services.session.now(), when::needs_of_run(&policy)).err();
    match services.record.defer(place, run, target, closed).await {
        Ok(news) => news,
        Err(cause) => {
            let what = "that the run is deferred could not be recorded: nothing tries it again before the next detection";
            services.session.warn(place, format!("{what}: {}", cause.what));
            true
        }
    }
}

/// Asks the first control plane whether it can install `target`, as preflight asks every node.
pub async fn installable(services: &Services, facts: &Facts, target: Version) -> Result<(), Cause> {
    let Some(master) = order::first_control_plane(facts) else { return Ok(()) };
    let state = services.ssh.on_node(master, &nodes::sources::inspect(&services.settings)).await?;
    let asked = nodes::prepare::installable_on(services, master, &state, target).await;
    asked.map_err(|cause| Cause { what: format!("{}: {}", master.name, cause.what), ..cause }.during(PLACE))
}
