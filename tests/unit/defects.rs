//! The defects that prove the simulations (`tests/defects` puts each into a copy of the program): their list does not rot unseen between two
//! proofs, which take hours.

use std::path::Path;

/// File and quoted lines of each edit.
fn edits(defect: &str) -> Vec<(&str, &str)> {
    let mut place = "";
    let mut edits = Vec::new();
    for part in defect.split("\n>>>") {
        let Some((head, rest)) = part.split_once("\n<<<\n") else { continue };
        place = head.lines().rev().find_map(|line| line.strip_prefix("in ")).unwrap_or(place);
        edits.push((place, rest.split_once("\n===").map_or("", |(lines, _)| lines)));
    }
    edits
}

#[test]
fn the_lines_of_each_stand_exactly_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in std::fs::read_dir(root.join("tests/sim/defects")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let edits = edits(&text);
        if edits.is_empty() || !text.lines().any(|line| line.starts_with("test ")) {
            wrong.push(format!("{name}: no edit, or no test"));
        }
        for (place, lines) in edits {
            seen += 1;
            let there = std::fs::read_to_string(root.join(place)).map_or(0, |source| source.matches(lines).count());
            if there != 1 {
                wrong.push(format!("{name}: {there} times in {place}, not once:\n{lines}"));
            }
        }
    }
    assert!(seen > 90, "only {seen} edits were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
