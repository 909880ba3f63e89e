//! Host keys as ssh keeps them in a known_hosts file: names plain, as patterns, or hashed. Certificate authorities vouch for nobody
//! here, and a revoked key opens nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use ring::hmac;
use sha2::{Digest, Sha256};

use crate::failure::Cause;
use crate::words::NodeName;

/// A known_hosts file as ssh keeps it, hashed names and revoked keys among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHosts(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    names: Names,
    revoked: bool,
    /// `type base64`
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    Patterns(Vec<String>),
    /// `|1|SALT|HASH`: HMAC-SHA1 of one name.
    Hashed {
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
}

/// More (bytes) is no known_hosts file of one cluster.
const MOST: usize = 4 << 20;
/// An RSA key of 16384 bits with many names is shorter (bytes).
const LONGEST_LINE: usize = 16 << 10;

impl KnownHosts {
    /// Reads a file; `place` is its path, for messages.
    ///
    /// # Errors
    /// Usage: a line that is none; what is not understood must not pass for an absent host. More than 4 MiB, or 16 KiB a line.
    pub fn read(place: &str, text: &str) -> Result<KnownHosts, Cause> {
        if text.len() > MOST {
            return Err(Cause::usage(format!("{place} has {} bytes: more than {MOST} are not read", text.len())));
        }
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = read(line).map_err(|why| {
                Cause::usage(format!("{place}, line {}: {why}", index + 1)).detail(["wanted: NAMES KEYTYPE BASE64 [COMMENT]"])
            })?;
            lines.extend(read);
        }
        Ok(KnownHosts(lines))
    }

    /// The keys, as `type base64`, of a host that goes by any of these names at that port.
    pub fn of(&self, names: &[&str], port: u16) -> Vec<String> {
        let written = |name: &&str| if port == 22 { (*name).to_owned() } else { format!("[{name}]:{port}") };
        let names: Vec<String> = names.iter().map(written).collect();
        let mine = || self.0.iter().filter(|line| names.iter().any(|name| line.names.have(name)));
        let revoked: Vec<&str> = mine().filter(|line| line.revoked).map(|line| line.key.as_str()).collect();
        mine().filter(|line| !revoked.contains(&line.key.as_str())).map(|line| line.key.clone()).collect()
    }
}

/// What of a known_hosts file is of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    /// Node name → its keys, one a line.
    pub of: BTreeMap<String, String>,
    /// How many lines with a key fit none of them.
    pub left: usize,
}

impl KnownHosts {
    /// The keys of these nodes (name → address), whatever the file calls them; where none are given, of whatever it names by what may be a
    /// node's name.
    pub fn seeds(&self, nodes: &BTreeMap<String, String>, port: u16) -> Seeds {
        let named = || self.0.iter().flat_map(|line| line.names.plain(port)).map(|name| (name.clone(), name));
        let nodes: BTreeMap<_, _> = if nodes.is_empty() { named().collect() } else { nodes.clone() };
        let keys = nodes.iter().map(|(node, address)| (node.clone(), self.of(&[node, address], port)));
        let of: BTreeMap<_, _> = keys.filter(|(_, keys)| !keys.is_empty()).collect();
        let left = self.0.iter().filter(|line| !line.revoked && !of.values().any(|keys| keys.contains(&line.key))).count();
        Seeds { of: of.into_iter().map(|(node, keys)| (node, keys.join("\n"))).collect(), left }
    }
}

/// None: a line that knows no host.
fn read(line: &str) -> Result<Option<Line>, String> {
    if line.len() > LONGEST_LINE {
        return Err(format!("it has {} bytes: more than {LONGEST_LINE} are not read", line.len()));
    }
    let mut words = line.split_whitespace().peekable();
    let marker = words.next_if(|word| word.starts_with('@'));
    if let Some(other) = marker.filter(|marker| !["@revoked", "@cert-authority"].contains(marker)) {
        return Err(format!("{other} is no marker"));
    }
    let (Some(names), Some(kind), Some(base64)) = (words.next(), words.next(), words.next()) else {
        return Err("names, a key's type and the key are not all there".to_owned());
    };
    let blob = BASE64_STANDARD.decode(base64).map_err(|_| "the key is not base64".to_owned())?;
    // The key itself begins with its type.
    let named =
        blob.get(4..4 + kind.len()).filter(|_| blob.get(..4) == Some(&u32::try_from(kind.len()).unwrap_or(0).to_be_bytes()));
    if named != Some(kind.as_bytes()) {
        return Err(format!("the key is not of the type {kind}"));
    }
    let names = names_of(names)?;
    let line = Line { names, revoked: marker == Some("@revoked"), key: format!("{kind} {base64}") };
    Ok((marker != Some("@cert-authority")).then_some(line))
}

fn names_of(text: &str) -> Result<Names, String> {
    if !text.starts_with('|') {
        return Ok(Names::Patterns(text.to_lowercase().split(',').map(str::to_owned).collect()));
    }
    let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| "the hashed name is not base64".to_owned());
    match text.split('|').collect::<Vec<_>>().as_slice() {
        ["", "1", salt, hash] => Ok(Names::Hashed { salt: decode(salt)?, hash: decode(hash)? }),
        _ => Err("the name is hashed in a way that is not known".to_owned()),
    }
}

impl Names {
    /// Those that may be nodes' names, without patterns and addresses.
    fn plain(&self, port: u16) -> Vec<String> {
        let Names::Patterns(patterns) = self else { return Vec::new() };
        let at_port = format!("]:{port}");
        let bare = |pattern: &String| match pattern.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(&at_port).map(str::to_owned),
            None => Some(pattern.clone()).filter(|_| port == 22),
        };
        let is_node = |name: &String| name.parse::<NodeName>().is_ok() && name.parse::<IpAddr>().is_err();
        patterns.iter().filter_map(bare).filter(is_node).collect()
    }

    /// A pattern with ! before it takes a host out again.
    fn have(&self, name: &str) -> bool {
        match self {
            Names::Patterns(patterns) => {
                let name = name.to_lowercase();
                let any = |negated: bool| {
                    patterns
                        .iter()
                        .map(|pattern| (pattern.starts_with('!'), pattern.trim_start_matches('!')))
                        .any(|(not, pattern)| not == negated && matches(pattern.as_bytes(), name.as_bytes()))
                };
                any(false) && !any(true)
            }
            Names::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
        }
    }
}

/// `*` is any text, `?` any one character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    compare(pattern, name).0
}

/// Whether they match, and in how many steps. After a `*`, the text that it stands for grows by one where the rest does not fit; an earlier
/// `*` never has to be taken up again, so that there are at most as many steps as pairs of characters.
fn compare(pattern: &[u8], name: &[u8]) -> (bool, usize) {
    let (mut at, mut read, mut steps) = (0, 0, 0);
    // Behind the last `*`, and where the text that it stands for ends.
    let mut star: Option<(usize, usize)> = None;
    loop {
        steps += 1;
        match (pattern.get(at), name.get(read)) {
            (None, None) => return (true, steps),
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, read));
            }
            (Some(one), Some(first)) if *one == b'?' || one == first => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((behind, end)) if end < name.len() => {
                    star = Some((behind, end + 1));
                    (at, read) = (behind, end + 1);
                }
                _ => return (false, steps),
            },
        }
    }
}

/// As ssh shows a key: `SHA256:…`. None: it is none.
pub fn fingerprint(key: &str) -> Option<String> {
    let blob = BASE64_STANDARD.decode(key.split_whitespace().nth(1)?).ok()?;
    Some(format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob))))
}

/// The key is one of these lines, whatever comment is behind it.
pub fn has(lines: &str, key: &str) -> bool {
    let of = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    of(key).is_some() && lines.lines().any(|line| of(line) == of(key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB";

    const THREE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD";
    const FOUR: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    fn known(text: &str) -> KnownHosts {
        KnownHosts::read("/k", text).unwrap()
    }

    #[test]
    fn a_host_is_known_by_any_of_its_names() {
        for (names, wanted) in [
            ("10.0.20.100", true),
            ("k8s-master", true),
            ("K8S-Master,other", true),
            ("k8s-*", true),
            ("10.0.20.10?", true),
            ("k8s-*,!k8s-master", false),
            ("k8s-master1", false),
            ("[k8s-master]:22", false),
            // as `ssh-keygen -H` made it of k8s-master
            ("|1|e/1Kr5QvZV6Nj+IWyYx4ZJVxTZc=|TWKcN/I15gnSiUJhikrqX7emjrI=", true),
            ("|1|f/1Kr5QvZV6Nj+IWyYx4ZJVxTZc=|TWKcN/I15gnSiUJhikrqX7emjrI=", false),
        ] {
            let keys = known(&format!("# mine\n\n{names} {ONE} a comment\n")).of(&["k8s-master", "10.0.20.100"], 22);
            assert_eq!(!keys.is_empty(), wanted, "{names}");
        }
    }

    #[test]
    fn all_keys_of_a_host_but_those_revoked() {
        let text = format!("a {ONE}\nb,a {TWO}\n@cert-authority a {ONE}\n");
        assert_eq!(known(&text).of(&["a"], 22), [ONE, TWO]);
        assert_eq!(known(&format!("{text}@revoked * {ONE}\n")).of(&["a"], 22), [TWO]);
        assert_eq!(known(&format!("[a]:2222 {ONE}\n")).of(&["a"], 2222), [ONE]);
        assert_eq!(known("").of(&["a"], 22), Vec::<String>::new());
    }

    #[test]
    fn a_pattern_is_compared_in_few_steps() {
        let name = "a".repeat(250);
        for pattern in ["*a".repeat(120) + "b", "*a".repeat(7_000) + "b", "*".repeat(16_000) + "b", "*?".repeat(5_000)] {
            let (matches, steps) = compare(pattern.as_bytes(), name.as_bytes());
            assert!(!matches);
            assert!(steps <= (pattern.len() + 1) * (name.len() + 1), "{steps} steps for {} characters", pattern.len());
        }
        for (pattern, name, wanted) in [
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxbxxb", false),
            ("*.example.org", "n1.example.org", true),
            ("*ab", "aab", true),
            ("a**?", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let long = format!("{} {ONE}\n", "a".repeat(LONGEST_LINE));
        assert!(KnownHosts::read("/k", &long).unwrap_err().what.starts_with("/k, line 1: it has "));
        assert!(KnownHosts::read("/k", &"\n".repeat(MOST + 1)).unwrap_err().what.starts_with("/k has "));
    }

    #[test]
    fn a_key_is_shown_as_ssh_shows_it() {
        // as `ssh-keygen -lf` has it
        assert_eq!(fingerprint(ONE).as_deref(), Some("SHA256:mKqU+0K8OhKmA8bBQi9Rz0Q5l7/g160hIP+rJYSTNj4"));
        assert_eq!((fingerprint(""), fingerprint("ssh-ed25519 no-base64!")), (None, None));
        assert!(has(&format!("{TWO} comment\n{ONE} mine\n"), ONE) && !has(TWO, ONE) && !has("", "") && !has(ONE, ""));
    }

    #[test]
    fn nodes_have_their_keys_from_the_file() {
        let known = known(&format!(
            "10.0.20.100 {ONE}\nk8s-node1,10.0.20.101 {TWO}\n* {FOUR}\n[k8s-node2]:2222 {THREE}\n@revoked k8s-node3 {ONE}\n"
        ));
        let nodes =
            |all: &[(&str, &str)]| all.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect::<BTreeMap<_, _>>();
        let seeds = known.seeds(&nodes(&[("k8s-master", "10.0.20.100")]), 22);
        assert_eq!(seeds, Seeds { of: nodes(&[("k8s-master", &format!("{ONE}\n{FOUR}"))]), left: 2 });
        // By what they are called: an address, a pattern and another port's name are no node's.
        let seeds = known.seeds(&BTreeMap::new(), 22);
        assert_eq!(seeds.of.keys().collect::<Vec<_>>(), ["k8s-node1", "k8s-node3"]);
        assert_eq!((seeds.of["k8s-node1"].as_str(), seeds.left), (format!("{TWO}\n{FOUR}").as_str(), 2));
        assert_eq!(known.seeds(&BTreeMap::new(), 2222).of, nodes(&[("k8s-node2", &format!("{FOUR}\n{THREE}"))]));
        assert_eq!(known.seeds(&nodes(&[("x", "y")]), 2222), Seeds { of: nodes(&[("x", FOUR)]), left: 3 });
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (line, why) in [
            ("a", "names, a key's type and the key are not all there"),
            ("a ssh-ed25519", "names, a key's type and the key are not all there"),
            ("a ssh-ed25519 no-base64!", "the key is not base64"),
            ("a ssh-rsa AAAAC3NzaC1lZDI1NTE5", "the key is not of the type ssh-rsa"),
            ("@trusted a ssh-ed25519 AAAA", "@trusted is no marker"),
            (&format!("|2|AAAA|AAAA {ONE}"), "the name is hashed in a way that is not known"),
            (&format!("|1|?|AAAA {ONE}"), "the hashed name is not base64"),
        ] {
            let cause = KnownHosts::read("/home/me/known_hosts", &format!("# one\na {ONE}\n{line}\n")).unwrap_err();
            assert_eq!(cause.what, format!("/home/me/known_hosts, line 3: {why}"), "{line}");
        }
    }
}
