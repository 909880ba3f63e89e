//! completions/ and man/ are written by the binary: the committed files are what it writes now.

use std::collections::BTreeSet;
use std::path::Path;

use clap_complete::Shell;
use k8s_upgrade::commands;

const ADVICE: &str = "write them anew: `k8s-upgrade man man` and `k8s-upgrade completions SHELL > completions/FILE`";

fn committed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; {ADVICE}", path.display()))
}

#[test]
fn completions_are_what_the_binary_writes() {
    for (shell, file) in [(Shell::Bash, "k8s-upgrade.bash"), (Shell::Zsh, "_k8s-upgrade"), (Shell::Fish, "k8s-upgrade.fish")] {
        let written = String::from_utf8(commands::completions_of(shell)).unwrap();
        assert!(written.contains("upgrade-node"), "{file} names no subcommand");
        assert!(committed(&format!("completions/{file}")) == written, "completions/{file} is old; {ADVICE}");
    }
}

#[test]
fn manual_pages_are_what_the_binary_writes() {
    let pages = commands::pages().unwrap();
    for (name, text) in &pages {
        assert!(committed(&format!("man/{name}")).as_bytes() == text, "man/{name} is old; {ADVICE}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let there: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(
        there,
        pages.into_iter().map(|(name, _)| name).collect(),
        "pages of commands that are gone, or not written; {ADVICE}"
    );
}
