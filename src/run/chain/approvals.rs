//! Approvals whose time is over.

use crate::plan::model::facts::{Facts, JobState};
use crate::report::Notice;
use crate::run::services::Services;

/// Takes back an approval that holds no more, and tells it, once; whoever cannot stops nothing.
pub async fn expire(services: &Services, place: &str, facts: &Facts) {
    let now = services.session.now();
    let Some(approved) = facts.marks.approved.as_ref().filter(|approved| !approved.holds(now)) else { return };
    // One that is at work has begun in time.
    let at_work = facts.jobs.iter().any(|job| job.state == JobState::Active && job.run.as_ref() == Some(&approved.run));
    if services.session.dry_run || at_work {
        return;
    }
    match services.record.disapprove(place, &facts.marks).await {
        Ok(true) => services.session.notice(place, &Notice::Expired { approved: approved.clone() }),
        // Somebody was faster.
        Ok(false) => {}
        Err(cause) => {
            services.session.warn(place, format!("an approval that holds no more could not be taken back: {}", cause.what));
        }
    }
}
