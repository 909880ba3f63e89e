//! The end of the key that proves the nodes' Kubernetes repository. Upstream signs with one key for all minor versions, so every node of every
//! cluster meets its end on one day: upstream prolongs it, and a node believes what it has until it gets it anew.

use jiff::{SignedDuration, Timestamp};

use crate::words::Fingerprint;

/// So long before its end a key is warned of.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// It has ended, or will soon.
pub fn is_near(ends: Timestamp, now: Timestamp) -> bool {
    ends.duration_since(now) <= AHEAD
}

/// Keys that have ended, or will soon, each once, with the nodes that have it so. `keys`: of each node, those with an end.
pub fn ending<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Fingerprint, Timestamp)>, now: Timestamp) -> Vec<String> {
    let mut found: Vec<(&Fingerprint, Timestamp, Vec<&str>)> = Vec::new();
    for (node, key, ends) in keys.into_iter().filter(|(_, _, ends)| is_near(*ends, now)) {
        match found.iter_mut().find(|(other, end, _)| *other == key && *end == ends) {
            Some((_, _, nodes)) => nodes.push(node),
            None => found.push((key, ends, vec![node])),
        }
    }
    let told = |(key, ends, nodes): (&Fingerprint, Timestamp, Vec<&str>)| {
        let when = if ends <= now { "has ended on" } else { "ends on" };
        let day = ends.strftime("%F");
        format!(
            "the key of the Kubernetes repository, {key}, {when} {day} ({}): from then on the package lists are refreshed only once \
             the repository gives the same key, prolonged, which is then put in force; another key waits for package-keys",
            nodes.join(", ")
        )
    };
    found.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_warned_of_a_month_ahead_and_once_for_all_nodes() {
        let key: Fingerprint = "DE15B14486CD377B9E876E1A234654DA9A296436".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let end = at("2026-12-29T00:00:00Z");
        let of = |now: &str| ending([("a", &key, end), ("b", &key, end), ("c", &key, at("2030-01-01T00:00:00Z"))], at(now));
        assert_eq!(of("2026-11-28T23:59:59Z"), [] as [&str; 0]);
        let warned = of("2026-11-29T00:00:00Z");
        assert!(warned.len() == 1 && warned[0].contains(&format!("{key}, ends on 2026-12-29 (a, b)")), "{warned:?}");
        assert!(of("2026-12-29T00:00:00Z")[0].contains("has ended on 2026-12-29 (a, b)"));
    }
}
