//! `plan`: a run before it is begun. Only looks.

use std::collections::BTreeMap;

use super::rehearse::rehearsed;
use crate::cli::Sheet;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::decide::next::Wave;
use crate::plan::decide::target::{self, TargetCheck};
use crate::plan::decide::{ahead, order};
use crate::plan::model::facts::{Facts, Phase, Step};
use crate::plan::model::journal::Journal;
use crate::plan::model::version::Version;
use crate::plan::view::cut::Now;
use crate::plan::view::estimate::Times;
use crate::plan::view::paused::Pauses;
use crate::plan::view::plan::{GateNow, Plan, Rests, Turn, kind};
use crate::plan::view::story::{self, Ending};
use crate::plan::view::timeline::{self, Timeline};
use crate::report::{self, Printed};
use crate::run::view::ahead::node_ahead;
use crate::run::{Services, chain, parallel};
use crate::twin::Process;
use crate::twin::scenario::Scenario;
use crate::words::{RunId, command};

/// Prints the run to `target`, else to the one in flight or the one that detection would choose. `process`: this program, for a rehearsal.
pub async fn plan(
    services: &Services,
    process: &'static (dyn Process + Sync),
    wanted: Option<Version>,
    sheet: Sheet,
) -> Result<Outcome, Failure> {
    let facts = services.observer.observe_uninstalled().await.map_err(Failure::nothing_begun)?;
    facts.readable(&services.cluster.namespace).map_err(Failure::nothing_begun)?;
    let Some(target) = target_of(services, &facts, wanted).await.map_err(Failure::nothing_begun)? else {
        services.session.found("", "no release is there to go to: nothing to plan");
        return Ok(Outcome::Nothing);
    };
    if target::check_target(&facts, target).map_err(Failure::nothing_begun)? == TargetCheck::Nothing && !facts.marks.in_flight {
        services.session.found("", format!("every node is at {target}: nothing to plan"));
        return Ok(Outcome::Nothing);
    }
    let plan = of(services, process, &facts, target).await.map_err(Failure::nothing_begun)?;
    let text = match sheet {
        Sheet::Text => report::plan_text(&plan),
        Sheet::Markdown => report::plan_markdown(&plan),
        Sheet::Json | Sheet::Yaml => Printed::pretty(&plan).map_err(Failure::nothing_begun)?,
    };
    services.session.print(&text).map_err(Failure::nothing_begun)?;
    let start = command!("k8s-upgrade start --target {}", target);
    match (facts.marks.in_flight, plan.closed().next()) {
        (true, _) => services.session.next("", "where it stands", "k8s-upgrade status"),
        (false, None) => services.session.next("", "start it with", &start),
        (false, Some(_)) => services.session.next("", "gates are closed; once they are open, start it with", &start),
    }
    Ok(Outcome::Done)
}

async fn target_of(services: &Services, facts: &Facts, wanted: Option<Version>) -> Result<Option<Version>, Cause> {
    match (wanted, facts.marks.target.filter(|_| facts.marks.in_flight)) {
        (Some(wanted), Some(target)) if wanted != target => {
            let what = format!("a run to {target} is in flight: another target must wait for its end");
            Err(Cause::contended(what).next(crate::failure::Advice::status()))
        }
        (_, Some(target)) => Ok(Some(target)),
        (Some(wanted), None) => Ok(Some(wanted)),
        (None, None) => {
            let found = chain::detect::detect(&services.settings, &services.world, facts).await?;
            match found.target {
                None if !found.unknown.is_empty() => {
                    Err(Cause::unreachable("the package index does not say which releases there are").detail(found.unknown))
                }
                target => Ok(target),
            }
        }
    }
}

async fn of(services: &Services, process: &'static (dyn Process + Sync), facts: &Facts, target: Version) -> Result<Plan, Cause> {
    let policy = services.settings.policy();
    let run = facts.marks.run_id.clone().filter(|_| facts.marks.in_flight);
    let planned = ahead::turns(facts, &policy, target, &run.clone().unwrap_or_else(|| services.session.new_run()))?;
    let running = target::running(facts);
    let kind = kind(running, target);
    let (times, rests) = match earlier(services, facts).await? {
        times if times.is_empty() => (rehearsal(services, process, kind)?, Rests::Rehearsal),
        times => (times, Rests::EarlierRuns),
    };
    let of_wave =
        |(wave, planned): (usize, &Wave)| planned.all().map(|planned| Turn::of(planned, wave + 1, &times)).collect::<Vec<_>>();
    let waves: Vec<Vec<Turn>> = planned.iter().enumerate().map(of_wave).collect();
    // The longest of a wave is what the next waits for.
    let longest = |turns: &Vec<Turn>| turns.iter().map(|turn| turn.seconds).collect::<Option<Vec<u64>>>()?.into_iter().max();
    let seconds = waves.iter().map(longest).sum();
    let mut states = BTreeMap::new();
    let mut gates = Vec::new();
    if run.is_none() {
        let asked = chain::preflight::asked(services, facts, target, &services.session.new_run(), false).await?;
        gates.extend(asked.answers.iter().map(|(gate, found, why)| GateNow::of(*gate, *found, why.as_ref())));
        states.extend(asked.states);
    }
    let old = order::order(facts, &policy).into_iter().filter(|node| !node.is_upgraded(target));
    let ahead = old.filter(|node| !Step::of(node).is_skipped(&facts.marks)).map(|node| {
        let state = states.get(&node.name);
        async move { node_ahead(services, node, state, target).await }
    });
    let nodes = parallel::each(&services.settings, ahead).await;
    Ok(Plan {
        cluster: services.settings.cluster_name.to_string(),
        running: running.map(|running| running.to_string()),
        target: target.to_string(),
        kind,
        run: run.map(|run: RunId| run.to_string()),
        seconds,
        turns: waves.into_iter().flatten().collect(),
        paused: Pauses::of(facts),
        times: rests,
        gates,
        nodes,
        open: vec![format!(
            "Releases of etcd and CoreDNS, and the images of all: kubeadm {target} names them once preflight has fetched it, and pulls them \
             before any node is drained."
        )],
    })
}

/// The times of this cluster's earlier runs that ended well.
async fn earlier(services: &Services, facts: &Facts) -> Result<Times, Cause> {
    let (journals, _) = services.journal.all().await?;
    let pictures = pictures(&journals, services.session.now());
    Ok(Times::of(&pictures, |place| phase(place, |name| facts.node(name).map(|node| node.control_plane))))
}

/// Of each run that ended well, the newest first.
fn pictures(journals: &[Journal], now: jiff::Timestamp) -> Vec<Timeline> {
    let mut runs: BTreeMap<&str, Vec<Journal>> = BTreeMap::new();
    journals.iter().for_each(|journal| runs.entry(&journal.head.run).or_default().push(journal.clone()));
    let now = Now { at: Some(now), ..Now::default() };
    let draw = |(run, journals): (&&str, &Vec<Journal>)| {
        let story = story::tell(run, journals, &[], &now, false)?;
        (story.result == Ending::Complete).then(|| timeline::draw(&story, journals, &now))
    };
    let mut pictures: Vec<Timeline> = runs.iter().filter_map(draw).collect();
    pictures.sort_by_key(|picture| std::cmp::Reverse(picture.began));
    pictures
}

/// Of which phase a lane is. `control_plane`: of a node by its name; None: it is none.
fn phase(place: &str, control_plane: impl Fn(&str) -> Option<bool>) -> Option<Phase> {
    match place {
        _ if place == Phase::Preflight.word() => Some(Phase::Preflight),
        _ if place == Phase::Postflight.word() => Some(Phase::Postflight),
        node => control_plane(node).map(|is| if is { Phase::Master } else { Phase::Worker }),
    }
}

/// The times of a run in memory, with the settings that say how fast it may go.
fn rehearsal(services: &Services, process: &'static (dyn Process + Sync), kind: &str) -> Result<Times, Cause> {
    let minor = kind == crate::plan::model::version::UpgradeKind::Minor.word();
    let mut scenario = if minor { Scenario::runbook_minor() } else { Scenario::runbook() };
    let soak = services.settings.for_jobs()?.shift_remove("soak");
    scenario.settings.extend(soak.map(|soak| ("soak".to_owned(), soak)));
    let nodes: BTreeMap<String, bool> = scenario.nodes.iter().map(|node| (node.name.clone(), node.control_plane)).collect();
    let told = rehearsed(scenario, process)?;
    let pictures = pictures(&told.evidence.journals, told.ended);
    Ok(Times::of(&pictures, |place| phase(place, |name| nodes.get(name).copied())).of_phases_alone())
}
