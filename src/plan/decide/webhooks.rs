//! Admission webhooks that would stand in an upgrade's way: asked of something that it needs, closed where they cannot be asked, and with
//! nobody who answers, now or as soon as the next node is drained.

use std::collections::BTreeMap;

/// One webhook that fails what it must be asked of, as its configuration has it. One outside of the cluster (`url`) is none: nothing here
/// says whether it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub name: String,
    /// `ValidatingWebhookConfiguration kyverno`.
    pub configuration: String,
    pub service: Service,
    pub rules: Vec<Rule>,
}

/// Namespace and name.
pub type Service = (String, String);

/// What a webhook is asked of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub operations: Vec<String>,
}

/// Who answers for a Service: the nodes of its ready endpoints, where they say theirs.
pub type Endpoints = BTreeMap<Service, Vec<Option<String>>>;

/// What an upgrade needs to be let in: group, resource, operation.
const NEEDED: [(&str, &str, &str); 7] = [
    ("", "pods", "CREATE"),
    ("", "pods/eviction", "CREATE"),
    ("", "nodes", "UPDATE"),
    ("batch", "jobs", "CREATE"),
    ("batch", "jobs", "DELETE"),
    ("coordination.k8s.io", "leases", "CREATE"),
    ("coordination.k8s.io", "leases", "UPDATE"),
];

impl Rule {
    fn covers(&self, (group, resource, operation): (&str, &str, &str)) -> bool {
        let has = |list: &[String], any: &[&str]| list.iter().any(|item| any.contains(&item.as_str()));
        let of_sub = resource.split_once('/').map(|(of, _)| format!("{of}/*"));
        let all = if of_sub.is_some() { "*/*" } else { "*" };
        has(&self.groups, &[group, "*"])
            && has(&self.operations, &[operation, "*"])
            && has(&self.resources, &[resource, all, "*/*", of_sub.as_deref().unwrap_or(resource)])
    }
}

impl Webhook {
    /// What of all that an upgrade needs it is asked of, once each.
    pub fn needed(&self) -> Vec<&'static str> {
        let covered = NEEDED.into_iter().filter(|needed| self.rules.iter().any(|rule| rule.covers(*needed)));
        let mut needed: Vec<&str> = covered.map(|(_, resource, _)| resource).collect();
        needed.dedup();
        needed
    }
}

/// What stands in the way, a sentence each. `next`: the node that is drained first.
pub fn in_the_way(webhooks: &[Webhook], endpoints: &Endpoints, next: Option<&str>) -> Vec<String> {
    let told = |webhook: &Webhook| {
        let (needed, Webhook { name, configuration, service, .. }) = (webhook.needed(), webhook);
        let answers = endpoints.get(service)?;
        let why = match (answers.first(), next) {
            _ if needed.is_empty() => return None,
            (None, _) => "has no ready endpoint".to_owned(),
            (Some(_), Some(next)) if answers.iter().all(|node| node.as_deref() == Some(next)) => {
                format!("has all its pods on {next}, which is drained next")
            }
            (Some(_), _) => return None,
        };
        let (namespace, of) = service;
        Some(format!(
            "webhook {name} of {configuration} must be asked of {}, and its Service {namespace}/{of} {why}: meanwhile they are refused",
            needed.join(", ")
        ))
    };
    webhooks.iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(group: &str, resource: &str, operation: &str) -> Webhook {
        let one = |text: &str| vec![text.to_owned()];
        Webhook {
            name: "guard.io".into(),
            configuration: "ValidatingWebhookConfiguration guard".into(),
            service: ("guard".into(), "svc".into()),
            rules: vec![Rule { groups: one(group), resources: one(resource), operations: one(operation) }],
        }
    }

    #[test]
    fn only_what_an_upgrade_needs_counts() {
        let needed = |group: &str, resource: &str, operation: &str| webhook(group, resource, operation).needed().join(" ");
        assert_eq!(needed("", "pods", "CREATE"), "pods");
        assert_eq!(needed("", "pods/eviction", "*"), "pods/eviction");
        assert_eq!(needed("", "pods/*", "CREATE"), "pods/eviction");
        assert_eq!(needed("*", "*", "*"), "pods nodes jobs leases");
        assert_eq!(needed("*", "*/*", "*"), "pods pods/eviction nodes jobs leases");
        for (group, resource, operation) in
            [("", "pods", "DELETE"), ("", "services", "CREATE"), ("apps", "pods", "CREATE"), ("", "nodes", "CREATE")]
        {
            assert_eq!(needed(group, resource, operation), "", "{group} {resource} {operation}");
        }
    }

    #[test]
    fn it_is_in_the_way_where_nobody_answers_or_soon_nobody_will() {
        let on = |nodes: &[&str]| nodes.iter().map(|node| Some((*node).to_owned())).collect::<Vec<_>>();
        let told = |webhook: Webhook, answers: Vec<Option<String>>| {
            let endpoints = Endpoints::from([(("guard".to_owned(), "svc".to_owned()), answers)]);
            in_the_way(&[webhook], &endpoints, Some("k8s-master")).join("\n")
        };
        let evictions = || webhook("", "pods/eviction", "CREATE");
        assert_eq!(
            told(evictions(), Vec::new()),
            "webhook guard.io of ValidatingWebhookConfiguration guard must be asked of pods/eviction, and its Service guard/svc has no \
             ready endpoint: meanwhile they are refused"
        );
        let there = told(evictions(), on(&["k8s-master", "k8s-master"]));
        assert!(there.contains("has all its pods on k8s-master, which is drained next"), "{there}");
        for answers in [on(&["k8s-master", "k8s-node1"]), on(&["k8s-node1"]), vec![None]] {
            assert_eq!(told(evictions(), answers), "");
        }
        assert_eq!(told(webhook("", "services", "CREATE"), Vec::new()), "");
        // Of a Service that nobody looked at nothing is known.
        assert_eq!(in_the_way(&[evictions()], &Endpoints::new(), None), Vec::<String>::new());
    }
}
