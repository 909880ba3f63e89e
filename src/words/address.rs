//! Where a service is: a URL, or a Service of the cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::token::{self, NotAToken, is_label, is_url};
use super::{Namespace, ObjectName};

/// A base URL, without a slash at its end: `https://vault.example:8200`. Neither user nor query, and http only where settings allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url(String);

impl Url {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Url {
    type Err = NotAToken;
    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let base = text.trim_end_matches('/');
        if is_url(base) {
            Ok(Url(base.to_owned()))
        } else {
            Err(token::refused("URL", "https://HOST[:PORT][/PATH] is wanted, for example https://vault.example:8200", text))
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host of a plain http URL.
fn plain_host(url: &str) -> Option<&str> {
    let authority = url.strip_prefix("http://")?.split('/').next().unwrap_or_default();
    Some(match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    })
}

/// Whether what goes to a URL and comes from it can be read and changed by whoever is on the way: http, to another machine.
pub fn is_open(url: &str) -> bool {
    let Some(host) = plain_host(url) else { return false };
    host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a plain http URL names a Service as the cluster's own DNS does: from a pod, what is sent there stays in the cluster.
pub fn is_of_cluster(url: &str) -> bool {
    plain_host(url).is_some_and(|host| host.ends_with(".svc") || host.ends_with(".svc.cluster.local"))
}

/// Where a service of the cluster is: `https://prometheus.example.org`, or `namespace/service:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    Url(Url),
    Service { namespace: String, service: String, port: u16 },
}

impl FromStr for Address {
    type Err = NotAToken;
    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let wanted =
            "a URL without user and query is wanted, or namespace/service:port, for example monitoring/prometheus-server:80";
        let no_address = || token::refused("address of a service", wanted, text);
        if text.contains("://") {
            return text.parse().map(Address::Url).map_err(|_| no_address());
        }
        let parts = text.split_once('/').and_then(|(namespace, rest)| Some((namespace, rest.split_once(':')?)));
        let (namespace, (service, port)) = parts.ok_or_else(no_address)?;
        match token::port(port) {
            Some(port) if is_label(namespace) && is_label(service) => {
                Ok(Address::Service { namespace: namespace.to_owned(), service: service.to_owned(), port })
            }
            _ => Err(no_address()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Url(url) => url.fmt(f),
            Address::Service { namespace, service, port } => write!(f, "{namespace}/{service}:{port}"),
        }
    }
}

/// An object of a namespace: `default/backup-etcd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectPath {
    pub namespace: Namespace,
    pub name: ObjectName,
}

impl FromStr for ObjectPath {
    type Err = NotAToken;
    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let read =
            |(namespace, name): (&str, &str)| Some(ObjectPath { namespace: namespace.parse().ok()?, name: name.parse().ok()? });
        let wanted = "namespace/name is wanted, for example default/backup-etcd";
        text.split_once('/').and_then(read).ok_or_else(|| token::refused("object", wanted, text))
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Reads and writes as text, by its own parser, wherever serde meets it: with `#[serde(try_from = "String", into = "String")]`.
macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl TryFrom<String> for $name {
            type Error = <Self as std::str::FromStr>::Err;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )+};
}
pub(crate) use as_text;
as_text!(Url, Address, ObjectPath);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_service() {
        for (given, printed) in [
            ("http://10.0.0.9:9090/prometheus/", "http://10.0.0.9:9090/prometheus"),
            ("https://[2001:db8::1]:8200", "https://[2001:db8::1]:8200"),
            ("monitoring/prometheus-server:80", "monitoring/prometheus-server:80"),
        ] {
            let address: Address = given.parse().unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(printed.parse(), Ok(address));
        }
        for nonsense in [
            "",
            " ",
            "prometheus",
            "a/b",
            "a/b:",
            "a/b:c",
            "a/b:web",
            "a/b:0",
            "a/b:65536",
            "a/b:080",
            "a/b:c/d",
            "/b:80",
            "A/b:80",
            "a.b/c:80",
            "http://",
            "https:///x",
            "ftp://x",
            "ftp/x y:1",
            "http://h/?q=1",
            "http://h#f",
            "http://h/\n",
            "http://h\u{1b}[1m",
            "http://h/a b",
            "HTTP://h",
            "http://h:99999",
            "http://h/../x",
        ] {
            let error = nonsense.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("namespace/service:port"), "{nonsense:?}: {error}");
        }
        assert!(format!("http://{}", "a".repeat(100_000)).parse::<Address>().is_err());
    }

    /// A password in a URL is refused, and not repeated.
    #[test]
    fn a_password_is_not_repeated() {
        for text in ["http://me:hunter2@h:9090", "https://hunter2@h", "https://me:hunter2@@h/p@q"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("without user"), "{error}");
            assert!(!text.parse::<Url>().unwrap_err().to_string().contains("hunter2"));
        }
    }

    #[test]
    fn http_to_another_machine_is_open() {
        for (url, open) in [
            ("https://10.0.0.9", false),
            ("http://10.0.0.9:8080", true),
            ("http://mirror.example/k8s", true),
            ("http://localhost.example", true),
            ("http://localhost:8080/x", false),
            ("http://127.0.0.2:8080", false),
            ("http://[::1]:8080", false),
            ("http://[2001:db8::1]:8080", true),
        ] {
            assert_eq!(is_open(url), open, "{url}");
        }
    }

    #[test]
    fn a_service_by_its_name_is_of_the_cluster() {
        for (url, inside) in [
            ("http://prometheus.monitoring.svc:9090/x", true),
            ("http://prometheus.monitoring.svc.cluster.local", true),
            ("http://prometheus.monitoring.svc.example.org", false),
            ("http://prometheus.example.org/.svc", false),
            ("http://10.0.0.9:9090", false),
            ("https://prometheus.monitoring.svc", false),
        ] {
            assert_eq!(is_of_cluster(url), inside, "{url}");
        }
    }

    #[test]
    fn an_object_has_a_namespace_and_a_name() {
        assert_eq!("default/backup-etcd".parse::<ObjectPath>().unwrap().to_string(), "default/backup-etcd");
        for nonsense in ["", "/", "backup-etcd", "default/", "/backup-etcd", "a/b/c", "A/b", "a/b\n", "a.b/c"] {
            assert!(nonsense.parse::<ObjectPath>().is_err(), "{nonsense:?}");
        }
    }
}
