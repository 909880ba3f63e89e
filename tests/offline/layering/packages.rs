//! The seam to the package manager: nobody outside of its room names one, and each has all that scripts and people ask of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::source;

/// The room of the seam, and the twin, whose machines have one package manager.
const ROOMS: [&str; 2] = ["packages", "twin"];

/// Every file below a folder, of whatever kind.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The package managers that there are, by their folders.
fn managers() -> Vec<PathBuf> {
    let entries = fs::read_dir(source().join("packages")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// The lines of a text that name a package manager, also as a part of another name: `apt_get`.
fn naming(text: &str) -> Vec<&str> {
    let names = Regex::new(r"(?i)(?:^|[^a-z])(?:apt|dpkg)(?:[^a-z]|$)").unwrap();
    text.lines().filter(|line| names.is_match(line)).collect()
}

#[test]
fn nobody_outside_of_the_seam_names_a_package_manager() {
    let others = below(&source()).into_iter().filter(|path| !ROOMS.iter().any(|room| path.starts_with(source().join(room))));
    let found: Vec<String> = others
        .flat_map(|path| naming(&text(&path)).into_iter().map(|line| format!("{}: {line}", path.display())).collect::<Vec<_>>())
        .collect();
    assert!(
        found.is_empty(),
        "say it by packages::IN_USE, or by a function that every package manager has:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_package_manager_that_is_named_is_found() {
    for (line, count) in
        [("# by APT, as ever", 1), ("run apt_get update", 1), ("dpkg-query -W", 1), ("adapted, aptly", 0), ("captions", 0)]
    {
        assert_eq!(naming(line).len(), count, "{line}");
    }
}

/// Names that begin as those of the seam's functions and variables do, as far as `place` finds them.
fn names(text: &str, place: &str) -> BTreeSet<String> {
    let place = Regex::new(place).unwrap();
    place.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// What scripts call, what is described, and what each package manager has, are the same.
#[test]
fn each_package_manager_has_what_is_asked_of_it() {
    let scripts = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sh");
    let common = source().join("packages/common.sh");
    let asking = below(&source().join("node")).into_iter().filter(scripts).chain([common]);
    let asked: BTreeSet<String> = asking.flat_map(|path| names(&text(&path), r"\b(packages_\w+)")).collect();
    let described = names(&text(&source().join("packages/manager.rs")), r"`(packages_\w+)");
    assert!(asked.len() > 20, "they are not where they are looked for: {asked:?}");
    assert_eq!(asked, described, "what scripts ask, and what src/packages/manager.rs describes");
    for manager in managers() {
        let own: String = below(&manager).iter().filter(|path| scripts(path)).map(|path| text(path)).collect();
        assert_eq!(names(&own, r"(?m)^(packages_\w+)(?:\(\) \{|=)"), described, "{}", manager.display());
    }
}
