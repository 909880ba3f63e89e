//! The restore card: what preflight leaves on every control plane, where it can be read without the API server. Written for people, and
//! read back by whoever makes a plan of it.

use super::member::Peer;
use super::rollback::{FormerFiles, restore_plan};
use crate::words::ExactPackage;
use crate::words::texts;

/// What a person needs to restore a control plane with nothing but its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    pub run: String,
    pub from: String,
    pub to: String,
    /// Path, size, and the hash (`sha256 …`), or why there is none.
    pub snapshot: String,
    pub bytes: u64,
    pub hash: String,
    /// What each node had installed: `kubelet=1.35.4-1.1`.
    pub packages: Vec<(String, Vec<String>)>,
}

texts!(Card { run, from, to, snapshot, bytes, hash, packages });

const HEAD: &str = "Restore card of run ";
const SNAPSHOT: &str = "etcd snapshot  ";
const PACKAGES: &str = "Packages before the upgrade";

impl Card {
    /// For people; [`Card::read`] takes it back. `peers`: all members of etcd.
    pub fn write(&self, peers: &[Peer]) -> String {
        let Card { run, from, to, snapshot, bytes, hash, packages } = self;
        let mut text = format!("{HEAD}{run}: {from} -> {to}\n\n{SNAPSHOT}{snapshot} ({bytes} bytes, {hash})\n\n{PACKAGES}\n");
        for (node, packages) in packages {
            text.push_str(&format!("  {node}: {}\n", packages.join(" ")));
        }
        text.push('\n');
        for line in restore_plan(Some(snapshot), "<the packages above>", &FormerFiles::default(), peers) {
            text.push_str(&format!("{line}\n"));
        }
        text
    }

    /// None where the text is no card: somebody has edited it, or another program wrote it.
    pub fn read(text: &str) -> Option<Card> {
        // An editor that ends lines in another way may have changed more.
        if text.contains('\r') {
            return None;
        }
        let (run, hop) = text.lines().next()?.strip_prefix(HEAD)?.split_once(": ")?;
        let (from, to) = hop.split_once(" -> ")?;
        let (snapshot, rest) = text.lines().find_map(|line| line.strip_prefix(SNAPSHOT))?.rsplit_once(" (")?;
        let (bytes, hash) = rest.strip_suffix(')')?.split_once(" bytes, ")?;
        let packages = text.lines().skip_while(|line| *line != PACKAGES).skip(1).take_while(|line| !line.is_empty());
        let of_node = |line: &str| {
            let (node, packages) = line.trim_start().split_once(": ")?;
            Some((node.to_owned(), packages.split(' ').map(str::to_owned).collect()))
        };
        Some(Card {
            run: run.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            snapshot: snapshot.to_owned(),
            bytes: bytes.parse().ok()?,
            hash: hash.to_owned(),
            packages: packages.map(of_node).collect::<Option<_>>()?,
        })
    }

    /// Kubernetes' own packages of a node, as it had them. None: they are not on the card, or what stands there is none of ours.
    pub fn packages_of(&self, node: &str) -> Option<Vec<ExactPackage>> {
        let (_, packages) = self.packages.iter().find(|(name, _)| name == node)?;
        super::rollback::packages_of(&packages.join(",")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let packages = ["kubeadm=1.34.2-1.1", "kubelet=1.34.2-1.1", "containerd.io=1.7.28-1"].map(str::to_owned).to_vec();
        let card = Card {
            run: "5f3a21bc".to_owned(),
            from: "1.34.2".to_owned(),
            to: "1.34.7".to_owned(),
            snapshot: "/backup/etcd (old).db".to_owned(),
            bytes: 4_575_264,
            hash: "sha256 0badc0de".to_owned(),
            packages: vec![("k8s-master".to_owned(), packages.clone()), ("k8s-node1".to_owned(), packages)],
        };
        let text = card.write(&[]);
        assert_eq!(Card::read(&text), Some(card.clone()), "{text}");
        assert_eq!(card.packages_of("k8s-node1").unwrap(), ["kubeadm=1.34.2-1.1", "kubelet=1.34.2-1.1"]);
        assert_eq!(card.packages_of("k8s-node9"), None);
        let none = Card { hash: "not verified: it is not on k8s-master".to_owned(), packages: Vec::new(), ..card };
        assert_eq!(Card::read(&none.write(&[])), Some(none.clone()));
        for torn in [
            "",
            "Restore card of run r1: 1.34.2 -> 1.34.7\n",
            &text.replace(" bytes, ", " "),
            &text.replace("k8s-node1:", "k8s-node1"),
        ] {
            assert_eq!(Card::read(torn), None, "{torn}");
        }
    }
}
