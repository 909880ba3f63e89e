//! `status` as a tired person sees it, in the situations that matter.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_upgrade::run::image::{OWN_BINARY, archive};
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Injected, Service, Trouble};
use k8s_upgrade::twin::{Driver, State};
use serde_json::json;

use super::hands::unit_runs;
use super::world::{Disk, NAMESPACE, begin, is_over, jobs, live, mark, pass, quick, types, types_with, when};

pub fn out(state: &State, name: &str) -> bool {
    state.store.list(Kind::Node).any(|(key, node)| key.name == name && mark(node, "cordoned-by").is_some())
}

/// What it prints as text and as JSON, side by side in one file.
async fn shown(driver: &mut Driver<'_>, argv: &[&str], code: u8) -> String {
    shown_with(driver, argv, code, BTreeMap::new()).await
}

/// The same on a machine that has these files.
pub async fn shown_with(driver: &mut Driver<'_>, argv: &[&str], code: u8, files: Disk) -> String {
    let line = argv.join(" ");
    let (ended, text) = types_with(driver, "text", &line, files.clone()).await;
    assert_eq!(ended, code, "{text}");
    let (ended, data) = types_with(driver, "data", &format!("{line} -o json"), files).await;
    assert_eq!(ended, code, "{data}");
    let copied = |line: &str| line.contains("    #") || line.trim_start().starts_with("type ");
    let head = |line: &str| line.starts_with("k8s-upgrade  ");
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100 && !head(line) && !copied(line)).collect();
    assert!(long.is_empty(), "only the head and commands, which are copied, may be wider than 100 columns: {long:?}");
    format!("$ k8s-upgrade {line}    # {code}\n{text}\n\n$ k8s-upgrade {line} -o json    # {code}\n{data}")
}

#[test]
fn nothing_is_in_flight() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        insta::assert_snapshot!(shown(driver, &["status"], 0).await);
    });
}

#[test]
fn a_worker_is_drained() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        when(driver, "a worker", |state| out(state, "k8s-node3")).await;
        pass(driver, 12).await;
        insta::assert_snapshot!(shown(driver, &["status"], 0).await);
    });
}

/// Its unit is asked on the node itself; where that does not answer, the screen says so.
#[test]
fn a_unit_works_on_a_node() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        when(driver, "its kubelet's packages", unit_runs("k8s-node3", "kubelet-packages")).await;
        pass(driver, 3).await;
        insta::assert_snapshot!("a_unit_works", shown(driver, &["status"], 0).await);
        driver.twin.edit(|state| {
            let until = later(state.now(), Duration::from_secs(600));
            state.hosts.change("k8s-node3", |machine| machine.faults.away_until = Some(until));
        });
        insta::assert_snapshot!("its_node_is_silent", types(driver, "silent", "status").await.1);
    });
}

/// First in the gate, with half an hour's patience; then held, until the watch asks again.
#[test]
fn an_alert_holds_it() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        when(driver, "a worker", |state| out(state, "k8s-node4")).await;
        driver.twin.edit(|state| {
            let (from, until) = (state.now(), later(state.now(), Duration::from_secs(7200)));
            let labels = BTreeMap::from([("node".to_owned(), "k8s-node2".to_owned())]);
            state.web.prometheus.injected.push(Injected { name: "NodeDiskFull".to_owned(), labels, from, until });
        });
        when(driver, "the next node's gate", |state| log_says(state, "the alert gate: firing")).await;
        pass(driver, 65).await;
        insta::assert_snapshot!("in_the_gate", shown(driver, &["status"], 0).await);
        when(driver, "a hold", |state| jobs(state).contains("Failed")).await;
        pass(driver, 30).await;
        insta::assert_snapshot!("held", shown(driver, &["status"], 0).await);
    });
}

fn log_says(state: &State, what: &str) -> bool {
    state.logs.values().any(|log| log.all().iter().any(|line| line.contains(what)))
}

/// kubeadm fails on a node until nobody tries any more: it is a person's now, and the node is out of service.
#[test]
fn a_job_has_failed_for_good() {
    let mut state = begin(&quick(Scenario::runbook()));
    state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = 99);
    live(state, None, async |driver| {
        when(driver, "a failed Job", |state| jobs(state).contains("Failed")).await;
        pass(driver, 20).await;
        insta::assert_snapshot!("failed_and_taken_up", shown(driver, &["status"], 0).await);
        pass(driver, 6 * 3600).await;
        insta::assert_snapshot!("failed_for_good", shown(driver, &["status"], 0).await);
    });
}

#[test]
fn a_person_has_halted_it() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        when(driver, "a worker", |state| out(state, "k8s-node4")).await;
        driver.twin.edit(|state| {
            state.store.update(&Key::new(Kind::Namespace, "", NAMESPACE), |namespace| {
                namespace["metadata"]["annotations"]["viktorbarzin.me/k8s-upgrade-halted"] =
                    json!("wizard, 2026-11-22T12:04:00Z: noise in the rack");
            });
            let job = state.store.list(Kind::Job).find(|(key, _)| key.name.ends_with("k8s-node4")).map(|(key, _)| key.clone());
            state.store.remove(&job.unwrap());
            state.kill_programs();
        });
        pass(driver, 120).await;
        insta::assert_snapshot!(shown(driver, &["status"], 0).await);
    });
}

/// Some time after a run that ended well.
#[test]
fn the_installation_is_healthy() {
    live(installed(&binary(1)), None, async |driver| {
        when(driver, "the end of a run", is_over).await;
        pass(driver, 1800).await;
        insta::assert_snapshot!(shown_with(driver, &["status", "--health"], 0, has(&binary(1))).await);
    });
}

/// A build, in so far as an image is made of it.
pub fn binary(build: u8) -> Vec<u8> {
    let mut elf = vec![0; 65];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18..20].copy_from_slice(&62u16.to_le_bytes());
    elf[32..40].copy_from_slice(&64u64.to_le_bytes());
    elf[54..56].copy_from_slice(&56u16.to_le_bytes());
    elf[64] = build;
    elf
}

/// It is deployed.
pub fn installed(build: &[u8]) -> State {
    quick(Scenario::runbook()).state(&archive(build).unwrap().tag).unwrap()
}

/// It is the one in a person's hand.
pub fn has(build: &[u8]) -> Disk {
    BTreeMap::from([(OWN_BINARY.into(), build.into())])
}

/// Somebody has built anew and deployed nothing; then they deploy it in the middle of a run.
#[test]
fn the_cluster_runs_another_build() {
    live(installed(&binary(1)), None, async |driver| {
        when(driver, "a worker", |state| out(state, "k8s-node4")).await;
        insta::assert_snapshot!("another_build", shown_with(driver, &["status", "--health"], 4, has(&binary(2))).await);
        driver.twin.edit(|state| {
            for cronjob in ["k8s-version-check", "k8s-upgrade-watch"] {
                state.store.update(&Key::new(Kind::CronJob, NAMESPACE, cronjob), |cronjob| {
                    let image = archive(&binary(2)).unwrap().tag;
                    cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
                });
            }
        });
        insta::assert_snapshot!("run_of_another_build", shown_with(driver, &["status", "--health"], 0, has(&binary(2))).await);
    });
}

/// Everything that may be wrong, at once; and each is told with what to type.
#[test]
fn the_installation_is_broken() {
    let mut state = begin(&quick(Scenario::runbook()));
    state.store.update(&Key::new(Kind::CronJob, NAMESPACE, "k8s-version-check"), |cronjob| {
        cronjob["spec"]["suspend"] = json!(true);
        cronjob["metadata"]["creationTimestamp"] = json!("2026-11-01T00:00:00Z");
    });
    state.store.remove(&Key::new(Kind::CronJob, NAMESPACE, "k8s-upgrade-watch"));
    state.web.prometheus.unloaded = ["K8sUpgradeStalled", "Watchdog"].map(str::to_owned).into();
    state.web.prometheus.unscraped = ["node_boot_time_seconds", "kubernetes_build_info"].map(str::to_owned).into();
    live(state, None, async |driver| {
        pass(driver, 60).await;
        insta::assert_snapshot!("broken", shown(driver, &["status", "--health"], 4).await);
        driver.twin.edit(|state| {
            let (from, until) = (state.now(), later(state.now(), Duration::from_secs(7200)));
            state.web.troubles.push(Trouble { service: Service::Prometheus, from, until, how: How::Refused });
            state.web.troubles.push(Trouble { service: Service::Pushgateway, from, until, how: How::Nonsense });
        });
        insta::assert_snapshot!("monitoring_away", shown(driver, &["status", "--health"], 4).await);
    });
}
