//! The nodes' machines: packages, kubeadm, the kubelet's unit, disks, and the way in by SSH.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{State, Twin, Who};
use crate::world::{self, Host, HostError, HostOutput};

#[derive(Clone, Default)]
pub struct Hosts {}

/// Stubs for the merge: the agreed names that `control` calls.
impl Hosts {
    pub fn kubelet_alive(&self, _node: &str) -> bool {
        true
    }
    pub fn powered(&self, _node: &str) -> bool {
        true
    }
    pub fn kubelet_version(&self, _node: &str) -> String {
        "v1.34.7".to_owned()
    }
    pub fn runtime_version(&self, _node: &str) -> String {
        "containerd://1.7.28".to_owned()
    }
}

/// Stub for the merge.
pub fn put_file(state: &mut State, node: &str, path: &str, bytes: u64) {
    state.tell(format_args!("{node} has {path} of {bytes} bytes"));
}

#[derive(Clone, Debug, PartialEq)]
pub enum Due {}

pub fn fire(_state: &mut State, due: Due) {
    match due {}
}

/// The way in, for one caller.
pub struct Ssh {
    pub twin: Twin,
    pub who: Who,
}

impl world::Hosts for Ssh {
    fn exec<'a>(
        &'a self,
        host: &'a Host,
        _command: &'a str,
        _stdin: Bytes,
        _deadline: Duration,
        _on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>> {
        Box::pin(async move {
            Err(HostError::Connect(host.node.clone(), format!("{} found nothing at {:?}", self.who, self.twin.now())))
        })
    }
}
