//! `detect`: what the weekly CronJob runs.

use jiff::SignedDuration;

use crate::failure::{Cause, Class, Failure, Outcome};
use crate::guard::{self, Guard};
use crate::plan::decide::detect::{Available, Detection};
use crate::plan::decide::next::{self, Next, Wave};
use crate::plan::decide::{target, when};
use crate::plan::model::facts::Facts;
use crate::plan::model::version::Version;
use crate::report::{Printed, data};
use crate::run::{Services, chain, nodes};
use crate::words::{RunId, command};

const PLACE: &str = "detect";
/// Then the next detection looks.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Looks for a newer release, pushes what it found, and creates preflight's Job where a run may begin.
pub async fn detect(services: &Services) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    if !services.session.dry_run && facts.marks.in_flight {
        services.monitoring.push_marks(&facts.marks).await;
        chain::detect::push_detection(&services.session, &services.monitoring, None).await;
        let target = facts.marks.target.map_or("an unknown target".to_owned(), |target| target.to_string());
        let why = format!("a run to {target} is in flight: newer releases wait for its end");
        if services.session.json {
            print(services, target::running(&facts), None, Some(&why))?;
        }
        services.session.note(PLACE, why);
        services.session.next(PLACE, "follow it with", "k8s-upgrade status");
        return Ok(Outcome::Nothing);
    }
    chain::approvals::expire(services, PLACE, &facts).await;
    let looked = chain::detect::look(&services.settings, &services.world, &facts).await;
    if let Ok(looked) = &looked {
        chain::detect::remember(services, PLACE, &facts, looked).await;
    }
    let found = looked.map(|looked| looked.found);
    if !services.session.dry_run {
        chain::detect::push_detection(&services.session, &services.monitoring, found.as_ref().ok()).await;
        // A Pushgateway that was restarted has forgotten the chain's gauges; the annotations have not.
        services.monitoring.push_run(&facts.marks).await;
    }
    let found = found.map_err(Failure::nothing_begun)?;
    let not_now = match found.target {
        Some(_) => not_now(services, &facts).await.map_err(Failure::nothing_begun)?,
        None => None,
    };
    print(services, Some(found.running), Some(&found), not_now.as_ref().map(|not_now| not_now.why.as_str()))?;
    let only_looks = services.session.dry_run || services.settings.detection_dry_run;
    for passed_over in found.passed_over.iter().filter(|passed_over| only_looks || !passed_over.why.is_told()) {
        services.session.note(PLACE, passed_over.to_string());
    }
    if !only_looks {
        let news = chain::tell::of(services, &found);
        chain::tell::tell(services, PLACE, &facts.marks.found, found.asks, news).await;
    }
    if let Some(release) = found.asks {
        services.session.note(PLACE, format!("{release} waits for a person's approval: nothing starts"));
        services.session.next(PLACE, "approve it with", &command!("k8s-upgrade approve {}", release));
        return Ok(Outcome::Deferred);
    }
    let Some(target) = found.target else {
        if found.unknown.is_empty() {
            services.session.note(PLACE, format!("{} is the newest release that this cluster can go to", found.running));
            return Ok(Outcome::Nothing);
        }
        return Err(Failure::nothing_begun(
            Cause::unreachable("the package index does not say it, so whether there is a new release is not known")
                .detail(found.unknown),
        ));
    };
    // It is in that person's log, and no news to anybody else; the watch tries again.
    if let Some(NotNow { why, skips }) = not_now {
        if only_looks || !skips {
            services.session.note(PLACE, format!("deferred: {target} is there, but {why}"));
        }
        if !only_looks {
            chain::detect::defer(services, PLACE, &run_of(services, &facts, target), target).await;
            if skips {
                chain::tell::deferred(services, PLACE, target, "windows", Cause::hold(why)).await;
            }
        }
        return Ok(Outcome::Deferred);
    }
    if only_looks {
        services.session.note(PLACE, format!("would start the chain to {target}"));
        services.session.next(PLACE, "start it with", &command!("k8s-upgrade start --target {}", target));
        return Ok(Outcome::Nothing);
    }
    match chain::detect::installable(services, &facts, target).await {
        Err(cause) if cause.class == Class::Hold => {
            chain::detect::defer(services, PLACE, &run_of(services, &facts, target), target).await;
            chain::tell::deferred(services, PLACE, target, &cause.what.clone(), cause).await;
            return Ok(Outcome::Deferred);
        }
        other => other.map_err(Failure::nothing_begun)?,
    }
    match next::first(&facts, &services.settings.policy(), target).map_err(Failure::nothing_begun)? {
        Next::Create(Wave { first: planned, .. }) => {
            chain::jobs::create_job(services, &facts, &planned, target, &run_of(services, &facts, target))
                .await
                .map_err(Failure::nothing_begun)?;
            chain::jobs::expect_pod(services, &planned).await;
            services.session.next(PLACE, "follow it with", "k8s-upgrade status");
            Ok(Outcome::Done)
        }
        Next::Running(job) | Next::Failed(job) => {
            services.session.note(PLACE, format!("Job {job} is at work already"));
            Ok(Outcome::Nothing)
        }
        Next::Done => Ok(Outcome::Nothing),
    }
}

/// As data, also of a detection that has not looked; for people a line a kind of release.
fn print(
    services: &Services,
    running: Option<Version>,
    found: Option<&Detection>,
    deferred: Option<&str>,
) -> Result<(), Failure> {
    let text = if services.session.json {
        Printed::pretty(&data::Detection::of(running, found, deferred)).map_err(Failure::nothing_begun)?
    } else {
        let available: &[Available] = found.map_or(&[], |found| &found.available);
        let word = |version: Option<Version>, none: &str| version.map_or(none.to_owned(), |version| version.to_string());
        let one =
            |a: &Available| format!("{:5}  running {}  available {}", a.kind.word(), word(running, "?"), word(a.target, "none"));
        Printed::lines(available.iter().map(one))
    };
    services.session.print(&text).map_err(Failure::nothing_begun)
}

/// The run that is to begin: of what a person has approved, the one that they were told of.
fn run_of(services: &Services, facts: &Facts, target: Version) -> RunId {
    let approved = facts.marks.approval(services.session.now()).filter(|approved| approved.release == target);
    approved.map_or_else(|| services.session.new_run(), |approved| approved.run.clone())
}

/// Why nothing may be started now, whatever there is.
struct NotNow {
    why: String,
    /// Nothing begins before the next detection looks, either, and nobody has been told.
    skips: bool,
}

/// A person has halted it, or works by hand, or no window is open. Of the first two, people know.
async fn not_now(services: &Services, facts: &Facts) -> Result<Option<NotNow>, Cause> {
    if let Some(halt) = facts.marks.halted.as_ref().filter(|halt| halt.run) {
        return Ok(Some(NotNow { why: halt.to_string(), skips: false }));
    }
    let driver = services.leases.other_driver().await?.filter(|_| guard::on(Guard::WorkByHandBeforeChain));
    if let Some(driver) = driver {
        return Ok(Some(NotNow { why: format!("driven by {}", driver.by), skips: false }));
    }
    let (policy, now) = (nodes::window::policy(&services.cluster, &services.settings).await, services.session.now());
    let closed = when::may_begin(&policy.calendar, now, when::needs_of_run(&policy)).err();
    Ok(closed.map(|closed| {
        let soon = closed.until.is_some_and(|until| until.duration_since(now) < WEEK);
        NotNow { why: closed.to_string(), skips: !soon }
    }))
}
