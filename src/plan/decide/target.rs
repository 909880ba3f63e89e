//! Which version the cluster runs, and which it may go to: the version rules of Kubernetes' skew policy and of kubeadm.
//!
//! kubeadm itself does not refuse a downgrade, so the rules stand here.

use crate::failure::{Advice, Cause};
use crate::guard::{self, Guard};
use crate::plan::model::facts::{COMPONENTS, Facts, Node};
use crate::plan::model::version::{UpgradeKind, Version};
use crate::words::command;

/// A kubelet (and kube-proxy) may be this many minor versions older than the API server.
const KUBELET_MINORS_BEHIND: i64 = 3;

/// What a target means for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetCheck {
    Upgrade(UpgradeKind),
    /// Every node is at the target: nothing to do.
    Nothing,
}

/// The oldest version among kubelets and API servers: what the cluster as a whole can be said to run.
pub fn running(facts: &Facts) -> Option<Version> {
    facts.managed().filter_map(|node| node.kubelet).chain(apiservers(facts)).min()
}

/// The newest API server, or the newest kubelet beside one: what a half-done upgrade was going to. A kubelet is newer where kubeadm took its
/// own work back after it had said that all was well; to go to its API server's version would be a downgrade.
pub fn begun(facts: &Facts) -> Option<Version> {
    let newest = apiservers(facts).max()?;
    let kubelets = facts.managed().filter(|node| node.control_plane).filter_map(|node| node.kubelet);
    kubelets.chain([newest]).max()
}

fn apiservers(facts: &Facts) -> impl Iterator<Item = Version> {
    facts.managed().filter_map(|node| node.component(COMPONENTS[0])?.version)
}

/// One thing that runs at a version.
struct Running<'a> {
    what: &'a str,
    node: &'a str,
    version: Version,
}

impl std::fmt::Display for Running<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {}", self.node, self.what, self.version)
    }
}

/// Whether the cluster may go to `target`. A cluster that is half there may go on.
///
/// Refuses a downgrade, more than one minor version a hop, and whatever breaks the skew rules, nodes that the settings exclude included;
/// holds while a control plane does not show its components.
pub fn check_target(facts: &Facts, target: Version) -> Result<TargetCheck, Cause> {
    let running = everything(facts)?;
    let older_than_target = |r: &&Running| r.version < target;
    let Some(oldest) = running.iter().min_by_key(|r| r.version) else {
        return Err(Cause::refused("the cluster has no node that may be upgraded").next(Advice::status()));
    };
    let newer: Vec<_> = running.iter().filter(|r| r.version > target && guard::on(Guard::TargetAllowed)).collect();
    if let Some(newest) = newer.iter().max_by_key(|r| r.version) {
        let what = format!("{target} is older than what runs: {newest}; kubeadm cannot go back");
        return Err(Cause::refused(what)
            .detail(newer.iter().map(ToString::to_string))
            .next(command!("k8s-upgrade start --target {}   # or newer", newest.version)));
    }
    match target.minors_above(oldest.version) {
        None => {
            return Err(Cause::refused(format!("{target} is another major version than {oldest}")));
        }
        Some(minors) if minors > 1 && guard::on(Guard::TargetAllowed) => {
            let old =
                running.iter().filter(|r| target.minors_above(r.version) != Some(0) && target.minors_above(r.version) != Some(1));
            let first = format!("{}.{}", oldest.version.major, oldest.version.minor + 1);
            let what = format!(
                "{target} is {minors} minor versions away ({oldest}): go to {first}.x first, one minor version at a time"
            );
            return Err(Cause::refused(what)
                .detail(old.map(ToString::to_string))
                .next(command!("k8s-upgrade detect --dry-run   # says which {}.x is the newest", first)));
        }
        Some(_) => {}
    }
    skew_of_the_rest(facts, target)?;
    Ok(match running.iter().find(older_than_target) {
        Some(_) => TargetCheck::Upgrade(UpgradeKind::between(oldest.version, target)),
        None => TargetCheck::Nothing,
    })
}

/// Every kubelet and control-plane component of the nodes to upgrade, in the order of the node list.
fn everything(facts: &Facts) -> Result<Vec<Running<'_>>, Cause> {
    if !facts.managed().any(|node| node.control_plane) {
        let what =
            format!("no control-plane node found (label {}): is this a kubeadm cluster?", crate::names::LABEL_CONTROL_PLANE);
        return Err(Cause::refused(what));
    }
    if let Some(unreadable) = facts.unreadable() {
        return Err(unreadable);
    }
    let mut all = Vec::new();
    for node in facts.managed() {
        all.extend(node.kubelet.map(|version| Running { what: "kubelet", node: &node.name, version }));
        if node.control_plane {
            for what in COMPONENTS {
                all.push(Running { what, node: &node.name, version: version_of(node, what)? });
            }
        }
    }
    Ok(all)
}

fn version_of(node: &Node, what: &str) -> Result<Version, Cause> {
    let Some(component) = node.component(what) else {
        return Err(Cause::hold(format!("{}: no pod of {what} is to be seen", node.name))
            .next(command!("kubectl -n kube-system get pods --field-selector spec.nodeName={}", node.name)));
    };
    component.version.ok_or_else(|| {
        Cause::refused(format!("{}: the image of {what} carries no release in its tag, so its version is unknown", node.name))
            .next(command!("kubectl -n kube-system get pod {}-{} -o {}", what, node.name, "jsonpath={.spec.containers[*].image}"))
    })
}

/// The skew rules for what this run will not touch: nodes that the settings exclude, and kube-proxy.
fn skew_of_the_rest(facts: &Facts, target: Version) -> Result<(), Cause> {
    let mut broken = Vec::new();
    let mut behind = |node: &Node, what: &str, version: Version| match target.minors_above(version) {
        Some(minors) if (0..=KUBELET_MINORS_BEHIND).contains(&minors) => {}
        Some(minors) if minors > 0 => broken.push(format!(
            "{}: {what} {version} would be {minors} minor versions behind the API server ({KUBELET_MINORS_BEHIND} are allowed)",
            node.name
        )),
        _ => broken.push(format!("{}: {what} {version} is newer than the API server would be", node.name)),
    };
    for node in &facts.nodes {
        // An excluded one whose version nobody can read is its owner's business.
        if let Some(version) = node.kubelet.filter(|_| node.excluded) {
            behind(node, "kubelet (excluded)", version);
        }
        if let Some(version) = node.kube_proxy {
            behind(node, "kube-proxy", version);
        }
    }
    for node in facts.nodes.iter().filter(|node| node.excluded && node.control_plane) {
        let version = version_of(node, COMPONENTS[0])?;
        if target.minors_above(version) != Some(0) {
            broken.push(format!(
                "{}: its API server {version} is excluded, and no kubelet may be newer than the oldest API server",
                node.name
            ));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Cause::refused(format!("{target} would break the version skew that Kubernetes supports")).detail(broken))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::failure::Class;
    use crate::plan::model::fixture::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn uniform(version: &str) -> Facts {
        let mut facts = runbook();
        let names: Vec<_> = facts.nodes.iter().map(|n| n.name.clone()).collect();
        names.iter().for_each(|name| upgrade(&mut facts, name, v(version)));
        facts
    }

    #[test]
    fn running_is_the_oldest_of_kubelets_and_apiservers() {
        let mut facts = runbook();
        assert_eq!(running(&facts), Some(OLD));
        upgrade(&mut facts, "k8s-master", NEW);
        assert_eq!(running(&facts), Some(OLD));
        assert_eq!(begun(&facts), Some(NEW));
        let mut facts = uniform("1.34.7");
        node(&mut facts, "k8s-master").components[0].version = Some(OLD); // kubeadm rolled its manifest back
        assert_eq!(running(&facts), Some(OLD));
        let mut facts = uniform("1.34.7");
        upgrade(&mut facts, "k8s-node3", OLD);
        node(&mut facts, "k8s-node3").excluded = true;
        assert_eq!(running(&facts), Some(NEW));
        assert_eq!(running(&Facts::default()), None);
    }

    #[test]
    fn a_target_is_allowed_by_the_rules() {
        for (from, to, wanted) in [
            ("1.34.2", "1.34.7", TargetCheck::Upgrade(UpgradeKind::Patch)),
            ("1.34.2", "1.35.0", TargetCheck::Upgrade(UpgradeKind::Minor)),
            ("1.34.7", "1.34.7", TargetCheck::Nothing),
        ] {
            assert_eq!(check_target(&uniform(from), v(to)), Ok(wanted), "{from} -> {to}");
        }
        for (from, to, says) in [
            ("1.34.7", "1.34.2", "1.34.2 is older than what runs"),
            ("1.35.0", "1.34.9", "1.34.9 is older than what runs"),
            ("1.34.2", "1.36.3", "1.36.3 is 2 minor versions away (k8s-node4: kubelet 1.34.2): go to 1.35.x first"),
            ("1.34.2", "2.0.0", "2.0.0 is another major version"),
        ] {
            let cause = check_target(&uniform(from), v(to)).unwrap_err();
            assert_eq!(cause.class, Class::Refused, "{from} -> {to}");
            assert!(cause.what.starts_with(says), "{from} -> {to}: {}", cause.what);
        }
    }

    #[test]
    fn a_half_done_cluster_goes_on() {
        let mut facts = uniform("1.35.4");
        for done in ["k8s-master", "k8s-node4", "k8s-node3", "k8s-node2"] {
            upgrade(&mut facts, done, v("1.36.3"));
            assert_eq!(check_target(&facts, v("1.36.3")), Ok(TargetCheck::Upgrade(UpgradeKind::Minor)), "{done} done");
            assert_eq!(check_target(&facts, v("1.35.9")).unwrap_err().class, Class::Refused, "nothing goes back");
            let cause = check_target(&facts, v("1.37.0")).unwrap_err();
            assert!(cause.what.contains("go to 1.36.x first"), "{}", cause.what);
        }
        upgrade(&mut facts, "k8s-node1", v("1.36.3"));
        assert_eq!(check_target(&facts, v("1.36.3")), Ok(TargetCheck::Nothing));
        // kubeadm was killed between two manifests: only the scheduler is old, and it counts
        node(&mut facts, "k8s-master").components[2].version = Some(v("1.35.4"));
        assert_eq!(check_target(&facts, v("1.36.3")), Ok(TargetCheck::Upgrade(UpgradeKind::Minor)));
    }

    #[test]
    fn what_is_not_seen_is_not_guessed() {
        let mut facts = runbook();
        node(&mut facts, "k8s-master").components.retain(|c| c.name != "kube-scheduler");
        assert_eq!(check_target(&facts, NEW).unwrap_err().class, Class::Hold);
        let mut facts = runbook();
        node(&mut facts, "k8s-master").components[1].version = None;
        assert_eq!(check_target(&facts, NEW).unwrap_err().class, Class::Refused);
        let mut facts = runbook();
        facts.nodes.retain(|n| !n.control_plane);
        assert_eq!(check_target(&facts, NEW).unwrap_err().class, Class::Refused);
        assert_eq!(check_target(&Facts::default(), NEW).unwrap_err().class, Class::Refused);
    }

    #[test]
    fn excluded_nodes_and_kube_proxy_keep_to_the_skew_rules() {
        for (kubelet, allowed) in [("1.36.3", true), ("1.33.0", true), ("1.32.9", false), ("1.37.0", false)] {
            let mut facts = uniform("1.35.4");
            upgrade(&mut facts, "k8s-node3", v(kubelet));
            node(&mut facts, "k8s-node3").excluded = true;
            assert_eq!(check_target(&facts, v("1.36.3")).is_ok(), allowed, "excluded kubelet {kubelet}");
            let mut facts = uniform("1.35.4");
            node(&mut facts, "k8s-node3").kube_proxy = Some(v(kubelet));
            assert_eq!(check_target(&facts, v("1.36.3")).is_ok(), allowed, "kube-proxy {kubelet}");
        }
        for (to, allowed) in [("1.34.7", true), ("1.35.0", false)] {
            let mut facts = cluster(3, 2);
            node(&mut facts, "k8s-master3").excluded = true;
            assert_eq!(check_target(&facts, v(to)).is_ok(), allowed, "excluded control plane, to {to}");
        }
    }
}
