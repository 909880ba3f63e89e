//! Tokens that people give, in settings and on the command line.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::line;
use super::token::{NodeName, NotAToken, is_hex, is_label, is_subdomain, is_url, port, refused, tokens};

tokens! {
    /// Of a Kubernetes namespace.
    Namespace, "namespace", "lower-case letters, digits and hyphens are wanted, 63 at most, for example k8s-upgrade", is_label;
    /// Of whatever object the API server names by a DNS name.
    ObjectName, "name of an object", "lower-case letters, digits, hyphens and dots are wanted, 253 at most, for example vault-store", is_subdomain;
    /// What stands before the slash of our annotations.
    AnnotationPrefix, "prefix of annotations", "a DNS name is wanted, 253 bytes at most, for example example.org", is_subdomain;
    /// Where SSH reaches a machine.
    HostAddress, "address of a host", "an IP address or a DNS name is wanted, for example 10.0.20.101", is_host;
    /// A container image that names one build: by its tag, its digest or both.
    ImageRef, "image",
        "NAME:TAG or NAME@sha256:… is wanted, for example docker.io/library/k8s-upgrade:3f9a2c81d07e (`k8s-upgrade image` prints its name)",
        is_image;
    /// A mount or a path of Vault.
    VaultPath, "path in Vault", "letters, digits and . _ - between slashes are wanted, 255 at most, for example team/k8s-upgrade", is_vault_path;
    /// How people call the cluster.
    ClusterName, "name of a cluster", "1 to 63 characters in one line are wanted, for example homelab", |text| is_text(text, 63);
    /// Of a context, a cluster or a user of a kubeconfig: whatever its author chose.
    KubeconfigName, "name in a kubeconfig", "1 to 500 characters in one line are wanted", |text| is_text(text, 500);
    /// Of a user or a group, as the API server knows them. It stands in a header, where what is no ASCII would be read as something else.
    Subject, "name of a user or a group",
        "1 to 500 characters of ASCII in one line are wanted, for example ann or system:masters",
        |text| text.is_ascii() && text.trim() == text && is_text(text, 500);
    /// Of what kubeadm would write over, as `acknowledge` names it.
    LossId, "ID of changes", "hexadecimal digits are wanted, as `k8s-upgrade acknowledge` prints them", |text| (1..=64).contains(&text.len()) && is_hex(text);
    /// Of an addon, as its image is called: the last part of its path, or a folder before that: `cilium`, `calico`, `ingress-nginx/controller`.
    AddonName, "addon", "one to three parts of the path of its image are wanted, without registry and tag, for example cilium or calico/node",
        |text| text.len() <= 128 && text.split('/').count() <= 3 && text.split('/').all(is_image_component);
    /// Of a webhook, as the settings and the Secret call it.
    WebhookName, "name of a webhook", "lower-case letters, digits and hyphens are wanted, 63 at most, for example teams", is_label;
    /// Of a pool of workers, as the settings call it.
    PoolName, "name of a pool", "lower-case letters, digits and hyphens are wanted, 63 at most, for example gpu", is_label;
    /// Whose data a service with many tenants is asked for: `team-a`, behind the header `X-Scope-OrgID`; or with its header, `THANOS-TENANT: team-a`.
    Tenant, "tenant",
        "TENANT or HEADER: TENANT is wanted, for example team-a or THANOS-TENANT: team-a; the header begins with X- or THANOS- and names a \
         tenant or an org, a tenant has letters, digits and ! - _ . * ' ( ), 150 at most, with | between several",
        is_tenant;
    /// On an object, for whoever selects by it: `release=kube-prometheus-stack`.
    Label, "label", "KEY=VALUE is wanted, as Kubernetes takes them, for example release=kube-prometheus-stack", is_assigned_label;
    /// A page that people open, perhaps at one of its headings; the program itself never asks for it.
    PageUrl, "URL of a page", "https://HOST[:PORT][/PATH][#HEADING] is wanted, for example https://git.example/k8s-upgrade/README.md#troubleshooting",
        |text| {
            let (page, heading) = text.split_once('#').map_or((text, None), |(page, heading)| (page, Some(heading)));
            let inner = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
            is_url(page.strip_suffix('/').unwrap_or(page)) && text.len() <= 512
                && heading.is_none_or(|heading| !heading.is_empty() && heading.bytes().all(inner))
        };
    /// Why somebody does something, for whoever meets it.
    Reason, "reason", "1 to 500 characters in one line are wanted", |text| is_text(text, 500);
}

/// A node or a pool of workers, as somebody has typed it: `k8s-node4`, `gpu`; `node/k8s-node4` and `pool/gpu` say which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeOrPool {
    Node(NodeName),
    Pool(PoolName),
    /// What could be a pool's name could be that of a node, too.
    Either(NodeName),
}

impl fmt::Display for NodeOrPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeOrPool::Node(name) => write!(f, "node/{name}"),
            NodeOrPool::Pool(name) => write!(f, "pool/{name}"),
            NodeOrPool::Either(name) => write!(f, "{name}"),
        }
    }
}

impl FromStr for NodeOrPool {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        match text.split_once('/') {
            Some(("pool", name)) => name.parse().map(NodeOrPool::Pool),
            Some(("node", name)) => name.parse().map(NodeOrPool::Node),
            _ => text.parse().map(NodeOrPool::Either),
        }
    }
}

/// One line of at most this many characters, none of which a terminal obeys or hides.
fn is_text(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().nth(most).is_none() && line(text) == text
}

/// A name whose last label is a number is no name but a mistyped IP address.
fn is_host(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.parse::<std::net::IpAddr>().is_ok() || (is_subdomain(text) && !last.bytes().all(|b| b.is_ascii_digit()))
}

impl Label {
    /// Key and value.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('=').unwrap_or((&self.0, ""))
    }
}

/// A key, with a prefix or without, and a value: both within what Kubernetes takes.
fn is_assigned_label(text: &str) -> bool {
    let name = |text: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
        text.len() <= 63 && end(text.bytes().next()) && end(text.bytes().last()) && text.bytes().all(inner)
    };
    let key = |text: &str| match text.split_once('/') {
        Some((prefix, rest)) => is_subdomain(prefix) && name(rest),
        None => name(text),
    };
    text.split_once('=').is_some_and(|(of, value)| key(of) && name(value))
}

impl Tenant {
    /// The header that names it, and what stands in it.
    pub fn header(&self) -> (&str, &str) {
        self.0.split_once(": ").unwrap_or(("X-Scope-OrgID", &self.0))
    }
}

/// Its header names a tenant or an organisation: one that says who asks, or by which way, whoever stands before the service would obey.
fn is_tenant(text: &str) -> bool {
    let (header, tenants) = match text.split_once(": ") {
        Some((header, tenants)) => (header.to_ascii_lowercase(), tenants),
        None => (String::from("x-scope-orgid"), text),
    };
    let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let names =
        (header.starts_with("x-") || header.starts_with("thanos-")) && (header.contains("tenant") || header.contains("org"));
    let named = names && header.len() <= 64 && header.bytes().all(token);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    let tenant = |tenant: &str| (1..=150).contains(&tenant.len()) && ![".", ".."].contains(&tenant) && tenant.bytes().all(inner);
    named && text.len() <= 1024 && tenants.split('|').all(tenant)
}

fn is_vault_path(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let segment = |segment: &str| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain);
    text.len() <= 255 && text.split('/').all(segment)
}

/// The grammar of container registries. A reference without tag and digest is `latest`: nobody would know which build that is.
fn is_image(text: &str) -> bool {
    let (named, digest) = text.split_once('@').map_or((text, None), |(named, digest)| (named, Some(digest)));
    // A colon before the last slash is a port's.
    let name_from = named.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match named[name_from..].find(':') {
        Some(colon) => (&named[..name_from + colon], Some(&named[name_from + colon + 1..])),
        None => (named, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, name),
    };
    let pinned = tag.is_some() || digest.is_some();
    text.len() <= 512
        && pinned
        && registry.is_none_or(is_registry)
        && path.split('/').all(is_image_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_hex(hex)))
}

fn is_registry(text: &str) -> bool {
    let (host, number) = text.split_once(':').map_or((text, None), |(host, number)| (host, Some(number)));
    is_subdomain(&host.to_ascii_lowercase()) && number.is_none_or(|number| port(number).is_some())
}

/// Words of lower-case letters and digits, with `.`, `_`, `__` or hyphens between.
fn is_image_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(word) && text.bytes().last().is_some_and(word);
    let mut between = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|between| !between.is_empty());
    ends && between.all(|between| [".", "_", "__"].contains(&between) || between.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = text.bytes().next().is_some_and(word);
    first && text.len() <= 128 && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fmt::Debug;

    use super::*;

    #[test]
    fn what_people_give_is_held_to_its_grammar() {
        fn accepts<T: FromStr<Err: Debug> + ToString>(good: &[&str], bad: &[&str]) {
            for text in good {
                assert_eq!(text.parse::<T>().unwrap().to_string(), *text);
            }
            let never = ["", " ", "a\nb", "a\tb", "a\u{1b}[1m", "\0", "a\u{202e}b"];
            for text in bad.iter().chain(&never) {
                assert!(text.parse::<T>().is_err(), "{text:?}");
            }
            assert!("a".repeat(100_000).parse::<T>().is_err());
        }
        let hex = "0".repeat(64);
        accepts::<Namespace>(&["k8s-upgrade", "a", "0"], &["A B", "A", "../x", "a.b", "-a", "a-", &"a".repeat(64)]);
        accepts::<ObjectName>(&["vault-store", "a.b"], &["A", "a/b", "a..b", &"a".repeat(254)]);
        accepts::<AnnotationPrefix>(&["viktorbarzin.me"], &["a/b", "A.me", ".me", &"a".repeat(254)]);
        accepts::<HostAddress>(
            &["10.0.20.101", "2001:db8::1", "node4.example.org", "node4"],
            &["10.0.20.300", "10.0.20", "10.0.20.101:22", "wizard@node4", "[::1]", "-oProxyCommand=x", "a/b", "4"],
        );
        accepts::<ImageRef>(
            &[
                "docker.io/library/k8s-upgrade:3f9a2c81d07e",
                "example.org/k8s-upgrade:1",
                "localhost:5000/a_b/c__d:v1.0",
                "k8s-upgrade:1",
                &format!("r.test/a@sha256:{hex}"),
                &format!("r.test/a:1@sha256:{hex}"),
            ],
            &[
                "k8s-upgrade",
                "r.test/a",
                "r.test:5000/a",
                "r.test/a:",
                "r.test/A:1",
                "r.test/a b:1",
                "r.test/a:-1",
                "r.test/../a:1",
                "r.test//a:1",
                "r.test:0/a:1",
                "r.test/a_-b:1",
                "r.test/a@sha256:00ff",
                "a:1 --privileged",
                "a:1\n",
            ],
        );
        accepts::<VaultPath>(&["secret", "kv/team", "a.b_c-d"], &["/secret", "secret/", "a//b", "../x", "a/..", "a b", "a?b"]);
        accepts::<ClusterName>(&["kubernetes", "Zürich 1"], &[&"ä".repeat(64)]);
        accepts::<Label>(
            &["release=kube-prometheus-stack", "prometheus.io/team=A_1.b"],
            &["a", "a=", "=a", "a=b=c", "a=-b", "A.b/c/d=e", "-a=b", "a b=c", &format!("a={}", "b".repeat(64))],
        );
        accepts::<PageUrl>(
            &["https://a.example", "http://10.0.0.9:8080/k8s-upgrade/", "https://a.example/b/README.md#troubleshooting"],
            &[
                "a.example",
                "https://a.example/b?c",
                "https://a.example#",
                "https://ann@a.example/b",
                "https://a.example/#a b",
                "javascript:a",
            ],
        );
        accepts::<Reason>(&["its disk is being replaced", &"ä".repeat(500)], &[&"a".repeat(501)]);
        accepts::<AddonName>(
            &["cilium", "calico/node", "a.b_c-d/e/f"],
            &["Cilium", "a/b/c/d", "/a", "a/", "a:1", "a b", "-a", "a@b"],
        );
        accepts::<Tenant>(
            &["team-a", "a|b", "THANOS-TENANT: team-a", "X-Tenant: (a)'s_1.*!", "x-scope-orgid: 1"],
            &[
                ".",
                "a||b",
                "a b",
                "a:b",
                "a: b",
                "Authorization: Bearer x",
                "Impersonate-User: admin",
                "Cookie: a",
                "Host: a",
                "X-Remote-User: admin",
                "X-Forwarded-For: 127.0.0.1",
                "X-: a",
                "Tenant: a",
                "X-Tenant:a",
                "X-Tenant: ",
                "X-Tenant A: a",
                "X-Tenant: a\r\nB: c",
                "ä",
                &"a".repeat(151),
            ],
        );
        assert_eq!("team-a".parse::<Tenant>().unwrap().header(), ("X-Scope-OrgID", "team-a"));
        assert_eq!("THANOS-TENANT: a".parse::<Tenant>().unwrap().header(), ("THANOS-TENANT", "a"));
        accepts::<KubeconfigName>(&["ann@prod", "arn:aws:eks:eu-central-1:1:cluster/prod"], &[]);
        accepts::<Subject>(&["ann", "system:serviceaccount:k8s-upgrade:k8s-upgrade-job", "Ann Example"], &["ä", " ann", "ann "]);
    }
}
