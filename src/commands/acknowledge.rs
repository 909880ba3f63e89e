//! `acknowledge`: what kubeadm would write over, and that it may.

use super::Asker;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::decide::losses::{self, Difference};
use crate::report::Printed;
use crate::report::data::LocalChanges;
use crate::run::{Services, nodes};

/// Shows what kubeadm would write over; with the `id` of exactly that, records that a person means to lose it.
pub async fn acknowledge(services: &Services, asker: &mut Asker, id: Option<String>) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    let open = nodes::losses::losses(&services.cluster, &services.observer, &services.ssh, &services.settings, &facts)
        .await
        .map_err(Failure::nothing_begun)?;
    let now = losses::id(&open);
    let Some(id) = id else { return show(services, &open, &now) };
    if open.is_empty() {
        services.session.found("", "nothing is left to acknowledge: kubeadm would write over nothing that was not acknowledged");
        return Ok(Outcome::Nothing);
    }
    if id != now {
        let Err(cause) = losses::verdict(&open) else { return Ok(Outcome::Nothing) };
        return Err(Failure::nothing_begun(Cause {
            what: format!("{id} does not name what is there now: {}", cause.what),
            ..cause
        }));
    }
    open.iter().for_each(|difference| services.session.found("", difference.line()));
    asker.confirm(services, "the next run may lose all that").await?;
    nodes::losses::acknowledge(&services.session, &services.observer, &services.record, &open)
        .await
        .map_err(Failure::nothing_begun)?;
    let on = if facts.marks.in_flight {
        "k8s-upgrade resume"
    } else {
        "k8s-upgrade start --target X.Y.Z, or wait for the next detection"
    };
    services.session.did("", "recorded, until a run ends");
    services.session.next("", "to go on", on);
    Ok(Outcome::Done)
}

fn show(services: &Services, open: &[Difference], id: &str) -> Result<Outcome, Failure> {
    let text = if services.session.json {
        Printed::pretty(&LocalChanges::of(id, open)).map_err(Failure::nothing_begun)?
    } else {
        Printed::lines(open.iter().map(Difference::line))
    };
    services.session.print(&text).map_err(Failure::nothing_begun)?;
    if open.is_empty() {
        services.session.note("", "kubeadm would write over nothing that was not acknowledged");
        return Ok(Outcome::Nothing);
    }
    for next in losses::verdict(open).err().map(|cause| cause.next).into_iter().flatten() {
        services.session.next("", "type", &next.command);
    }
    Ok(Outcome::Done)
}
