//! What SECURITY.md says is shown, is there.

use std::path::Path;

const FILE: &str = include_str!("../../.github/SECURITY.md");

/// Cells of the rows of the table that stands under a heading, but for its head.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
    let cells = |line: &'a str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

/// What stands in backticks and is a place in the repository: `tests/offline/ssh.rs`, or `tests/offline/ssh.rs::a_test`.
fn places(text: &str) -> Vec<&str> {
    let ours = |word: &&str| ["tests/", "src/"].iter().any(|folder| word.starts_with(folder)) && !word.contains(' ');
    text.split('`').skip(1).step_by(2).filter(ours).collect()
}

/// Why a place is none.
fn missing(root: &Path, place: &str) -> Option<String> {
    let (path, test) = place.split_once("::").map_or((place, None), |(path, test)| (path, Some(test)));
    if !root.join(path).exists() {
        return Some(format!("{path} does not exist"));
    }
    let test = test?;
    let there = std::fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains(&format!("fn {test}(")));
    (!there).then(|| format!("{path} has no {test}"))
}

#[test]
fn every_place_exists_and_every_actor_has_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lost: Vec<String> = places(FILE).into_iter().filter_map(|place| missing(root, place)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    let actors = rows(FILE, "Who can become what");
    assert!(actors.len() >= 10, "{actors:?}");
    for actor in actors {
        assert!(actor.len() == 4 && !places(actor[3]).is_empty(), "no test is named for: {}", actor[0]);
    }
    for (place, why) in [("src/gone.rs", "src/gone.rs does not exist"), ("src/lib.rs::gone", "src/lib.rs has no gone")] {
        assert_eq!(missing(root, place).as_deref(), Some(why));
    }
}
