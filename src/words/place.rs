//! Where a URL leads, for messages: never its user, its password or its path, for each may be a secret.

/// Scheme, host and port of a URL; a text that is none is not repeated.
pub fn place(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "(no URL)".to_owned() };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = if host.is_empty() { "(no host)" } else { host };
    super::line(&format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_port_are_told() {
        for (url, wanted) in [
            ("https://hooks.slack.example/services/T0/B0/SECRET", "https://hooks.slack.example"),
            ("https://me:SECRET@10.0.0.1:6443/base", "https://10.0.0.1:6443"),
            ("https://me:SECRET@x@10.0.0.1", "https://10.0.0.1"),
            ("http://[fd00::1]:9090?q=SECRET", "http://[fd00::1]:9090"),
            ("http://h#SECRET", "http://h"),
            ("http://SECRET@", "http://(no host)"),
            ("SECRET", "(no URL)"),
            ("me:SECRET@h", "(no URL)"),
            ("http://a\u{1b}[1mb\n", "http://ab "),
        ] {
            assert_eq!(place(url), wanted, "{url}");
        }
    }
}
