//! `rotate-key` on the world in memory: both stores, what may go wrong, and a kill before and after each change.

mod kills;
pub mod meddled;
pub mod refusals;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_upgrade::plan::trust::keys::{Pair, Public};
use k8s_upgrade::twin::scenario::{Scenario, ssh_key};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::VAULT;
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, State, hosts};
use serde_json::json;

use super::rules::given_away;
use super::world::{LIMIT, NAMESPACE, begin, live, tail};

const TOKEN: &str = "hvs.rehearsal";
const NODES: [&str; 5] = ["k8s-master", "k8s-node1", "k8s-node2", "k8s-node3", "k8s-node4"];
/// Of people, around ours.
const ABOVE: &str = "# people\nssh-rsa AAAAalice alice@laptop\n";
const BELOW: &str = "from=\"10.0.0.0/8\" ssh-ed25519 AAAAbob bob\n";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Store {
    Secret,
    Vault,
}

pub fn world(store: Store) -> State {
    let mut scenario = Scenario::runbook();
    if store == Store::Vault {
        scenario.settings.insert("vault-address".to_owned(), VAULT.into());
    }
    let mut state = begin(&scenario);
    state.web.vault.token = TOKEN.to_owned();
    for node in NODES {
        state.hosts.change(node, |machine| machine.authorized_keys = format!("{ABOVE}{}{BELOW}", machine.authorized_keys));
    }
    state
}

fn secret(state: &State, field: &str) -> String {
    let secret = state.store.get(&Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds")).unwrap();
    String::from_utf8(BASE64_STANDARD.decode(secret["data"][field].as_str().unwrap_or_default()).unwrap()).unwrap()
}

fn held(state: &State) -> Public {
    Public::of(&secret(state, "ssh_key")).expect("the Secret holds a key")
}

fn keys_of<'a>(state: &'a State, node: &str) -> &'a str {
    &state.hosts.machine(node).unwrap().authorized_keys
}

/// A person's machine: the token, and a key of the person's own.
fn files(own: &Pair) -> BTreeMap<std::path::PathBuf, Arc<[u8]>> {
    let file = |path: &str, text: &str| (path.into(), Arc::from(text.as_bytes()));
    [file("/home/ann/.vault-token", &format!("{TOKEN}\n")), file("/home/ann/.ssh/own", &own.private)].into()
}

fn ann() -> Pair {
    Pair::from_seed(&[7; 32]).unwrap()
}

/// A person's command: its exit code, and what it printed, without times.
async fn types(driver: &mut Driver<'_>, store: Store, line: &str) -> (Option<u8>, String) {
    let address = format!("vault-address={VAULT}");
    let to_vault: &[&str] = if store == Store::Vault { &["--set", &address] } else { &[] };
    let argv: Vec<&str> = ["k8s-upgrade"].into_iter().chain(line.split(' ')).chain(to_vault.iter().copied()).collect();
    let name = driver.twin.look(|state| format!("ann{}", state.logs.len()));
    let env = BTreeMap::from([("HOME".to_owned(), "/home/ann".to_owned()), ("USER".to_owned(), "ann".to_owned())]);
    driver.operate_with(&name, &argv, env, files(&ann()));
    let limit = later(driver.twin.now(), LIMIT);
    let code = driver.until_ended(&name, limit).await;
    let said = driver.twin.look(|state| state.logs.get(&format!("operator/{name}")).map(|log| log.all().join("\n")));
    let bare =
        |line: &str| line.get(10..).filter(|_| line.as_bytes().get(2) == Some(&b':')).unwrap_or(line).trim_end().to_owned();
    (code, said.unwrap_or_default().lines().map(bare).collect::<Vec<_>>().join("\n"))
}

/// One command from a state on.
pub fn run(state: State, hook: Option<Box<dyn Hook>>, store: Store, line: &str) -> (State, Option<u8>, String) {
    live(state, hook, async |driver| {
        let (code, said) = types(driver, store, line).await;
        (driver.twin.look(State::clone), code, said)
    })
}

/// Every node accepts a new key, the one that Secret and store hold, besides those of people, and no other.
fn rotated(state: &State, store: Store, when: &str) {
    let new = held(state);
    assert_ne!(new, ssh_key().unwrap().public, "{when}: the key is the former one\n{}", tail(state, 60));
    assert_eq!(secret(state, "ssh_key_pub"), format!("{}\n", new.line()), "{when}");
    if store == Store::Vault {
        assert_eq!(state.web.vault.field("ssh_key"), Some(secret(state, "ssh_key").as_str()), "{when}");
        assert!(state.web.vault.field("slack_webhook").is_some(), "{when}: the patch has taken another field along");
    }
    for node in NODES {
        assert_eq!(keys_of(state, node), format!("{ABOVE}{BELOW}{}\n", new.line()), "{when}: {node}\n{}", tail(state, 60));
    }
    silent(state, when);
}

/// All is as it was.
fn untouched(state: &State, when: &str) {
    let old = ssh_key().unwrap().public;
    assert_eq!(held(state), old, "{when}");
    for node in NODES {
        assert_eq!(keys_of(state, node), format!("{ABOVE}{}\n{BELOW}", old.line()), "{when}: {node}\n{}", tail(state, 60));
    }
    silent(state, when);
}

/// Nothing secret is where it has no place, and nothing was asked that is not modelled.
fn silent(state: &State, when: &str) {
    assert_eq!(given_away(state), Vec::<String>::new(), "{when}");
    assert_eq!(state.unmodelled, Vec::<String>::new(), "{when}");
}

/// What a person sees, with names for the fingerprints and without what took how long.
fn told(said: &str) -> String {
    let mut named: Vec<&str> = Vec::new();
    let brief = |line: &str| line.split_once(": done, ").map_or(line.to_owned(), |(step, _)| format!("{step}: done"));
    let mut text = said.lines().map(brief).collect::<Vec<_>>().join("\n");
    for word in said.split(|c: char| !c.is_ascii_alphanumeric() && !"+/:".contains(c)).filter(|word| word.starts_with("SHA256:"))
    {
        if !named.contains(&word) {
            named.push(word);
            text = text.replace(word, &format!("SHA256:{}", named.len()));
        }
    }
    text
}

/// Looks at everything, and meddles at calls that change something.
struct Meddler<F> {
    /// Number of the call (from 1), and whether it is killed after it or before.
    kill: Option<(usize, bool)>,
    seen: Arc<Mutex<Vec<String>>>,
    /// At each call: before it or after it.
    meddle: F,
    /// Where the Secret's key did not open a node.
    locked_out: Arc<Mutex<Vec<String>>>,
    known: (String, Option<Public>),
}

fn meddler<F: FnMut(&mut State, &Call, bool) -> Fate>(meddle: F) -> Meddler<F> {
    let known = (String::new(), None);
    Meddler { kill: None, seen: Arc::default(), meddle, locked_out: Arc::default(), known }
}

impl<F: FnMut(&mut State, &Call, bool) -> Fate + Send> Hook for Meddler<F> {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if call.changes {
            let mut seen = self.seen.lock().unwrap();
            seen.push(call.what.clone());
            if self.kill == Some((seen.len(), false)) {
                return Fate::Kill;
            }
        }
        (self.meddle)(state, call, false)
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        let count = self.seen.lock().unwrap().len();
        if call.changes && self.kill == Some((count, true)) {
            return Fate::Kill;
        }
        (self.meddle)(state, call, true)
    }
    /// The rule: the key in the Secret opens every node.
    fn look(&mut self, state: &mut State) {
        let key = secret(state, "ssh_key");
        if self.known.0 != key {
            self.known = (key.clone(), Public::of(&key));
        }
        let base64 = self.known.1.as_ref().map_or("no key", |key| &key.base64);
        for node in NODES.into_iter().filter(|node| !keys_of(state, node).contains(base64)) {
            self.locked_out.lock().unwrap().push(format!("{node} at {}", state.now()));
        }
    }
}

/// The write that stores the key; Vault sees one before it that only asks.
fn stores(state: &State, call: &Call) -> bool {
    let vault = call.what.contains("/v1/secret/data/") && state.web.vault.versions.len() > 1;
    call.changes && (vault || call.what.contains("/secrets/k8s-upgrade-creds"))
}

/// The lines from the first that speaks of a failure on.
fn failure(said: &str) -> String {
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.starts_with(['✗', '‖'])).collect();
    told(&lines.join("\n"))
}

#[test]
fn the_secret_alone() {
    let (end, code, said) = run(world(Store::Secret), None, Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(told(&said), @r#"
    k8s-master  host key learned; from now on it must stay the same
    k8s-node1  host key learned; from now on it must stay the same
    k8s-node2  host key learned; from now on it must stay the same
    k8s-node3  host key learned; from now on it must stay the same
    k8s-node4  host key learned; from now on it must stay the same
    a new SSH key is added on k8s-master, k8s-node1, k8s-node2, k8s-node3, k8s-node4 and stored in the Secret k8s-upgrade/k8s-upgrade-creds; once it opens every node, they lose SHA256:1 and every other line marked k8s-upgrade-key
    rotate-key  the new key is SHA256:2
    k8s-master  add the new key … (at most 2m 00s)
    k8s-master  add the new key: done
    k8s-node1  add the new key … (at most 2m 00s)
    k8s-node1  add the new key: done
    k8s-node2  add the new key … (at most 2m 00s)
    k8s-node2  add the new key: done
    k8s-node3  add the new key … (at most 2m 00s)
    k8s-node3  add the new key: done
    k8s-node4  add the new key … (at most 2m 00s)
    k8s-node4  add the new key: done
    rotate-key  store the new key … (at most 2m 00s)
    rotate-key  store the new key: done
    k8s-master  remove the former key … (at most 2m 00s)
    k8s-master  remove the former key: done
    k8s-node1  remove the former key … (at most 2m 00s)
    k8s-node1  remove the former key: done
    k8s-node2  remove the former key … (at most 2m 00s)
    k8s-node2  remove the former key: done
    k8s-node3  remove the former key … (at most 2m 00s)
    k8s-node3  remove the former key: done
    k8s-node4  remove the former key … (at most 2m 00s)
    k8s-node4  remove the former key: done
    k8s-master  key added, 1 removed, 3 keys now
    k8s-node1  key added, 1 removed, 3 keys now
    k8s-node2  key added, 1 removed, 3 keys now
    k8s-node3  key added, 1 removed, 3 keys now
    k8s-node4  key added, 1 removed, 3 keys now
    the file that the former key was installed from is stale: `manifests` without --ssh-key leaves the Secret alone
    "#);
    rotated(&end, Store::Secret, "");
}

#[test]
fn with_vault() {
    let (end, code, said) = run(world(Store::Vault), None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(told(&said), @r#"
    k8s-master  host key learned; from now on it must stay the same
    k8s-node1  host key learned; from now on it must stay the same
    k8s-node2  host key learned; from now on it must stay the same
    k8s-node3  host key learned; from now on it must stay the same
    k8s-node4  host key learned; from now on it must stay the same
    a new SSH key is added on k8s-master, k8s-node1, k8s-node2, k8s-node3, k8s-node4 and stored in secret/k8s-upgrade in Vault at https://vault.rehearsal:8200; once the Secret k8s-upgrade/k8s-upgrade-creds holds it and it opens every node, they lose SHA256:1 and every other line marked k8s-upgrade-key
    rotate-key  the new key is SHA256:2
    k8s-master  add the new key … (at most 2m 00s)
    k8s-master  add the new key: done
    k8s-node1  add the new key … (at most 2m 00s)
    k8s-node1  add the new key: done
    k8s-node2  add the new key … (at most 2m 00s)
    k8s-node2  add the new key: done
    k8s-node3  add the new key … (at most 2m 00s)
    k8s-node3  add the new key: done
    k8s-node4  add the new key … (at most 2m 00s)
    k8s-node4  add the new key: done
    rotate-key  store the new key … (at most 2m 00s)
    rotate-key  store the new key: done
    rotate-key  let External Secrets read Vault … (at most 1m 00s)
    rotate-key  let External Secrets read Vault: done
    rotate-key  waits for the Secret to hold the new private key: the Secret k8s-upgrade/k8s-upgrade-creds holds SHA256:1 (at most 19m 59s more)
    k8s-master  remove the former key … (at most 2m 00s)
    k8s-master  remove the former key: done
    k8s-node1  remove the former key … (at most 2m 00s)
    k8s-node1  remove the former key: done
    k8s-node2  remove the former key … (at most 2m 00s)
    k8s-node2  remove the former key: done
    k8s-node3  remove the former key … (at most 2m 00s)
    k8s-node3  remove the former key: done
    k8s-node4  remove the former key … (at most 2m 00s)
    k8s-node4  remove the former key: done
    k8s-master  key added, 1 removed, 3 keys now
    k8s-node1  key added, 1 removed, 3 keys now
    k8s-node2  key added, 1 removed, 3 keys now
    k8s-node3  key added, 1 removed, 3 keys now
    k8s-node4  key added, 1 removed, 3 keys now
    "#);
    rotated(&end, Store::Vault, "");
    let (end, code, said) = run(end, None, Store::Vault, "rotate-key --yes -o json -q");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(told(&said), @r#"
    {
      "version": 1,
      "nodes": [
        {
          "node": "k8s-master",
          "added": true,
          "removed": 1,
          "keys": 3
        },
        {
          "node": "k8s-node1",
          "added": true,
          "removed": 1,
          "keys": 3
        },
        {
          "node": "k8s-node2",
          "added": true,
          "removed": 1,
          "keys": 3
        },
        {
          "node": "k8s-node3",
          "added": true,
          "removed": 1,
          "keys": 3
        },
        {
          "node": "k8s-node4",
          "added": true,
          "removed": 1,
          "keys": 3
        }
      ]
    }
    "#);
    rotated(&end, Store::Vault, "twice");
    assert_eq!(end.web.vault.field("ssh_key_pub_former").map(|text| text.lines().count()), Some(2));
}

#[test]
fn a_dry_run_looks_and_changes_nothing() {
    for store in [Store::Secret, Store::Vault] {
        let (end, code, said) = run(world(store), None, store, "rotate-key --dry-run");
        assert_eq!(code, Some(0), "{said}");
        untouched(&end, "dry run");
        if store == Store::Vault {
            insta::assert_snapshot!(told(&said), @r#"
            k8s-master  warning: its host key, SHA256:1, is not known and was accepted unseen; a dry run keeps none
            k8s-node1  warning: its host key, SHA256:2, is not known and was accepted unseen; a dry run keeps none
            k8s-node2  warning: its host key, SHA256:3, is not known and was accepted unseen; a dry run keeps none
            k8s-node3  warning: its host key, SHA256:4, is not known and was accepted unseen; a dry run keeps none
            k8s-node4  warning: its host key, SHA256:5, is not known and was accepted unseen; a dry run keeps none
            a new SSH key is added on k8s-master, k8s-node1, k8s-node2, k8s-node3, k8s-node4 and stored in secret/k8s-upgrade in Vault at https://vault.rehearsal:8200; once the Secret k8s-upgrade/k8s-upgrade-creds holds it and it opens every node, they lose SHA256:6 and every other line marked k8s-upgrade-key
            k8s-master  3 keys, 1 marked k8s-upgrade-key
            k8s-node1  3 keys, 1 marked k8s-upgrade-key
            k8s-node2  3 keys, 1 marked k8s-upgrade-key
            k8s-node3  3 keys, 1 marked k8s-upgrade-key
            k8s-node4  3 keys, 1 marked k8s-upgrade-key
            "#);
        }
    }
    let (end, code, said) = run(world(Store::Secret), None, Store::Secret, "rotate-key --dry-run -o json -q");
    assert_eq!((code, end.tally.changes), (Some(0), 0));
    insta::assert_snapshot!(said, @r#"
    k8s-master  warning: its host key, SHA256:QE1mQM06C2qcOT5OX4CEXvLUox4XUXv6i8TLhAHlwbI, is not known and was accepted unseen; a dry run keeps none
    k8s-node1  warning: its host key, SHA256:fLlVKfX7CI/bqXDYjWPL06bJmTO6OHp2SHkGY4MDS50, is not known and was accepted unseen; a dry run keeps none
    k8s-node2  warning: its host key, SHA256:UKKCQJkIxyBpXkB6NwglGey3KHTEML14vac7JXhKb6A, is not known and was accepted unseen; a dry run keeps none
    k8s-node3  warning: its host key, SHA256:wzOhFy4jsozaESkcM+zJ+8b54+dmuvME/uzAP/sAGfU, is not known and was accepted unseen; a dry run keeps none
    k8s-node4  warning: its host key, SHA256:3isnizL/24WT7Di9/Apw7Lq+fEh5DAFsgPpuUATyTIo, is not known and was accepted unseen; a dry run keeps none
    {
      "version": 1,
      "nodes": [
        {
          "node": "k8s-master",
          "keys": 3,
          "marked": 1
        },
        {
          "node": "k8s-node1",
          "keys": 3,
          "marked": 1
        },
        {
          "node": "k8s-node2",
          "keys": 3,
          "marked": 1
        },
        {
          "node": "k8s-node3",
          "keys": 3,
          "marked": 1
        },
        {
          "node": "k8s-node4",
          "keys": 3,
          "marked": 1
        }
      ]
    }
    "#);
}
