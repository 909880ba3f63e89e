//! What a node will go through in a run: reads only.

use crate::node::NodeState;
use crate::plan::model::facts::Node;
use crate::plan::model::version::Version;
use crate::plan::view::plan::{Component, NodeAhead};
use crate::report::span;
use crate::run::nodes::forecast::{Forecast, forecast};
use crate::run::services::Services;

/// Its packages, its static pods, and what a drain of it would meet; what could not be asked is said.
pub async fn node_ahead(services: &Services, node: &Node, state: Option<&NodeState>, target: Version) -> NodeAhead {
    let to = target.to_string();
    let installed = state.into_iter().flat_map(|state| ["kubeadm", "kubelet", "kubectl"].map(|name| state.package(name)));
    let old = installed.flatten().filter(|package| !package.version.starts_with(&format!("{to}-")));
    let packages =
        old.map(|package| Component { name: package.name.to_string(), from: Some(package.version.to_string()), to: to.clone() });
    let drain = forecast(services, &node.name).await;
    NodeAhead {
        node: node.name.clone(),
        packages: packages.collect(),
        components: NodeAhead::components(node, target),
        pods: drain.as_ref().ok().map(Vec::len),
        drain: match drain {
            Ok(pods) => pods.iter().filter_map(told).collect(),
            Err(cause) => vec![cause.what],
        },
    }
}

/// What is worth a word of a pod that a drain moves.
fn told(pod: &Forecast) -> Option<String> {
    let mut words = Vec::new();
    match &pod.held {
        _ if pod.surge => words.push("restarted elsewhere first".to_owned()),
        Some(held) => words.push(format!("held: {held}")),
        None => {}
    }
    words.extend(pod.forced_after.map(|after| format!("deleted once it was refused for {}", span(after))));
    words.extend(pod.kept.as_ref().map(|why| format!("not deleted: {why}")));
    words.extend(pod.loses.iter().map(|loss| format!("loses {}", loss.words())));
    (!words.is_empty()).then(|| format!("{}: {}", pod.pod, words.join("; ")))
}
