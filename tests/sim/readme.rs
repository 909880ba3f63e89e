//! What README shows of the program is what it prints: excerpts of a run and of `status`, the picture of the chain, and what a run takes.
//! Anew: `cargo test --profile sim --test sim readme -- --ignored`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::settings::Settings;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::world::Env;
use serde_json::Value;

use super::chain::{Job, drawn};
use super::mask::{in_order, masked};
use super::rehearse::lasting;
use super::status::out;
use super::support::program::program_in;
use super::world::{LIMIT, begin, live, pass, quick, said, when};

const ADVICE: &str = "write it anew: cargo test --profile sim --test sim readme -- --ignored";

fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn committed(path: &str) -> String {
    std::fs::read_to_string(place(path)).unwrap_or_else(|error| panic!("{path}: {error}; {ADVICE}"))
}

/// What stands between the marks of this name.
fn excerpt<'a>(readme: &'a str, name: &str) -> &'a str {
    let from = format!("<!-- generated: {name} -->\n");
    let (_, rest) = readme.split_once(&from).unwrap_or_else(|| panic!("README has no {from}"));
    rest.split_once("<!-- end -->").unwrap().0
}

/// One worker's turn as it is told, and the result.
fn run() -> String {
    let ran = program_in(Some(&|| k8s_upgrade::adapters::world(&Env::new())), &["rehearse"], &[]);
    let said = ran.is(0).stderr.lines();
    let turn: Vec<&str> =
        said.filter(|line| line.contains("  k8s-node4  ")).skip_while(|line| !line.contains(" begins ")).collect();
    let end = ran.stdout.lines().position(|line| line.trim_start().starts_with("total ")).expect("the result ends with a total");
    let result: Vec<&str> = ran.stdout.lines().take(end + 1).collect();
    assert!(turn.len() > 8, "{turn:?}");
    format!("```\n$ k8s-upgrade rehearse\n…\n{}\n…\n{}\n```\n", turn.join("\n"), result.join("\n"))
}

/// While a worker is drained, and a budget keeps a pod.
fn status() -> String {
    let scenario = Scenario { start: quick(Scenario::runbook()).start, ..Scenario::runbook() };
    live(begin(&scenario), None, async |driver| {
        when(driver, "a worker", |state| out(state, "k8s-node3")).await;
        pass(driver, 12).await;
        driver.operate("readme", &["k8s-upgrade", "status"], Default::default());
        let limit = later(driver.twin.now(), LIMIT);
        assert_eq!(driver.until_ended("readme", limit).await, Some(0));
        let text = driver.twin.look(|state| said(state, "readme"));
        format!("```\n$ k8s-upgrade status\n{text}\n```\n")
    })
}

fn rehearsed() -> Value {
    let ran = program_in(Some(&|| k8s_upgrade::adapters::world(&Env::new())), &["rehearse", "-q", "-o", "json"], &[]);
    serde_json::from_str(&ran.is(0).stdout).unwrap()
}

fn picture(told: &Value) -> String {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let jobs = told["jobs"].as_array().unwrap().iter();
    let jobs: Vec<Job> = jobs.map(|job| Job { place: text(job, "place"), node: text(job, "node") }).collect();
    drawn(&jobs, &text(told, "from"), &text(told, "target"))
}

/// But for how long something took, when, and under which random name.
fn alike(text: &str) -> String {
    in_order(&lasting(&masked(text)))
}

#[test]
fn the_excerpts_of_the_readme_are_what_the_program_prints() {
    let readme = committed("README.md");
    for (name, printed) in [("run", run()), ("status", status())] {
        let (told, printed) = (alike(excerpt(&readme, name)), alike(&printed));
        assert!(told == printed, "README, {name}: {ADVICE}\n{told}\nis to be\n{printed}");
    }
}

#[test]
fn the_picture_of_the_chain_is_that_of_a_run() {
    assert!(committed("docs/chain.svg") == picture(&rehearsed()), "docs/chain.svg: {ADVICE}");
}

/// What it costs is what a rehearsal says.
#[test]
fn the_readme_says_what_a_run_takes() {
    let told = rehearsed();
    let at = |key: &str| -> Timestamp { told[key].as_str().unwrap().parse().unwrap() };
    let minutes = (at("ended").duration_since(at("began")).as_secs() + 30) / 60;
    let nodes = told["nodes"].as_array().unwrap().len();
    let soak = Duration::as_secs(&Settings::default().soak) / 60 * nodes as u64;
    let wanted = format!("Five nodes take {minutes} minutes, of which {soak} are soak");
    assert!(nodes == 5 && committed("README.md").contains(&wanted), "README is to say: {wanted}");
}

#[test]
#[ignore = "it writes: README's excerpts and docs/chain.svg, as they are now"]
fn write_them_anew() {
    let mut readme = committed("README.md");
    for (name, printed) in [("run", run()), ("status", status())] {
        let from = format!("<!-- generated: {name} -->\n");
        let former = format!("{from}{}", excerpt(&readme, name));
        readme = readme.replace(&former, &format!("{from}{printed}"));
    }
    std::fs::write(place("README.md"), readme).unwrap();
    std::fs::write(place("docs/chain.svg"), picture(&rehearsed())).unwrap();
}
