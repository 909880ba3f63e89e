//! The way back of one node: a worker to the packages that it had before; of a control plane only what a person has to do.
//!
//! kubeadm has no way back. What makes one possible for a worker is that it bears no state of the cluster: its packages and its
//! kubelet's configuration are all that the upgrade changed there (`former-versions`, written with the cordon).

use super::member::{Peer, initial_cluster};
use crate::failure::Cause;
use crate::packages::IN_USE;
use crate::plan::model::facts::Facts;
use crate::plan::model::version::Version;
use crate::words::{ExactPackage, NotAToken, word};

/// Kubernetes' skew policy: a kubelet may be this many minor versions older than an API server.
const KUBELET_BEHIND: i64 = 3;
const PACKAGES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// What a node's way back is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// Nothing is on record, and nothing of ours is left on the node.
    Nothing,
    Worker(Back),
    ControlPlane,
}

/// What a worker had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    pub to: Version,
    pub packages: Vec<ExactPackage>,
}

/// # Errors
/// Usage: no such node. Refused: nothing is on record, or the former kubelet would be too old for the API servers.
pub fn plan(facts: &Facts, name: &str) -> Result<Rollback, Cause> {
    let node = facts.node(name).ok_or_else(|| {
        let names: Vec<&str> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
        Cause::usage(format!("{name} is no node of this cluster")).detail([format!("nodes: {}", names.join(", "))])
    })?;
    if node.excluded {
        return Err(Cause::refused(format!("{name} is excluded by the settings")));
    }
    if node.control_plane {
        return Ok(Rollback::ControlPlane);
    }
    let Some(record) = &node.former_versions else {
        return match node.cordoned_by {
            // A rollback forgets the record and takes its cordon back in one write.
            None => Ok(Rollback::Nothing),
            Some(_) => Err(Cause::refused(format!("what {name} ran before is not on record: there is no version to go back to"))),
        };
    };
    let back = read(name, record)?;
    let servers = facts.nodes.iter().flat_map(|node| node.components.iter().filter(|c| c.name == "kube-apiserver"));
    for server in servers {
        let Some(version) = server.version else {
            return Err(Cause::hold("the version of an API server is not known now"));
        };
        if version.minors_above(back.to).is_none_or(|minors| minors > KUBELET_BEHIND) {
            return Err(Cause::refused(format!(
                "a kubelet of {} is more than {KUBELET_BEHIND} minor versions behind the API server, {version}",
                back.to
            )));
        }
    }
    if let Some(kubelet) = node.kubelet.filter(|kubelet| back.to > *kubelet) {
        return Err(Cause::refused(format!("{name} runs {kubelet}, which is older than {} on record", back.to)));
    }
    Ok(Rollback::Worker(back))
}

fn read(name: &str, record: &str) -> Result<Back, Cause> {
    let odd =
        |error: NotAToken| Cause::refused(format!("what is on record of {name} before its upgrade cannot be read: {error}"));
    let packages = packages_of(record).map_err(odd)?;
    let kubelet = packages.iter().find_map(|package| package.strip_prefix("kubelet="));
    let to = kubelet.and_then(|version| version.split('-').next()?.parse().ok());
    let to =
        to.ok_or_else(|| Cause::refused(format!("what is on record of {name} before its upgrade names no kubelet: {record}")))?;
    Ok(Back { to, packages })
}

/// Kubernetes' own of what is on record: the runtime stays as it is. The record is an annotation, which others may write, too.
pub fn packages_of(record: &str) -> Result<Vec<ExactPackage>, NotAToken> {
    let ours = |package: &&str| package.split_once('=').is_some_and(|(name, _)| PACKAGES.contains(&name));
    record.split(',').filter(ours).map(str::parse).collect()
}

/// Files of before the upgrade that are known to be left on a control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormerFiles {
    /// Manifests of static pods.
    pub manifests: Vec<String>,
    /// The folder of the kubelet's configuration.
    pub kubelet: Option<String>,
}

/// Makes etcd's data out of a snapshot, both in one folder, in a container of its own: no node has etcdutl but in that image, and no container of
/// etcd runs then. What the member is called is in its manifest; of several control planes kubeadm's upgrade names none but its own there.
fn etcdutl(peers: &[Peer]) -> String {
    let (flags, all) = match peers {
        [_, _, ..] => ("name|initial-advertise-peer-urls", format!(" --initial-cluster={}", initial_cluster(peers))),
        _ => ("name|initial-cluster|initial-advertise-peer-urls", String::new()),
    };
    format!(
        "ctr -n k8s.io run --rm --mount type=bind,src=/var/lib/etcd/restored,dst=/restored,options=rbind:rw \
         \"$(sed -n 's/.*image: //p' /root/manifests/etcd.yaml)\" etcd-restore etcdutl snapshot restore /restored/snapshot.db --data-dir=/restored/etcd \
         $(grep -oE -- '--({flags})=[^ ]+' /root/manifests/etcd.yaml){all}"
    )
}

/// Which snapshot a control plane would be restored from, and how, line by line: for a person's hands, never the program's. `packages` are
/// words of the shell already. `peers`: all members of etcd, this control plane's among them; none where they are not known.
pub fn restore_plan(snapshot: Option<&str>, packages: &str, kept: &FormerFiles, peers: &[Peer]) -> Vec<String> {
    let path = snapshot.map_or("SNAPSHOT".to_owned(), word);
    let several = peers.len() > 1;
    let versions = if kept.manifests.is_empty() { "                # the versions in them: as before the upgrade" } else { "" };
    let mut plan = vec![
        "A minor upgrade of a control plane cannot be taken back by packages alone: restore etcd with every API server stopped."
            .to_owned(),
    ];
    if several {
        let names: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
        let names = names.join(", ");
        plan.extend([
            format!("The control planes are {names}. First this one file is copied to each: members that are restored from different files differ for ever."),
            "Then on every control plane, before any goes on, as root:".to_owned(),
        ]);
    } else {
        if peers.is_empty() {
            plan.push(
                "Several control planes: copy this one file to each first, for members that are restored from different files differ for ever, and \
                 give `etcdutl snapshot restore` the same --initial-cluster=NAME=https://ADDRESS:2380,… of all members in the place of the \
                 manifest's."
                    .to_owned(),
            );
        }
        plan.push("On each control plane, as root:".to_owned());
    }
    plan.extend([
        "  mkdir -p /root/manifests && mv /etc/kubernetes/manifests/*.yaml /root/manifests/     # stops the control plane"
            .to_owned(),
        "  while pgrep -x etcd >/dev/null || pgrep -x kube-apiserver >/dev/null; do sleep 1; done     # until they have ended: etcd would go on with its data wherever that is"
            .to_owned(),
    ]);
    if several {
        plan.push(
            "Once all of them are stopped, on each, as root; `k8s-upgrade rollback NODE` prints what is each one's own:"
                .to_owned(),
        );
    }
    // First of all, so that the etcd that will run restores its data.
    plan.extend(kept.manifests.iter().map(|file| format!("  cp {} /root/manifests/", word(file))));
    plan.extend([
        // All within that folder, which may be a disk of its own.
        "  if [ -e /var/lib/etcd/member ]; then mv /var/lib/etcd/member /var/lib/etcd/member.broken-$(date +%s); fi".to_owned(),
        format!("  install -D -m 0600 {path} /var/lib/etcd/restored/snapshot.db"),
        format!("  {}                # etcdutl of etcd's own image", etcdutl(peers)),
        "  mv /var/lib/etcd/restored/etcd/member /var/lib/etcd/member && rm -r /var/lib/etcd/restored".to_owned(),
    ]);
    plan.extend((IN_USE.go_back)(&PACKAGES.join(" "), packages).iter().map(|line| format!("  {line}")));
    plan.extend(kept.kubelet.iter().map(|folder| format!("  cp -p {}/* /var/lib/kubelet/", word(folder))));
    plan.push(format!("  mv /root/manifests/*.yaml /etc/kubernetes/manifests/{versions}"));
    plan.push("  systemctl daemon-reload && systemctl restart kubelet".to_owned());
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Class;
    use crate::plan::model::fixture::{NEW, OLD, node, runbook, upgrade};

    const RECORD: &str = "kubeadm=1.34.2-1.1,kubelet=1.34.2-1.1,kubectl=1.34.2-1.1,containerd.io=1.7.28-1";

    fn upgraded(name: &str) -> Facts {
        let mut facts = runbook();
        for done in ["k8s-master", name] {
            upgrade(&mut facts, done, NEW);
        }
        node(&mut facts, name).former_versions = Some(RECORD.to_owned());
        facts
    }

    fn refusal(facts: &Facts, name: &str) -> (Class, String) {
        let cause = plan(facts, name).unwrap_err();
        (cause.class, cause.what)
    }

    #[test]
    fn a_worker_goes_back_to_what_is_on_record() {
        let packages = ["kubeadm", "kubelet", "kubectl"].map(|name| format!("{name}=1.34.2-1.1").parse().unwrap()).to_vec();
        assert_eq!(plan(&upgraded("k8s-node4"), "k8s-node4"), Ok(Rollback::Worker(Back { to: OLD, packages })));
        // half way: its packages are back, its cordon is still there
        let mut facts = upgraded("k8s-node4");
        node(&mut facts, "k8s-node4").kubelet = Some(OLD);
        assert!(matches!(plan(&facts, "k8s-node4"), Ok(Rollback::Worker(_))));
    }

    #[test]
    fn a_control_plane_is_for_a_person() {
        assert_eq!(plan(&upgraded("k8s-node4"), "k8s-master"), Ok(Rollback::ControlPlane));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut facts = upgraded("k8s-node4");
        assert_eq!(refusal(&facts, "k8s-node9").0, Class::Usage);
        assert_eq!(plan(&facts, "k8s-node3"), Ok(Rollback::Nothing));
        node(&mut facts, "k8s-node3").cordoned_by = Some("5f3a21bc".to_owned());
        assert!(refusal(&facts, "k8s-node3").1.contains("not on record"));
        node(&mut facts, "k8s-node4").former_versions = Some("kubelet=1.34.2-1.1,kubectl=1 -o x=$(id)".to_owned());
        let said = refusal(&facts, "k8s-node4");
        assert!(said.0 == Class::Refused && said.1.contains("cannot be read: \"kubectl=1 -o"), "{said:?}");
        node(&mut facts, "k8s-node4").former_versions = Some("containerd=1.7".to_owned());
        assert!(refusal(&facts, "k8s-node4").1.ends_with("names no kubelet: containerd=1.7"));
        let old = |minor: u64| Some(format!("kubelet=1.{minor}.0-1.1"));
        node(&mut facts, "k8s-node4").former_versions = old(31);
        assert!(plan(&facts, "k8s-node4").is_ok());
        node(&mut facts, "k8s-node4").former_versions = old(30);
        assert_eq!(
            refusal(&facts, "k8s-node4"),
            (Class::Refused, "a kubelet of 1.30.0 is more than 3 minor versions behind the API server, 1.34.7".to_owned())
        );
        node(&mut facts, "k8s-node4").former_versions = old(34).map(|old| old.replace("34.0", "34.9"));
        assert_eq!(refusal(&facts, "k8s-node4").0, Class::Refused);
        node(&mut facts, "k8s-master").components[0].version = None;
        node(&mut facts, "k8s-node4").former_versions = Some(RECORD.to_owned());
        assert_eq!(refusal(&facts, "k8s-node4").0, Class::Hold);
        node(&mut facts, "k8s-node4").excluded = true;
        assert_eq!(refusal(&facts, "k8s-node4").0, Class::Refused);
    }
}
