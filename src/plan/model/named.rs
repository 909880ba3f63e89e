//! Names of objects that are made of other names, however long those are.

use sha2::{Digest, Sha256};

/// Of a Job, whose name becomes a label value of its pods.
const LABEL: usize = 63;
/// Of whatever else the API server names by a DNS name.
const SUBDOMAIN: usize = 253;
/// Hex digits of the hash that ends a shortened name.
const HASH: usize = 10;

/// `prefix-rest` as a DNS label. Where that is too long or `rest` is no label itself, it is shortened and ends in a hash of `rest`. Names
/// that look as if they had been shortened are, too, so that two of them are never the same.
pub fn label(prefix: &str, rest: &str) -> String {
    short(prefix, rest, LABEL, |b| b == b'-')
}

/// The same as a DNS name, which may have dots.
pub fn subdomain(prefix: &str, rest: &str) -> String {
    short(prefix, rest, SUBDOMAIN, |b| b == b'-' || b == b'.')
}

fn short(prefix: &str, rest: &str, longest: usize, between: fn(u8) -> bool) -> String {
    let plain = rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || between(b)) && !rest.ends_with(['-', '.']);
    let hashed = |text: &str| text.len() == HASH && text.bytes().all(|b| b.is_ascii_hexdigit());
    let imitates = rest.rsplit('-').next().is_some_and(hashed);
    if plain && !rest.is_empty() && !imitates && prefix.len() + 1 + rest.len() <= longest {
        return format!("{prefix}-{rest}");
    }
    let hash: String =
        Sha256::digest(rest).iter().map(|byte| format!("{byte:02x}")).collect::<String>().chars().take(HASH).collect();
    let room = longest.saturating_sub(prefix.len() + HASH + 2);
    let readable: String =
        rest.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(room).collect();
    match readable.trim_matches('-') {
        "" => format!("{prefix}-{hash}"),
        readable => format!("{prefix}-{readable}-{hash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::LEASE_PREFIX;

    #[test]
    fn a_lease_is_named_after_its_node_however_long_that_name_is() {
        assert_eq!(subdomain(LEASE_PREFIX, "k8s-node4"), "k8s-upgrade-node-k8s-node4");
        assert_eq!(subdomain(LEASE_PREFIX, "n4.example.org"), "k8s-upgrade-node-n4.example.org");
        let fits = "n".repeat(SUBDOMAIN - LEASE_PREFIX.len() - 1);
        assert_eq!(subdomain(LEASE_PREFIX, &fits), format!("{LEASE_PREFIX}-{fits}"));
        let long = |end: char| format!("{}.{}.{}.{}{end}", "n".repeat(63), "n".repeat(63), "n".repeat(63), "n".repeat(60));
        let (a, b) = (subdomain(LEASE_PREFIX, &long('a')), subdomain(LEASE_PREFIX, &long('b')));
        assert!(a.len() <= SUBDOMAIN && a != b && a.starts_with("k8s-upgrade-node-nnn"), "{a}\n{b}");
        // A node that is called what another's Lease is cut to.
        let imitator = a.trim_start_matches("k8s-upgrade-node-");
        assert_ne!(subdomain(LEASE_PREFIX, imitator), a);
    }
}
