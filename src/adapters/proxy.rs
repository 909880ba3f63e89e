//! Which proxy a connection goes through: one policy for the API server and for HTTP alike.
//!
//! HTTPS_PROXY and HTTP_PROXY name one for URLs of that scheme, NO_PROXY (as curl reads it) the hosts that are reached without; each also
//! in lower case, the upper first. This machine itself and the cluster's Services are never asked through one.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::world::Env;

/// As the environment names them; the default has none.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Uri>,
    https: Option<Uri>,
    /// Says of a URL whether NO_PROXY leaves it to a proxy at all; where there is none there is nothing to say.
    through: Option<Arc<Matcher>>,
}

/// Never the proxies: a password may be among what names them.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxies(http: {}, https: {})", self.http.is_some(), self.https.is_some())
    }
}

impl Proxies {
    /// What the environment says.
    ///
    /// # Errors
    /// A variable names no proxy that can be used. Its value is not repeated: a password may be in it.
    pub fn new(env: &Env) -> Result<Self, String> {
        let no = var(env, "NO_PROXY").map_or("", |(_, hosts)| hosts);
        let http = var(env, "HTTP_PROXY").map(|(name, value)| proxy(name, value)).transpose()?;
        let https = var(env, "HTTPS_PROXY").map(|(name, value)| proxy(name, value)).transpose()?;
        Ok(Proxies { http, https, through: Some(Arc::new(Matcher::builder().all("http://any").no(no).build())) })
    }

    /// The proxy of a URL, with user and password where it wants them.
    pub fn of(&self, url: &Uri) -> Option<&Uri> {
        let proxy = match url.scheme_str() {
            Some("https") => self.https.as_ref()?,
            _ => self.http.as_ref()?,
        };
        let through = self.through.as_ref().is_none_or(|matcher| matcher.intercept(url).is_some());
        Some(proxy).filter(|_| through && !is_near(url.host().unwrap_or_default()))
    }
}

/// One variable, in upper or lower case; an empty one says nothing.
fn var<'a>(env: &'a Env, name: &'static str) -> Option<(&'static str, &'a str)> {
    let value = env.get(name).filter(|value| !value.trim().is_empty()).or_else(|| env.get(&name.to_lowercase()))?;
    Some((name, value.trim())).filter(|(_, value)| !value.is_empty())
}

/// A proxy's URL; without a scheme it is one of HTTP.
///
/// # Errors
/// Names `source` and not the value.
pub(super) fn proxy(source: &str, value: &str) -> Result<Uri, String> {
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let uri = whole.parse::<Uri>().ok().filter(|uri| {
        uri.host().is_some_and(|host| !host.is_empty()) && matches!(uri.scheme_str(), Some("http" | "https" | "socks5"))
    });
    uri.ok_or_else(|| format!("{source} names no proxy: http://, https:// or socks5://, a host and a port are wanted"))
}

/// This machine, or a Service of the cluster by the name that it has in a pod.
fn is_near(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
    let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    host == "localhost" || loopback || host.ends_with(".svc") || host.contains(".svc.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn asked(pairs: &[(&str, &str)], url: &str) -> Option<String> {
        Proxies::new(&env(pairs)).unwrap().of(&url.parse().unwrap()).map(ToString::to_string)
    }

    #[test]
    fn the_scheme_chooses_and_no_proxy_excepts() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "h:2"), ("NO_PROXY", "10.0.0.0/8, .example.org,fd00::/8")];
        let (https, http) = (Some("http://s:1/".to_owned()), Some("http://h:2/".to_owned()));
        for (url, wanted) in [
            ("https://pkgs.k8s.io", &https),
            ("http://prometheus:9090", &http),
            ("https://11.0.0.1:6443", &https),
            ("https://10.96.0.1", &None),
            ("https://[fd00::1]:6443", &None),
            ("https://api.example.org", &None),
            ("https://example.org", &None),
            ("https://notexample.org", &https),
            ("https://localhost:6443", &None),
            ("https://127.0.0.1:6443", &None),
            ("https://[::1]:6443", &None),
            ("http://prometheus.monitoring.svc:80", &None),
            ("http://prometheus.monitoring.svc.cluster.local:80", &None),
            ("http://prometheus.monitoring.svc.cluster.local.:80", &None),
            ("https://svc.example.com", &https),
        ] {
            assert_eq!(&asked(&both, url), wanted, "{url}");
        }
        assert_eq!(asked(&[("HTTPS_PROXY", "http://s:1"), ("no_proxy", "*")], "https://pkgs.k8s.io"), None);
        assert_eq!(asked(&[("HTTPS_PROXY", ""), ("https_proxy", "http://low:1")], "https://x.y"), Some("http://low:1/".into()));
        assert_eq!(asked(&[("HTTP_PROXY", "http://h:2")], "https://x.y"), None);
        assert_eq!(asked(&[], "https://x.y"), None);
    }

    #[test]
    fn what_is_no_proxy_is_told_without_its_value() {
        for value in ["ftp://me:SECRET@x", "http://", "SECRET x", "http://SECRET x", "socks4://SECRET", "://SECRET"] {
            let why = Proxies::new(&env(&[("https_proxy", value)])).unwrap_err();
            assert!(why.contains("HTTPS_PROXY") && !why.contains("SECRET"), "{why}");
        }
        let with = Proxies::new(&env(&[("HTTPS_PROXY", "http://me:SECRET@x:1")])).unwrap();
        assert!(!format!("{with:?}").contains("SECRET"));
    }
}
