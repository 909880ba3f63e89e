//! Kubelets and a scheduler that take fixed times: as stages, like KWOK's. A pod that is bound becomes ready after one time, one that ends is gone
//! after another; one that is not bound is bound at once.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams};
use kube::core::Status;
use kube::{Client, Error, ResourceExt};
use serde_json::json;

use crate::cluster::SPARE;

/// How long each stage of a pod's life takes.
#[derive(Clone, Copy, Default)]
pub struct Stages {
    pub start: Duration,
    pub stop: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Bind,
    Start,
    Stop,
}

pub struct Kubelets {
    client: Client,
    stages: Rc<Cell<Stages>>,
    /// New pods go here; while a node is drained, to the spare one.
    target: RefCell<String>,
    last_gone: Cell<Option<Instant>>,
}

impl Kubelets {
    pub fn new(client: Client, stages: Rc<Cell<Stages>>) -> Self {
        Kubelets { client, stages, target: RefCell::new(SPARE.to_owned()), last_gone: Cell::default() }
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Pods go to this node from now on, and are ready at once.
    pub fn fill(&self, node: &str) {
        self.stages.set(Stages::default());
        node.clone_into(&mut self.target.borrow_mut());
    }

    /// Each stage of a pod that begins from now on takes this time, and no pod goes to the node that was filled any more.
    pub fn play(&self, stages: Stages) {
        self.stages.set(stages);
        SPARE.clone_into(&mut self.target.borrow_mut());
        self.last_gone.set(None);
    }

    /// When the last pod had gone, since the stages were set.
    pub fn last_gone(&self) -> Option<Instant> {
        self.last_gone.get()
    }

    /// Plays all kubelets for as long as it is polled; returns only what went wrong.
    pub async fn work(&self) -> anyhow::Error {
        let Err(error) = self.watch().await;
        error
    }

    async fn watch(&self) -> Result<Infallible> {
        let (api, params) = (Api::<Pod>::all(self.client()), WatchParams::default());
        // Of version 0 are those that are there already.
        let mut seen = "0".to_owned();
        let mut pods = api.watch(&params, &seen).await.context("watch pods")?.boxed_local();
        let (mut begun, mut at_work) = (HashSet::new(), FuturesUnordered::<LocalBoxFuture<'_, Result<()>>>::new());
        loop {
            tokio::select! {
                event = pods.try_next() => match event.context("watch pods")? {
                    Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                        seen = pod.resource_version().unwrap_or(seen);
                        let stage = next(&pod).filter(|stage| begun.insert((pod.uid(), *stage)));
                        at_work.extend(stage.map(|stage| self.perform(pod, stage).boxed_local()));
                    }
                    Some(WatchEvent::Deleted(pod)) => seen = pod.resource_version().unwrap_or(seen),
                    Some(WatchEvent::Bookmark(_)) => {}
                    Some(WatchEvent::Error(status)) => return Err(Error::Api(status)).context("watch pods"),
                    // API servers end a watch after some minutes.
                    None => pods = api.watch(&params, &seen).await.context("watch pods again")?.boxed_local(),
                },
                Some(done) = at_work.next() => done?,
            }
        }
    }

    async fn perform(&self, pod: Pod, stage: Stage) -> Result<()> {
        let (name, Stages { start, stop }) = (pod.name_any(), self.stages.get());
        let api: Api<Pod> = Api::namespaced(self.client(), &pod.namespace().unwrap_or_default());
        let done = match stage {
            Stage::Bind => {
                let target = json!({ "kind": "Node", "name": *self.target.borrow() });
                let binding = json!({
                    "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name }, "target": target,
                });
                api.create_subresource::<_, Status>("binding", &name, &PostParams::default(), &binding).await.map(drop)
            }
            Stage::Start => {
                tokio::time::sleep(start).await;
                api.patch_status(&name, &PatchParams::default(), &Patch::Merge(ready())).await.map(drop)
            }
            Stage::Stop => {
                tokio::time::sleep(stop).await;
                let params = DeleteParams {
                    grace_period_seconds: Some(0),
                    preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
                    ..DeleteParams::default()
                };
                let gone = api.delete(&name, &params).await.map(drop);
                self.last_gone.set(Some(Instant::now()));
                gone
            }
        };
        match done {
            // It has gone before it was ready, or another one has its name.
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            done => done.with_context(|| format!("pod {name}")),
        }
    }
}

/// What its kubelet, or the scheduler, does next about a pod.
fn next(pod: &Pod) -> Option<Stage> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    match (pod.metadata.deletion_timestamp.is_some(), is_bound, is_ready) {
        (true, ..) => Some(Stage::Stop),
        (false, false, _) => Some(Stage::Bind),
        (false, true, false) => Some(Stage::Start),
        (false, true, true) => None,
    }
}

fn ready() -> serde_json::Value {
    let since = "2026-01-01T00:00:00Z";
    let conditions = ["Initialized", "ContainersReady", "Ready"]
        .map(|type_| json!({ "type": type_, "status": "True", "lastTransitionTime": since }));
    let container = json!({
        "name": "app", "image": "app", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": { "startedAt": since } },
    });
    json!({ "status": { "phase": "Running", "startTime": since, "conditions": conditions, "containerStatuses": [container] } })
}
