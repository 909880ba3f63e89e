//! `status`: where a run stands, what blocks it, what to do next.

use crate::failure::{Cause, Class, Failure, Outcome};
use crate::plan::manifests::policies;
use crate::plan::model::policy::Policy;
use crate::plan::view::screen::{Screen, ScreenInput};
use crate::plan::view::{health, status};
use crate::report::{self, Printed, data};
use crate::run::{Services, chain, nodes, view};

/// One screen, with `all` of every node, however many there are: where the run stands, what blocks it, and what to type next.
pub async fn status(services: &Services, all: bool) -> Result<Outcome, Failure> {
    let seen = view::input::screen_input(services).await.map_err(away)?;
    let policy = nodes::window::policy(&services.cluster, &services.settings).await;
    let printed = written(services, &screen(services, &seen, &policy), all).and_then(|screen| services.session.print(&screen));
    printed.map_err(Failure::nothing_begun)?;
    Ok(Outcome::Done)
}

/// Each check on a line; one that is not ok refuses.
pub async fn health(services: &Services) -> Result<Outcome, Failure> {
    let seen = view::health::health(services).await.map_err(Failure::nothing_begun)?;
    let (settings, namespace) = (&services.settings, &services.cluster.namespace);
    let bounding = policies::names(chain::rights::scope(namespace, settings));
    let checks = health::checks(&seen, &settings.policy(), &bounding, namespace, services.session.now());
    let cluster = &services.settings.cluster_name;
    let text = match services.session.json {
        true => Printed::pretty(&data::Health::of(&checks, cluster)).map_err(Failure::nothing_begun)?,
        false => report::health_text(&checks, cluster),
    };
    services.session.print(&text).map_err(Failure::nothing_begun)?;
    let wrong = checks.iter().filter(|check| !check.ok).count();
    if wrong == 0 {
        return Ok(Outcome::Done);
    }
    // What each says, and what to type, stands above.
    let cause = Cause::refused(format!("{wrong} of {} checks are not ok", checks.len()));
    Err(Failure { cause, place: String::new(), state: String::new(), next: Vec::new() })
}

/// An API server that does not answer: its nodes may.
pub(super) fn away(cause: Cause) -> Failure {
    match cause.class {
        Class::Unreachable => Failure::nothing_begun(cause.next("k8s-upgrade status --hosts    # asks the nodes, by SSH alone")),
        _ => Failure::nothing_begun(cause),
    }
}

/// The screen as data, out of what was seen.
pub(super) fn screen(services: &Services, seen: &ScreenInput, policy: &Policy) -> Screen {
    status::screen(seen, policy, &services.settings.cluster_name, &services.cluster.namespace, services.session.now())
}

fn written(services: &Services, screen: &Screen, all: bool) -> Result<Printed, Cause> {
    match services.session.json {
        true => Printed::pretty(&data::Status::of(screen, services.session.now())),
        false => Ok(report::status_text(screen, services.session.now(), all)),
    }
}
