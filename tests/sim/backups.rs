//! A run's etcd snapshot that is lost before anything recorded it: `resume` makes another one.

use k8s_upgrade::twin::control::{Backup, MESHED};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{State, hosts};
use serde_json::json;

use super::hands::{done, observed, runbook, slack};
use super::recovery::{job, resumes, watch};
use super::world::{NAMESPACE, at_work, in_flight, is_over, jobs, mark, namespace, pass, tail, when};

/// The backup's Job is Complete; before anything recorded its snapshot the runner dies, and the file is gone, or is another one.
#[test]
fn a_snapshot_that_is_not_what_its_backup_said_is_made_anew() {
    for lost in [true, false] {
        let mut state = runbook();
        watch(&mut state, false);
        let end = observed(state, async |driver| {
            when(driver, "a snapshot", |state| backups(state).iter().any(|job| job.ends_with("active: false"))).await;
            driver.twin.edit(|state| {
                state.kill_programs();
                state.store.remove(&Key::new(Kind::Job, NAMESPACE, &job("preflight")));
                let machine = state.hosts.machine("k8s-master").unwrap();
                let snapshot = machine.files.keys().find(|path| path.starts_with("/backup/")).cloned().unwrap();
                state.hosts.change("k8s-master", |machine| drop(machine.files.remove(&snapshot)));
                if !lost {
                    hosts::put_file(state, "k8s-master", &snapshot, 4096);
                }
            });
            when(driver, "nobody at work", |state| !at_work(state)).await;
            driver.twin.look(|state| {
                assert!(in_flight(state) && mark(namespace(state), "snapshot-path").is_none(), "{}", tail(state, 40));
            });
            pass(driver, 600).await;
            resumes(driver, if lost { "a snapshot that is gone" } else { "another file in its place" }).await;
            driver.twin.look(State::clone)
        });
        done(&end, &[]);
        let backups = backups(&end);
        assert!(backups.len() == 2 && backups[1].contains("-2: active: false"), "{backups:#?}\n{}", jobs(&end));
        assert!(slack(&end).contains("bytes, sha256 ") && !slack(&end).contains("not verified"), "{}", slack(&end));
    }
}

/// A mesh has put a container beside the backup's own, which keeps its pod from ever ending: how the backup's own ended counts.
fn meshed(how: Backup) -> State {
    let mut state = runbook();
    state.control.backup = how;
    state.store.update(&Key::new(Kind::CronJob, "default", "backup-etcd"), |cronjob| {
        cronjob["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"][MESHED] = json!("true");
    });
    state
}

#[test]
fn a_sidecar_that_never_ends_does_not_hide_a_snapshot() {
    let end = observed(meshed(Backup::Fine), async |driver| {
        when(driver, "a snapshot's path", |state| mark(namespace(state), "snapshot-path").is_some()).await;
        driver.twin.look(|state| assert!(backups(state)[0].ends_with("active: true"), "{}", jobs(state)));
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    let told = "has done its work, but a container beside its own keeps its pod running";
    assert_eq!(end.logs.values().filter(|log| log.all().iter().any(|line| line.contains(told))).count(), 1);
}

#[test]
fn nor_that_none_was_made() {
    let end = observed(meshed(Backup::Fails), async |driver| {
        when(driver, "the end of preflight", |state| jobs(state).contains("Failed")).await;
        driver.twin.look(State::clone)
    });
    let told = slack(&end);
    assert!(told.contains("its container") && told.contains("ended with 1"), "{told}\n{}", tail(&end, 30));
    assert!(mark(namespace(&end), "snapshot-path").is_none());
}

/// The etcd Jobs of runs, in the order of their names.
fn backups(state: &State) -> Vec<String> {
    let ended = |job: &serde_json::Value| job["status"]["completionTime"].is_string();
    let jobs = state.store.list(Kind::Job).filter(|(key, _)| key.name.starts_with("pre-upgrade-etcd-"));
    jobs.map(|(key, job)| format!("{}: active: {}", key.name, !ended(job))).collect()
}
