//! Tokens: words whose every character is known to be harmless, in a shell, in a URL, in an annotation, on a screen.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not of the kind that was wanted. Its text may be anything: whoever shows this error sanitises it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is no {kind}: {wanted}")]
pub struct NotAToken {
    /// What was wanted: `run id`.
    pub kind: &'static str,
    /// How one looks: `8 hexadecimal digits, for example 5f3a21bc`.
    pub wanted: &'static str,
    /// The beginning of what came instead.
    pub shown: String,
}

/// How much of a word that is none is repeated.
const SHOWN: usize = 60;

/// The error for a word that is none of its kind. A password in a URL is not repeated.
pub(super) fn refused(kind: &'static str, wanted: &'static str, text: &str) -> NotAToken {
    let text = &*without_user(text);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    NotAToken { kind, wanted, shown }
}

/// What stands between `://` and the last @ may be a password.
fn without_user(text: &str) -> Cow<'_, str> {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}…{}", &text[..scheme + 3], &text[at..]).into(),
        _ => text.into(),
    }
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $wanted:literal, $is:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// As it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAToken;
            fn from_str(text: &str) -> Result<Self, NotAToken> {
                let is: fn(&str) -> bool = $is;
                if is(text) { Ok($name(text.to_owned())) } else { Err(refused($kind, $wanted, text)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAToken;
            fn try_from(text: String) -> Result<Self, NotAToken> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(token: $name) -> String {
                token.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        /// It is found in maps by its text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.0 == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.0 == *text
            }
        }
    )+};
}
pub(super) use tokens;

tokens! {
    /// The id of a run, made by this program: it stands in annotations, Job names, arguments, and in the status of work on a node. What is done
    /// outside any run has [`RunId::by_hand`] in its place.
    RunId, "run id", "8 hexadecimal digits are wanted, for example 5f3a21bc",
        |text| (text.len() == 8 && is_hex(text)) || text == RunId::BY_HAND;
    /// The name of a Node, as the API server demands it: labels of lower-case letters, digits and hyphens between dots, 253 bytes at most.
    NodeName, "node name", "lower-case letters, digits, hyphens and dots are wanted, 253 at most, for example k8s-node4", is_subdomain;
    /// The version of a Debian package with its revision: `1.35.4-1.1`, `2.1.4-1~debian.12~bookworm`, `1:2.3`.
    Revision, "package version", "a digit, then letters, digits and . + : ~ - are wanted, 128 at most, for example 1.36.3-1.1", is_revision;
    /// The name of a Debian package, with its architecture where a package manager names that: `kubeadm`, `libc6:i386`.
    PackageName, "package name", "lower-case letters, digits and . + - are wanted, 128 at most, for example kubeadm", is_package;
    /// A package and its exact version: `kubelet=1.35.4-1.1`.
    ExactPackage, "package with its version", "NAME=VERSION is wanted, for example kubelet=1.35.4-1.1",
        |text| text.split_once('=').is_some_and(|(name, version)| is_package(name) && is_revision(version));
    /// What is wanted of a package, and how it is, in letters: `ii`, `hi`, `iHR`.
    Letters, "state of a package", "two or three letters are wanted, for example ii",
        |text| (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic());
    /// One of the fixed words of a program, of systemd for example: `active`, `oom-kill`.
    Keyword, "word", "lower-case letters and hyphens are wanted, 40 at most, for example active", is_keyword;
    /// A file or folder on a node, from its root. It may hold blanks and letters of any language.
    HostPath, "path", "an absolute path without control characters is wanted, 1024 bytes at most, for example /var/lib/etcd-backup", is_path;
    /// A member of etcd, as etcdctl names it: `8e9e05c52164694d`.
    MemberId, "member of etcd", "1 to 16 hexadecimal digits are wanted, for example 8e9e05c52164694d",
        |text| (1..=16).contains(&text.len()) && is_hex(text);
    /// A moment as scripts print it: `2026-11-22T12:04:00Z`.
    Stamp, "time", "UTC to the second is wanted, for example 2026-11-22T12:04:00Z", is_stamp;
    /// Where a container image is taken from, with or without its tag or digest: `registry.k8s.io/pause:3.10`.
    ImageName, "image", "letters, digits and . _ : / @ - are wanted, 512 at most, for example registry.k8s.io/pause:3.10", is_image;
    /// Of a container image: `v1.14.6`.
    ImageTag, "tag of an image", "letters, digits and _ . - are wanted, 128 at most, for example v1.14.6",
        |text| (1..=128).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    /// Where the Kubernetes packages are, without a slash at its end: what stands before `/core:/stable:/…` (`https://pkgs.k8s.io`), or, for any
    /// other layout, all of it with `{minor}` in the place of the minor version. Neither user nor query, and nothing that a line of a package
    /// source would take for its end. Whether plain `http` will do is for the settings to say.
    PackagesUrl, "URL of packages",
        "https://HOST[:PORT][/PATH] is wanted, for example https://pkgs.k8s.io; where a mirror has another layout, {minor} in the path, and no \
         other braces, for the minor version (1.36): https://mirror.example/kubernetes-v{minor}/deb",
        is_packages_url;
    /// Where a source of packages on a node leads, as its package manager writes it: `https://mirror.example/k8s`, `file:/srv/k8s`.
    SourceUrl, "URL of a package source", "SCHEME:… without blanks is wanted, 1024 bytes at most",
        |text| text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic())
            && text.split_once(':').is_some_and(|(scheme, rest)| !rest.is_empty() && is_scheme(scheme));
    /// Of an OpenPGP key, whole: `DE15B14486CD377B9E876E1A234654DA9A296436`.
    Fingerprint, "fingerprint of an OpenPGP key",
        "40 or 64 hexadecimal digits in capitals are wanted, for example DE15B14486CD377B9E876E1A234654DA9A296436",
        |text| [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    /// Who logs in to a machine.
    Login, "user name", "letters, digits and _ . - are wanted, 32 at most, for example wizard", is_login;
    /// The algorithm of an SSH key: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `sk-ssh-ed25519@openssh.com`.
    KeyType, "type of an SSH key", "lower-case letters, digits and @ . - are wanted, for example ssh-ed25519", is_key_type;
    /// An SSH public key itself.
    KeyBase64, "SSH public key", "base64 is wanted, 16 KiB at most", is_base64;
    /// A flag for kubeadm: `--ignore-preflight-errors=Swap`. One line, whatever its value.
    Flag, "flag", "--NAME or --NAME=VALUE is wanted, in one line of 1024 bytes at most", is_flag;
    /// A file of kubeadm's patches: `TARGET[SUFFIX][+TYPE].{json,yaml}`.
    PatchName, "name of a kubeadm patch", "letters, digits and - _ . + are wanted, 255 at most, for example etcd+json.yaml",
        |text| text.len() <= 255 && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    /// A check of kubeadm's preflight, as `--ignore-preflight-errors` names it: `CreateJob`.
    KubeadmCheck, "check of kubeadm's preflight", "letters, digits and - _ . / are wanted, 128 at most, for example CreateJob",
        |text| text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    /// Of one boot of a machine: a new one comes with each.
    BootId, "boot id", "a UUID is wanted", is_uuid;
    /// Of an installed machine, as systemd keeps it: clones may share one.
    MachineId, "machine id", "32 hexadecimal digits are wanted", |text| text.len() == 32 && is_hex(text);
    /// A resource of the API in one version: GROUP/VERSION/RESOURCE, of the core group VERSION/RESOURCE (`v1/endpoints`).
    ApiResource, "resource of the API", "GROUP/VERSION/RESOURCE is wanted, for example networking.k8s.io/v1beta1/ipaddresses", is_api_resource;
    /// A minor version, as package repositories name it: `1.36`.
    Minor, "minor version", "two numbers are wanted, for example 1.36", is_minor;
}

impl RunId {
    /// Stands in the place of an id, for what belongs to no run.
    pub const BY_HAND: &str = "by-hand";

    /// In place of a run's id, for work that belongs to no run.
    pub fn by_hand() -> RunId {
        RunId(Self::BY_HAND.to_owned())
    }

    /// It belongs to no run.
    pub fn is_by_hand(&self) -> bool {
        self.0 == Self::BY_HAND
    }

    /// Of random bits: unique, and short enough for the names of Jobs.
    pub fn random(bits: u64) -> RunId {
        RunId(format!("{:08x}", bits & 0xffff_ffff))
    }
}

impl ApiResource {
    /// Group, version and resource; the core's group is empty.
    pub fn parts(&self) -> (&str, &str, &str) {
        let (before, resource) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        let (group, version) = before.rsplit_once('/').unwrap_or(("", before));
        (group, version, resource)
    }
}

impl Minor {
    /// As numbers, so that 1.9 comes before 1.10.
    pub fn numbers(&self) -> (u32, u32) {
        let number = |part: &str| part.parse().unwrap_or_default();
        self.0.split_once('.').map_or((0, 0), |(major, minor)| (number(major), number(minor)))
    }
}

impl PackagesUrl {
    /// Whoever is on the way may read and change what is fetched; the packages' signatures are all that protects them.
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }
}

/// In lower case; the empty text is, too.
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A label of DNS.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-') && text.bytes().all(inner)
}

/// A name of DNS: labels with dots between.
pub(super) fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_revision(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b".+:~-".contains(&b);
    text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(inner)
}

fn is_package(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".+:-".contains(&b);
    text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && text.bytes().all(inner)
}

fn is_keyword(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b == b'-';
    text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(inner)
}

fn is_path(text: &str) -> bool {
    text.len() <= 1024 && text.starts_with('/') && !text.chars().any(char::is_control)
}

fn is_stamp(text: &str) -> bool {
    let shape = "0000-00-00T00:00:00Z";
    let fits = |(b, wanted): (u8, u8)| if wanted == b'0' { b.is_ascii_digit() } else { b == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn is_image(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b);
    text.len() <= 512 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

/// `http` or `https`, a host, perhaps a port and a path; no user, no query.
pub(super) fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let bracketed = host.strip_prefix('[').and_then(|host| host.split_once(']'));
    let (named, port) = match bracketed {
        Some((address, port)) => {
            (address.parse::<std::net::Ipv6Addr>().is_ok(), port.strip_prefix(':').or(port.is_empty().then_some("443")))
        }
        None => {
            let (name, port) = host.split_once(':').map_or((host, "443"), |(name, port)| (name, port));
            (is_subdomain(&name.to_ascii_lowercase()), Some(port))
        }
    };
    let port = port.and_then(self::port).is_some();
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"._~:-".contains(&b);
    let segment = |segment: &str| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(inner);
    text.len() <= 512 && named && port && path.is_none_or(|path| path.split('/').all(segment))
}

/// A URL, in whose path the minor version may be left out. What it becomes must be read back out of it: nothing that follows a minor version may be
/// taken for its end. Percent signs only where they write one character.
fn is_packages_url(text: &str) -> bool {
    let path = text.splitn(4, '/').nth(3).unwrap_or_default();
    let parts: Vec<&str> = path.split("{minor}").collect();
    let ends = parts.iter().skip(1).all(|part| !part.starts_with(|c: char| c.is_ascii_digit()));
    let apart = parts.len() < 3 || parts[1..parts.len() - 1].iter().all(|part| !part.is_empty());
    let hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
    let escapes = path.match_indices('%').all(|(at, _)| {
        let mut two = path[at + 1..].chars();
        hex(two.next()) && hex(two.next())
    });
    let host = &text[..text.len() - path.len()];
    ends && apart && escapes && is_url(&[host, &path.replace("{minor}", "1.0").replace('%', "-")].concat())
}

fn is_scheme(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b);
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(inner)
}

/// A TCP port, without zeros before it.
pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| *port > 0 && port.to_string() == text)
}

fn is_login(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    text.len() <= 32 && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.bytes().all(inner)
}

fn is_key_type(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"@.-".contains(&b);
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(inner)
}

fn is_base64(text: &str) -> bool {
    let plain = text.trim_end_matches('=');
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"+/".contains(&b);
    !plain.is_empty() && text.len() <= 16 << 10 && text.len() - plain.len() <= 2 && plain.bytes().all(inner)
}

fn is_flag(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("--") else { return false };
    let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let named = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(inner);
    text.len() <= 1024 && named && !value.chars().any(char::is_control)
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len() && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
}

fn is_minor(text: &str) -> bool {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor))
}

fn is_api_resource(text: &str) -> bool {
    let is_core = |version: &str| version.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [version, resource] => is_core(version) && is_label(version) && is_label(resource),
        [group, version, resource] => is_subdomain(group) && is_label(version) && is_label(resource),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_strict() {
        fn accepts<T: FromStr + ToString>(good: &[&str], bad: &[&str]) {
            for text in good {
                assert_eq!(text.parse::<T>().ok().map(|token| token.to_string()).as_deref(), Some(*text));
            }
            let never = ["", " ", "a[$(id)]", "$(id)", "`id`", "a\tb", "a\nb", "a\r", "'", "-o", "ä", "*"];
            for text in bad.iter().chain(&never) {
                assert!(text.parse::<T>().is_err(), "{text:?}");
            }
            assert!("1".repeat(100_000).parse::<T>().is_err() && "A".repeat(100_000).parse::<T>().is_err());
        }
        accepts::<RunId>(&["5f3a21bc", "00000000", "by-hand"], &["5f3a21b", "5F3A21BC", "5f3a21bcd", "5f3a21bc\n", "r1"]);
        accepts::<NodeName>(
            &["a", "k8s-node4", "n1.example.org", "0"],
            &["A", "-a", "a-", "a..b", ".a", "a_b", &"a".repeat(254)],
        );
        accepts::<Revision>(
            &["1.35.4-1.1", "1:2.3+b1", "2.1.4-1~debian.12~bookworm"],
            &["v1", "1.2 3", "1.2/3", &"1".repeat(129)],
        );
        accepts::<PackageName>(&["kubeadm", "containerd.io", "libc6:i386"], &["Kubeadm", "a=b", "a/b", &"a".repeat(129)]);
        accepts::<ExactPackage>(&["kubelet=1.35.4-1.1"], &["kubelet", "kubelet=", "=1", "kubelet=v1", "a b=1", "a=1=2", "-a=1"]);
        accepts::<Letters>(&["ii", "hi", "iHR"], &["i", "iHRx", "i1"]);
        accepts::<Keyword>(&["active", "oom-kill"], &["Active", "a1", &"a".repeat(41)]);
        accepts::<KubeadmCheck>(
            &["CreateJob", "FileAvailable--etc-a.yaml", "Port-10250"],
            &["a b", "a=b", "a,b", &"a".repeat(129)],
        );
        accepts::<PatchName>(&["etcd0+json.yaml", "kube-apiserver.json"], &["../etcd", "Etcd", "a b", &"a".repeat(256)]);
        accepts::<ImageTag>(&["v1.14.6", "3.6.8-0", "_a"], &["a:b", "a@b", "a/b", ".a", &"a".repeat(129)]);
        accepts::<MemberId>(&["8e9e05c52164694d", "1"], &["", "8E9E", "0x1", "8e9e05c52164694d0"]);
        accepts::<Stamp>(&["2026-11-22T12:04:00Z"], &["2026-11-22 12:04:00Z", "2026-11-22T12:04:00", "2026-11-22T12:04:00Z "]);
        accepts::<ImageName>(
            &["registry.k8s.io", "registry.k8s.io/pause:3.10", "r.test:5000/a_b/c@sha256:00ff"],
            &["-x", "/a", ".a", "a b", "a;b", "a$b", &"a".repeat(513)],
        );
        accepts::<SourceUrl>(
            &["https://a.test/b", "file:/srv/k8s", "mirror+https://a/b%20"],
            &["https:", "a b:c", ":x", "https://a b"],
        );
        accepts::<PackagesUrl>(
            &[
                "https://pkgs.k8s.io",
                "https://mirror.test:8443/isv:/kubernetes:",
                "http://127.0.0.1:8099",
                "https://[2001:db8::1]:8443/k8s",
                "https://mirror.test/kubernetes-v{minor}/deb",
                "https://mirror.test/{minor}/a/{minor}",
                "https://mirror.test/core%3A/stable%3A/v{minor}/deb",
            ],
            &[
                "pkgs.k8s.io",
                "ftp://pkgs.k8s.io",
                "https://",
                "https:///a",
                "https://u:p@h",
                "https://h?x",
                "https://h#x",
                "https://h/a b",
                "https://h/a//b",
                "https://h/../b",
                "https://h/{version}",
                "https://h/{minor",
                "https://h/{}",
                "https://{minor}.h/a",
                "https://h/{minor}{minor}",
                "https://h/{minor}0",
                "https://h/a%",
                "https://h/a%3",
                "https://h%3A/a",
                "https://h/",
                "https://h:0",
                "https://h:65536",
                "https://h:",
                "https://h/a]",
                "https://h\n/",
                "https://[::1",
                "https://-h",
            ],
        );
        let fingerprint = "DE15B14486CD377B9E876E1A234654DA9A296436";
        accepts::<Fingerprint>(&[fingerprint], &[&fingerprint[1..], &fingerprint.to_lowercase(), "234654DA9A296436"]);
        accepts::<Login>(&["wizard", "_chrony", "k8s-upgrade", "Ann.B"], &["-a", "1a", "a/b", "a b", &"a".repeat(33)]);
        accepts::<KeyType>(&["ssh-ed25519", "sk-ssh-ed25519@openssh.com"], &["SSH", "ssh ed"]);
        accepts::<KeyBase64>(&["AAAAC3Nz", "AA+/=="], &["=", "AA===", "A-A"]);
        assert!("/a b/ä$(id)'".parse::<HostPath>().is_ok() && "--a=$(id) 'b'".parse::<Flag>().is_ok());
        for text in ["", "a", "/a\nb", "/a\u{1b}[1m", &format!("/{}", "a".repeat(1024))] {
            assert!(text.parse::<HostPath>().is_err(), "{text:?}");
        }
        for text in ["", "-o", "--", "--A", "--a b", "--a=\n", "a", &format!("--a={}", "a".repeat(1024))] {
            assert!(text.parse::<Flag>().is_err(), "{text:?}");
        }
        accepts::<BootId>(
            &["0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e"],
            &["0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e", "0b9c6d1e-4f2a-4c3b-9d8e"],
        );
        accepts::<MachineId>(&["0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e"], &["0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e"]);
        accepts::<Minor>(&["1.36", "1.9"], &["1", "1.36.3", "v1.36", "1.036", "1.99999"]);
    }

    /// Ten thousand words of each kind, of signs that mean something somewhere: what is taken prints back to the letter, and is harmless.
    #[test]
    fn what_is_taken_is_harmless_and_prints_back() {
        fn of<T: FromStr + ToString>(start: &str, also: &str) -> usize {
            const SIGNS: &str = "019aAzf.-_:/@=+~[]$()`'\"\\ \t\n\r\0\u{1b}*?;&|<>#%{}!ä\u{202e}";
            let signs: Vec<char> = SIGNS.chars().collect();
            let mut bits: u64 = 0x5f3a_21bc;
            let mut below = |most: usize| {
                // xorshift: the same every time.
                bits ^= bits << 13;
                bits ^= bits >> 7;
                bits ^= bits << 17;
                usize::try_from(bits).unwrap_or(0) % most
            };
            let mut taken = 0;
            for _ in 0..10_000 {
                // Half of them with one odd sign at most: else hardly any would be taken.
                let reach = if below(2) == 0 { 7 } else { signs.len() };
                let word: String = (0..below(5)).map(|_| signs[below(reach)]).collect();
                let text =
                    format!("{start}{word}{}", if below(3) == 0 { signs[below(signs.len())].to_string() } else { String::new() });
                let Ok(token) = text.parse::<T>() else { continue };
                assert_eq!(token.to_string(), text);
                let harmless = |c: char| c.is_ascii_alphanumeric() || "._:/@=+~-[]".contains(c) || also.contains(c);
                assert!(text.chars().all(harmless), "{text:?}");
                taken += 1;
            }
            taken
        }
        let uuid = "0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e";
        // A path and the value of a flag may hold anything but signs of control; they are quoted wherever a shell reads them.
        let shown = "$()`'\"\\ *?;&|<>#%{}!ä\u{202e}";
        for taken in [
            of::<RunId>("5f3a21bc", ""),
            of::<NodeName>("k8s-node", ""),
            of::<Revision>("1.36.3", ""),
            of::<PackageName>("kube", ""),
            of::<ExactPackage>("kubelet=1", ""),
            of::<Letters>("i", ""),
            of::<Keyword>("active", ""),
            of::<HostPath>("/backup/", shown),
            of::<MemberId>("8e9e05c52164694d", ""),
            of::<Stamp>("2026-11-22T12:04:00Z", ""),
            of::<ImageName>("registry.k8s.io/", ""),
            of::<PackagesUrl>("https://pkgs.k8s.io", ""),
            // It is shown alone.
            of::<SourceUrl>("https://pkgs.k8s.io", "$()`'\"\\*?;&|<>#%{}!,^"),
            of::<Fingerprint>("DE15B14486CD377B9E876E1A234654DA9A296436", ""),
            of::<Login>("wizard", ""),
            of::<KeyType>("ssh-", ""),
            of::<KeyBase64>("AAAA", ""),
            of::<Flag>("--a=", shown),
            of::<BootId>(uuid, ""),
            of::<MachineId>("0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e", ""),
            of::<Minor>("1.3", ""),
        ] {
            assert!(taken > 100, "hardly any was taken: {taken}");
        }
    }

    #[test]
    fn a_word_that_is_none_is_shown_in_part() {
        let error = "x".repeat(100_000).parse::<RunId>().map(drop).map_err(|error| error.to_string());
        let wanted = format!("\"{}…\" is no run id: 8 hexadecimal digits are wanted, for example 5f3a21bc", "x".repeat(SHOWN));
        assert_eq!(error, Err(wanted));
    }
}
