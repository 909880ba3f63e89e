//! What a person is to paste is quoted: every command that is shown and is not all our own is made by `command!` or `ssh`.

use std::path::Path;

use regex::Regex;

/// Programs that a person types. A text that begins with one and has holes is a command.
const TYPED: &str = "kubectl|ssh|ssh-keygen|ssh-keyscan|scp|k8s-upgrade|vault|df|cp|mv|rm|sudo|systemctl|journalctl|apt-get|etcdutl|etcdctl|crictl|dpkg";

/// Rooms whose texts are scripts of their own, or no program's but the sanitiser's.
const OTHERS: [&str; 4] = ["node", "twin", "adapters", "words"];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        if path.is_dir() {
            let other = OTHERS.iter().any(|room| shown == format!("src/{room}"));
            if !other {
                sources(&path, found);
            }
        } else if shown.ends_with(".rs") && !shown.ends_with("tests.rs") && !shown.starts_with("src/node") {
            let text = std::fs::read_to_string(&path).unwrap();
            let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            found.push((shown, own));
        }
    }
}

/// Where a command is put together with words that nobody has quoted.
fn unquoted(source: &str) -> Vec<String> {
    let holes = Regex::new(r"\{[^{}]*\}").unwrap();
    let typed = Regex::new(&format!(r"^(?:\{{\}} )?(?:{TYPED}) [^ ]")).unwrap();
    let text = r##"\(\s*&?r?#?"((?:[^"\\]|\\.)*)""##;
    let mut found = Vec::new();
    for call in Regex::new(&format!("format!{text}")).unwrap().captures_iter(source) {
        let text = &call[1];
        if typed.is_match(text) && holes.is_match(&text.replace("{{", "").replace("}}", "")) {
            found.push(text.to_owned());
        }
    }
    // A whole command may get a comment, and `ssh` what is typed there; nothing else is put together where a next step is told.
    let fixed = Regex::new(r"^\{\w*\} +#|^\{ssh\} [^{}]*$").unwrap();
    for call in Regex::new(&format!(r#"next\((?:[^()"]*,\s*"[^"]*",\s*)?&?format!{text}"#)).unwrap().captures_iter(source) {
        if !fixed.is_match(&call[1]) {
            found.push(call[1].to_owned());
        }
    }
    // What the holes of a format take from around it is out of the macro's sight.
    for call in Regex::new(&format!("command!{text}")).unwrap().captures_iter(source) {
        if holes.find_iter(&call[1]).any(|hole| hole.as_str() != "{}") {
            found.push(call[1].to_owned());
        }
    }
    found
}

#[test]
fn every_command_that_is_shown_is_quoted() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let found: Vec<String> =
        all.iter().flat_map(|(file, text)| unquoted(text).into_iter().map(move |text| format!("{file}: {text}"))).collect();
    assert!(found.is_empty(), "make these with words::command! or words::ssh:\n{}", found.join("\n"));
    let made = all.iter().map(|(_, text)| text.matches("command!(").count()).sum::<usize>();
    assert!(made > 40, "only {made} commands are found: the test looks in the wrong place");
}

#[test]
fn what_is_not_quoted_is_found() {
    for (source, count) in [
        (r#"format!("kubectl get node {name}")"#, 1),
        ("format!(\n    \"ssh {}@{}\",\n    user, host)", 1),
        (r#"cause.next(format!("{name} --help"))"#, 1),
        (r#"session.next(PLACE, "go on with", &format!("{} x", y))"#, 1),
        (r#"command!("kubectl get node {name}", other)"#, 1),
        (r#"format!("kubectl is away: {why}")"#, 1),
        (r#"cause.next(format!("{ssh}      # why"))"#, 0),
        (r#"command!("kubectl get node {}", name)"#, 0),
        (r#"format!("the kubectl of {name}")"#, 0),
        (r#"cause.next("kubectl get nodes")"#, 0),
    ] {
        assert_eq!(unquoted(source).len(), count, "{source}");
    }
}
