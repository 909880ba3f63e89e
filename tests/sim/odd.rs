//! One odd object is one odd object: whatever somebody has written into it, or left out of it, every view is still there.

use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::{Scenario, State};
use serde_json::{Value, json};

use super::world::{NAMESPACE, begin, live, mark, pass, quick, to_the_end, types, when};

/// Kinds that views read. Of Secrets, roles and workloads they read nothing.
const READ: [Kind; 7] = [Kind::Namespace, Kind::Node, Kind::Pod, Kind::ConfigMap, Kind::Job, Kind::CronJob, Kind::Lease];

/// What an API server vouches for: it gives no object in which one of these is odd, and keeps no other type than its schema says.
fn is_typed(path: &[String]) -> bool {
    let last = path.last().map(String::as_str).unwrap_or_default();
    let own = ["apiVersion", "kind", "name", "namespace", "uid", "resourceVersion"];
    let metadata = path.first().is_some_and(|first| first == "metadata") && path.len() == 2;
    let time = |key: &str| ["Time", "Timestamp", "At", "timeAdded"].iter().any(|end| key.ends_with(end));
    (own.contains(&last) && (metadata || path.len() == 1)) || (time(last) && !path.iter().any(|key| key == "annotations"))
}

/// Where there is a text, and where there is anything at all.
fn paths(value: &Value, at: &mut Vec<String>, texts: &mut Vec<Vec<String>>, all: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        at.push(key);
        if !is_typed(at) {
            if child.is_string() {
                texts.push(at.clone());
            }
            if value.is_object() {
                all.push(at.clone());
            }
        }
        paths(child, at, texts, all);
        at.pop();
    }
}

fn at<'a>(object: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(object, |value, key| match value {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        map => &mut map[key.as_str()],
    })
}

/// In the middle of a run, with a Job at work, a node out of service, and journals of what is over.
fn amid_a_run() -> State {
    live(begin(&quick(Scenario::runbook())), None, async |driver| {
        when(driver, "a worker", |state| {
            let out = |node: &Value| mark(node, "cordoned-by").is_some();
            state.store.list(Kind::Node).any(|(key, node)| key.name == "k8s-node3" && out(node))
        })
        .await;
        pass(driver, 12).await;
        driver.twin.look(State::clone)
    })
}

/// The objects of a kind that something is read of.
fn read(state: &State, kind: Kind) -> Vec<(Key, Value)> {
    let ours = |key: &Key| match kind {
        Kind::Namespace => key.name == NAMESPACE,
        Kind::Pod => key.namespace == NAMESPACE || key.namespace == "kube-system",
        Kind::Node => true,
        _ => key.namespace == NAMESPACE,
    };
    let mut found: Vec<(Key, Value)> =
        state.store.list(kind).filter(|(key, _)| ours(key)).map(|(key, value)| (key.clone(), (**value).clone())).collect();
    // One of each sort: those that differ in what they have, not in what it says.
    let mut sorts = std::collections::BTreeSet::new();
    found.retain(|(_, object)| {
        let (mut texts, mut all) = (Vec::new(), Vec::new());
        paths(object, &mut Vec::new(), &mut texts, &mut all);
        sorts.insert(all)
    });
    found
}

/// Every view of a state of which one object is odd.
fn views(state: State, what: &str) {
    live(state, None, async |driver| {
        for (line, codes) in [("status", &[0][..]), ("status -o json", &[0]), ("status --health", &[0, 4]), ("report", &[0])] {
            let (code, text) = types(driver, line, line).await;
            assert!(codes.contains(&code) && text.lines().count() > 3, "{what}: {line} ends with {code}:\n{text}");
        }
    });
}

#[test]
fn one_odd_object_never_makes_a_view_refuse() {
    let state = amid_a_run();
    let canary = json!("v1.34.2-eks-abc");
    let mut odd_states = Vec::new();
    for kind in READ {
        let objects = read(&state, kind);
        assert!(!objects.is_empty(), "{kind:?}: nothing of it is read");
        for (key, object) in objects {
            let (mut texts, mut all) = (Vec::new(), Vec::new());
            paths(&object, &mut Vec::new(), &mut texts, &mut all);
            let odd = texts.iter().map(|path| (path, Some(canary.clone())));
            for (path, value) in odd.chain(all.iter().map(|path| (path, None))) {
                let mut object = object.clone();
                let what = format!("{kind:?} {} with {value:?} at {}", key.name, path.join("."));
                match value {
                    Some(value) => *at(&mut object, path) = value,
                    None => {
                        let (last, parent) = path.split_last().unwrap();
                        at(&mut object, parent).as_object_mut().unwrap().remove(last);
                    }
                }
                let mut state = state.clone();
                state.store.update(&key, |old| *old = object);
                odd_states.push((what, state));
            }
        }
    }
    assert!(odd_states.len() > 300, "only {} odd objects are tried", odd_states.len());
    // Each is a world of its own.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let odd_states = &odd_states;
            scope.spawn(move || {
                odd_states.iter().skip(first).step_by(threads).for_each(|(what, state)| views(state.clone(), what))
            });
        }
    });
}

/// A node whose version nobody can read is shown, stops who acts, and matters to nobody once it is excluded.
#[test]
fn a_version_that_cannot_be_read_is_shown_and_stops_who_acts_unless_it_is_excluded() {
    for version in [json!("v1.34.2-eks-abc"), json!("v1.34.2+k3s1"), json!("")] {
        let strange = |mut state: State| {
            state.store.update(&Key::node("k8s-node2"), |node| node["status"]["nodeInfo"]["kubeletVersion"] = version.clone());
            state
        };
        let word = version.as_str().filter(|version| !version.is_empty()).unwrap_or("has not reported its version yet");
        let end = live(strange(begin(&quick(Scenario::runbook()))), None, async |driver| {
            let (code, text) = types(driver, "status", "status").await;
            assert_eq!(code, 0, "{text}");
            assert!(text.contains(word) && text.contains("HELD BY"), "{text}");
            let (code, text) = types(driver, "start", "start --target 1.34.7 --yes").await;
            assert_eq!(code, if word.starts_with('v') { 4 } else { 3 }, "{text}");
            let why = if word.starts_with('v') { "version not readable" } else { word };
            assert!(text.contains(&format!("k8s-node2: {why}")), "{text}");
            driver.twin.look(State::clone)
        });
        let namespace = end.store.get(&Key::new(Kind::Namespace, "", NAMESPACE)).unwrap();
        assert_eq!(mark(namespace, "in-flight"), None, "nothing is begun");
        let mut scenario = quick(Scenario::runbook());
        scenario.settings.insert("exclude-nodes".to_owned(), json!(["k8s-node2"]));
        let end = to_the_end(strange(begin(&scenario)), None);
        let left = end.store.list(Kind::Node).filter(|(key, _)| key.name != "k8s-node2");
        for (key, node) in left {
            assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.34.7", "{}", key.name);
        }
    }
}
