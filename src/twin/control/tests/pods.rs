use std::path::Path;

use serde_json::json;

use super::super::super::store::{Key, Kind};
use super::super::objects::{is, phase, ready, terminating};
use super::super::{BACKUP, Backup};
use super::{State, add, begin, chain_job, cluster, evict, faces, get, history, pass, pass_ms, pods, programs, workload};

#[test]
fn a_pod_runs_is_ready_and_ends_in_its_time() {
    let mut state = cluster(1);
    let mut web = workload("web", 1);
    web["spec"]["template"]["metadata"]["annotations"] = json!({ "rehearsal/ready-after": "20", "rehearsal/ends-after": "9" });
    add(&mut state, Kind::Deployment, web);
    pass_ms(&mut state, 900);
    let key = pods(&state).remove(0).0;
    assert_eq!(phase(&get(&state, &key)), "Pending");
    pass_ms(&mut state, 2500);
    let pod = get(&state, &key);
    assert_eq!((phase(&pod), ready(&pod), is(&pod, "PodScheduled")), ("Running", false, "True"));
    assert!(pod["status"]["containerStatuses"][0]["state"]["running"].is_object() && pod["status"]["startTime"].is_string());
    pass(&mut state, 16);
    assert!(!ready(&get(&state, &key)));
    pass(&mut state, 5);
    assert!(ready(&get(&state, &key)) && get(&state, &key)["status"]["containerStatuses"][0]["ready"] == true);
    evict(&mut state, &key);
    pass(&mut state, 8);
    assert!(terminating(&get(&state, &key)));
    pass(&mut state, 2);
    assert!(state.store.get(&key).is_none(), "{:?}", faces(&state));
}

#[test]
fn a_pod_that_is_never_ready() {
    let mut state = cluster(2);
    let mut web = workload("web", 1);
    web["spec"]["template"]["metadata"]["annotations"] = json!({ "rehearsal/never-ready": "true" });
    let key = add(&mut state, Kind::Deployment, web);
    begin(&mut state);
    pass(&mut state, 600);
    assert_eq!(
        (phase(&pods(&state)[0].1), ready(&pods(&state)[0].1), is(&get(&state, &key), "Available")),
        ("Running", false, "False")
    );
}

#[test]
fn the_grace_period_is_the_bound() {
    let mut state = cluster(3);
    let mut web = workload("web", 1);
    web["spec"]["template"]["metadata"]["annotations"] = json!({ "rehearsal/ends-after": "500" });
    web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(40);
    add(&mut state, Kind::Deployment, web);
    begin(&mut state);
    let key = pods(&state).remove(0).0;
    evict(&mut state, &key);
    pass(&mut state, 20);
    assert!(state.store.get(&key).is_some());
    // Somebody has less patience.
    super::super::super::api::delete_pod(&mut state, &key, Some(5));
    pass(&mut state, 6);
    assert!(state.store.get(&key).is_none(), "{:?}", faces(&state));
}

#[test]
fn the_program_finds_what_its_manifest_promises() {
    let mut state = cluster(4);
    add(
        &mut state,
        Kind::Secret,
        json!({ "metadata": { "name": "creds", "namespace": "default" }, "data": { "ssh_key": "a2V5" } }),
    );
    add(&mut state, Kind::Job, chain_job("chain"));
    pass(&mut state, 5);
    let (uid, program) = state.programs.iter().next().unwrap();
    let (key, pod) = pods(&state).remove(0);
    assert_eq!((&pod["metadata"]["uid"], &program.pod), (&json!(uid), &key));
    assert_eq!(program.account, ("default".to_owned(), "k8s-upgrade-job".to_owned()));
    assert_eq!(program.argv, ["k8s-upgrade", "detect", "-v"]);
    assert_eq!(program.env["POD_NAME"], key.name);
    assert_eq!(json!(program.env["NODE_NAME"]), pod["spec"]["nodeName"]);
    let files: Vec<_> = program.files.iter().map(|(path, bytes)| (path.as_path(), &**bytes)).collect();
    assert_eq!(files, [(Path::new("/secrets/k8s-upgrade/ssh_key"), b"key".as_slice())], "an optional ConfigMap may be missing");
    assert!(ready(&pod));
    assert_eq!(state.unmodelled, Vec::<String>::new());
}

#[test]
fn a_pod_waits_for_what_it_mounts() {
    let mut state = cluster(5);
    let mut object = chain_job("chain");
    object["spec"]["template"]["spec"]["volumes"][0]["secret"]["optional"] = json!(false);
    add(&mut state, Kind::Job, object);
    pass(&mut state, 30);
    assert_eq!((programs(&state).len(), phase(&pods(&state)[0].1)), (0, "Pending"));
    add(&mut state, Kind::Secret, json!({ "metadata": { "name": "creds", "namespace": "default" } }));
    pass(&mut state, 12);
    assert_eq!(programs(&state).len(), 1, "{}", history(&state));
}

fn backup(state: &mut State, how: Backup) -> Key {
    state.control.backup = how;
    let template = json!({
        "metadata": { "annotations": { BACKUP: "true" } },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "backup", "image": "etcd:3" }] },
    });
    let job =
        json!({ "metadata": { "name": "backup", "namespace": "default" }, "spec": { "backoffLimit": 0, "template": template } });
    let key = add(state, Kind::Job, job);
    pass(state, 10);
    key
}

fn log(state: &State) -> Vec<String> {
    let uid = pods(state)[0].1["metadata"]["uid"].as_str().unwrap().to_owned();
    state.logs.get(&uid).map_or(Vec::new(), |lines| lines.all().iter().map(|line| (*line).to_owned()).collect())
}

#[test]
fn backups_end_as_they_are_told_to() {
    let mut state = cluster(6);
    let key = backup(&mut state, Backup::Fine);
    assert_eq!(is(&get(&state, &key), "Complete"), "True", "{:?}", faces(&state));
    let lines = log(&state);
    assert!(lines.len() == 1 && lines[0].starts_with("Backup done: /backup/etcd-20261124-1200"), "{lines:?}");
    assert!(lines[0].ends_with(".db (4575264 bytes)"), "{lines:?}");

    let mut state = cluster(6);
    let key = backup(&mut state, Backup::Small);
    assert_eq!(is(&get(&state, &key), "Complete"), "True");
    assert!(log(&state)[0].ends_with(".db (512 bytes)"));

    let mut state = cluster(6);
    let key = backup(&mut state, Backup::Fails);
    assert_eq!(is(&get(&state, &key), "Failed"), "True", "{:?}", faces(&state));
    assert!(log(&state)[0].starts_with("Error"));

    let mut state = cluster(6);
    let key = backup(&mut state, Backup::Stuck);
    pass(&mut state, 3600);
    assert_eq!(get(&state, &key)["status"]["active"], 1, "{:?}", faces(&state));
}
