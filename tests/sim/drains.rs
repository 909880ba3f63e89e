//! Drains that kubectl ends and a loop over "all pods on the node" would not.

use std::collections::BTreeMap;

use k8s_upgrade::twin::State;
use k8s_upgrade::twin::scenario::{self, Scenario, Toleration, Workload};

use super::hands::{done, observed};
use super::world::{begin, is_over, quick, when};

/// A pod that tolerates every taint is put on the cordoned node again: it is evicted once, told of, and left there.
#[test]
pub fn a_pod_that_tolerates_the_cordon_is_evicted_once() {
    let mut scenario = quick(Scenario::runbook());
    scenario.workloads.push(Workload {
        node_selector: BTreeMap::from([("kubernetes.io/hostname".to_owned(), "k8s-node3".to_owned())]),
        tolerations: vec![Toleration { operator: Some("Exists".to_owned()), ..Toleration::default() }],
        ..Workload::new(scenario::WorkloadKind::Deployment, "monitoring", "exporter")
    });
    let end = observed(begin(&scenario), async |driver| {
        when(driver, "the end", is_over).await;
        driver.twin.look(State::clone)
    });
    done(&end, &[]);
    let evicted: Vec<&str> =
        end.history.newest().filter(|line| line.contains("/pods/exporter-") && line.contains("/eviction")).collect();
    assert_eq!(evicted.len(), 1, "{evicted:#?}");
    let told = "tolerates the cordon and was scheduled here again: it stays";
    assert!(end.logs.values().any(|log| log.newest().any(|line| line.contains(told))), "nobody says so");
}
