//! The end of a repository's key, with keys that have really ended: made by gpg at another time, and judged by gpgv as apt judges them.

use std::fs;
use std::path::Path;
use std::process::Command;

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{Available, Inspect, Refresh, Refreshed, Repository};

use super::bench::{Node, release, word};

const KEYRING: &str = "etc/apt/keyrings/kubernetes-apt-keyring.gpg";
const END: &str = "2024-11-02";

/// Whoever signs a repository.
struct Signer {
    home: tempfile::TempDir,
    fingerprint: String,
}

impl Signer {
    /// With a key of 2022 that has ended.
    fn new() -> Self {
        let mut signer = Signer { home: tempfile::tempdir().unwrap(), fingerprint: String::new() };
        signer.gpg("20220825T000000", &["--passphrase", "", "--quick-gen-key", "repo@example.test", "ed25519", "sign", END]);
        let shown = signer.gpg("20220826T000000", &["--with-colons", "--list-keys"]);
        let shown = String::from_utf8(shown).unwrap();
        signer.fingerprint =
            shown.lines().find_map(|line| line.strip_prefix("fpr:::::::::")?.strip_suffix(':')).unwrap().to_owned();
        signer
    }

    fn gpg(&self, at: &str, args: &[&str]) -> Vec<u8> {
        let command = [&["--batch", "--faked-system-time", at][..], args].concat();
        let output = Command::new("gpg").env("GNUPGHOME", self.home.path()).args(&command).output().expect("gpg is missing");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn prolong(&self) {
        self.gpg("20241001T000000", &["--passphrase", "", "--quick-set-expire", &self.fingerprint, "2044-09-26"]);
    }

    /// As a Release.key has it.
    fn key(&self) -> String {
        String::from_utf8(self.gpg("20241001T000000", &["--armor", "--export"])).unwrap()
    }

    /// As an InRelease has it.
    fn signed(&self) -> String {
        let release = self.home.path().join("Release");
        fs::write(&release, "Suite: test\n").unwrap();
        String::from_utf8(self.gpg("20230101T000000", &["--output", "-", "--clearsign", release.to_str().unwrap()])).unwrap()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        // Its agent, and nobody else's.
        Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).status().ok();
    }
}

/// A node at 1.36 that has the signer's key as it is now, and a repository that is signed by it.
fn node(signer: &Signer) -> Node {
    let node = Node::new();
    node.without(&["gpg"]);
    node.real(&["gpg", "gpgv"]);
    fs::write(node.root_path(KEYRING), signer.gpg("20230101T000000", &["--export"])).unwrap();
    serve(&node, signer);
    node
}

fn serve(node: &Node, signer: &Signer) {
    node.state("keys/v1.36", &signer.key());
    node.state("signed/v1.36", &signer.signed());
}

fn repository() -> Repository {
    Repository { packages: word("https://repo.test"), target: release("1.36.3"), keys: Vec::new() }
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn the_same_key_prolonged_is_put_in_force() {
    let signer = Signer::new();
    let node = node(&signer);
    signer.prolong();
    serve(&node, &signer);
    node.state("upstream/v1.36", "kubeadm 1.36.3-1.1\nkubeadm 1.36.4-1.1\n");
    let Refreshed::KeyUnfit { keys: former, of: from } = node.run(&Refresh::default()).unwrap() else {
        panic!("apt believes a key that has ended")
    };
    assert_eq!(from, ["https://repo.test/core:/stable:/v1.36/deb"]);
    let ends = |key: &k8s_upgrade::node::SigningKey| key.ends.unwrap().strftime("%F").to_string();
    let of = |keys: &[k8s_upgrade::node::SigningKey]| {
        keys.iter().map(|key| (key.fingerprint.to_string(), ends(key))).collect::<Vec<_>>()
    };
    assert_eq!(of(&former), [(signer.fingerprint.clone(), END.to_owned())]);
    assert_eq!(of(&node.run(&Inspect::default()).unwrap().keys), of(&former));
    let renewed = node.run(&repository()).unwrap();
    assert_eq!(of(&renewed), [(signer.fingerprint.clone(), "2044-09-26".to_owned())]);
    assert_eq!(of(&node.run(&Inspect::default()).unwrap().keys), of(&renewed));
    assert_eq!(node.run(&Available { package: "kubeadm" }).unwrap(), ["1.36.3-1.1", "1.36.4-1.1"]);
    assert_eq!(node.run(&Refresh::default()).unwrap(), Refreshed::Done);
}

/// Nobody has prolonged it yet: the key and its end are named, and nothing changes.
#[test]
fn a_key_that_has_ended_at_the_repository_too_is_refused() {
    let signer = Signer::new();
    let node = node(&signer);
    let before = bytes(&node.root_path(KEYRING));
    let cause = node.run(&repository()).unwrap_err();
    let named = format!("is {} (its end: {END})", signer.fingerprint);
    let sign = format!("EXPKEYSIG {}", &signer.fingerprint[24..]);
    let way = "a mirror of it whose Release.key is that of a newer minor";
    assert!(cause.class == Class::Refused && [&named, &sign, way].iter().all(|said| cause.what.contains(*said)), "{cause}");
    assert_eq!(bytes(&node.root_path(KEYRING)), before);
}

/// After its end upstream may sign with a new key: a person has to say that it is upstream's.
#[test]
fn another_key_is_refused_until_it_is_acknowledged() {
    let (signer, other) = (Signer::new(), Signer::new());
    let node = node(&signer);
    other.prolong();
    serve(&node, &other);
    assert!(matches!(node.run(&Refresh::default()).unwrap(), Refreshed::KeyUnfit { .. }));
    let before = bytes(&node.root_path(KEYRING));
    let cause = node.run(&repository()).unwrap_err();
    for words in [
        format!("is of {} (its end: 2044-09-26)", other.fingerprint),
        format!("in force on this node of {} (its end: {END})", signer.fingerprint),
        format!("package-keys: [{}]", other.fingerprint),
    ] {
        assert!(cause.class == Class::Refused && cause.what.contains(&words), "{cause}");
    }
    assert_eq!(bytes(&node.root_path(KEYRING)), before);
    node.run(&Repository { keys: vec![word(&other.fingerprint)], ..repository() }).unwrap();
    assert_eq!(node.run(&Refresh::default()).unwrap(), Refreshed::Done);
}

/// What does not fit its signature was changed on its way. No key mends that, and none is fetched from there.
#[test]
fn what_was_changed_on_its_way_is_refused() {
    let signer = Signer::new();
    let node = node(&signer);
    node.state("signed/v1.36", &signer.signed().replace("Suite: test", "Suite: other"));
    let cause = node.run(&Refresh::default()).unwrap_err();
    assert!(cause.class == Class::Refused && cause.what.contains("does not fit the key: BADSIG "), "{cause}");
}

/// A keyring that cannot be read says nothing, and a look at the node goes on.
#[test]
fn what_is_no_keyring_has_no_keys() {
    let signer = Signer::new();
    let node = node(&signer);
    node.root(KEYRING, "<html>login</html>\n");
    assert_eq!(node.run(&Inspect::default()).unwrap().keys, []);
}
