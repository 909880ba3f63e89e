//! Which commit a release is made of, for `--version`. Other builds say none, so that a commit does not build them anew.
#![expect(clippy::disallowed_methods, reason = "cargo speaks with a build script by its environment")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if is_release { commit() } else { None };
    println!("cargo::rustc-env=OF_COMMIT={}", commit.map_or(String::new(), |commit| format!(" ({commit})")));
}

/// None where the sources lie in no repository, or there is no git.
fn commit() -> Option<String> {
    for file in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", file])?);
    }
    for sources in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let (commit, changes) =
        (git(&["rev-parse", "--short=10", "HEAD"])?, git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"])?);
    Some(if changes.is_empty() { commit } else { format!("{commit}, changed") })
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
