//! What a change of timing would rewrite in every golden file: times, ages, the random ends of names, and who of several is first.

use std::sync::LazyLock;

use regex::Regex;

pub const SPAN: &str = r"\d+(?:d|h|m|s|ms)(?: \d\d?[hms])?";

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        // Progress begins with the time.
        (r"(?m)^\d\d:\d\d:\d\d  ".to_owned(), ""),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC)".to_owned(), "<time>"),
        (r"\d\d:\d\d:\d\d( UTC)?".to_owned(), "<time>"),
        (r"etcd-\d{8}-\d{6}".to_owned(), "etcd-<time>"),
        (format!(r"{SPAN}( ago| so far| left| now| more\))"), "<span>$1"),
        (format!(r"(?m)(, |, for |done, |done after ){SPAN}($| \()"), "$1<span>$2"),
        // A process of a person; the ends that controllers give; the id of a run.
        (r"operator-[0-9a-f]{8}".to_owned(), "ann"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b".to_owned(), "-<pod>"),
        (r#"("id": ?|run )"[0-9a-f]{8}""#.to_owned(), r#"$1"<run>""#),
    ];
    masks.into_iter().map(|(pattern, mask)| (Regex::new(&pattern).unwrap(), mask)).collect()
});

pub fn masked(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (pattern, mask)| pattern.replace_all(&text, *mask).into_owned())
}

/// Lines that several nodes say at once by their names, for who is first means nothing; and a drain as one line, however often it is told.
pub fn in_order(text: &str) -> String {
    static DRAIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(.*drain): \d+ of \d+ pods left.*$").unwrap());
    let drained = |line: &str| DRAIN.replace(line, "$1: <n> of <n> pods left …").into_owned();
    let mut lines: Vec<String> = text.lines().map(drained).collect();
    lines.dedup_by(|line, before| line == before && line.ends_with(" pods left …"));
    by_place(&mut lines, |line| {
        let (place, what) = line.split_once("  ").filter(|(place, _)| place.starts_with("k8s-")).unwrap_or(("", line));
        let step = what.split_once(" … (at most ").or_else(|| what.split_once(": done, ")).map_or(what, |(step, _)| step);
        (place, step)
    });
    lines.join("\n")
}

/// Neighbours of which the same is told, by their places; what is told of one place stays as it was.
pub fn by_place<T>(items: &mut [T], of: impl for<'a> Fn(&'a T) -> (&'a str, &'a str)) {
    for alike in items.chunk_by_mut(|one, next| of(one).1 == of(next).1) {
        alike.sort_by(|one, other| of(one).0.cmp(of(other).0));
    }
}

#[test]
fn what_several_nodes_say_at_once_is_in_the_order_of_their_names() {
    let said = "preflight  gate release: pass\n\
                k8s-node2  host key learned\n\
                k8s-node1  host key learned\n\
                k8s-node2  prefetch … (at most 31m 00s)\n\
                k8s-node1  prefetch … (at most 31m 00s)\n\
                k8s-node2  prefetch: done, <span>\n\
                k8s-node1  prefetch: done, <span>\n\
                k8s-node2  cordon: done, <span>\n\
                k8s-node1  drain … (at most 30m 00s)\n\
                k8s-node1  drain: 6 of 6 pods left; held: web/shop (PDB web/shop allows 0)\n\
                k8s-node1  drain: 1 of 6 pods left\n\
                k8s-node1  drain: done, <span>";
    let left = "preflight  gate release: pass\n\
                k8s-node1  host key learned\n\
                k8s-node2  host key learned\n\
                k8s-node1  prefetch … (at most 31m 00s)\n\
                k8s-node1  prefetch: done, <span>\n\
                k8s-node2  prefetch … (at most 31m 00s)\n\
                k8s-node2  prefetch: done, <span>\n\
                k8s-node2  cordon: done, <span>\n\
                k8s-node1  drain … (at most 30m 00s)\n\
                k8s-node1  drain: <n> of <n> pods left …\n\
                k8s-node1  drain: done, <span>";
    assert_eq!(in_order(said), left);
}

#[test]
fn what_changes_with_time_is_masked_and_the_rest_is_not() {
    let said = "12:04:05  k8s-node4  drain: done, 3ms\n\
                halt  upgrades are halted by operator-0123abcd at 2026-11-22 12:04 UTC: disks (at most 1m 00s)\n  \
                k8s-node3  worker  1.34.2  draining: 3 of 8 pods left, 1m 12s\n  \
                lease   k8s-node3: held by k8s-upgrade-worker-1-34-7-k8s-node3-85nnj, renewed 1s ago, within the last 60s\n  \
                started 1h 05m ago (12:00:11 UTC) {\"id\": \"61edd57a\", \"at\": \"2026-11-22T12:05:46.489Z\"} etcd-20261122-120016.db";
    let left = "k8s-node4  drain: done, <span>\n\
                halt  upgrades are halted by ann at <time>: disks (at most 1m 00s)\n  \
                k8s-node3  worker  1.34.2  draining: 3 of 8 pods left, <span>\n  \
                lease   k8s-node3: held by k8s-upgrade-worker-1-34-7-k8s-node3-<pod>, renewed <span> ago, within the last 60s\n  \
                started <span> ago (<time>) {\"id\": \"<run>\", \"at\": \"<time>\"} etcd-<time>.db";
    assert_eq!(masked(said), left);
}
