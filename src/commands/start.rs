//! `start` and `resume`: the first Job of a chain, or the one that the facts ask for; `--local` does it all in this process.

use super::{Asker, by_hand};
use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::names::Mark;
use crate::plan::decide::gates::first_few;
use crate::plan::decide::next::{self, Next, Wave};
use crate::plan::decide::order;
use crate::plan::decide::planned::Planned;
use crate::plan::decide::target::{self, TargetCheck};
use crate::plan::decide::when;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, JobState};
use crate::plan::model::marks::Edit;
use crate::plan::model::version::Version;
use crate::run::{Services, chain, guards, nodes, view};
use crate::words::{NodeName, command};

/// So many nodes of a run are named before it begins.
const NAMED: usize = 20;

/// Begins a run by hand: creates preflight's Job or, with `local`, performs all phases in this process.
///
/// With `only`, it stops after that worker.
pub async fn start(
    services: &Services,
    asker: &mut Asker,
    target: Version,
    local: bool,
    only: Option<&NodeName>,
) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    if let Some(only) = only {
        is_worker(&facts, only, target).map_err(Failure::nothing_begun)?;
    }
    if !services.session.dry_run {
        services.halt.may_begin().await.map_err(Failure::nothing_begun)?;
    }
    let marks = &facts.marks;
    if marks.in_flight && (!local || marks.target != Some(target) || marks.run_id.is_none()) {
        let to = marks.target.map_or("an unknown target".to_owned(), |target| target.to_string());
        return Err(Failure::nothing_begun(
            Cause::contended(format!("a run to {to} is in flight")).next(Advice::status()).next(Advice::resume()),
        ));
    }
    let wanted = target::check_target(&facts, target).map_err(Failure::nothing_begun)?;
    if marks.in_flight {
        services.leases.nobody_at_work(&facts).await.map_err(Failure::nothing_begun)?;
        asker.confirm(services, &format!("the run to {target} goes on where the facts say it stands")).await?;
        // From here on the watch leaves it alone, until `resume` gives it back to Jobs.
        let here = async {
            guards::same_run(&services.observer, &facts).await.map_err(Failure::nothing_begun)?;
            let who = services.session.identity.holder.clone();
            let run = facts.marks.run().map_err(Failure::nothing_begun)?;
            let begins = [Edit::tried_anew(facts.canary_is_back()).as_slice(), &[Edit::set(Mark::Local, who)]].concat();
            services
                .record
                .mark_run(run, "", "record that this process has the run", &begins)
                .await
                .map_err(Failure::nothing_begun)?;
            chain::local::run_here(services, target).await
        };
        return by_hand(services, here).await;
    }
    let TargetCheck::Upgrade(kind) = wanted else {
        services.session.found("", format!("every node is at {target}: nothing to do"));
        return Ok(Outcome::Nothing);
    };
    services.leases.nobody_by_hand().await.map_err(Failure::nothing_begun)?;
    let again = format!(
        "{}{}{}",
        command!("k8s-upgrade start --target {}", target),
        only.map_or(String::new(), |only| command!(" --only {}", only)),
        if local { " --local" } else { "" }
    );
    let needs = when::needs_of_run(&services.settings.policy());
    nodes::window::may_type(services, &facts, None, needs, &again).await.map_err(Failure::nothing_begun)?;
    // An index that only the cluster can reach is asked by preflight.
    if let Answer::Known(false) = chain::detect::released(&services.settings, &services.world, &facts, target).await {
        return Err(Failure::nothing_begun(chain::detect::not_released(&services.settings, target)));
    }
    for off in view::input::off(&services.settings) {
        services.session.warn("", off);
    }
    let running = target::running(&facts).map_or("?".to_owned(), |version| version.to_string());
    let nodes = facts.managed().count();
    let what = match only {
        Some(only) if order::is_served(&facts, target) => {
            format!("{running} → {target} ({kind}), of {nodes} nodes {only} alone, before the control planes; then it stops")
        }
        only => {
            let order = order::order(&facts, &services.settings.policy());
            let names: Vec<String> = order.iter().map(|node| node.name.clone()).collect();
            let stops = only.map_or(String::new(), |only| format!("; of the workers {only} alone, and then it stops"));
            let how = match services.settings.max_unavailable.filter(|_| !local && only.is_none()) {
                Some(share) => format!(", workers at the same time (max-unavailable {share})"),
                None => " one after the other".to_owned(),
            };
            format!("{running} → {target} ({kind}), {nodes} nodes{how}: {}{stops}", first_few(&names, NAMED))
        }
    };
    if services.session.dry_run {
        services.session.found("", what);
    } else {
        asker.confirm(services, &what).await?;
    }
    if local {
        return by_hand(services, chain::local::run_here(services, target)).await;
    }
    match next::first(&facts, &services.settings.policy(), target).map_err(Failure::nothing_begun)? {
        Next::Create(Wave { first: planned, .. }) if services.session.dry_run => {
            services.session.found("", format!("would create Job {} on {}", planned.job, planned.place()));
            services.session.next("", "start it with", &again);
            Ok(Outcome::Nothing)
        }
        Next::Create(Wave { first: planned, .. }) => {
            let run = services.session.new_run();
            let outside = services.session.outside_windows.then(|| Edit::outside_windows(&run, services.session.now()));
            let mut words: Vec<Edit> = outside.into_iter().chain(only.map(|only| Edit::only(&run, only))).collect();
            // Whoever begins it wants to know what keeps it off.
            let found = facts.marks.found.clone().forget(target);
            words.extend((found != facts.marks.found).then(|| Edit::found(&found)));
            if !words.is_empty() {
                let recorded = services.record.mark_namespace("", "record what is said of the run", &words).await;
                recorded.map_err(Failure::nothing_begun)?;
            }
            chain::jobs::create_job(services, &facts, &planned, target, &run).await.map_err(Failure::nothing_begun)?;
            services.session.next("", "follow it with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
        Next::Running(job) | Next::Failed(job) => {
            Err(Failure::nothing_begun(Cause::contended(format!("Job {job} is at work already"))))
        }
        Next::Done => Ok(Outcome::Nothing),
    }
}

/// Creates the Job that the facts ask for; a finished one of its name makes room.
pub async fn resume(services: &Services, asker: &mut Asker, local: bool) -> Result<Outcome, Failure> {
    let mut facts = services.observer.observe_settled().await.map_err(Failure::nothing_begun)?;
    if !services.session.dry_run {
        services.halt.may_begin().await.map_err(Failure::nothing_begun)?;
    }
    if let (Some(target), true) = (facts.marks.target, facts.marks.in_flight) {
        found(services, &facts, target);
        if local {
            return start(services, asker, target, true, None).await;
        }
    }
    if !services.session.dry_run {
        services.leases.nobody_by_hand().await.map_err(Failure::nothing_begun)?;
    }
    if facts.marks.local.is_some() && !services.session.dry_run {
        let run = facts.marks.run().map_err(Failure::nothing_begun)?;
        services
            .record
            .mark_run(run, "", "give the run back to Jobs", &[Edit::remove(Mark::Local)])
            .await
            .map_err(Failure::nothing_begun)?;
    }
    // A person's word lets a run go on that stands by a canary.
    let canary = facts.canary_is_back();
    if canary {
        facts.marks.taken_back = None;
    }
    match next::next(&facts, &services.settings.policy(), None, services.session.now()).map_err(Failure::nothing_begun)? {
        Next::Done => match next::unclaimed(&facts) {
            Some(target) if !services.session.dry_run => {
                services
                    .session
                    .found("", format!("found: the run to {target} ended in its preflight, and nothing of it is left"));
                start(services, asker, target, local, None).await
            }
            Some(target) => {
                services.session.found("", format!("would start the run to {target} over: it ended in its preflight"));
                services.session.next("", "do it with", "k8s-upgrade resume");
                Ok(Outcome::Nothing)
            }
            None => {
                services.session.found("", "no run is in flight: nothing to resume");
                Ok(Outcome::Nothing)
            }
        },
        Next::Running(job) | Next::Failed(job) => {
            let between = facts.jobs.iter().any(|fact| fact.name == job && fact.is_between());
            services.session.found(
                "",
                match between {
                    true => format!("the last try of Job {job} has failed; the next one comes by itself"),
                    false => format!("Job {job} is at work: it creates its successor itself"),
                },
            );
            services.session.next("", "follow it with", "k8s-upgrade status");
            Ok(Outcome::Nothing)
        }
        Next::Create(wave) if services.session.dry_run => {
            for planned in wave.all() {
                services.session.found("", format!("would create Job {} on {}", planned.job, planned.place()));
                services.session.found("", why(&facts, planned));
            }
            services.session.next("", "do it with", "k8s-upgrade resume");
            Ok(Outcome::Nothing)
        }
        Next::Create(wave) => {
            let needs = when::needs_of_step(&facts, &wave.first.step, &services.settings.policy());
            let may = nodes::window::may_type(services, &facts, facts.marks.run_id.as_ref(), needs, "k8s-upgrade resume");
            if wave.first.step.node.is_some() {
                may.await.map_err(Failure::nothing_begun)?;
            }
            said(services, &facts).await.map_err(Failure::nothing_begun)?;
            let marks = &facts.marks;
            if canary || !marks.told.is_empty() || !marks.held_drains.is_empty() || !marks.left_out.is_empty() {
                // Somebody tries again who wants to know how it ends, and has seen to it that it does.
                let run = facts.marks.run().map_err(Failure::nothing_begun)?;
                services
                    .record
                    .mark_run(run, "", "forget what was tried", &Edit::tried_anew(canary))
                    .await
                    .map_err(Failure::nothing_begun)?;
            }
            let (Some(target), Some(run)) = (facts.marks.target, &facts.marks.run_id) else {
                return Err(Failure::nothing_begun(Cause::refused(
                    "the run in flight has no target or no run id: it was not begun by this program",
                )));
            };
            wave.all().for_each(|planned| services.session.found("", why(&facts, planned)));
            chain::jobs::create(services, &facts, &wave, target, run).await.map_err(Failure::nothing_begun)?;
            services.session.next("", "follow it with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
    }
}

/// A person lets the run go on past the worker that it was begun for, or outside of the windows.
async fn said(services: &Services, facts: &Facts) -> Result<(), Cause> {
    let mut words: Vec<Edit> = facts.marks.only.iter().map(|_| Edit::remove(Mark::Only)).collect();
    if services.session.outside_windows {
        words.push(Edit::outside_windows(facts.marks.run()?, services.session.now()));
    }
    if words.is_empty() {
        return Ok(());
    }
    services.record.mark_run(facts.marks.run()?, "", "record what is said of the run", &words).await
}

/// A run can only be for a worker that it would upgrade.
fn is_worker(facts: &Facts, name: &NodeName, target: Version) -> Result<(), Cause> {
    let workers = facts.managed().filter(|node| !node.control_plane && !node.is_upgraded(target) && node.paused.is_none());
    let workers: Vec<&str> = workers.map(|node| node.name.as_str()).collect();
    if workers.contains(&name.as_str()) {
        return Ok(());
    }
    let why = match facts.node(name) {
        None => "is no node of this cluster",
        Some(node) if node.control_plane => "is a control plane, and this is for a worker",
        Some(node) if node.excluded => "is excluded by the settings",
        Some(node) if node.paused.is_some() => "is paused",
        Some(_) => "is at the target already",
    };
    Err(Cause::usage(format!("--only {name}: it {why}"))
        .detail([format!("workers that are not at {target}: {}", workers.join(", "))]))
}

/// What `resume` finds: how far the run is, how its Jobs failed, which nodes are in the middle.
fn found(services: &Services, facts: &Facts, target: Version) {
    let (done, total) = next::progress(facts, &services.settings.policy(), target);
    services.session.found("", format!("found: the run to {target}, {done} of {total} phases done"));
    for skip in facts.marks.passed_over() {
        services.session.found("", format!("found: skipped: {skip}"));
    }
    for job in &facts.jobs {
        if let JobState::Failed { reason, exit } = &job.state {
            let exit = exit.map_or(String::new(), |exit| format!(", exit {exit}"));
            services.session.found("", format!("found: Job {} failed ({reason}{exit})", job.name));
        }
    }
    for node in facts.nodes.iter().filter(|node| node.is_begun()) {
        services.session.found(&node.name, "found: in the middle of its upgrade, out of service");
    }
    for node in facts.nodes.iter().filter(|node| node.hooked.is_some()) {
        services.session.found(&node.name, "found: its hooks have begun, and the one after it is owed");
    }
}

/// Why it is this Job that comes next.
fn why(facts: &Facts, planned: &Planned) -> String {
    let step = planned.step.token();
    let node = planned.step.node.as_deref().and_then(|name| facts.node(name));
    let why = match node.is_some_and(|node| node.is_begun()) {
        true => format!("{step} was begun: what is half done comes first"),
        false => format!("{step} is the first step that the facts call undone"),
    };
    let room = planned.replaces.as_ref().map_or("", |_| "; the finished Job of this name makes room");
    format!("{why}{room}")
}
