//! A canary after whose upgrade the cluster got worse (setting `canary-rollback`): it is taken back to what it ran before, and the run stands.
//!
//! What is to be done is recorded before it begins. Whoever is killed on the way leaves that to the next runner of the same step; once the node
//! is back, nobody upgrades it, nor any other, until a person lets the run go on.

use super::asking::Asking;
use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::plan::decide::{next, waves};
use crate::plan::model::facts::Facts;
use crate::plan::model::marks::Edit;
use crate::plan::model::taken_back::TakenBack;
use crate::plan::rescue::rollback::{self, Rollback};
use crate::run::services::Services;
use crate::words::RunId;

/// How the turn of the node `name` ends whose gates after its upgrade have held it for `cause`: a canary goes back, where the settings want it.
/// Whatever else has stopped it stays what it is.
pub async fn or_back(services: &Services, after: &Asking<'_>, name: &str, run: &RunId, cause: Cause) -> Cause {
    if !services.settings.canary_rollback || cause.class != Class::Hold || !after.is_held() {
        return cause;
    }
    match begun(services, name, run, &cause).await {
        Ok(Some(back)) => finished(services, &back, run).await,
        Ok(None) => cause,
        Err(why) => {
            let with = why.detail.iter().map(|line| format!("  {line}"));
            let lines: Vec<String> = std::iter::once(format!("it is not rolled back: {}", why.what)).chain(with).collect();
            why.next.into_iter().fold(cause.detail(lines), Cause::next)
        }
    }
}

/// Records that the canary goes back; None: it is none.
async fn begun(services: &Services, name: &str, run: &RunId, cause: &Cause) -> Result<Option<TakenBack>, Cause> {
    let facts = services.observer.observe_nodes().await?;
    let now = services.session.now();
    let is_canary = waves::is_canary(&facts, &services.settings.policy(), name, now) || !guard::on(Guard::OnlyCanariesGoBack);
    if !facts.marks.is_of(run) || !is_canary {
        return Ok(None);
    }
    let Rollback::Worker(back) = rollback::plan(&facts, name)? else {
        return Err(Cause::refused("nothing is on record that it could go back to"));
    };
    let node = name.parse().map_err(|error| Cause::bug(format!("{error}")))?;
    let why: Vec<String> = if cause.detail.is_empty() { vec![cause.what.clone()] } else { cause.detail.clone() };
    let back = TakenBack::new(run, node, back.to, now, &why);
    services.record.mark_run(run, name, "record that the canary goes back", &Edit::taken_back(&back)).await?;
    Ok(Some(back))
}

/// The run stands by a canary: its own step finishes its way back, and no other begins.
///
/// # Errors
/// Always: why the run stands, or what keeps the canary from going back.
pub async fn stands(services: &Services, facts: &Facts, back: &TakenBack, name: &str, run: &RunId) -> Cause {
    if facts.goes_back().is_none() {
        return next::stands(back);
    }
    if back.node != *name {
        return Cause::hold(back.on_its_way()).detail(back.why.clone());
    }
    finished(services, back, run).await
}

async fn finished(services: &Services, back: &TakenBack, run: &RunId) -> Cause {
    services.session.warn(&back.node, format!("{}: {}", back.on_its_way(), back.why.join("; ")));
    match Box::pin(super::rollback::roll_back(services, &back.node, run)).await {
        Ok(()) => next::stands(back),
        // A stop is one, and what is on record goes on later.
        Err(cause) if matches!(cause.class, Class::Stopped(_) | Class::Halted) => cause,
        Err(cause) => {
            let what = format!("{}, which has not ended: {}", back.on_its_way(), cause.what);
            Cause { what, ..cause }.detail(back.why.clone())
        }
    }
}
