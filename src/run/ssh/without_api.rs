//! What nodes say by SSH alone: where the API server does not answer, neither it nor anything that it keeps is asked.

use std::time::Duration;

use jiff::Timestamp;

use crate::failure::Cause;
use crate::names;
use crate::node::{self, ImagesThere, Inspect, LookBack, NodeState, Past, SnapshotHash};
use crate::plan::decide::{order, signing};
use crate::plan::model::answer::Answer;
use crate::plan::rescue::card::Card;
use crate::plan::rescue::hosts::{Asked, Copy, Found, Key, Package, Snapshot, Unit};
use crate::plan::rescue::member::Peer;
use crate::plan::rescue::restore::SnapshotFile;
use crate::run::parallel;
use crate::run::ssh::Ssh;
use crate::run::ssh::hosts::Place;
use crate::words::{HostPath, ImageName, ssh};

/// All that one host is asked; a person waits for the slowest.
const HOST: Duration = Duration::from_secs(45);

impl Ssh {
    /// Every host of the settings, a bounded number at a time. One that does not answer is an answer, too.
    ///
    /// # Errors
    /// Usage: settings are missing, or what they name cannot be read.
    pub async fn ask_hosts(&self) -> Result<Vec<Asked>, Cause> {
        self.fit_for_ssh_alone()?;
        let tasks = self.settings.host_addresses.iter().map(|(node, address)| async move {
            let found = match tokio::time::timeout(HOST, self.ask_host(node)).await {
                Ok(found) => found,
                Err(_) => Err(Cause::unreachable(format!("{node} ({address}) did not say all within {}s", HOST.as_secs()))
                    .next(ssh(&self.settings.ssh_user, address, self.settings.ssh_port, "true"))),
            };
            Asked { node: node.to_string(), address: address.to_string(), found }
        });
        let mut asked: Vec<Asked> = parallel::looks_in_turn(tasks).await;
        asked.sort_by(|a, b| order::natural(&a.node, &b.node));
        Ok(asked)
    }

    async fn ask_host(&self, node: &str) -> Result<Found, Cause> {
        let state = self.on_host(node, &Inspect::default()).await?;
        let past = self.on_host(node, &LookBack { snapshots: self.settings.snapshots() }).await?;
        // One that cannot be asked is no reason to say nothing of the rest.
        let images = match names::PROGRAM.parse() {
            Ok(name) => self.on_host(node, &ImagesThere { name }).await.ok(),
            Err(_) => None,
        };
        let unit = self.unit(Place::alone(node), &state).await?;
        Ok(found(state, images, past, unit, self.session.now()))
    }

    /// Whether the snapshot on record lies on that host, and is what the card says.
    pub async fn snapshot_on(&self, node: &str, found: &Found) -> SnapshotFile {
        let Some(card) = found.card() else { return Answer::Known(None) };
        let path = match card.snapshot.parse::<HostPath>() {
            Ok(path) => path,
            Err(error) => return Answer::Unknown(format!("the snapshot on its restore card: {error}")),
        };
        match self.on_host(node, &SnapshotHash { path }).await {
            Ok(info) => Answer::Known(info.map(|info| (info.bytes, info.sha256))),
            Err(cause) => Answer::Unknown(cause.what),
        }
    }
}

fn image(named: Option<ImageName>) -> String {
    named.map_or_else(|| "-".to_owned(), String::from)
}

fn found(state: NodeState, images: Option<Vec<ImageName>>, past: Past, unit: Unit, now: Timestamp) -> Found {
    let package = |package: &node::Package| Package {
        name: package.name.to_string(),
        version: package.version.to_string(),
        letters: package.letters.to_string(),
        held: state.holds.contains(&package.name),
        whole: package.healthy(),
    };
    Found {
        packages: state.packages.iter().map(package).collect(),
        audit: state.audit,
        kubelet: state.kubelet.map_or_else(String::new, String::from),
        images: images.map(|images| images.into_iter().map(String::from).collect()),
        static_pods: past.static_pods.into_iter().map(|manifest| (manifest.pod, image(manifest.image))).collect(),
        unit,
        former: past.former.into_iter().map(|(release, folder)| (release.into(), folder.into())).collect(),
        peer: past.peer.map(|(url, name)| Peer { name: name.to_string(), url: url.to_string() }),
        copies: past
            .copies
            .into_iter()
            .map(|copy| Copy {
                pod: copy.manifest.pod,
                image: image(copy.manifest.image),
                at: copy.at.into(),
                path: copy.path.into(),
            })
            .collect(),
        etcd_data: past.etcd_data.into_iter().map(|(at, path)| (at.into(), path.into())).collect(),
        keys: state
            .keys
            .into_iter()
            .map(|key| Key {
                fingerprint: key.fingerprint.to_string(),
                ends: key.ends.map(|ends| ends.to_string()),
                near: key.ends.is_some_and(|ends| signing::is_near(ends, now)),
            })
            .collect(),
        free: state.free.into_iter().map(|free| (free.path.into(), free.bytes)).collect(),
        card: past.card.map(|(_, path, text)| (path.into(), Card::read(&text))),
        snapshots: past
            .snapshots
            .into_iter()
            .map(|file| Snapshot { path: file.path.into(), bytes: file.bytes, at: file.at.into() })
            .collect(),
    }
}
