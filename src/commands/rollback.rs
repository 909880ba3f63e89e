//! `rollback NODE`: a worker's way back; of a control plane the plan alone, and that without the API server, too.

use super::{Asker, by_hand, hosts};
use crate::failure::{Class, Failure, Outcome};
use crate::packages::IN_USE;
use crate::plan::decide::order;
use crate::plan::rescue::member;
use crate::plan::rescue::rollback::{self, Back, FormerFiles, Rollback};
use crate::report::Printed;
use crate::run::guards::no_job_at_work;
use crate::run::{Services, chain, nodes};
use crate::words::{RunId, command};

/// Takes a worker back to the versions on record. Of a control plane it prints the plan, and changes nothing.
pub async fn rollback(services: &Services, asker: &mut Asker, node: &str, dry_run: bool) -> Result<Outcome, Failure> {
    let facts = match services.observer.observe().await {
        Err(away) if away.class == Class::Unreachable => return hosts::rollback(services, node, away).await,
        observed => observed.map_err(Failure::nothing_begun)?,
    };
    let back = match rollback::plan(&facts, node).map_err(Failure::nothing_begun)? {
        Rollback::Worker(back) => back,
        Rollback::Nothing => {
            services
                .session
                .found(node, "nothing is on record that it could go back to: it was not upgraded, or is back already");
            return Ok(Outcome::Nothing);
        }
        Rollback::ControlPlane => {
            let former = facts.node(node).and_then(|node| node.former_versions.as_deref());
            let on_record = former.and_then(|record| rollback::packages_of(record).ok());
            let packages = on_record.as_ref().map_or("PACKAGES=VERSIONS".to_owned(), |packages| IN_USE.words(packages));
            let snapshot = facts.marks.snapshot_path.as_deref();
            if snapshot.is_none() || on_record.is_none() {
                services.session.warn(
                    node,
                    "not all is on record in the cluster: see /var/lib/k8s-upgrade/restore-*.txt on the control planes",
                );
            }
            let planes = order::control_planes(&facts);
            let peers = member::peers(&planes);
            let through = planes.into_iter().rfind(|other| other.name != node && other.ready);
            let mut plan = through.and_then(|other| member::replace_plan(node, &other.name, &peers)).unwrap_or_default();
            plan.extend(rollback::restore_plan(snapshot, &packages, &FormerFiles::default(), &peers));
            match services.session.json {
                true => plan.iter().for_each(|line| services.session.found(node, line)),
                false => services.session.print(&Printed::script(plan)).map_err(Failure::nothing_begun)?,
            }
            return Ok(Outcome::Nothing);
        }
    };
    if !dry_run {
        services.leases.nobody_at_work(&facts).await.map_err(Failure::nothing_begun)?;
    }
    let what = told(node, &back, facts.marks.in_flight);
    if dry_run {
        services.session.found(node, what);
        services.session.next(node, "do it with", &command!("k8s-upgrade rollback {}", node));
        return Ok(Outcome::Nothing);
    }
    asker.confirm(services, &what).await?;
    by_hand(services, rolled_back(services, node)).await
}

/// A look of its own: the question may have stood for hours. What goes back is planned anew under the node's Lease.
async fn rolled_back(services: &Services, node: &str) -> Result<Outcome, Failure> {
    let facts = services.observer.observe().await.map_err(Failure::nothing_begun)?;
    no_job_at_work(&facts).map_err(Failure::nothing_begun)?;
    let run = facts.marks.run_id.clone().filter(|_| facts.marks.in_flight).unwrap_or_else(RunId::by_hand);
    match nodes::rollback::roll_back(services, node, &run).await {
        Ok(()) => {
            if facts.marks.halted.is_none() {
                services.session.next(node, "so that it is not upgraded again", "k8s-upgrade halt");
            }
            Ok(Outcome::Done)
        }
        Err(cause) => {
            let again = command!("k8s-upgrade rollback {}      # after mending it: goes on where it stands", node);
            Err(chain::failures::failure_in_run(services, node, cause.next(again)).await)
        }
    }
}

fn told(node: &str, back: &Back, in_flight: bool) -> String {
    let after = if in_flight {
        "The run stays in flight: `resume`, or the watch, would upgrade it again"
    } else {
        "The next detection would upgrade it again"
    };
    format!("{node} will be drained, taken back to {} ({}) and put back in service. {after}.", back.to, back.packages.join(" "))
}
