//! Disruption budgets by their namespaces: a cluster has thousands, and a pod is guarded by those beside it alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

/// Each namespace's, in the order in which they came.
#[derive(Debug, Default)]
pub struct Budgets(BTreeMap<Option<String>, Vec<PodDisruptionBudget>>);

impl Budgets {
    /// Of all that there are those that may guard one of these pods.
    pub fn beside<'a>(pods: &[&Pod], all: impl Iterator<Item = &'a PodDisruptionBudget>) -> Self {
        let mut beside: BTreeMap<_, _> = pods.iter().map(|pod| (pod.metadata.namespace.clone(), Vec::new())).collect();
        for budget in all {
            if let Some(of_namespace) = beside.get_mut(&budget.metadata.namespace) {
                of_namespace.push(budget.clone());
            }
        }
        Budgets(beside)
    }

    /// Those of the pod's namespace.
    pub fn of(&self, pod: &Pod) -> &[PodDisruptionBudget] {
        self.0.get(&pod.metadata.namespace).map(Vec::as_slice).unwrap_or_default()
    }
}

impl FromIterator<PodDisruptionBudget> for Budgets {
    fn from_iter<I: IntoIterator<Item = PodDisruptionBudget>>(all: I) -> Self {
        let mut budgets = Budgets::default();
        for budget in all {
            budgets.0.entry(budget.metadata.namespace.clone()).or_default().push(budget);
        }
        budgets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::decide::drain::tests::{budget, pod};
    use serde_json::json;

    #[test]
    fn a_pod_finds_the_budgets_of_its_namespace() {
        let [of_web, others] = ["web", "shop"].map(|namespace| {
            let mut budget = budget(json!({}));
            budget.metadata.namespace = Some(namespace.to_owned());
            budget
        });
        let mut pod = pod(json!({}));
        pod.metadata.namespace = of_web.metadata.namespace.clone();
        let all = [of_web.clone(), others.clone(), of_web.clone()];
        for budgets in [Budgets::beside(&[&pod], all.iter()), all.iter().cloned().collect()] {
            assert_eq!(budgets.of(&pod), [of_web.clone(), of_web.clone()]);
        }
        pod.metadata.namespace = Some("nowhere".to_owned());
        assert!(all.into_iter().collect::<Budgets>().of(&pod).is_empty());
    }
}
