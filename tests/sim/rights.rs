//! Each right that `manifests` grants to the chain's account, taken away alone: the run refuses before anything is touched and names what is
//! missing, or it is a right without which only evidence is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::Value;

use super::world::{amiss, begin, cordoned_by_people, in_flight, is_over, live, mark, quick, tail, version_of};

const ACCOUNT: &str = "k8s-upgrade-job";
/// Role, resource and verb of what a run does without: its journals.
const BEST_EFFORT: [(&str, &str, &str); 3] = [
    ("k8s-upgrade/k8s-upgrade-job", "configmaps", "list"),
    ("k8s-upgrade/k8s-upgrade-job", "configmaps", "create"),
    ("k8s-upgrade/k8s-upgrade-job", "configmaps", "delete"),
];

/// A verb on a resource, in one role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    role: Key,
    resource: String,
    verb: String,
}

impl Right {
    fn is_best_effort(&self) -> bool {
        BEST_EFFORT.contains(&(self.role.full_name().as_str(), self.resource.as_str(), self.verb.as_str()))
    }

    /// Whatever the name of the object: a right on one may be covered by that on all.
    fn taken_from(&self, state: &mut State) {
        state.store.update(&self.role, |role| {
            for rule in
                role["rules"].as_array_mut().into_iter().flatten().filter(|rule| words(&rule["resources"], &self.resource))
            {
                rule["verbs"].as_array_mut().unwrap().retain(|verb| *verb != self.verb.as_str());
            }
        });
    }

    /// In our own words, or in the API server's.
    fn is_named(&self, text: &str) -> bool {
        let (verb, resource) = (&self.verb, &self.resource);
        text.contains(&format!("{verb} {resource} in ")) || text.contains(&format!("cannot {verb} resource \"{resource}\""))
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.verb, self.resource, self.role.full_name())
    }
}

fn words(list: &Value, word: &str) -> bool {
    list.as_array().into_iter().flatten().any(|known| known == word)
}

fn all(state: &State) -> BTreeSet<Right> {
    let roles = [Kind::ClusterRole, Kind::Role].into_iter().flat_map(|kind| state.store.list(kind));
    let ours = roles.filter(|(key, _)| key.name == ACCOUNT);
    let mut rights = BTreeSet::new();
    for (role, object) in ours {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let text = |field: &str| rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            for resource in text("resources") {
                let of = |verb| Right { role: role.clone(), resource: resource.clone(), verb };
                rights.extend(text("verbs").map(of));
            }
        }
    }
    rights
}

/// All that the chain and its detection said.
fn said(state: &State) -> String {
    let slack = state.web.slack.messages.iter().map(|message| message.text.clone());
    slack.chain(state.logs.values().map(|log| log.all().join("\n"))).collect::<Vec<_>>().join("\n")
}

/// Until the run is over, or has long refused.
fn without(right: &Right, state: &State) -> State {
    let mut state = state.clone();
    right.taken_from(&mut state);
    let limit = later(state.now(), Duration::from_secs(3 * 3600));
    live(state, None, async |driver| {
        driver.until(limit, |state| is_over(state) || (right.is_named(&said(state)) && !right.is_best_effort())).await;
        // Whoever refuses may have its last words yet to say, and does no harm.
        driver.until(later(driver.twin.now(), Duration::from_secs(300)), |_| false).await;
        driver.twin.look(State::clone)
    })
}

#[test]
fn each_is_missed_before_anything_is_touched() {
    let scenario = quick(Scenario::runbook());
    let (state, target) = (begin(&scenario), scenario.target.to_string());
    let rights = all(&state);
    assert!(rights.len() > 30, "the account has nearly no rights");
    assert_eq!(rights.iter().filter(|right| right.is_best_effort()).count(), BEST_EFFORT.len(), "one that nobody grants");
    let mut wrong = Vec::new();
    for right in &rights {
        let end = without(right, &state);
        if right.is_best_effort() {
            let amiss = amiss(&end, &target, &cordoned_by_people(&end));
            // There are not so many journals yet that one would have to go.
            let told = right.verb == "delete" || right.is_named(&said(&end));
            if !amiss.is_empty() || !told {
                wrong.push(format!("without {right}, which stops nothing and is told ({told}): {amiss:?}"));
            }
            continue;
        }
        let touched = |node: &Value| version_of(node) == target || mark(node, "cordoned-by").is_some();
        if !right.is_named(&said(&end)) {
            wrong.push(format!("nothing says that {right} is missing\n{}", tail(&end, 10)));
        } else if in_flight(&end) || end.store.list(Kind::Node).any(|(_, node)| touched(node)) {
            wrong.push(format!("without {right} a run is begun\n{}", tail(&end, 10)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
