//! Package sources of nodes: what decisions are asked of them, and what is told.

use crate::node::{Inspect, NodeState};
use crate::plan::decide::sources::{self, Sources};
use crate::plan::model::version::Version;
use crate::run::session::Session;
use crate::settings::Settings;

/// A look that knows the sources of packages as the settings have them.
pub fn inspect(settings: &Settings) -> Inspect {
    Inspect { packages: Some(settings.packages_url.clone()) }
}

/// What a node has, for decisions.
pub fn of(state: &NodeState) -> Sources<'_> {
    Sources {
        minors: state.sources.iter().map(|source| source.minor.as_str()).collect(),
        strangers: state.strangers.iter().map(|stranger| (&stranger.url, stranger.file.as_ref())).collect(),
        kubeadm: state.package("kubeadm").map(|package| package.version.as_str()),
    }
}

/// Tells of sources that nobody knows and that are left as they are.
pub fn warn_of_strangers(session: &Session, place: &str, states: &[(String, NodeState)], target: Version) {
    let nodes = states.iter().map(|(name, state)| (name.as_str(), of(state)));
    sources::left(nodes, target).into_iter().for_each(|warning| session.warn(place, warning));
}
