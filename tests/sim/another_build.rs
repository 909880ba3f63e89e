//! The program is upgraded while a run is on: Jobs and records of one build, processes of another.

use std::collections::BTreeSet;

use k8s_upgrade::twin::State;
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::{Value, json};

use super::driven::broken_off;
use super::halted::COMMANDS;
use super::hands::{NEW, done, is_out, observed, ours, runbook, version};
use super::world::{NAMESPACE, at_work, in_flight, is_of_chain, is_over, jobs, live, mark, namespace, pass, tail, types, when};

const NEWER: &str = "docker.io/library/k8s-upgrade:newer";

/// `manifests` of another build is applied: what is scheduled runs that from now on.
fn another_is_installed(state: &mut State) {
    for name in ["k8s-version-check", "k8s-upgrade-watch"] {
        state.store.update(&Key::new(Kind::CronJob, NAMESPACE, name), |cronjob| {
            cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = json!(NEWER);
        });
    }
}

/// What Jobs of the chain have run.
fn images(state: &State) -> BTreeSet<String> {
    let of = |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().map(str::to_owned);
    state.store.list(Kind::Job).filter(|(_, job)| is_of_chain(job)).filter_map(|(_, job)| of(job)).collect()
}

/// Whoever creates its next Job, be it the Job before, the watch or a person.
#[test]
pub fn a_run_keeps_its_image_to_its_end() {
    let end = live(runbook(), None, async |driver| {
        when(driver, "the first worker", is_out("k8s-node4")).await;
        driver.twin.edit(another_is_installed);
        let next = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node3");
        when(driver, "the second worker's Job", |state| state.store.get(&next).is_some()).await;
        // All its tries die: the watch takes it up.
        let is = |state: &State, how: &str| jobs(state).lines().any(|line| line.starts_with(&next.name) && line.contains(how));
        while !driver.twin.look(|state| is(state, "Failed")) {
            driver.twin.edit(State::kill_programs);
            pass(driver, 4).await;
        }
        when(driver, "the watch's Job", |state| is(state, "active")).await;
        let third = Key::new(Kind::Job, NAMESPACE, "k8s-upgrade-worker-1-34-7-k8s-node2");
        when(driver, "the third worker's Job", |state| state.store.get(&third).is_some()).await;
        driver.twin.edit(|state| state.store.remove(&third));
        when(driver, "nobody at work", |state| !at_work(state)).await;
        let (_, said) = types(driver, "status", "status").await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let both = said.contains(&format!("image docker.io/library/k8s-upgrade:sim to the end of the run; installed is {NEWER}"));
        assert!(both, "status says nothing of it:\n{said}");
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(images(&end), BTreeSet::from(["docker.io/library/k8s-upgrade:sim".to_owned()]));
}

/// A run that a person began in their own process has no image until Jobs go on with it; from then on it keeps that.
#[test]
fn a_run_that_was_begun_by_hand_gets_its_image_with_its_first_job() {
    let mut state = runbook();
    super::world::suspend(&mut state, "k8s-version-check");
    let end = live(state, None, async |driver| {
        let line = ["k8s-upgrade", "start", "--target", NEW, "--local", "--yes"];
        driver.operate("local", &line, Default::default());
        when(driver, "the first worker", |state| version(state, "k8s-node4") == NEW).await;
        driver.kill("local");
        pass(driver, 600).await;
        driver.twin.look(|state| assert!(in_flight(state) && mark(namespace(state), "image").is_none(), "{}", tail(state, 40)));
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        let image = driver.twin.look(|state| mark(namespace(state), "image").map(str::to_owned));
        assert_eq!(image.as_deref(), Some("docker.io/library/k8s-upgrade:sim"));
        driver.twin.edit(another_is_installed);
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    assert_eq!(images(&end), BTreeSet::from(["docker.io/library/k8s-upgrade:sim".to_owned()]));
}

fn has_record_of(state: &mut State, version: &str) {
    state.store.update(&Key::new(Kind::Namespace, "", NAMESPACE), |namespace| {
        namespace["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-record-version"] = json!(version);
    });
}

/// The run in flight is one of a build before.
pub fn of_build_before(state: &mut State) {
    has_record_of(state, "1");
}

/// A run of the build before is read, and stays what it is; of what its Jobs pass over a person is told.
#[test]
fn a_run_of_the_build_before_goes_on() {
    observed(runbook(), async |driver| {
        broken_off(driver).await;
        driver.twin.edit(of_build_before);
        let (code, said) = types(driver, "ann", "pause k8s-node1").await;
        assert!(code == 0 && said.contains("are of a build before, which passes over this"), "{said}");
        assert_eq!(types(driver, "ann again", "unpause k8s-node1").await.0, 0);
        assert_eq!(types(driver, "resume", "resume --yes").await.0, 0);
        when(driver, "the next step", at_work).await;
        driver.twin.look(|state| assert_eq!(mark(namespace(state), "record-version"), Some("1")));
        when(driver, "the end", is_over).await;
        driver.twin.look(|state| done(state, &[]));
    });
}

/// Of a record that this build does not read every command says so. Views show what they can; a halt and the way out work; nothing else does
/// anything.
#[test]
fn a_record_of_another_version_is_shown_and_refused() {
    observed(runbook(), async |driver| {
        broken_off(driver).await;
        driver.twin.edit(|state| has_record_of(state, "3"));
        let before = driver.twin.look(State::clone);
        // The watch leaves it alone.
        pass(driver, 1300).await;
        for (number, (name, line)) in COMMANDS.iter().enumerate() {
            let Some(line) = line.filter(|_| !["halt", "clear-state"].contains(name)) else { continue };
            let (code, said) = types(driver, &format!("c{number}"), line).await;
            // A report is made of journals, and `adopt` asks of a run only whether there is one.
            let says = ["report", "adopt"].contains(name) || said.contains("has a record of version 3");
            assert!(says, "{line} ({code}) says nothing of it:\n{said}");
            let shows = *name == "report" || ["status", "status -o json"].contains(&line);
            assert_eq!(code == 0, shows, "{line}:\n{said}");
        }
        let (_, status) = types(driver, "what it can", "status").await;
        assert!(status.contains(NEW) && status.contains("k8s-node3"), "{status}");
        driver.twin.look(|state| {
            assert!(in_flight(state) && ours(state).is_empty() && !at_work(state), "{}", tail(state, 40));
            assert_eq!(namespace(state)["metadata"]["annotations"], namespace(&before)["metadata"]["annotations"]);
        });
        assert_eq!(types(driver, "halt", "halt --reason upgrade").await.0, 0);
        assert_eq!(types(driver, "lift", "halt --lift").await.0, 0);
        let (code, said) = types(driver, "clear", "clear-state --yes").await;
        assert!(code == 0, "{said}");
        driver.twin.look(|state| assert!(!in_flight(state) && mark(namespace(state), "record-version").is_none()));
        // The next run is this build's.
        assert_eq!(types(driver, "start", &format!("start --target {NEW} --yes")).await.0, 0);
        when(driver, "the end", is_over).await;
        driver.twin.look(|state| done(state, &[]));
    });
}
