//! Every guard is missed: each is switched off alone, and its simulation fails then.
mod beside;
mod gates;
mod leases;
mod stops;
mod works;
mod written;

use k8s_upgrade::twin::State;
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::json;

/// A static pod runs on, and is not Ready any more; or is again.
fn unready(state: &mut State, node: &str, component: &str, on: bool) {
    state.hosts.change(node, |machine| match on {
        true => drop(machine.faults.unready.insert(component.to_owned())),
        false => drop(machine.faults.unready.remove(component)),
    });
    let status = if on { "False" } else { "True" };
    state.store.update(&Key::new(Kind::Pod, "kube-system", &format!("{component}-{node}")), |pod| {
        let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
        conditions.iter_mut().filter(|one| one["type"] == "Ready").for_each(|one| one["status"] = json!(status));
    });
}
