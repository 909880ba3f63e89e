//! SSH keys as values: made of a secret seed, and the public half that a private key file shows.

use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey};

use crate::failure::Cause;
use crate::words::{KeyBase64, KeyType};

/// The comment by which our lines in authorized_keys are known.
pub const MARK: &str = "k8s-upgrade-key";

/// A public key as a line of authorized_keys has it, without options and comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    pub kind: KeyType,
    pub base64: KeyBase64,
}

impl Public {
    /// Reads `ssh-ed25519 AAAA… [comment]`.
    pub fn parse(line: &str) -> Option<Public> {
        let mut words = line.split_whitespace();
        let (kind, base64) = (words.next()?, words.next()?);
        Some(Public { kind: kind.parse().ok()?, base64: base64.parse().ok()? })
    }

    /// The public half of a private key file; None where this program cannot read it (a passphrase hides nothing of it).
    pub fn of(private: &str) -> Option<Public> {
        let key = PrivateKey::from_openssh(private.trim()).ok()?;
        Public::parse(&key.public_key().to_openssh().ok()?)
    }

    /// As our line in authorized_keys has it, with our mark as its comment.
    pub fn line(&self) -> String {
        format!("{} {} {MARK}", self.kind, self.base64)
    }

    /// `SHA256:…`, as ssh-keygen -l and sshd's log name it.
    pub fn fingerprint(&self) -> String {
        let key = PublicKey::from_openssh(&self.line());
        key.map_or_else(|_| "(unknown)".to_owned(), |key| key.fingerprint(HashAlg::Sha256).to_string())
    }
}

/// Two private key files are of one key. Stores and editors differ in the line's end that they leave.
pub fn same(one: &str, other: &str) -> bool {
    one.trim() == other.trim()
}

/// A new key pair. It has no Debug: the private half is shown nowhere.
#[derive(Clone)]
pub struct Pair {
    /// A private key file in OpenSSH's own format.
    pub private: String,
    pub public: Public,
}

impl Pair {
    /// The ed25519 key of this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Pair, Cause> {
        let bug = |why: String| Cause::bug(format!("no key could be made: {why}"));
        let mut key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
        key.set_comment(MARK);
        let private = key.to_openssh(LineEnding::LF).map_err(|error| bug(error.to_string()))?.to_string();
        let public = Public::of(&private).ok_or_else(|| bug("its own file cannot be read back".to_owned()))?;
        Ok(Pair { private, public })
    }
}

/// So many former keys are remembered: a node may have been away for several rotations.
const REMEMBERED: usize = 8;

/// What is known before a rotation.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The key in the cluster's Secret.
    pub held: Option<Public>,
    /// The key in the store, which may not have come into the Secret yet.
    pub stored: Option<Public>,
    /// What the stored key replaced, as the store says.
    pub former: Vec<Public>,
    /// Keys that some node accepts, of all those above.
    pub accepted: Vec<Public>,
}

/// What a rotation has to do; `gone` are the keys that no node shall accept in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Make a key.
    Begin { gone: Vec<Public> },
    /// One was cut after its key had been stored: bring that key to the end of its way.
    Finish { key: Public, gone: Vec<Public> },
}

impl Known {
    /// A former rotation that was cut comes first: a key that nodes accept and the store has is never given up for a third one.
    pub fn rotation(&self) -> Rotation {
        let mut gone: Vec<Public> = Vec::new();
        for key in self.held.iter().chain(&self.stored).chain(&self.former) {
            if !gone.contains(key) {
                gone.push(key.clone());
            }
        }
        gone.truncate(REMEMBERED);
        let Some(key) = self.stored.clone().filter(|_| !self.former.is_empty()) else { return Rotation::Begin { gone } };
        let others = gone.iter().filter(|old| **old != key).cloned().collect::<Vec<_>>();
        if self.held.as_ref() != Some(&key) || others.iter().any(|old| self.accepted.contains(old)) {
            return Rotation::Finish { key, gone: others };
        }
        Rotation::Begin { gone }
    }
}

/// Programs that write what they hold into a Secret again and again, by what their field managers' names contain.
const KEEPERS: [(&str, &str); 4] = [
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("argocd", "Argo CD"),
    ("external-secrets", "External Secrets"),
];

/// Whoever wrote a field by that manager's name brings it back when it is changed.
pub fn brings_back(manager: &str) -> Option<&'static str> {
    KEEPERS.iter().find(|(part, _)| manager.contains(part)).map(|(_, name)| *name)
}

/// What a rotation that was cut has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No node has the new key any more, and no store ever had it.
    TakenOff,
    /// The new key may be stored, or may be yet.
    Unknown,
    /// It is stored; the Secret may hold either.
    Stored,
    /// It was stored; where it stands now is told by what failed.
    Kept,
    /// The Secret holds it.
    Held,
    /// One node alone was brought the stored key.
    Node,
}

impl Left {
    /// For people: the state that a failure leaves.
    pub fn sentence(self) -> &'static str {
        match self {
            Left::TakenOff => "The former key is as it was, on the nodes and where it is stored.",
            Left::Unknown => "It is not known whether the new key was stored: every node accepts both keys, whichever is.",
            Left::Stored => "The new key was stored and has opened every node; this command has removed the former one nowhere.",
            Left::Kept => "This command has removed the former key nowhere.",
            Left::Held => "The Secret holds the new key, which has opened every node; some accept the former one, too.",
            Left::Node => "That node may have the key by now; the other nodes and the store are as they were.",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 8032's first test vector.
    #[test]
    fn a_seed_makes_its_key() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
            0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let pair = Pair::from_seed(&seed).unwrap();
        assert_eq!(
            pair.public.line(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea k8s-upgrade-key"
        );
        assert!(pair.private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        assert_eq!(Public::of(&format!("\n{}\n", pair.private)), Some(pair.public.clone()));
        assert!(pair.public.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn a_rotation_that_was_cut_is_finished() {
        let key = |name: char| Public { kind: "ssh-ed25519".parse().unwrap(), base64: name.to_string().parse().unwrap() };
        let keys = |names: &str| names.chars().map(key).collect::<Vec<_>>();
        let one = |name: &str| keys(name).into_iter().next();
        for (held, stored, former, accepted, wanted) in [
            ("a", "a", "", "a", "begin: a"),
            ("a", "a", "", "", "begin: a"),
            // Nothing can be said of a key that cannot be read.
            ("", "", "", "", "begin: "),
            ("a", "", "b", "ab", "begin: ab"),
            // Whoever stored another key by hand has not said what it replaces.
            ("a", "b", "", "a", "begin: ab"),
            // Killed right after it was stored; after the Secret held it; with one node left.
            ("a", "b", "a", "ab", "finish b: a"),
            ("b", "b", "a", "ab", "finish b: a"),
            ("", "b", "a", "b", "finish b: a"),
            // No node accepts the former one: that rotation has ended, and what it replaced stays known.
            ("b", "b", "a", "b", "begin: ba"),
            ("i", "i", "hgfedcba", "i", "begin: ihgfedcb"),
            // A key that came back is no former one.
            ("a", "a", "ba", "a", "begin: ab"),
            ("a", "a", "ba", "ab", "finish a: b"),
        ] {
            let known = Known { held: one(held), stored: one(stored), former: keys(former), accepted: keys(accepted) };
            let text = |gone: Vec<Public>| gone.into_iter().map(|key| key.base64.to_string()).collect::<String>();
            let said = match known.rotation() {
                Rotation::Begin { gone } => format!("begin: {}", text(gone)),
                Rotation::Finish { key, gone } => format!("finish {}: {}", key.base64, text(gone)),
            };
            assert_eq!(said, wanted, "{known:?}");
        }
    }

    #[test]
    fn who_brings_a_key_back_is_known_by_name() {
        for (manager, known) in [
            ("kustomize-controller", Some("Flux")),
            ("argocd-controller", Some("Argo CD")),
            ("externalsecrets.external-secrets.io/k8s-upgrade-creds", Some("External Secrets")),
            ("kubectl-client-side-apply", None),
            ("k8s-upgrade", None),
        ] {
            assert_eq!(brings_back(manager), known, "{manager}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(Public::of("-----BEGIN PRIVATE KEY----- of a rehearsal"), None);
        assert_eq!(Public::parse("ssh-ed25519"), None);
        let read = Public::parse("ssh-rsa AAAA me@laptop").unwrap();
        assert_eq!((read.kind.as_str(), read.base64.as_str(), read.fingerprint().as_str()), ("ssh-rsa", "AAAA", "(unknown)"));
    }
}
