//! What `rehearse` says before anything runs; whole rehearsals are simulations (tests/sim/rehearse.rs).

use std::path::Path;

use crate::support::program::{Ran, program};

fn rehearse(args: &[&str]) -> Ran {
    program(&[&["rehearse"], args].concat(), &[])
}

#[test]
fn the_help_names_all_that_can_be_injected() {
    let help = rehearse(&["--help"]);
    for (name, _) in k8s_upgrade::twin::rehearsal::KNOWN {
        assert!(help.is(0).stdout.contains(name), "{name} is missing: {}", help.stdout);
    }
}

#[test]
fn what_is_not_known_is_usage() {
    for (args, wanted) in [
        (["--inject", "kill"], "WHAT@STEP is wanted"),
        (["--inject", "earthquake@master"], "pdb-deadlock"),
        (["--inject", "kill@worker/k8s-master"], "worker/k8s-node4, postflight"),
        (["--inject", "pdb-deadlock@preflight"], "a node's step only"),
        (["--scenario", "/nowhere/at/all"], "three-control-planes"),
        (["--set", "soak=banana"], "soak"),
    ] {
        rehearse(&args).is(2).says(wanted);
    }
}

#[test]
fn nothing_outside_is_asked() {
    // Not even a kubeconfig.
    let ran = program(&["--kubeconfig", "/nowhere/at/all", "rehearse", "--scenario", "/nowhere/at/all"], &[]);
    ran.is(2).says("cannot read the scenario");
    assert!(Path::new("/nowhere").symlink_metadata().is_err());
}

#[test]
fn the_schema_of_its_files_is_data() {
    let schema: serde_json::Value = serde_json::from_str(&rehearse(&["--schema"]).is(0).stdout).unwrap();
    assert_eq!(schema["$defs"]["Workload"]["properties"]["grace-seconds"]["minimum"], 0);
    rehearse(&["--schema", "--save", "-"]).is(2).says("cannot be used with");
}

/// Nothing is rehearsed of a file that is not right as a whole.
#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.yaml");
    let good = rehearse(&["--save", "-"]).is(0).stdout.clone();
    for (text, instead, wanted) in [
        ("control-plane: true", "contrl-plane: true", "it.yaml:9:3: unknown field contrl-plane; did you mean control-plane?"),
        ("name: k8s-node1", "name: k8s-master", "it.yaml:16:9: two nodes are called k8s-master: give each its own name"),
        (
            "start:",
            "settings:\n  soak: 1m\n  saok: 1m\nstart:",
            "it.yaml:8:9: settings: unknown setting \"saok\"; did you mean \"soak\"?",
        ),
        ("start:", "settings: { soak: banana }\nstart:", "it.yaml:6:19: settings: setting soak: "),
        ("start:", "settings: { soak: 9999999h }\nstart:", "does not lie between 0s and 24h"),
        (
            "start:",
            "settings: { packages-url: 'http://10.0.0.9' }\nstart:",
            "settings: setting packages-url: http://10.0.0.9: everybody on the way",
        ),
        ("start: ", "start: 9000-12-31T23:59:59Z # ", "the rehearsal begins in the year 9000"),
        ("replicas: 2", "replicas: 4294967295", "replicas: 4294967295 are too many for a rehearsal, 10000 are the most"),
    ] {
        assert!(good.contains(text), "{text}");
        std::fs::write(&path, good.replacen(text, instead, 1)).unwrap();
        let ran = rehearse(&["--scenario", path.to_str().unwrap()]);
        assert!(ran.is(2).says(wanted).stdout.is_empty(), "{}", ran.stdout);
    }
}
