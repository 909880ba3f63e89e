use serde_json::{Value, json};

use super::super::super::store::{Key, Kind};
use super::super::objects::{condition, is, phase, terminating};
use super::super::program_ended;
use super::{State, add, chain_job, cluster, edit, evict, faces, get, history, pass, pods, programs};

/// The one process that runs, after its pod's start.
fn running(state: &mut State) -> String {
    pass(state, 5);
    let mut all = programs(state);
    assert_eq!(all.len(), 1, "{:?}\n{}", faces(state), history(state));
    all.remove(0)
}

fn job(state: &mut State) -> Key {
    add(state, Kind::Job, chain_job("chain"))
}

/// It ends so; then what its Job needs to learn of it passes.
fn end(state: &mut State, code: u8) {
    let uid = running(state);
    program_ended(state, &uid, code);
    pass(state, 2);
}

fn failed(state: &State, key: &Key) -> Option<(String, String)> {
    let job = get(state, key);
    let end = condition(&job, "Failed")?;
    let text = |field: &str| end[field].as_str().unwrap().to_owned();
    Some((text("reason"), text("message")))
}

#[test]
fn a_job_that_succeeds_is_complete_and_goes_in_its_time() {
    let mut state = cluster(1);
    let key = job(&mut state);
    pass(&mut state, 5);
    let status = get(&state, &key)["status"].clone();
    assert_eq!((&status["active"], &status["ready"]), (&json!(1), &json!(1)));
    assert_eq!(status["startTime"], "2026-11-24T12:00:00Z");
    let (_, pod) = pods(&state).remove(0);
    let meta = &pod["metadata"];
    assert_eq!(meta["labels"]["batch.kubernetes.io/job-name"], "chain");
    assert_eq!(meta["labels"]["app"], "chain");
    assert_eq!((&meta["ownerReferences"][0]["kind"], &meta["ownerReferences"][0]["controller"]), (&json!("Job"), &json!(true)));
    end(&mut state, 0);
    let done = get(&state, &key);
    assert_eq!(
        (is(&done, "Complete"), &done["status"]["succeeded"], &done["status"]["active"]),
        ("True", &json!(1), &Value::Null)
    );
    assert_eq!(phase(&pods(&state)[0].1), "Succeeded", "its log is there as long as it is");
    pass(&mut state, 605);
    assert!(state.store.get(&key).is_none() && pods(&state).is_empty() && state.programs.is_empty(), "{:?}", faces(&state));
}

#[test]
fn retries_pause_longer_each_time_and_end() {
    let mut state = cluster(2);
    let key = job(&mut state);
    for (failures, pause) in [(1, 10), (2, 20)] {
        end(&mut state, 5);
        assert_eq!(get(&state, &key)["status"]["failed"], failures);
        pass(&mut state, pause - 6);
        assert_eq!(pods(&state).len(), failures, "none before {pause} s: {:?}", faces(&state));
        pass(&mut state, 6);
        assert_eq!(pods(&state).len(), failures + 1, "{:?}", faces(&state));
    }
    assert_eq!(failed(&state, &key), None);
    end(&mut state, 5);
    assert_eq!(failed(&state, &key).unwrap().0, "BackoffLimitExceeded");
    assert_eq!(get(&state, &key)["status"]["failed"], 3);
    pass(&mut state, 300);
    assert_eq!(pods(&state).len(), 3);
}

#[test]
fn the_policy_fails_a_job_that_no_retry_can_mend() {
    let mut state = cluster(3);
    let key = job(&mut state);
    end(&mut state, 3);
    let (reason, message) = failed(&state, &key).unwrap();
    assert_eq!(reason, "PodFailurePolicy");
    let pod = &pods(&state)[0].0.name;
    assert_eq!(
        message,
        format!("Container k8s-upgrade for pod default/{pod} failed with exit code 3 matching FailJob rule at index 1")
    );
}

#[test]
fn exit_codes_that_are_not_listed() {
    let mut state = cluster(4);
    let mut object = chain_job("chain");
    let operator = &mut object["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["operator"];
    *operator = json!("NotIn");
    let key = add(&mut state, Kind::Job, object);
    end(&mut state, 3);
    assert_eq!(failed(&state, &key), None);
    pass(&mut state, 10);
    end(&mut state, 7);
    assert_eq!(failed(&state, &key).unwrap().0, "PodFailurePolicy");
}

#[test]
fn an_eviction_is_no_failure_and_its_successor_waits_for_the_end() {
    let mut state = cluster(5);
    let key = job(&mut state);
    let uid = running(&mut state);
    let victim = pods(&state).remove(0).0;
    evict(&mut state, &victim);
    pass(&mut state, 30);
    assert!(state.programs[&uid].stop, "SIGTERM");
    assert_eq!(faces(&state).len(), 1, "two must never run: {:?}", faces(&state));
    assert!(terminating(&get(&state, &victim)));
    assert_eq!(get(&state, &key)["status"]["terminating"], 1);
    program_ended(&mut state, &uid, 143);
    pass(&mut state, 20);
    assert!(state.store.get(&victim).is_none());
    let status = get(&state, &key)["status"].clone();
    assert_eq!((&status["failed"], &status["active"]), (&Value::Null, &json!(1)), "{:?}", faces(&state));
    assert_eq!(programs(&state).len(), 1);
}

#[test]
fn one_that_is_evicted_before_its_start_is_let_go_and_replaced() {
    let mut state = cluster(5);
    let key = job(&mut state);
    pass(&mut state, 1);
    let victim = pods(&state).remove(0).0;
    assert_eq!((phase(&get(&state, &victim)), programs(&state).len()), ("Pending", 0), "{:?}", faces(&state));
    evict(&mut state, &victim);
    pass(&mut state, 20);
    assert!(state.store.get(&victim).is_none(), "{:?}", faces(&state));
    let status = get(&state, &key)["status"].clone();
    assert_eq!((&status["failed"], &status["active"]), (&Value::Null, &json!(1)), "{:?}", faces(&state));
    assert_eq!(programs(&state).len(), 1);
}

#[test]
fn without_a_policy_an_eviction_is_a_failure_and_is_replaced_at_once() {
    let mut state = cluster(6);
    let mut object = chain_job("chain");
    for field in ["podFailurePolicy", "podReplacementPolicy"] {
        object["spec"].as_object_mut().unwrap().shift_remove(field);
    }
    let key = add(&mut state, Kind::Job, object);
    running(&mut state);
    let victim = pods(&state).remove(0).0;
    evict(&mut state, &victim);
    pass(&mut state, 20);
    assert_eq!(programs(&state).len(), 2, "two run, as the default allows: {:?}", faces(&state));
    assert_eq!(get(&state, &key)["status"]["failed"], 1);
}

#[test]
fn a_program_that_does_not_heed_sigterm_is_killed() {
    let mut state = cluster(7);
    let key = job(&mut state);
    running(&mut state);
    let victim = pods(&state).remove(0).0;
    evict(&mut state, &victim);
    pass(&mut state, 59);
    assert_eq!(programs(&state).len(), 1);
    pass(&mut state, 3);
    assert_eq!((programs(&state).len(), pods(&state).len()), (0, 0), "{:?}", faces(&state));
    assert!(get(&state, &key)["status"]["failed"].is_null());
}

#[test]
fn a_deadline_ends_pods_first_and_then_the_job() {
    let mut state = cluster(8);
    let mut object = chain_job("chain");
    object["spec"]["activeDeadlineSeconds"] = json!(100);
    let key = add(&mut state, Kind::Job, object);
    let uid = running(&mut state);
    pass(&mut state, 100);
    assert_eq!((is(&get(&state, &key), "FailureTarget"), failed(&state, &key)), ("True", None), "its pod still ends");
    program_ended(&mut state, &uid, 143);
    pass(&mut state, 3);
    assert_eq!(failed(&state, &key).unwrap().0, "DeadlineExceeded");
    assert_eq!(pods(&state).len(), 0);
}

#[test]
fn a_suspended_job_waits() {
    let mut state = cluster(9);
    let key = job(&mut state);
    let uid = running(&mut state);
    edit(&mut state, &key, |job| job["spec"]["suspend"] = json!(true));
    pass(&mut state, 2);
    assert!(state.programs[&uid].stop);
    program_ended(&mut state, &uid, 143);
    pass(&mut state, 60);
    let suspended = get(&state, &key);
    assert_eq!((pods(&state).len(), is(&suspended, "Suspended"), &suspended["status"]["startTime"]), (0, "True", &Value::Null));
    edit(&mut state, &key, |job| job["spec"]["suspend"] = json!(false));
    running(&mut state);
    assert!(get(&state, &key)["status"]["failed"].is_null());
}

#[test]
fn a_deleted_job_takes_its_process_along() {
    let mut state = cluster(10);
    let key = job(&mut state);
    let uid = running(&mut state);
    state.store.remove(&key);
    pass(&mut state, 2);
    assert!(state.programs[&uid].stop, "{:?}", faces(&state));
    program_ended(&mut state, &uid, 143);
    pass(&mut state, 2);
    assert!(pods(&state).is_empty() && state.programs.is_empty(), "{:?}", faces(&state));
}

fn cronjob(schedule: &str) -> Value {
    let job = chain_job("x");
    json!({
        "metadata": { "name": "check", "namespace": "default" },
        "spec": {
            "schedule": schedule, "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 600,
            "jobTemplate": { "metadata": { "labels": { "app": "check" } }, "spec": job["spec"] },
        },
    })
}

fn jobs(state: &State) -> Vec<String> {
    state.store.list(Kind::Job).map(|(key, _)| key.name.clone()).collect()
}

#[test]
fn a_cronjob_fires_in_its_minute() {
    let mut state = cluster(11);
    let key = add(&mut state, Kind::CronJob, cronjob("0 12 * * 0"));
    // From Tuesday noon to the minute before Sunday noon.
    pass(&mut state, 5 * 86_400 - 60);
    assert_eq!(jobs(&state), Vec::<String>::new());
    pass(&mut state, 62);
    let due: jiff::Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
    assert_eq!(jobs(&state), [format!("check-{}", due.as_second() / 60)]);
    let status = get(&state, &key)["status"].clone();
    assert_eq!((&status["lastScheduleTime"], status["active"].as_array().unwrap().len()), (&json!("2026-11-29T12:00:00Z"), 1));
    let made = get(&state, &Key::new(Kind::Job, "default", &jobs(&state)[0]));
    assert_eq!(
        (&made["metadata"]["labels"]["app"], &made["metadata"]["ownerReferences"][0]["name"]),
        (&json!("check"), &json!("check"))
    );
    end(&mut state, 0);
    assert_eq!(get(&state, &key)["status"]["active"], json!([]));
    assert_eq!(state.unmodelled, Vec::<String>::new());
}

#[test]
fn forbid_suspend_and_history() {
    let mut state = cluster(12);
    let mut object = cronjob("*/10 * * * *");
    object["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = Value::Null;
    let key = add(&mut state, Kind::CronJob, object);
    pass(&mut state, 25 * 60);
    assert_eq!(jobs(&state).len(), 1, "the first still runs");
    end(&mut state, 0);
    // The time that was missed meanwhile is still within its deadline.
    assert_eq!(jobs(&state).len(), 2, "{}", history(&state));
    for _ in 0..5 {
        end(&mut state, 0);
        pass(&mut state, 600);
    }
    let complete = state.store.list(Kind::Job).filter(|(_, job)| is(job, "Complete") == "True").count();
    assert_eq!((complete, jobs(&state).len()), (3, 4));
    edit(&mut state, &key, |cronjob| cronjob["spec"]["suspend"] = json!(true));
    end(&mut state, 0);
    pass(&mut state, 3600);
    assert_eq!(jobs(&state).len(), 3);
    edit(&mut state, &key, |cronjob| cronjob["spec"]["suspend"] = json!(false));
    pass(&mut state, 1);
    assert_eq!(
        programs(&state).len() + pods(&state).iter().filter(|(_, pod)| phase(pod) == "Pending").count(),
        1,
        "10 min of grace"
    );
}

#[test]
fn schedules_that_are_not_known_are_said() {
    let mut state = cluster(13);
    for (name, schedule, zone) in [("a", "0 12 1 * 1", "UTC"), ("b", "@daily", "UTC"), ("c", "0 12 * * 0", "Europe/Berlin")] {
        let mut object = cronjob(schedule);
        object["metadata"]["name"] = json!(name);
        object["spec"]["timeZone"] = json!(zone);
        add(&mut state, Kind::CronJob, object);
    }
    pass(&mut state, 1);
    assert_eq!(state.unmodelled.len(), 3, "{:?}", state.unmodelled);
}
