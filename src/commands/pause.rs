//! `pause` and `unpause`: nodes and pools whose turn a person keeps from them, until it is given back.

use std::collections::BTreeSet;

use crate::failure::{Cause, Failure, Outcome};
use crate::plan::decide::gates::first_few;
use crate::plan::decide::orphan::{self, Verdict};
use crate::plan::decide::{planned, when};
use crate::plan::model::facts::{Facts, JobState, Node, Step};
use crate::plan::model::paused::{Paused, meant};
use crate::run::{Services, nodes, view};
use crate::words::{NodeOrPool, PoolName, command};

const PLACE: &str = "pause";
/// So many are named.
const NAMED: usize = 20;

/// Keeps their turns from them. Who is in work goes on to the end.
pub async fn pause(services: &Services, typed: &[NodeOrPool]) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let known = pools(services).await.map_err(Failure::nothing_begun)?;
    let all = all_meant(typed, &facts, &known.iter().map(PoolName::as_str).collect()).map_err(Failure::nothing_begun)?;
    let mut changed = false;
    for one in &all {
        let news = set(services, *one, true).await.map_err(half_done)?;
        changed |= news;
        let is = if news { "paused" } else { "paused already" };
        let (name, until) = (one.to_string(), command!("k8s-upgrade unpause {}", *one));
        match one {
            Paused::Node(_) => tell(services, news, format!("{name} is {is}: it has no turn until {until}")),
            Paused::Pool(_) => {
                tell(services, news, format!("{name} is {is}: its workers, and who joins it, have no turns until {until}"));
            }
        }
        for node in facts.nodes.iter().filter(|node| concerns(*one, node)) {
            said_of(services, &facts, node);
        }
    }
    if changed && facts.marks.of_build_before {
        services.session.warn(PLACE, "the Jobs of the run that is on are of a build before, which passes over this");
        services.session.next(PLACE, "what stops them", "k8s-upgrade halt");
    }
    Ok(if changed { Outcome::Done } else { Outcome::Nothing })
}

/// Lets them have their turns.
pub async fn unpause(services: &Services, typed: &[NodeOrPool]) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let mut known = pools(services).await.map_err(Failure::nothing_begun)?;
    // The settings may have lost it since.
    known.extend(facts.marks.paused_pools.names().filter_map(|name| name.parse().ok()));
    let all = all_meant(typed, &facts, &known.iter().map(PoolName::as_str).collect()).map_err(Failure::nothing_begun)?;
    let mut changed = false;
    for one in &all {
        let news = set(services, *one, false).await.map_err(half_done)?;
        changed |= news;
        let is = if news { "is paused no more" } else { "is not paused" };
        tell(services, news, format!("{one} {is}"));
        let with_pool = facts.nodes.iter().filter(|node| *one == Paused::Node(&node.name)).filter_map(|node| {
            let pool = node.pool.as_deref().filter(|pool| facts.marks.paused_pools.has(pool))?;
            (!all.contains(&Paused::Pool(pool))).then_some((node, pool))
        });
        for (node, pool) in with_pool {
            services.session.warn(&node.name, format!("has no turn still: its pool {pool} is paused"));
            services.session.next(PLACE, "let all of it go on with", &command!("k8s-upgrade unpause {}", Paused::Pool(pool)));
        }
    }
    if changed && facts.marks.in_flight {
        let says = match waits_for_a_person(services).await {
            Some(why) => format!("the watch does not go on with it by itself: {why}; by your word with"),
            None => "the watch goes on with it within 10 minutes; at once with".to_owned(),
        };
        services.session.next(PLACE, &says, "k8s-upgrade resume");
    }
    Ok(if changed { Outcome::Done } else { Outcome::Nothing })
}

/// Why the watch leaves the run to a person, as it stands now: a canary that went back has been refused its turn, and other steps may have been.
async fn waits_for_a_person(services: &Services) -> Option<String> {
    let facts = services.observer.observe_settled().await.ok()?;
    let policy = nodes::window::policy(&services.cluster, &services.settings).await;
    let now = services.session.now();
    let goes_on = facts.jobs.iter().any(|job| job.state == JobState::Active) || when::rest(&facts, &policy, now).is_some();
    match orphan::judge(&facts, &policy, now).ok()? {
        Verdict::Leave(why) => Some(why).filter(|_| !goes_on),
        Verdict::TakeUp(_) => None,
    }
}

/// Those of the installation's settings: every runner goes by them, wherever this is typed.
async fn pools(services: &Services) -> Result<Vec<PoolName>, Cause> {
    Ok(view::installed::settings(services).await?.pools.into_keys().collect())
}

/// All or none: what is no node and no pool is found before anything is changed.
fn all_meant<'a>(typed: &'a [NodeOrPool], facts: &Facts, pools: &BTreeSet<&str>) -> Result<BTreeSet<Paused<'a>>, Cause> {
    let nodes: BTreeSet<&str> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
    let (mut all, mut wrong) = (BTreeSet::new(), Vec::new());
    for one in typed {
        match meant(one, &nodes, pools) {
            Ok(one) => drop(all.insert(one)),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() {
        return Ok(all);
    }
    let [nodes, pools] = [&nodes, pools].map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let pools = if pools.is_empty() { "none".to_owned() } else { first_few(&pools, NAMED) };
    let there = [format!("nodes: {}", first_few(&nodes, NAMED)), format!("pools: {pools}")];
    Err(Cause::usage(wrong.join("; ")).detail(there).next("kubectl get nodes"))
}

/// True: it is another than before.
async fn set(services: &Services, one: Paused<'_>, paused: bool) -> Result<bool, Cause> {
    match one {
        Paused::Node(name) => services.record.pause_node(name, paused).await,
        Paused::Pool(name) => {
            let pool = name.parse::<PoolName>().map_err(|error| Cause::bug(format!("{error}")))?;
            services.record.pause_pool(PLACE, &pool, paused).await
        }
    }
}

fn half_done(cause: Cause) -> Failure {
    Failure {
        cause,
        place: PLACE.to_owned(),
        state: "What was said before this is done; what was named behind it is as it was.".to_owned(),
        next: vec!["k8s-upgrade status    # what is paused".into()],
    }
}

fn tell(services: &Services, news: bool, text: String) {
    if news { services.session.did(PLACE, text) } else { services.session.found(PLACE, text) }
}

fn concerns(one: Paused<'_>, node: &Node) -> bool {
    match one {
        Paused::Node(name) => node.name == name,
        Paused::Pool(name) => node.pool.as_deref() == Some(name),
    }
}

/// What a person should know of one that is paused now.
fn said_of(services: &Services, facts: &Facts, node: &Node) {
    let job = facts.marks.target.filter(|_| facts.marks.in_flight).and_then(|target| {
        let name = planned::name(facts, &Step::of(node), target);
        facts.jobs.iter().find(|job| job.name == name && job.state == JobState::Active)
    });
    let found = |text: String| services.session.found(&node.name, text);
    match job {
        _ if node.excluded => found("is excluded by the settings: it has no turn anyhow".to_owned()),
        _ if node.is_begun() || node.hook_is_owed() => {
            found("is in the middle of its upgrade, which goes on to its end".to_owned())
        }
        Some(job) => found(format!("Job {} is at work: it ends before it takes the node out of service, and no later", job.name)),
        None if node.control_plane => {
            found("is a control plane: a run waits before it, and no worker has a turn until then".to_owned())
        }
        None => {}
    }
}
