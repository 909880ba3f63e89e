//! The defects that prove the simulations (`tests/defects` puts each into a copy of the program, and says what one looks like): their list
//! does not rot unseen between two proofs, which take hours.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What is wrong with a defect.
fn complaints(defect: &str) -> Vec<String> {
    let (head, diff) = match defect.find("\ndiff --git ") {
        Some(at) => defect.split_at(at),
        None => (defect, ""),
    };
    let mut wrong = Vec::new();
    let (why, trailers) = head.trim_end().split_once("\n\n").unwrap_or_default();
    if why.trim().is_empty() {
        wrong.push("no word on what is wrong, or no trailer behind it".to_owned());
    }
    let mut tests = 0;
    for line in trailers.lines() {
        match line.split_once(": ") {
            Some(("Test", test)) => {
                tests += 1;
                if !exists(test) {
                    wrong.push(format!("there is no test {test}"));
                }
            }
            Some(("Set", set)) if set.split_once('=').is_some_and(|(name, _)| !name.is_empty()) => {}
            _ => wrong.push(format!("not understood: {line}")),
        }
    }
    if tests == 0 {
        wrong.push("it names no test".to_owned());
    }
    wrong.extend(refused(diff));
    wrong
}

/// What git says to a patch that does not apply to the program as it stands here, in a repository or not. (Asked in a folder of another
/// repository, it would pass by every patch in silence: so it is told of none.)
fn refused(diff: &str) -> Option<String> {
    let mut git = Command::new("git")
        .args(["apply", "--check", "--whitespace=nowarn", "-"])
        .current_dir(ROOT)
        .env("GIT_DIR", "/dev/null")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git is needed");
    git.stdin.take().unwrap().write_all(diff.as_bytes()).unwrap();
    let output = git.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether there is a test of that name, as a defect writes it.
fn exists(test: &str) -> bool {
    let (folder, path) = match test.split_once(':') {
        Some(("offline", path)) if !path.starts_with(':') => ("tests/offline", path),
        Some(("lib", path)) if !path.starts_with(':') => ("src", path),
        _ => ("tests/sim", test),
    };
    let Some((modules, name)) = path.rsplit_once("::") else { return false };
    let mut folder = Path::new(ROOT).join(folder);
    let mut text = String::new();
    for module in modules.split("::") {
        // The last: tests may have a file beside what they test.
        let beside = folder.file_name().map(|of| folder.with_file_name(format!("{}_{module}.rs", of.to_string_lossy())));
        let files = [folder.join(format!("{module}.rs")), folder.join(module).join("mod.rs")];
        match files.into_iter().chain(beside).find_map(|file| std::fs::read_to_string(file).ok()) {
            Some(found) => text = found,
            // It stands in the file of the one around it.
            None if text.contains(&format!("mod {module} {{")) => {}
            None => return false,
        }
        folder.push(module);
    }
    let function = format!("fn {name}()");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.trim_start_matches("pub ").starts_with(&function)) else { return false };
    lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[test]")
}

#[test]
fn each_applies_and_names_its_test() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in std::fs::read_dir(Path::new(ROOT).join("tests/sim/defects")).unwrap() {
        let path = file.unwrap().path();
        seen += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "patch") {
            wrong.push(format!("{name}: no .patch"));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        wrong.extend(complaints(&text).into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(seen > 70, "only {seen} defects were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_that_has_rotted_is_told() {
    let test = "Test: offline:defects::one_that_has_rotted_is_told\n";
    let diff = "\ndiff --git a/rustfmt.toml b/rustfmt.toml\n--- a/rustfmt.toml\n+++ b/rustfmt.toml\n@@ -1 +1,2 @@\n";
    let first = std::fs::read_to_string(Path::new(ROOT).join("rustfmt.toml")).unwrap().lines().next().unwrap().to_owned();
    let there = format!("{diff}+# odd\n {first}\n");
    assert_eq!(complaints(&format!("It is odd.\n\n{test}Set: SEED=1\n{there}")), [""; 0]);
    let gone = format!("{diff}+# odd\n such a line is not there\n");
    let cases = [
        (format!("It is odd.\n\n{test}{gone}"), "patch does not apply"),
        (format!("It is odd.\n\n{test}"), "No valid patches"),
        (format!("It is odd.\n\n{test}{}", there.replace("rustfmt.toml", "src/gone.rs")), "No such file"),
        (format!("It is odd.\n\nTest: proof::gone\n{there}"), "there is no test proof::gone"),
        (format!("It is odd.\n\nTest: gone::one\n{there}"), "there is no test gone::one"),
        // It is a function, and no test.
        (format!("It is odd.\n\nTest: offline:defects::complaints\n{there}"), "there is no test offline:defects::complaints"),
        (format!("It is odd.\n\nSet: SEED=1\n{there}"), "it names no test"),
        (format!("It is odd.\n\n{test}Set: SEED\n{there}"), "not understood: Set: SEED"),
        (format!("{test}{there}"), "no word on what is wrong"),
    ];
    for (defect, told) in cases {
        let said = complaints(&defect).join("\n");
        assert!(said.contains(told), "not told: {told}\n{said}\nof:\n{defect}");
    }
}
