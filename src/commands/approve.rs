//! `approve`: a person's word that a release may begin that detection asks for, and that word taken back.

use super::Asker;
use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::plan::decide::target::{self, TargetCheck};
use crate::plan::decide::when::{self, Closed};
use crate::plan::model::approved::Approved;
use crate::plan::model::facts::{Facts, JobState};
use crate::plan::model::version::{Version, or_unknown};
use crate::report::Notice;
use crate::run::{Services, chain, nodes, view};
use crate::settings::Settings;
use crate::words::{command, line};

const PLACE: &str = "approve";

/// Records that a run to `release` may begin, and says when it does; without one, takes back what is recorded.
pub async fn approve(services: &Services, asker: &mut Asker, release: Option<Version>) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let Some(release) = release else { return lift(services, &facts).await.map_err(Failure::nothing_begun) };
    asked(&facts, release).map_err(Failure::nothing_begun)?;
    // The windows that count are the installation's, wherever this is typed.
    let settings = view::installed::settings(services).await.map_err(Failure::nothing_begun)?;
    let (approved, closed) = approval(services, &settings, release).await.map_err(Failure::nothing_begun)?;
    let begins = match &closed {
        None => "within 10 minutes, by itself".to_owned(),
        Some(closed) => format!("by itself ({closed})"),
    };
    let running = or_unknown(target::running(&facts));
    asker.confirm(services, &format!("{running} → {release} begins {begins}")).await?;
    // The question may have stood for hours.
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    asked(&facts, release).map_err(Failure::nothing_begun)?;
    services.record.approve(&approved, closed.as_ref(), &facts.marks.found).await.map_err(Failure::nothing_begun)?;
    services.session.notice(PLACE, &Notice::Approved { approved, begins });
    for why in kept_off(services, &facts).await.map_err(Failure::nothing_begun)? {
        services.session.warn(PLACE, format!("nothing begins as long as that is so: {why}"));
    }
    services.session.next(PLACE, "take it back with", "k8s-upgrade approve --lift");
    Ok(Outcome::Done)
}

/// It is what detection asks for, and may begin.
fn asked(facts: &Facts, release: Version) -> Result<(), Cause> {
    let marks = &facts.marks;
    if marks.in_flight {
        let what = match marks.target == Some(release) {
            true => format!("a run to {release} is in flight: there is nothing to approve any more"),
            false => format!("a run to {} is in flight: approve {release} once it has ended", or_unknown(marks.target)),
        };
        return Err(Cause::contended(what).next(Advice::status()));
    }
    if target::check_target(facts, release)? == TargetCheck::Nothing {
        return Err(Cause::refused(format!("every node is at {release}: there is nothing to approve")).next(Advice::status()));
    }
    let start = command!("k8s-upgrade start --target {}    # begins it now: that needs no approval", release);
    match marks.found.asks {
        Some(asks) if asks == release => Ok(()),
        Some(asks) => Err(Cause::refused(format!("detection asks for {asks}, and not for {release}"))
            .next(command!("k8s-upgrade approve {}", asks))
            .next(start)),
        None => {
            let what = format!("detection asks for no release, and so not for {release}");
            let why = "the settings patch: ask and minor: ask make it ask, and it looks once a week";
            Err(Cause::refused(what).detail([why]).next("k8s-upgrade detect --dry-run    # says what it would do").next(start))
        }
    }
}

/// As it would be recorded, and why no window lets it begin now.
async fn approval(services: &Services, settings: &Settings, release: Version) -> Result<(Approved, Option<Closed>), Cause> {
    let start = command!("k8s-upgrade start --target {}    # begins it now: that needs no approval", release);
    if settings.detection_dry_run {
        let what = "detection starts nothing (setting detection-dry-run), approved or not";
        return Err(Cause::refused(what).next(start));
    }
    let (at, by) = (services.session.now(), line(&services.session.identity.holder));
    let until = settings.approval_holds.after(at);
    let policy = nodes::window::policy(&services.cluster, settings).await;
    let closed = when::may_begin(&policy.calendar, at, when::needs_of_run(&policy)).err();
    if let Some(closed) = closed.as_ref().filter(|closed| closed.until.is_none_or(|begins| begins >= until)) {
        let holds = settings.approval_holds;
        let what = format!("an approval holds for {holds} (setting approval-holds), and nothing may begin within that: {closed}");
        return Err(
            Cause::refused(what).next(command!("k8s-upgrade start --target {} --now    # does not wait for the window", release))
        );
    }
    Ok((Approved { release, run: services.session.new_run(), at, until, by }, closed))
}

/// What keeps the watch from beginning it, whatever windows there are.
async fn kept_off(services: &Services, facts: &Facts) -> Result<Vec<String>, Cause> {
    let halted = facts.marks.halted.as_ref().map(ToString::to_string);
    let suspended = chain::halting::detection_suspended(&services.cluster).await? == Some(true);
    let suspended = suspended.then(|| format!("CronJob {} is suspended", crate::names::DETECT_CRONJOB));
    let no_watch = view::input::no_watch(view::input::watch(services).await?.as_ref());
    Ok(halted.into_iter().chain(suspended).chain(no_watch).collect())
}

/// Takes back what a person has approved, as long as its run has not begun.
async fn lift(services: &Services, facts: &Facts) -> Result<Outcome, Cause> {
    let Some(approved) = &facts.marks.approved else {
        services.session.found(PLACE, "nothing is approved: nothing to lift");
        return Ok(Outcome::Nothing);
    };
    if !services.record.disapprove(PLACE, &facts.marks).await? {
        return Err(Cause::contended("the approval, or the run that waits by it, has changed meanwhile").next(Advice::status()));
    }
    let by = services.session.identity.holder.clone();
    services.session.notice(PLACE, &Notice::Withdrawn { release: approved.release, by });
    let of_run = facts.jobs.iter().filter(|job| job.state == JobState::Active && job.run.as_ref() == Some(&approved.run));
    for job in of_run {
        services.session.found(PLACE, format!("Job {} has begun with it already, and goes on", job.name));
        services.session.next(PLACE, "stop that with", "k8s-upgrade halt");
    }
    Ok(Outcome::Done)
}
