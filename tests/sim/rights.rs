//! Each right that `manifests` grants to an account of ours, taken away alone. Without one of the chain's, the run refuses before anything is
//! touched and names what is missing; without one of the watch's, nothing is taken up, and the watch says why. Or it is a right without which
//! only evidence is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_upgrade::plan::manifests::rights::Account;
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::Value;

use super::world::{
    NAMESPACE, amiss, begin, cordoned_by_people, in_flight, is_over, jobs, live, mark, pass, quick, tail, version_of, when,
};

/// Resource and verb of what both do without: their journals, the record of what a Job does, and why one gets no pod. In their roles within our own namespace.
const BEST_EFFORT: [(&str, &str); 6] = [
    ("configmaps", "list"),
    ("configmaps", "create"),
    ("configmaps", "delete"),
    ("jobs", "patch"),
    ("events", "list"),
    ("events", "create"),
];
/// What happens to nodes is told where Events of nodes lie.
const TOLD_OF_NODES: (&str, &str) = ("default", "events");
/// The same in the whole cluster: a look at what might be in the way.
const LOOKS: [(&str, &str); 3] =
    [("validatingwebhookconfigurations", "list"), ("mutatingwebhookconfigurations", "list"), ("endpointslices", "list")];
/// What a run in which all is well has no reason to ask for: there are not so many journals yet that one would have to go, every Job has its
/// pod, and there are no webhooks.
const UNASKED: [(&str, &str); 3] = [("configmaps", "delete"), ("events", "list"), ("endpointslices", "list")];

/// A verb on a resource, in one role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    role: Key,
    resource: String,
    verb: String,
}

impl Right {
    fn is_best_effort(&self) -> bool {
        let journals = BEST_EFFORT.contains(&(self.resource.as_str(), self.verb.as_str()));
        // The watch patches nothing else of this kind.
        let patched =
            self.role.name == Account::Watch.name() && (self.resource.as_str(), self.verb.as_str()) == ("configmaps", "patch");
        let looks = self.role.kind == Kind::ClusterRole && LOOKS.contains(&(self.resource.as_str(), self.verb.as_str()));
        let told = (self.role.namespace.as_str(), self.resource.as_str()) == TOLD_OF_NODES;
        looks || told || self.role.namespace == NAMESPACE && (journals || patched)
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

fn all(state: &State, account: Account) -> BTreeSet<Right> {
    let roles = [Kind::ClusterRole, Kind::Role].into_iter().flat_map(|kind| state.store.list(kind));
    let ours = roles.filter(|(key, _)| key.name == account.name());
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
    let rights = all(&state, Account::Chain);
    assert!(rights.len() > 30, "the account has nearly no rights");
    assert_eq!(
        rights.iter().filter(|right| right.is_best_effort()).count(),
        BEST_EFFORT.len() + LOOKS.len() + 1,
        "one that nobody grants"
    );
    let mut wrong = Vec::new();
    for right in &rights {
        let end = without(right, &state);
        if right.is_best_effort() {
            let amiss = amiss(&end, &target, &cordoned_by_people(&end));
            let told = UNASKED.contains(&(right.resource.as_str(), right.verb.as_str())) || right.is_named(&said(&end));
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

/// A worker's Job has failed for good: the watch is to take the step up.
fn orphaned() -> State {
    let mut state = begin(&quick(Scenario::runbook()));
    state.hosts.change("k8s-node4", |machine| machine.faults.kubeadm_fails = 3);
    live(state, None, async |driver| {
        let failed = |job: &str| job.contains("-k8s-node4: ") && job.contains("\"Failed\"");
        when(driver, "a failed Job", |state| jobs(state).lines().any(failed)).await;
        driver.twin.look(State::clone)
    })
}

#[test]
fn without_any_of_its_own_the_watch_takes_nothing_up_and_says_why() {
    let state = orphaned();
    let target = Scenario::runbook().target.to_string();
    let rights = all(&state, Account::Watch);
    assert!(rights.len() > 12, "the account has nearly no rights");
    let mut wrong = Vec::new();
    for right in &rights {
        let mut state = state.clone();
        right.taken_from(&mut state);
        let limit = later(state.now(), Duration::from_secs(3 * 3600));
        let end = live(state, None, async |driver| {
            if right.is_best_effort() {
                driver.until(limit, is_over).await;
            } else {
                pass(driver, 25 * 60).await;
            }
            driver.twin.look(State::clone)
        });
        let named = right.is_named(&said(&end));
        if right.is_best_effort() {
            let amiss = amiss(&end, &target, &cordoned_by_people(&end));
            // It is the first word of this process: there is nothing to add to it. And what the watch tells is no node's.
            let silent = right.verb == "patch" || right.resource == "events";
            if !amiss.is_empty() || !(named || silent) {
                wrong.push(format!("without {right}, which stops nothing and is told ({named}): {amiss:?}"));
            }
        } else if !named {
            wrong.push(format!("nothing says that {right} is missing\n{}", tail(&end, 10)));
        } else if end.store.get(&Key::new(Kind::Node, "", "k8s-node4")).is_some_and(|node| version_of(node) == target) {
            wrong.push(format!("without {right} the watch goes on\n{}", tail(&end, 10)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
