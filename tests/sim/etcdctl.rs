//! Runs whose etcd snapshot the program takes itself, on each control plane (`snapshot: etcdctl`).

use k8s_upgrade::twin::control::Backup;
use k8s_upgrade::twin::hosts::put_file;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{State, hosts};
use serde_json::json;

use super::hands::{done, observed, ours, slack};
use super::recovery::{job, resumes, watch};
use super::world::{NAMESPACE, at_work, begin, in_flight, is_over, jobs, live, mark, namespace, pass, quick, tail, types, when};

const FOLDER: &str = "/var/backups/k8s-upgrade/";
const SET: &str = "--set snapshot=etcdctl";

fn with(mut scenario: Scenario, settings: &[(&str, serde_json::Value)]) -> State {
    scenario.settings.insert("snapshot".to_owned(), json!("etcdctl"));
    scenario.settings.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    begin(&quick(scenario))
}

/// What lies in a machine's folder.
fn kept(state: &State, node: &str) -> Vec<String> {
    let files = state.hosts.machine(node).unwrap().files.keys();
    files.filter_map(|path| path.strip_prefix(FOLDER)).map(str::to_owned).collect()
}

fn backups(state: &State) -> usize {
    state.store.list(Kind::Job).filter(|(key, _)| key.name.starts_with("pre-upgrade-etcd-")).count()
}

/// A cluster without any CronJob that makes snapshots, and without the rights to Jobs out of one.
#[test]
fn each_control_plane_has_a_snapshot_and_no_job_made_one() {
    let state = with(Scenario::three_control_planes(), &[]);
    assert_eq!(state.store.list(Kind::CronJob).filter(|(key, _)| key.namespace != NAMESPACE).count(), 0);
    let end = observed(state, async |driver| {
        when(driver, "a snapshot's path", |state| mark(namespace(state), "snapshot-path").is_some()).await;
        driver.twin.look(|state| {
            let path = mark(namespace(state), "snapshot-path").unwrap().to_owned();
            let run = mark(namespace(state), "run-id").unwrap();
            assert_eq!(path, format!("{FOLDER}k8s-upgrade-1.34.7-{run}-k8s-master1.db"));
        });
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    for node in ["k8s-master1", "k8s-master2", "k8s-master3"] {
        let kept = kept(&end, node);
        assert!(kept.len() == 1 && kept[0].ends_with(&format!("-{node}.db")), "{node}: {kept:?}");
        let cards = end.hosts.machine(node).unwrap().files.iter().filter(|(path, _)| path.contains("/restore-"));
        let cards: Vec<&str> = cards.filter_map(|(_, file)| file.text.as_deref()).collect();
        assert!(cards.len() == 1 && cards[0].contains("-k8s-master1.db (4575264 bytes, sha256 "), "{node}: {cards:?}");
    }
    assert_eq!(backups(&end), 0, "{}", jobs(&end));
    assert!(slack(&end).contains(", sha256 ") && !slack(&end).contains("not verified"), "{}", slack(&end));
}

/// Killed between a snapshot and its record: the one that is there counts. One whose end is missing is taken anew.
#[test]
fn a_run_that_died_takes_the_snapshot_that_it_made() {
    for torn in [false, true] {
        let mut state = with(Scenario::runbook(), &[]);
        watch(&mut state, false);
        let end = observed(state, async |driver| {
            when(driver, "a snapshot", |state| !kept(state, "k8s-master").is_empty()).await;
            let before = driver.twin.edit(|state| {
                state.kill_programs();
                state.store.remove(&Key::new(Kind::Job, NAMESPACE, &job("preflight")));
                state.hosts.change("k8s-master", |machine| machine.faults.torn_snapshots = torn);
                (kept(state, "k8s-master"), mark(namespace(state), "snapshot-path").is_some())
            });
            assert!(!before.1, "it was on record already");
            when(driver, "nobody at work", |state| !at_work(state)).await;
            if torn {
                let (code, said) = types(driver, "look", &format!("resume --local --yes {SET}")).await;
                assert!(code != 0 && said.contains("does not end with the hash of what it holds"), "{code}: {said}");
                driver.twin.edit(|state| state.hosts.change("k8s-master", |machine| machine.faults.torn_snapshots = false));
            }
            pass(driver, 600).await;
            resumes(driver, "a snapshot that is there").await;
            driver.twin.look(|state| assert_eq!(kept(state, "k8s-master"), before.0));
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
        let said = end.logs.values().any(|log| log.all().iter().any(|line| line.contains("this run has taken it before")));
        assert!(said, "{}", tail(&end, 40));
    }
}

/// The oldest of a node's own go, and nothing else in the folder.
#[test]
fn so_many_are_kept_as_the_settings_say() {
    let mut state = with(Scenario::runbook(), &[("snapshot-keep", json!(2))]);
    let others = ["etcd.db", "k8s-upgrade-1.33.1-5f3a21bc-k8s-master2.db", "k8s-upgrade-1.33.1-mine-k8s-master.db"];
    let old = ["k8s-upgrade-1.34.1-5f3a21bc-k8s-master.db", "k8s-upgrade-1.34.2-0000000a-k8s-master.db"];
    others.iter().chain(&old).for_each(|name| put_file(&mut state, "k8s-master", &format!("{FOLDER}{name}"), 5000));
    let of_now = state.now();
    state.hosts.change("k8s-master", |machine| {
        let file = machine.files.get_mut(&format!("{FOLDER}{}", old[0])).unwrap();
        file.at = of_now - jiff::SignedDuration::from_hours(24);
    });
    let end = observed(state, async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    let mut kept = kept(&end, "k8s-master");
    kept.retain(|name| !name.starts_with("k8s-upgrade-1.34.7-"));
    assert_eq!(kept, [others[0], others[1], others[2], old[1]]);
}

/// What it cannot take, it says before the claim, with what to do.
#[test]
fn what_keeps_it_from_a_snapshot_is_told_before_anything_begins() {
    type Edit = fn(&mut hosts::Machine);
    let external: Edit = |machine| {
        machine.manifests.remove("etcd");
        machine.commands.entry("kube-apiserver".to_owned()).or_default().push("--etcd-servers=https://10.0.0.9:2379".to_owned());
    };
    let cases: [(Edit, &str); 4] = [
        (external, "etcd is external (https://10.0.0.9:2379)"),
        (|machine| machine.free = 200 << 20, "an etcd snapshot needs 260 MiB"),
        (
            |machine| drop(machine.manifests.insert("etcd".to_owned(), "3.4.13-0".to_owned())),
            "whose image has it from etcd 3.5 on",
        ),
        (|machine| machine.manifests.clear(), "no etcd of kubeadm's is on this node"),
    ];
    for (edit, says) in cases {
        let mut state = with(Scenario::runbook(), &[]);
        state.hosts.change("k8s-master", edit);
        live(state, None, async |driver| {
            for line in ["preflight --target 1.34.7 --dry-run", "check"] {
                let (code, said) = types(driver, "look", &format!("{line} {SET}")).await;
                let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(code == 4 && said.contains(says), "{line}: {code}, and not {says:?}:\n{said}");
            }
            driver.twin.look(|state| assert!(!in_flight(state) && ours(state).is_empty(), "{}", tail(state, 20)));
        });
    }
}

/// etcd says no once the run is claimed: it fails, the run can go on, and nothing that is half there stays.
#[test]
fn a_snapshot_that_fails_stops_the_run_before_any_node() {
    for (how, says) in [(Backup::Fails, "no leader"), (Backup::Small, "unsound"), (Backup::Stuck, "has saved no snapshot")] {
        let mut state = with(Scenario::runbook(), &[]);
        state.control.backup = how;
        let end = observed(state, async |driver| {
            when(driver, "a claim", in_flight).await;
            pass(driver, 7200).await;
            driver.twin.edit(|state| {
                assert!(slack(state).contains(says) && ours(state).is_empty(), "{says}: {}\n{}", slack(state), tail(state, 40));
                assert!(kept(state, "k8s-master").is_empty() && mark(namespace(state), "snapshot-path").is_none());
                state.control.backup = Backup::Fine;
            });
            resumes(driver, "etcd is well again").await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
    }
}

/// Without the CronJob of the settings, the line that does without one is offered, and works.
#[test]
fn without_a_cronjob_the_line_to_set_is_told_and_written() {
    let mut state = begin(&quick(Scenario::runbook()));
    state.store.remove(&Key::new(Kind::CronJob, "default", "backup-etcd"));
    live(state, None, async |driver| {
        let (code, said) = types(driver, "refused", "preflight --target 1.34.7 --dry-run").await;
        assert!(code == 4 && said.contains("k8s-upgrade … --set snapshot=etcdctl"), "{code}: {said}");
        let (_, said) = types(driver, "offer", "check --write-config -").await;
        assert!(said.contains("\nsnapshot: \"etcdctl\"\n"), "{said}");
        let (code, said) = types(driver, "passes", &format!("preflight --target 1.34.7 --dry-run {SET}")).await;
        assert!(code == 0 && said.contains("gate backup: pass"), "{code}: {said}");
    });
}
