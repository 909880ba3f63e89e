//! What a person's commands give as data: one document each, also where they refuse; and the words beside it say the same.

use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{Driver, State, hosts};
use regex::Regex;
use serde_json::Value;

use super::driven::broken_off;
use super::hands::unit_runs;
use super::mask::{SPAN, by_place, in_order};
use super::world::{at_work, begin, is_over, jobs, live, mark, pass, quick, suspend, types, when};

/// Its document after the words that it says as text.
pub async fn account(driver: &mut Driver<'_>, line: &str, code: u8) -> String {
    let (ended, said) = types(driver, "data", &format!("{line} -o json")).await;
    assert_eq!(ended, code, "{line}: {said}");
    let begins = said.find("{\n").unwrap_or_else(|| panic!("{line}: {said}"));
    let (words, data) = said.split_at(begins);
    let mut whole: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{line}: {error}: {data}"));
    for key in ["command", "outcome", "run", "target", "node", "found", "done", "notes", "warnings", "next", "failure"] {
        assert!(whole.get(key).is_some(), "{line}: {key}");
    }
    // To be compared by eye: without seconds, spans at the end of a sentence, the id of a run, and who of several nodes was first.
    for list in ["found", "done", "notes", "warnings"] {
        let told = whole[list].as_array_mut().unwrap();
        told.iter_mut().for_each(|one| drop(one.as_object_mut().unwrap().remove("seconds")));
        by_place(told, |one| (one["place"].as_str().unwrap(), one["what"].as_str().unwrap()));
    }
    let run = whole["run"].as_str().unwrap_or("\0");
    let told = format!("{}\n{whole:#}\n", in_order(words)).trim_start().replace(run, "<run>");
    let told = Regex::new(&format!("(?m)(, | after | out of service ){SPAN}(\"|$)"))
        .unwrap()
        .replace_all(&told, "$1<span>$2")
        .into_owned();
    format!("$ k8s-upgrade {line} -o json    # {code}\n{told}")
}

fn out(name: &'static str) -> impl Fn(&State) -> bool {
    move |state| state.store.list(Kind::Node).any(|(key, node)| key.name == name && mark(node, "cordoned-by").is_some())
}

#[test]
fn each_command_gives_one_document() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let mut told = Vec::new();
        told.push(account(driver, "start --target 1.34.7 --dry-run", 0).await);
        told.push(account(driver, "start --target 1.36.0 --yes", 4).await);
        told.push(account(driver, "resume --dry-run", 0).await);
        told.push(account(driver, "halt --lift", 0).await);
        told.push(account(driver, "start --target 1.34.7 --yes", 0).await);
        when(driver, "a drain", out("k8s-node4")).await;
        told.push(account(driver, "clear-state --yes", 6).await);
        told.push(account(driver, "halt --reason disks", 0).await);
        when(driver, "the safe point", |state| !at_work(state)).await;
        pass(driver, 60).await;
        told.push(account(driver, "resume", 4).await);
        told.push(account(driver, "halt --lift", 0).await);
        told.push(account(driver, "skip-phase worker k8s-node3", 4).await);
        told.push(account(driver, "skip-phase worker k8s-node3 --force --reason disk --yes", 0).await);
        told.push(account(driver, "resume", 0).await);
        when(driver, "the end", is_over).await;
        pass(driver, 60).await;
        told.push(account(driver, "clear-state --yes", 0).await);
        told.push(account(driver, "rollback k8s-node4 --dry-run", 0).await);
        told.push(account(driver, "rollback k8s-master", 0).await);
        told.push(account(driver, "acknowledge 0badcafe --yes", 0).await);
        told.push(account(driver, "rollback k8s-node4 --yes", 0).await);
        told.push(account(driver, "drain k8s-node2 --yes", 0).await);
        insta::assert_snapshot!(told.join("\n"));
    });
}

/// One phase after the other by a script, which reads of each what became of it and what comes next.
#[test]
fn each_phase_by_hand_gives_one_document() {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    live(state, None, async |driver| {
        let mut told = Vec::new();
        for (line, code) in [
            ("preflight --target 1.34.7 --dry-run", 0),
            ("preflight --target 1.36.0", 4),
            ("upgrade-node k8s-node4 --yes", 2),
            ("upgrade-node k8s-node9 --target 1.34.7 --yes", 2),
            ("upgrade-node k8s-node4 --target 1.34.7 --yes", 4),
            ("preflight --target 1.34.7", 0),
            ("upgrade-node k8s-master --yes", 0),
            ("postflight", 3),
            ("upgrade-node k8s-node4 --yes -q", 0),
        ] {
            told.push(account(driver, line, code).await);
        }
        for node in ["k8s-node3", "k8s-node2", "k8s-node1"] {
            assert_eq!(types(driver, node, &format!("upgrade-node {node} --yes")).await.0, 0, "{node}");
        }
        told.push(account(driver, "postflight", 0).await);
        insta::assert_snapshot!(told.join("\n"));
    });
}

/// What it says of this command, which has data of its own kind.
async fn looked(driver: &mut Driver<'_>, line: &str) -> String {
    let (code, said) = types(driver, "looks", line).await;
    let said = Regex::new("SHA256:[A-Za-z0-9+/]+").unwrap().replace_all(&said, "SHA256:<key>").into_owned();
    format!("$ k8s-upgrade {line}    # {code}\n{}\n", in_order(&said))
}

/// The same of each, as text and as data.
async fn looks(driver: &mut Driver<'_>, lines: &[&str]) -> Vec<String> {
    let mut told = Vec::new();
    for line in lines {
        told.push(looked(driver, line).await);
        told.push(looked(driver, &format!("{line} -o json")).await);
    }
    told
}

#[test]
fn what_only_looks_gives_its_data() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let lines = ["detect --dry-run", "acknowledge", "drain k8s-node2 --dry-run", "rotate-key --dry-run"];
        insta::assert_snapshot!(looks(driver, &lines).await.join("\n"));
    });
}

/// What goes on, what does not, and how it is taken back.
#[test]
fn each_halt_gives_one_document() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let mut told = Vec::new();
        when(driver, "a drain", out("k8s-node4")).await;
        told.push(account(driver, "halt --detection-only", 0).await);
        told.push(account(driver, "halt --blocker-alert --reason storm", 0).await);
        told.push(account(driver, "halt --lift", 0).await);
        when(driver, "kubeadm", unit_runs("k8s-node4", "kubeadm-upgrade")).await;
        told.push(account(driver, "halt --now --reason smoke --yes", 0).await);
        told.push(account(driver, "halt --lift", 0).await);
        assert_eq!(types(driver, "on", "resume").await.0, 0);
        when(driver, "the next drain", out("k8s-node3")).await;
        told.push(account(driver, "halt --now --yes", 0).await);
        insta::assert_snapshot!(told.join("\n"));
    });
}

/// A whole run in a person's process.
#[test]
fn a_run_in_this_process_gives_one_document() {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    live(state, None, async |driver| {
        insta::assert_snapshot!(account(driver, "start --target 1.34.7 --local --yes", 0).await);
    });
}

/// The three ways on, and what the watch leaves to people.
#[test]
fn each_way_to_go_on_gives_one_document() {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-upgrade-watch");
    state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = 99);
    live(state, None, async |driver| {
        let mut told = Vec::new();
        told.push(account(driver, "resume --if-orphaned", 0).await);
        when(driver, "a failed Job", |state| jobs(state).contains("Failed")).await;
        pass(driver, 60).await;
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = 0));
        told.push(account(driver, "resume --if-orphaned --dry-run", 0).await);
        told.push(account(driver, "resume --if-orphaned", 0).await);
        broken_off(driver).await;
        told.push(account(driver, "resume --if-orphaned", 0).await);
        told.push(account(driver, "resume --local --yes", 0).await);
        insta::assert_snapshot!(told.join("\n"));
    });
}

/// The ID that words name.
fn id(words: &str) -> &str {
    let (_, after) = words.rsplit_once("k8s-upgrade acknowledge ").unwrap_or_else(|| panic!("no ID is named:\n{words}"));
    &after[..after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len())]
}

/// Something was changed by hand that kubeadm would write over.
#[test]
fn what_is_acknowledged_gives_one_document() {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    hosts::edit_manifest(&mut state, "k8s-master", "kube-apiserver", "--audit-log-path=/var/log/audit.log");
    live(state, None, async |driver| {
        pass(driver, 60).await;
        let mut told = looks(driver, &["acknowledge"]).await;
        let id = id(&told[0]).to_owned();
        told.push(account(driver, "acknowledge 0badcafe --yes", 4).await);
        told.push(account(driver, &format!("acknowledge {id} --yes"), 0).await);
        insta::assert_snapshot!(told.join("\n"));
    });
}

/// The same command in both forms, each from this state on.
fn each_form(state: &State, line: &str) -> Vec<String> {
    let lines = [line.to_owned(), format!("{line} -o json")];
    lines.iter().map(|line| live(state.clone(), None, async |driver| looked(driver, line).await)).collect()
}

#[test]
fn a_rotation_gives_its_data() {
    insta::assert_snapshot!(each_form(&begin(&quick(Scenario::runbook())), "rotate-key --yes").join("\n"));
}

/// It starts the chain, leaves one alone that is under way, and finds nothing more after it.
#[test]
fn a_detection_gives_its_data() {
    let mut state = begin(&quick(Scenario::runbook()));
    suspend(&mut state, "k8s-version-check");
    let mut told = each_form(&state, "detect");
    live(state, None, async |driver| {
        assert_eq!(types(driver, "start", "start --target 1.34.7 --yes").await.0, 0);
        when(driver, "a drain", out("k8s-node4")).await;
        told.extend(looks(driver, &["detect"]).await);
        when(driver, "the end", is_over).await;
        told.extend(looks(driver, &["detect"]).await);
    });
    insta::assert_snapshot!(told.join("\n"));
}
