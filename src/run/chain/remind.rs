//! Reminders of a run that stands: who was told of a hold once has long gone back to bed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::failure::Cause;
use crate::plan::decide::reminders;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::Facts;
use crate::plan::model::policy::Policy;
use crate::plan::view::screen::ScreenInput;
use crate::plan::view::status;
use crate::plan::view::still_held::still_held;
use crate::report::Notice;
use crate::run::services::Services;

const PLACE: &str = "watch";
/// What else there is to do waits no longer for it.
const LONGEST: Duration = Duration::from_secs(120);

/// Reminds people of a run that stands, where that is due; whoever cannot be told stops nothing.
pub async fn remind(services: &Services, facts: &Facts, policy: &Policy) {
    if services.session.dry_run || !services.settings.remind {
        return;
    }
    let why = match tokio::time::timeout(LONGEST, remind_if_due(services, facts, policy)).await {
        Ok(Ok(())) => return,
        Ok(Err(cause)) => cause.what,
        Err(_) => "it took too long".to_owned(),
    };
    services.session.warn(PLACE, format!("whether people are to be reminded of what holds the run is not known: {why}"));
}

async fn remind_if_due(services: &Services, facts: &Facts, policy: &Policy) -> Result<(), Cause> {
    let (now, former) = (services.session.now(), facts.marks.reminded.as_ref());
    let Some(hold) = reminders::held(facts, policy, now) else { return Ok(()) };
    // Whoever works by hand looks at a screen.
    if services.leases.other_driver().await?.is_some() {
        return Ok(());
    }
    let mut known = reminders::known(&hold, former);
    // What cannot be recorded would be sent every ten minutes: nothing is before a record of this hold stands.
    let recorded = former.is_some_and(|former| former.at == known.at);
    if recorded && reminders::is_due(&known, now) {
        let suspended = super::halting::detection_suspended(&services.cluster).await? == Some(true);
        let screen = status::screen(
            &seen(services, facts, suspended),
            policy,
            &services.settings.cluster_name,
            &services.cluster.namespace,
            now,
        );
        // Whether what came before has arrived is of no interest here.
        services.notices.flush().await;
        services.session.notice(PLACE, &Notice::StillHeld(still_held(&screen, &hold, &known, facts, now)));
        // One that has not arrived is tried again by the next watch.
        if services.notices.flush().await {
            known = known.told(now);
        }
    }
    // Also before the first: a Job that is tried again knows only of its own time.
    if former == Some(&known) {
        return Ok(());
    }
    services.record.remind(PLACE, &facts.marks, &known).await
}

/// What the watch sees of what a screen is made of: it reads no events, and asks no node.
fn seen(services: &Services, facts: &Facts, suspended: bool) -> ScreenInput {
    let unstarted = facts.jobs.iter().filter(|job| job.unstarted(services.session.now()).is_some());
    let unknown = || Answer::Unknown("the watch reads no events".to_owned());
    ScreenInput {
        off: Vec::new(),
        suspended,
        facts: facts.clone(),
        leases: Vec::new(),
        driver: None,
        units: Vec::new(),
        no_watch: None,
        installed: None,
        warnings: unstarted.map(|job| (job.name.clone(), unknown())).collect::<BTreeMap<_, _>>(),
    }
}
