//! Addresses that lead to another machine: whatever made them so, nothing is done there, and no host key of it is kept.

use k8s_upgrade::names;
use k8s_upgrade::twin::scenario::Scenario;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Call, Fate, Hook, State};
use serde_json::json;

use super::world::{NAMESPACE, at_work, begin, live, mark, quick, tail, when};

const ONE: &str = "k8s-node2";
const OTHER: &str = "k8s-node4";

fn runbook() -> Scenario {
    quick(Scenario::runbook())
}

fn logs(state: &State) -> String {
    state.logs.values().map(|lines| lines.all().join("\n")).collect::<Vec<_>>().join("\n")
}

/// A run that is refused, and what it says of it.
fn refused(state: State, hook: Option<Box<dyn Hook>>, words: &str) -> State {
    let end = live(state, hook, async |driver| {
        when(driver, "a refusal", |state| state.web.slack.messages.iter().any(|message| message.text.contains("🛑"))).await;
        when(driver, "the end of it", |state| !at_work(state)).await;
        driver.twin.look(State::clone)
    });
    assert!(logs(&end).contains(words), "nothing says {words:?}:\n{}\n{}", logs(&end), tail(&end, 60));
    end
}

/// Nothing was done on it, nor was a key of it kept.
fn untouched(state: &State, node: &str) {
    let machine = state.hosts.machine(node).unwrap();
    let fetched = machine.archives.len() + machine.files.len();
    assert!(machine.unit.is_none() && fetched == 0 && machine.kubelet == "1.34.2", "{node}\n{}", tail(state, 60));
    let known = state.store.get(&Key::new(Kind::ConfigMap, NAMESPACE, names::KNOWN_HOSTS_MAP));
    assert_eq!(known.expect("the ConfigMap of host keys")["data"][node], json!(null), "{node}");
}

#[test]
pub fn swapped_addresses_of_the_settings() {
    let mut scenario = runbook();
    let address = |state: &State, node: &str| state.hosts.machine(node).unwrap().address.clone();
    let plain = begin(&scenario);
    let swapped = json!({ ONE: address(&plain, OTHER), OTHER: address(&plain, ONE) });
    scenario.settings.insert("host-addresses".to_owned(), swapped);
    let end = refused(begin(&scenario), None, &format!("is not {ONE}: the kubelet there is that of {OTHER}"));
    untouched(&end, ONE);
    untouched(&end, OTHER);
}

/// DHCP has given it away, or a kubelet reports what it likes: two Nodes, one machine.
#[test]
fn one_address_for_two_nodes() {
    let mut state = begin(&runbook());
    let taken = state.store.get(&Key::node(OTHER)).unwrap()["status"]["addresses"].clone();
    state.store.update(&Key::node(ONE), |node| node["status"]["addresses"] = taken);
    let end = refused(state, None, &format!("is not {ONE}: the kubelet there is that of {OTHER}"));
    untouched(&end, ONE);
}

/// A clone with the kubelet's certificate of the first.
#[test]
fn another_machine_with_the_same_certificate() {
    let mut state = begin(&runbook());
    let id = "0123456789abcdef0123456789abcdef".to_owned();
    state.hosts.change(ONE, |machine| machine.machine_id = id);
    let end = refused(state, None, "its kubelet's certificate fits, but its machine id is 0123456789abcdef0123456789abcdef");
    untouched(&end, ONE);
}

#[test]
fn a_machine_that_nothing_tells_of() {
    let mut state = begin(&runbook());
    state.hosts.change(ONE, |machine| machine.kubelet_of.clear());
    let end = refused(state, None, "its kubelet's client certificate cannot be read: /etc/kubernetes/kubelet.conf is not there");
    untouched(&end, ONE);
}

/// Clones share their machine id from the first: told, and no hindrance.
#[test]
fn nodes_that_share_a_machine_id() {
    let mut state = begin(&runbook());
    let id = state.hosts.machine(ONE).unwrap().machine_id.clone();
    state.store.update(&Key::node(OTHER), |node| node["status"]["nodeInfo"]["machineID"] = json!(id));
    state.hosts.change(OTHER, |machine| machine.machine_id = id);
    let end = live(state, None, async |driver| {
        when(driver, "a node at the new version", |state| state.hosts.machine(OTHER).is_some_and(|m| m.kubelet == "1.34.7"))
            .await;
        driver.twin.look(State::clone)
    });
    assert!(logs(&end).contains(&format!("{ONE}, {OTHER} report one machine id")), "{}", logs(&end));
}

/// Just before the first work on it, the machine is installed anew as another node: with a boot, and the same host key.
struct BecomesAnother(bool);

impl Hook for BecomesAnother {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        if !self.0 && call.what.starts_with("begin ") && call.what.ends_with(&format!(" on {ONE}")) {
            self.0 = true;
            state.hosts.change(ONE, |machine| {
                machine.boot += 1;
                machine.kubelet_of = "k8s-node9".to_owned();
            });
        }
        Fate::Go
    }
}

#[test]
pub fn a_machine_that_becomes_another_in_mid_run() {
    let hook: Box<dyn Hook> = Box::new(BecomesAnother(false));
    let end = refused(begin(&runbook()), Some(hook), &format!("is not {ONE}: the kubelet there is that of k8s-node9"));
    assert!(end.hosts.machine(ONE).unwrap().unit.is_none(), "{}", tail(&end, 60));
    assert!(mark(end.store.get(&Key::node(ONE)).unwrap(), "cordoned-by").is_some(), "its drain had been begun");
}
