//! etcd as its members say it, on the control planes' own hosts; and its leadership, which moves off a control plane before its turn.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::node::{AskServers, MoveLeader, Said};
use crate::permit::ChangeClass;
use crate::plan::decide::etcd::{ControlPlane, Fitness, fitness, heir};
use crate::plan::decide::order;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::member::{Disk, Means};
use crate::plan::model::version::Version;
use crate::run::parallel;
use crate::run::services::Services;

/// So long a disk is watched before a run, and before a node that no soak comes before. Leases of nodes and leaders alone are some writes a second.
pub const WATCHED: Duration = Duration::from_secs(10);

/// How long the disks had taken at the last look, by node: what lies between two is judged.
#[derive(Clone, Debug, Default)]
pub struct Disks(BTreeMap<String, Disk>);

impl Disks {
    /// The mean since the last look, and from now on since this one.
    pub fn means(&mut self, asked: &[ControlPlane]) -> Vec<(String, Means)> {
        let mut means = Vec::new();
        for plane in asked {
            if let Answer::Known(member) = &plane.member
                && let Some(before) = self.0.insert(plane.node.clone(), member.disk)
                && let Some(mean) = member.disk.means_since(before)
            {
                means.push((plane.node.clone(), mean));
            }
        }
        means
    }
}

/// What the servers of every control plane say, in the order of their turns.
pub async fn asked(services: &Services, facts: &Facts) -> Vec<ControlPlane> {
    let planes = order::control_planes(facts).into_iter().map(|node| async move { ask(services, node).await });
    parallel::looks(planes).await
}

async fn ask(services: &Services, node: &Node) -> ControlPlane {
    let said = |said| match said {
        Said::Well => Answer::Known(None),
        Said::Ill(words) => Answer::Known(Some(words)),
        Said::Unasked(why) | Said::Absent(why) => Answer::Unknown(why),
    };
    let name = node.name.clone();
    match services.ssh.on_node(node, &AskServers).await {
        Ok(servers) => ControlPlane {
            node: name,
            elsewhere: matches!(servers.etcd, Said::Absent(_)),
            api: said(servers.api),
            etcd: said(servers.etcd),
            member: servers.member.map_or_else(|| Answer::Unknown("its metrics lack what is wanted".to_owned()), Answer::Known),
        },
        Err(cause) => {
            let unknown = || Answer::Unknown(cause.what.clone());
            ControlPlane {
                node: name,
                api: unknown(),
                etcd: unknown(),
                member: Answer::Unknown(cause.what.clone()),
                elsewhere: false,
            }
        }
    }
}

/// The first of two looks before a run.
pub struct FirstLook {
    planes: Vec<ControlPlane>,
    at: Timestamp,
}

/// From here on the disks are watched; what else is asked meanwhile costs no time.
pub async fn first_look(services: &Services, facts: &Facts, disks: &mut Disks) -> FirstLook {
    let planes = asked(services, facts).await;
    disks.means(&planes);
    FirstLook { planes, at: services.session.now() }
}

/// Whether a run may begin on etcd as it is. `judges_disks`: what is left of the time for which they are watched is waited for.
async fn fit(services: &Services, facts: &Facts, disks: &mut Disks, first: FirstLook, judges_disks: bool) -> Fitness {
    let FirstLook { planes, at } = first;
    let watched = planes.iter().any(|plane| matches!(plane.member, Answer::Known(_)));
    if !watched || !judges_disks {
        return fitness(planes.iter().map(|plane| (plane, None)));
    }
    let passed = services.session.now().duration_since(at).unsigned_abs();
    services.session.sleep(WATCHED.saturating_sub(passed), true).await;
    let asked = asked(services, facts).await;
    let means = disks.means(&asked);
    let mean = |node: &str| means.iter().find(|(of, _)| of == node).map(|(_, mean)| *mean);
    fitness(asked.iter().map(|plane| (plane, mean(&plane.node))))
}

/// The same as a gate's answer, and what is told beside it.
pub async fn gate(
    services: &Services,
    facts: &Facts,
    disks: &mut Disks,
    first: FirstLook,
    judges_disks: bool,
) -> (Result<(), Cause>, Vec<String>) {
    let Fitness { closed, told } = fit(services, facts, disks, first, judges_disks).await;
    (Cause::together("members of etcd are not fit", closed).map_or(Ok(()), Err), told)
}

/// Another member is to lead before this one is restarted, by kubeadm or by a kubelet of a new minor. Where that fails it is told, and the upgrade
/// goes on: the node is out of service by now, and etcd elects another by itself, which costs a second or two of writes.
pub async fn move_leader(services: &Services, facts: &Facts, node: &Node, target: Version) {
    if order::control_planes(facts).len() < 2 || !guard::on(Guard::LeaderMoved) {
        return;
    }
    let own = ask(services, node).await;
    if own.elsewhere || matches!(own.member, Answer::Known(_)) && !own.leads() {
        return;
    }
    let asked = asked(services, facts).await;
    let over = |name: &str| facts.node(name).is_some_and(|other| other.components_at(target));
    let moved = match heir(&node.name, &asked, over) {
        Some((to, member)) => {
            let step = format!("leadership of etcd to {to}");
            services.ssh.change_node(node, ChangeClass::Settle, &step, &MoveLeader { to: member.id.clone() }).await.map(drop)
        }
        None => Err(Cause::hold("no other member could lead")),
    };
    if let Err(cause) = moved {
        let told = format!("its member of etcd may lead as before ({}): etcd elects another once it is restarted", cause.what);
        services.session.warn(&node.name, told);
    }
}
