//! `halt`: stops upgrades until a person lifts it.

use super::Asker;
use crate::cli::Halt as Options;
use crate::failure::{Cause, Failure, Outcome};
use crate::names;
use crate::packages;
use crate::plan::model::facts::{Facts, JobState};
use crate::plan::model::halt::Halt;
use crate::plan::model::marks::RunMarks;
use crate::plan::model::policy::Gauges;
use crate::report::Notice;
use crate::run::{Services, chain};
use crate::settings::Settings;
use crate::words::{command, ssh};

/// Halts upgrades in the way that a person chose, or lifts exactly what was set.
pub async fn halt(services: &Services, asker: &mut Asker, options: Options) -> Result<Outcome, Failure> {
    let facts = services.observer.observe_as_it_is().await.map_err(Failure::nothing_begun)?;
    if options.lift {
        return lift(services, &facts).await;
    }
    let former = facts.marks.halted.as_ref();
    if options.now {
        let jobs: Vec<&str> = at_work(&facts).collect();
        let what = if jobs.is_empty() { "no Job is at work".to_owned() } else { format!("{} will be deleted", jobs.join(", ")) };
        let manager = packages::IN_USE.name;
        let state = format!(
            "what kubeadm or {manager} does on a node is left to finish; the run stays in flight, a node may stay cordoned"
        );
        asker.confirm(services, &format!("{what}; {state}.")).await?;
    }
    let running = chain::halting::detection_suspended(&services.cluster).await.map_err(Failure::nothing_begun)? == Some(false);
    let halt = Halt {
        by: services.session.identity.holder.clone(),
        at: Some(services.session.now()),
        reason: options.reason.map(String::from).unwrap_or_default(),
        run: !(options.detection_only || options.blocker_alert),
        suspended: running && !options.blocker_alert,
        blocker: options.blocker_alert,
    }
    .beside(former);
    // First of all: from here on nothing begins, and `--lift` knows what to undo.
    chain::halting::record_halt(&services.observer, &services.record, Some(&halt)).await.map_err(Failure::nothing_begun)?;
    let mut unknown = Vec::new();
    let set = async {
        if running && halt.suspended {
            chain::halting::suspend_detection(&services.session, &services.cluster, true).await?;
        }
        if options.blocker_alert {
            chain::halting::block(&services.monitoring, true).await?;
        }
        if options.now {
            chain::halting::units_ended(&services.session, &services.ssh, &services.settings, &facts, &mut unknown).await?;
            for job in facts.jobs.iter().filter(|job| job.state == JobState::Active) {
                chain::jobs::delete_job(&services.session, &services.cluster, &job.name, &job.uid).await?;
                services.session.did("halt", format!("Job {} is deleted", job.name));
            }
            chain::halting::units_ended(&services.session, &services.ssh, &services.settings, &facts, &mut unknown).await?;
        }
        Ok(())
    };
    set.await.map_err(half_set)?;
    services.monitoring.push_marks(&RunMarks { halted: Some(halt.clone()), ..facts.marks.clone() }).await;
    services.session.notice("halt", &Notice::Halted(halt.clone()));
    if halt.run {
        for job in at_work(&facts).filter(|_| !options.now) {
            services.session.found("halt", format!("Job {job} stops at its next safe point; a node in work is finished first"));
        }
    }
    if let Some(driver) =
        services.leases.driver().await.map_err(half_set)?.filter(|driver| halt.run && driver.lives(services.session.now()))
    {
        services.session.found("halt", format!("{} stops at its next safe point, too", driver.by));
    }
    for node in unknown {
        let log = command!("sudo tail -n 50 {}/work/log", names::NODE_DIR);
        let look = ssh(&services.settings.ssh_user, &node, services.settings.ssh_port, &log);
        services.session.warn(
            &node,
            format!("UNKNOWN: before you touch it, see that kubeadm and {} have ended: {look}", packages::IN_USE.name),
        );
    }
    if options.now {
        left_out(services).await.map_err(half_set)?;
    }
    if facts.marks.in_flight && !halt.run {
        services
            .session
            .found("halt", if halt.blocker { "the run in flight holds at its next gate" } else { "the run in flight goes on" });
    }
    if facts.marks.in_flight && halt.run {
        services.session.found("halt", "the run stays in flight: K8sUpgradeStalled will fire after 90 minutes, to say so");
    }
    services.session.next("halt", "take it back with", "k8s-upgrade halt --lift");
    Ok(Outcome::Done)
}

/// The alert is one of a gauge.
pub(super) fn can_block(options: &Options, settings: &Settings) -> Result<(), Cause> {
    if !options.blocker_alert || settings.gauges != Gauges::Off {
        return Ok(());
    }
    let what = "no gauges are pushed (setting gauges: off), so the blocker alert would never fire";
    Err(Cause::usage(what).next("k8s-upgrade halt    # upgrades stop without it, and kured is not told"))
}

fn at_work(facts: &Facts) -> impl Iterator<Item = &str> {
    facts.jobs.iter().filter(|job| job.state == JobState::Active).map(|job| job.name.as_str())
}

/// Which nodes the deleted Jobs have left in the middle.
async fn left_out(services: &Services) -> Result<(), Cause> {
    for node in services.observer.observe_as_it_is().await?.nodes.iter().filter(|node| node.is_begun()) {
        services.session.found(&node.name, "stays cordoned, in the middle of its upgrade, until the run goes on");
    }
    Ok(())
}

fn half_set(cause: Cause) -> Failure {
    Failure {
        cause,
        place: "halt".to_owned(),
        state: "The halt is recorded and holds; not all that it asks for was done.".to_owned(),
        next: vec!["k8s-upgrade halt …      # the same again".into(), "k8s-upgrade halt --lift".into()],
    }
}

/// Undoes what the record says was set, and then forgets it.
async fn lift(services: &Services, facts: &Facts) -> Result<Outcome, Failure> {
    let Some(halt) = &facts.marks.halted else {
        services.session.found("halt", "nothing is halted: nothing to lift");
        return Ok(Outcome::Nothing);
    };
    let lifted = async {
        if halt.blocker {
            chain::halting::block(&services.monitoring, false).await?;
        }
        if halt.suspended && chain::halting::detection_suspended(&services.cluster).await? == Some(true) {
            chain::halting::suspend_detection(&services.session, &services.cluster, false).await?;
        }
        chain::halting::record_halt(&services.observer, &services.record, None).await
    };
    lifted.await.map_err(|cause| Failure {
        cause,
        place: "halt".to_owned(),
        state: "The halt still holds.".to_owned(),
        next: vec!["k8s-upgrade halt --lift".into()],
    })?;
    services.monitoring.push_marks(&RunMarks { halted: None, ..facts.marks.clone() }).await;
    services.session.notice("halt", &Notice::Lifted { by: services.session.identity.holder.clone() });
    if facts.marks.in_flight && halt.run {
        services.session.next("halt", "the run goes on with", "k8s-upgrade resume");
    }
    if let Some(deferred) = facts.marks.deferred.as_ref().filter(|_| !facts.marks.in_flight) {
        let tries = format!("the watch tries the run to {} again that was deferred at {}", deferred.target, deferred.since);
        services.session.found("halt", tries);
        services.session.next("halt", "give that run up with", "k8s-upgrade clear-state");
    }
    Ok(Outcome::Done)
}
