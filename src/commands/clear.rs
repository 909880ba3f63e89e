//! `clear-state`: what is left of a run that was given up, or that ended without its end.

use super::{Asker, by_hand};
use crate::failure::{Cause, Class, Failure, Outcome};
use crate::names::Mark;
use crate::plan::model::facts::{Facts, JobFact, JobState, Node};
use crate::plan::model::marks::{Edit, RunMarks};
use crate::report::Notice;
use crate::run::nodes::inspect::begun;
use crate::run::{Services, chain, nodes};
use crate::words::RunId;

const PLACE: &str = "clear-state";

/// What will be done, found before anything is asked, and once more after it.
struct Found<'a> {
    /// Nodes with our cordon, and whether they may serve again: one that is half changed stays cordoned, from then on a person's.
    cordons: Vec<(&'a Node, bool)>,
    /// Unfinished Jobs that no node runs.
    jobs: Vec<&'a JobFact>,
    leases: Vec<&'a Node>,
    /// Nodes whose hooks have begun: the one after them is owed.
    hooked: Vec<&'a Node>,
}

impl Found<'_> {
    /// It was half changed, and is a person's to bring back.
    fn stays_out(&self, node: &Node) -> bool {
        self.cordons.iter().any(|(of, whole)| of.name == node.name && !whole)
    }
}

/// The run, and what a person is shown of its end: place and words.
#[derive(PartialEq)]
struct Shown {
    run: Option<RunId>,
    lines: Vec<(String, String)>,
}

/// Clears what a run that is given up has left: marks, gauges, our cordons, stale Leases, Jobs that never began.
pub async fn clear(services: &Services, asker: &mut Asker) -> Result<Outcome, Failure> {
    let facts = services.observer.observe_as_it_is().await.map_err(Failure::nothing_begun)?;
    let shown = shown(&facts, &look(services, &facts).await.map_err(Failure::nothing_begun)?);
    // A person's process died: its Lease becomes ours for this, and goes with it.
    let died = services.leases.driver().await.map_err(Failure::nothing_begun)?;
    if shown.lines.is_empty() && died.is_none() {
        services.monitoring.push_ended(&facts.marks).await;
        services.session.found(PLACE, "no run is in flight, and nothing of one is left; its gauges are 0");
        return Ok(Outcome::Nothing);
    }
    for (place, text) in &shown.lines {
        services.session.found(place, text);
    }
    if let Some(driver) = died {
        services.session.found(PLACE, format!("the stale Lease of {} is removed", driver.by));
    }
    asker.confirm(services, "All that goes for good; the run cannot be resumed afterwards.").await?;
    by_hand(services, perform(services, &shown)).await
}

/// Alone, and by a look of its own: the question may have stood for hours.
async fn perform(services: &Services, told: &Shown) -> Result<Outcome, Failure> {
    let facts = services.observer.observe_as_it_is().await.map_err(Failure::nothing_begun)?;
    let found = look(services, &facts).await.map_err(Failure::nothing_begun)?;
    if shown(&facts, &found) != *told {
        let cause = Cause::contended("what is to be cleared is not what was shown: somebody has changed it meanwhile");
        return Err(Failure::nothing_begun(cause.next("k8s-upgrade clear-state")));
    }
    match forget(services, &facts.marks, &found).await {
        Ok(()) => {
            services.session.notice(PLACE, &Notice::Cleared { by: services.session.identity.holder.clone() });
            services.session.next(PLACE, "see how the nodes stand with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
        Err(cause) => Err(Failure {
            cause,
            place: PLACE.to_owned(),
            state: "Not all is cleared; the run is still marked as in flight if it was.".to_owned(),
            next: vec!["k8s-upgrade clear-state".into()],
        }),
    }
}

/// Refuses while anything of the run is at work: a Job, whoever holds a node's Lease, a unit on a node.
async fn look<'a>(services: &Services, facts: &'a Facts) -> Result<Found<'a>, Cause> {
    let active = || facts.jobs.iter().filter(|job| job.state == JobState::Active);
    if let Some(job) = active().find(|job| job.pods.iter().any(|pod| pod.node.is_some())) {
        return Err(Cause::contended(format!("Job {} is at work", job.name)).next("k8s-upgrade halt --now"));
    }
    services.leases.nobody_by_hand().await?;
    let mut leases = Vec::new();
    for node in &facts.nodes {
        if let Some(other) = services.leases.other_on(&node.name).await? {
            return Err(Cause::contended(format!("{} is at work on {}, or was until a moment ago", other.by, node.name)));
        }
        if services.leases.has_lease(&node.name).await? {
            leases.push(node);
        }
    }
    let mut cordons = Vec::new();
    for node in &facts.nodes {
        // Who does not answer and is in service has no work of ours; of one that is out of service that must be known.
        let ours = node.is_begun();
        let state = match nodes::upgrade::settled(&services.ssh, node).await {
            Ok(state) => state,
            Err(cause) if cause.class == Class::Unreachable && !ours && !node.unschedulable => {
                services.session.warn(&node.name, format!("could not be asked, and is in service: passed over: {}", cause.what));
                continue;
            }
            Err(cause) => return Err(cause),
        };
        if node.cordoned_by.is_some() {
            let whole = facts.marks.target.is_some_and(|target| {
                let to = target.to_string();
                !begun(node, &state, &to) || (node.is_upgraded(target) && state.finished(&to))
            });
            cordons.push((node, whole));
        }
    }
    let hooked = facts.nodes.iter().filter(|node| node.hooked.is_some()).collect();
    Ok(Found { cordons, jobs: active().collect(), leases, hooked })
}

fn shown(facts: &Facts, found: &Found<'_>) -> Shown {
    let RunMarks { in_flight, target, run_id, deferred, approved, .. } = &facts.marks;
    let mut lines = Vec::new();
    let mut line = |place: &str, text: String| lines.push((place.to_owned(), text));
    if let (true, Some(target)) = (in_flight, target) {
        let at_target = facts.managed().all(|node| node.is_upgraded(*target));
        if at_target {
            line(PLACE, format!("a leaked latch: every node is at {target}, no Job is at work, and the run is still marked"));
            line(PLACE, "`k8s-upgrade resume` would verify the cluster first, and then clear the same".to_owned());
        } else {
            let old: Vec<&str> =
                facts.managed().filter(|node| !node.is_upgraded(*target)).map(|node| node.name.as_str()).collect();
            line(PLACE, format!("the run to {target} is given up; not there: {}", old.join(", ")));
        }
    }
    if let Some(deferred) = deferred.as_ref().filter(|_| !in_flight) {
        line(PLACE, format!("the run to {} that was deferred is given up: the watch tries it no more", deferred.target));
    }
    if let Some(approved) = approved.as_ref().filter(|_| !given_up(&facts.marks).is_empty()) {
        line(PLACE, format!("the approval of {} is taken back", approved.release));
    }
    for job in &found.jobs {
        line(PLACE, format!("Job {} never began: it is deleted", job.name));
    }
    for (node, whole) in &found.cordons {
        let what = match whole {
            true => "our cordon is taken back: it serves again",
            false => "is half upgraded, or may be: it stays cordoned until you run kubectl uncordon",
        };
        line(&node.name, what.to_owned());
    }
    for node in &found.hooked {
        let what = match found.stays_out(node) {
            true => "its hooks have begun: the one after it is not run, for it stays out of service",
            false => "its hooks have begun: the one after it is run",
        };
        line(&node.name, what.to_owned());
    }
    for node in &found.leases {
        line(&node.name, "its stale Lease is removed".to_owned());
    }
    for garbled in &facts.marks.garbled {
        line(PLACE, format!("annotation {} is not this program's, and goes with the run: {}", garbled.key, garbled.why));
    }
    if *in_flight {
        line(PLACE, "the gauges become 0, and the run's annotations are removed".to_owned());
    }
    Shown { run: run_id.clone(), lines }
}

/// An approval is for a run that has not begun: it is given up with what was to begin. One that nobody can read goes, too.
fn given_up(marks: &RunMarks) -> Vec<Edit> {
    if marks.in_flight && marks.garbled.is_empty() { Vec::new() } else { vec![Edit::remove(Mark::Approved)] }
}

/// Gauges first, in-flight last: who dies in between leaves a run that can be cleared again.
async fn forget(services: &Services, marks: &RunMarks, found: &Found<'_>) -> Result<(), Cause> {
    for job in &found.jobs {
        chain::jobs::delete_job(&services.session, &services.cluster, &job.name, &job.uid).await?;
    }
    for (node, whole) in &found.cordons {
        nodes::cordon::leave_cordon(&services.record, &services.leases, &services.settings, &node.name, *whole).await?;
    }
    for node in &found.hooked {
        match found.stays_out(node) {
            true => nodes::hooks::disown(services, node).await?,
            false => nodes::hooks::finish_alone(services, node).await?,
        }
    }
    for node in &found.leases {
        services.leases.expire(&node.name).await?;
    }
    services.monitoring.push_ended(marks).await;
    services.record.clear_run(PLACE, marks, &given_up(marks)).await
}
