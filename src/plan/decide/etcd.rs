//! Whether etcd is fit for an upgrade: before a run by itself, in a run held against what it was then. And which member leads while a control plane
//! has its turn.

use std::time::Duration;

use crate::failure::Cause;
use crate::plan::model::answer::Answer;
use crate::plan::model::member::{Means, Member};
use crate::words::command;

/// So long the log's writes may take on average. etcd's documentation wants 99 of 100 below 10 ms, and a leader is to give a sign of life every
/// 100 ms: where the mean is beyond that, each restart of a member may cost an election.
const FSYNC: Duration = Duration::from_millis(100);
/// The same of the database's, of which it wants 99 of 100 below 25 ms.
const COMMIT: Duration = Duration::from_millis(250);
/// In a run, by so much it must have got slower besides.
const SLOWER: u32 = 10;
/// A database of so many per cent of its quota is full before the run is over: kubeadm, and all that restarts, writes more than usual.
const FULL: u64 = 80;
/// So much that is free inside of a database is worth a word, where it is more than half.
const FREE: u64 = 256 << 20;

/// What the API server and the etcd of one control plane say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    pub node: String,
    /// Known: what is wrong with it, if anything.
    pub api: Answer<Option<String>>,
    pub etcd: Answer<Option<String>>,
    /// What its member counts of itself.
    pub member: Answer<Member>,
    /// No etcd of kubeadm's is to be on this node.
    pub elsewhere: bool,
}

impl ControlPlane {
    /// A member that may vote, and is well.
    fn voter(&self) -> Option<&Member> {
        match (&self.etcd, &self.member) {
            (Answer::Known(None), Answer::Known(member)) => Some(member).filter(|member| !member.learner),
            _ => None,
        }
    }

    /// Its member leads the others.
    pub fn leads(&self) -> bool {
        matches!(&self.member, Answer::Known(member) if member.leads)
    }
}

/// Whether a run may begin on this etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitness {
    /// Of each member that is not, why.
    pub closed: Vec<(String, Cause)>,
    /// What holds nothing, and somebody should know.
    pub told: Vec<String>,
}

/// etcdctl in the container of a member, as kubeadm sets both up.
fn etcdctl(node: &str, what: &str) -> String {
    let container = command!("kubectl exec -n kube-system etcd-{} --", node);
    let certificates = "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key";
    format!("{container} etcdctl {certificates} {what}")
}

/// Asked before a run. `means`: how long the disk of a member takes now; None: it has written too little to tell.
pub fn fitness<'a>(asked: impl IntoIterator<Item = (&'a ControlPlane, Option<Means>)>) -> Fitness {
    let (mut fitness, mut elsewhere, mut members) = (Fitness::default(), Vec::new(), 0);
    for (plane, means) in asked {
        let node = plane.node.as_str();
        if plane.elsewhere {
            elsewhere.push(node);
            continue;
        }
        members += 1;
        let closed = of_health(plane).or_else(|| match &plane.member {
            Answer::Unknown(why) => Some(Cause::hold(format!("what it counts of itself is not known: {why}"))),
            Answer::Known(member) => of_member(node, member).or_else(|| {
                let slow = slow(means?, None)?;
                let looks =
                    etcdctl(node, "check perf    # how fast it is; what else writes to that disk, iostat tells on the node");
                Some(Cause::hold(slow).next(looks))
            }),
        });
        fitness.closed.extend(closed.map(|cause| (format!("etcd of {node}"), cause)));
        if let Answer::Known(member) = &plane.member {
            fitness.told.extend(fragmented(node, member));
        }
    }
    // kubeadm sets up a member on each control plane, or on none: where others have one, it is away, whatever else its node does.
    if members > 0 {
        fitness.closed.extend(elsewhere.into_iter().map(|node| (format!("etcd of {node}"), missing())));
    } else if !elsewhere.is_empty() {
        fitness.told.push(format!(
            "no etcd of kubeadm's is on {}: whoever runs it elsewhere looks after its health",
            elsewhere.join(", ")
        ));
    }
    fitness
}

/// Of a control plane without a member, beside others that have one.
fn missing() -> Cause {
    Cause::hold("its manifest is not there, while other control planes have one: this member is away, and one more could end etcd's quorum")
        .next("kubectl get pods -n kube-system -l component=etcd -o wide")
}

/// What is wrong by its own word.
fn of_health(plane: &ControlPlane) -> Option<Cause> {
    let words = match &plane.etcd {
        Answer::Known(words) => words.as_ref()?,
        Answer::Unknown(why) => return Some(Cause::hold(format!("its health is not known: {why}"))),
    };
    let node = &plane.node;
    // etcd's own names of its alarms. None of them goes by itself.
    let cause = if words.contains("NOSPACE") {
        Cause::refused(format!("it has raised an alarm, and takes no writes any more: {words}"))
            .next(etcdctl(node, "defrag    # gives back what is free inside of its database; each member, one after the other"))
            .next(etcdctl(node, "alarm disarm    # then it takes writes again"))
    } else if words.contains("CORRUPT") {
        Cause::refused(format!("it has raised an alarm, its data differs from that of others: {words}"))
            .next(etcdctl(node, "endpoint hashkv --cluster    # whose data differs; that member is to be removed and added anew"))
    } else {
        Cause::hold(format!("it is not well: {words}"))
    };
    Some(cause)
}

/// What is wrong with what it counts.
fn of_member(node: &str, member: &Member) -> Option<Cause> {
    if member.learner {
        return Some(Cause::hold("it is a learner: it has no vote yet"));
    }
    let quota = member.quota?;
    let full = |bytes: u64| u128::from(bytes) * 100 >= u128::from(quota) * u128::from(FULL);
    if !full(member.size) {
        return None;
    }
    let (size, in_use, most) = (member.size >> 20, member.in_use >> 20, quota >> 20);
    let what = format!("its database has {size} MiB ({in_use} MiB in use), and at {most} MiB it takes no writes any more");
    // The API server compacts it every few minutes, so that nothing is left to do about that.
    Some(if full(member.in_use) {
        Cause::refused(what).next(
            "kubectl -n kube-system edit configmap kubeadm-config    # etcd.local.extraArgs: quota-backend-bytes, \
             and in each /etc/kubernetes/manifests/etcd.yaml; or delete what fills it",
        )
    } else {
        Cause::refused(what).next(etcdctl(
            node,
            "defrag    # gives back what is free inside of it; each member, one after the other, the leader last",
        ))
    })
}

/// Half of a database that once was larger is free: nothing to wait for.
fn fragmented(node: &str, member: &Member) -> Option<String> {
    let free = member.size.saturating_sub(member.in_use);
    (free >= FREE && free > member.in_use).then(|| {
        let (free, size) = (free >> 20, member.size >> 20);
        format!("etcd of {node}: {free} of the {size} MiB of its database are free; `etcdctl defrag` gives them back to the disk")
    })
}

/// How slow its disk is; None: fast enough. `before`: how it was when the run was claimed.
pub fn slow(now: Means, before: Option<Means>) -> Option<String> {
    let millis = |time: Duration| (time.as_micros() + 500) / 1000;
    let slow = |what: &str, now: Duration, most: Duration, before: Option<Duration>| {
        let slower = before.is_none_or(|before| now > before * SLOWER);
        let than = before.map_or(String::new(), |before| format!(", {} ms before the run", millis(before)));
        (now > most && slower).then(|| format!("takes {} ms for each write of {what}{than}", millis(now)))
    };
    slow("its log", now.fsync, FSYNC, before.map(|means| means.fsync))
        .or_else(|| slow("its database", now.commit, COMMIT, before.map(|means| means.commit)))
}

/// Who is to lead while `leaving` has its turn: a member whose own turn is `over`, else the one whose turn comes last, so that leadership moves
/// as seldom as can be. `asked`: in the order of their turns. None: nobody else could.
pub fn heir<'a>(leaving: &str, asked: &'a [ControlPlane], over: impl Fn(&str) -> bool) -> Option<(&'a str, &'a Member)> {
    let others = asked.iter().enumerate().filter(|(_, plane)| plane.node != leaving);
    let voters = others.filter_map(|(turn, plane)| Some((turn, plane.node.as_str(), plane.voter()?)));
    voters.max_by_key(|(turn, node, _)| (over(node), *turn)).map(|(_, node, member)| (node, member))
}

#[cfg(test)]
#[path = "etcd_tests.rs"]
mod tests;
