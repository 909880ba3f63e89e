//! The night in which the API server does not answer: what its nodes say by SSH alone, and the way back of a control plane.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_upgrade::twin::scenario::{Scenario, ssh_key};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Driver, State, hosts};

use super::world::{LIMIT, NAMESPACE, begin, jobs, live, mark, quick, tail};

const MASTER: &str = "k8s-master";
const KNOWN_HOSTS: &str = "/home/wizard/.ssh/known_hosts";

/// The operator's own files: settings, key and known_hosts, all of them as `edit` leaves them.
fn files(state: &State, edit: impl FnOnce(&mut BTreeMap<&str, String>)) -> BTreeMap<PathBuf, Arc<[u8]>> {
    let machines: Vec<_> = state.hosts.all().map(|(name, machine)| (name, machine.address.clone())).collect();
    let addresses: String = machines.iter().map(|(name, address)| format!("  {name}: {address}\n")).collect();
    let settings = format!(
        "host-addresses:\n{addresses}known-hosts-file: {KNOWN_HOSTS}\nssh-key-file: /home/wizard/key\nsnapshot-folder: /backup\n"
    );
    let known: String = machines.iter().map(|(name, address)| format!("{address} {}\n", state.hosts.host_key(name))).collect();
    let mut files = BTreeMap::from([
        ("/home/wizard/.config/k8s-upgrade/config.yaml", settings),
        ("/home/wizard/key", ssh_key().unwrap().private),
        (KNOWN_HOSTS, known),
    ]);
    edit(&mut files);
    files.into_iter().map(|(path, text)| (path.into(), text.into_bytes().into())).collect()
}

/// What a person's command prints, without what a change of timing would rewrite, and its exit code.
async fn types(driver: &mut Driver<'_>, argv: &[&str], files: BTreeMap<PathBuf, Arc<[u8]>>) -> (String, Option<u8>) {
    let name = format!("{} {}", argv.join(" "), driver.twin.now());
    let argv: Vec<&str> = ["k8s-upgrade"].iter().chain(argv).copied().collect();
    let env = BTreeMap::from([("HOME".to_owned(), "/home/wizard".to_owned())]);
    driver.operate_with(&name, &argv, env, files);
    let limit = later(driver.twin.now(), Duration::from_secs(600));
    let code = driver.until_ended(&name, limit).await;
    let said = driver.twin.look(|state| state.logs.get(&format!("operator/{name}")).map(|log| log.all().join("\n")));
    let timeless = |line: &str| line.get(10..).filter(|_| line.as_bytes().get(2) == Some(&b':')).unwrap_or(line).to_owned();
    (unhurried(&said.unwrap_or_default().lines().map(timeless).collect::<Vec<_>>().join("\n")), code)
}

/// Without what a change of timing would rewrite: times, the run's id, and the hash of what was made at some time.
fn unhurried(said: &str) -> String {
    let masks = [
        (r"\b[0-9a-f]{64}\b", "<sha256>"),
        (r#"((?:run|"run":) "?|restore-)[0-9a-f]{8}\b"#, "$1<run>"),
        (r"etcd-\d{4}-?\d\d-?\d\d(?:-\d\d){3}|etcd-\d{8}-\d{6}", "etcd-<time>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "<time>"),
    ];
    masks
        .iter()
        .fold(said.to_owned(), |said, (pattern, mask)| regex::Regex::new(pattern).unwrap().replace_all(&said, *mask).into_owned())
}

async fn when(driver: &mut Driver<'_>, what: &str, holds: impl FnMut(&State) -> bool) {
    let limit = later(driver.twin.now(), LIMIT);
    let held = driver.until(limit, holds).await;
    assert!(held, "{what} never came\n{}", driver.twin.look(|state| format!("{}\n{}", jobs(state), tail(state, 60))));
}

/// The API server is away from now on, and the run's own processes are dead.
fn night(state: &mut State) {
    state.kill_programs();
    state.take_api_away(state.now(), Duration::from_secs(24 * 3600));
}

/// kubeadm has replaced etcd and gives up on the API server.
async fn broken_master(driver: &mut Driver<'_>) {
    driver.twin.edit(|state| state.hosts.change(MASTER, |machine| machine.faults.kubeadm_fails = 1));
    let failed = |state: &State| {
        let unit = state.hosts.machine(MASTER).and_then(|machine| machine.unit.as_ref());
        unit.is_some_and(|unit| unit.step.name() == "kubeadm-upgrade" && unit.end.is_some())
    };
    when(driver, "kubeadm's end", failed).await;
    driver.twin.edit(night);
}

fn calls(state: &State) -> (u64, usize) {
    (state.tally.changes, state.used.len())
}

/// Text and JSON, side by side in one file.
async fn shown(driver: &mut Driver<'_>, code: u8) -> String {
    let own = driver.twin.look(|state| files(state, |_| {}));
    shown_with(driver, code, &own).await
}

async fn shown_with(driver: &mut Driver<'_>, code: u8, own: &BTreeMap<PathBuf, Arc<[u8]>>) -> String {
    let before = driver.twin.look(calls);
    let (text, ended) = types(driver, &["status", "--hosts"], own.clone()).await;
    assert_eq!(ended, Some(code), "{text}");
    let (data, ended) = types(driver, &["status", "--hosts", "-o", "json"], own.clone()).await;
    assert_eq!(ended, Some(code), "{data}");
    assert_eq!(driver.twin.look(calls), before, "it changed something, or asked the API server");
    let long: Vec<&str> = text
        .lines()
        .filter(|line| line.chars().count() > 100 && !line.contains("    #") && !line.contains("waits for"))
        .collect();
    assert!(long.is_empty(), "only commands, which are copied, may be wider than 100 columns: {long:?}");
    format!("$ k8s-upgrade status --hosts    # {code}\n{text}\n\n$ k8s-upgrade status --hosts -o json    # {code}\n{data}")
}

#[test]
fn all_answer_while_kubeadm_is_at_work() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let at_work = |state: &State| {
            let unit = state.hosts.machine(MASTER).and_then(|machine| machine.unit.as_ref());
            unit.is_some_and(|unit| unit.step.name() == "kubeadm-upgrade" && unit.log.contains("kube-apiserver"))
        };
        when(driver, "kubeadm at the API server", at_work).await;
        driver.twin.edit(night);
        insta::assert_snapshot!("hosts_at_work", shown(driver, 0).await);
    });
}

/// kubeadm failed; one worker is off, one was reinstalled and shows another key, and one has half a package.
#[test]
fn a_host_that_does_not_answer_is_a_line() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        broken_master(driver).await;
        let own = driver.twin.look(|state| files(state, |_| {}));
        driver.twin.edit(|state| {
            hosts::power(state, "k8s-node2", false);
            state.hosts.change("k8s-node3", |machine| {
                machine.kubelet_unit = hosts::KubeletUnit::Stopped;
                machine.packages.entry("kubelet".to_owned()).and_modify(|package| package.dpkg = hosts::Dpkg::HalfInstalled);
            });
        });
        insta::assert_snapshot!("hosts_one_off", shown_with(driver, 7, &own).await);
        driver.twin.edit(|state| state.hosts.change("k8s-node4", |machine| machine.host_keys = 2));
        let (text, code) = types(driver, &["status", "--hosts"], own).await;
        assert!(code == Some(4) && text.contains("shows another host key"), "{text}");
        assert!(text.contains(&format!("ssh-keygen -R 10.0.20.104 -f {KNOWN_HOSTS}")), "{text}");
        assert!(text.contains("2 of 5 hosts could not be asked"), "{text}");
    });
}

/// One hangs: the others are told all the same, and in bounded time.
#[test]
fn a_host_that_hangs_is_not_waited_for_without_end() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        driver.twin.edit(|state| {
            night(state);
            let until = later(state.now(), Duration::from_secs(3600));
            state.hosts.change("k8s-node1", |machine| machine.faults.hangs_until = Some(until));
        });
        let begun = driver.twin.now();
        let own = driver.twin.look(|state| files(state, |_| {}));
        let (text, code) = types(driver, &["status", "--hosts"], own).await;
        assert!(code == Some(7) && text.contains("k8s-node1 (10.0.20.101) did not say all within 45s"), "{text}");
        assert!(text.contains("4 of 5 hosts answered"), "{text}");
        assert!(driver.twin.now().duration_since(begun).as_secs() < 60, "{text}");
    });
}

/// What is missing or cannot be read is named once, with the ways to give it; a host that nothing vouches for is refused.
#[test]
fn settings_that_are_missing_or_wrong_are_named() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        driver.twin.edit(night);
        let own = |edit: &dyn Fn(&mut BTreeMap<&str, String>)| driver.twin.look(|state| files(state, edit));
        let config = "/home/wizard/.config/k8s-upgrade/config.yaml";
        let line = "names, a key's type and the key are not all there";
        let cases = [
            (own(&|files| drop(files.remove(config))), 2, "needed: host-addresses, known-hosts-file"),
            (own(&|files| drop(files.remove(config))), 2, "K8S_UPGRADE_KNOWN_HOSTS_FILE=FILE, or by --set known-hosts-file=FILE"),
            (own(&|files| drop(files.remove(KNOWN_HOSTS))), 2, &*format!("known-hosts-file, {KNOWN_HOSTS}: ")),
            (own(&|files| drop(files.remove("/home/wizard/key"))), 2, "cannot read /home/wizard/key: "),
            (
                own(&|files| files.get_mut(KNOWN_HOSTS).unwrap().insert_str(0, "# mine\nk8s-master\n")),
                2,
                &*format!("{KNOWN_HOSTS}, line 2: {line}"),
            ),
            (
                own(&|files| {
                    let known = files.get_mut(KNOWN_HOSTS).unwrap();
                    *known =
                        known.lines().filter(|line| !line.starts_with("10.0.20.101 ")).map(|line| format!("{line}\n")).collect();
                }),
                4,
                &*format!("{KNOWN_HOSTS} knows no host key of k8s-node1 (10.0.20.101)"),
            ),
        ];
        for (own, code, says) in cases {
            let (text, ended) = types(driver, &["status", "--hosts"], own).await;
            assert_eq!(ended, Some(code), "{text}");
            assert!(text.contains(says), "{text:?} should say {says:?}");
        }
    });
}

/// With key and host keys of the operator's own, a person's command asks neither the Secret nor the ConfigMap, nor learns anything.
#[test]
fn what_the_operator_has_is_not_asked_of_the_cluster() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        let map = Key::new(Kind::ConfigMap, NAMESPACE, "k8s-upgrade-known-hosts");
        driver.twin.edit(|state| {
            state.store.remove(&Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds"));
            state.store.remove(&map);
        });
        let own = driver.twin.look(|state| files(state, |_| {}));
        let argv = ["preflight", "--target", "1.34.7", "--dry-run"];
        let (text, code) = types(driver, &argv, own).await;
        assert_eq!(code, Some(0), "{text}");
        driver.twin.look(|state| assert!(!state.used.iter().any(|manner| manner.contains("secrets")), "{:?}", state.used));
        // The file alone counts.
        let own = driver.twin.look(|state| files(state, |files| drop(files.insert(KNOWN_HOSTS, String::new()))));
        let (text, code) = types(driver, &argv, own).await;
        assert!(code == Some(4) && text.contains("knows no host key of k8s-node1"), "{text}");
    });
}

#[test]
fn status_names_the_command_that_works_while_the_api_server_is_away() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        driver.twin.edit(night);
        let (text, code) = types(driver, &["status"], BTreeMap::new()).await;
        assert_eq!(code, Some(7), "{text}");
        insta::assert_snapshot!(text.lines().filter(|line| !line.contains("waits for")).collect::<Vec<_>>().join("\n"), @r"
    ✗ list nodes: the API server cannot be reached: connection refused
        API server: https://10.96.0.1 (rehearsal)
      State: Nothing was begun.
      Next:  k8s-upgrade status --hosts    # asks the nodes, by SSH alone
    ");
    });
}

#[test]
fn a_control_planes_way_back_is_told_without_the_api_server() {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        broken_master(driver).await;
        let before = driver.twin.look(calls);
        let own = driver.twin.look(|state| files(state, |_| {}));
        let (text, code) = types(driver, &["rollback", MASTER], own.clone()).await;
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(driver.twin.look(|state| state.tally.changes), before.0, "it changed something");
        insta::assert_snapshot!("restore", text);
        // A worker is drained, and that needs the API; a stranger is none of the settings'.
        for (node, code, says) in
            [("k8s-node1", 7, "k8s-node1 is a worker"), ("k8s-node9", 2, "not in the setting host-addresses")]
        {
            let (text, ended) = types(driver, &["rollback", node, "--yes"], own.clone()).await;
            assert!(ended == Some(code) && text.contains(says), "{ended:?} {text}");
        }
        let (text, code) = types(driver, &["rollback", MASTER], BTreeMap::new()).await;
        assert!(code == Some(7) && text.contains("needed: host-addresses, known-hosts-file"), "{text}");
        driver.twin.look(|state| {
            assert_eq!((state.tally.changes, &state.unmodelled), (before.0, &Vec::new()));
            assert!(state.store.list(Kind::Node).all(|(key, node)| key.name == MASTER || mark(node, "cordoned-by").is_none()));
        });
    });
}

/// kubeadm has ended well: every component has a copy of before, and the snapshot is not what it was.
#[test]
fn an_upgraded_control_plane_and_a_snapshot_that_was_replaced() {
    live(begin(&quick(Scenario::runbook_minor())), None, async |driver| {
        when(driver, "the first worker", |state| {
            state.store.list(Kind::Node).any(|(key, node)| key.name != MASTER && mark(node, "cordoned-by").is_some())
        })
        .await;
        driver.twin.edit(|state| {
            night(state);
            let snapshot = state.hosts.machine(MASTER).unwrap().files.keys().find(|path| path.starts_with("/backup/")).cloned();
            hosts::put_file(state, MASTER, &snapshot.unwrap(), 4096);
        });
        let own = driver.twin.look(|state| files(state, |_| {}));
        let (text, code) = types(driver, &["rollback", MASTER], own).await;
        assert_eq!(code, Some(0), "{text}");
        insta::assert_snapshot!("restore_upgraded", text);
    });
}
