//! What an installation consists of, whichever settings it was made with: what `uninstall` looks for.

use serde_json::Value;

use super::install;
use super::installation::{Credentials, Install};
use crate::failure::Cause;
use crate::names;
use crate::plan::model::hooks::Hooks;
use crate::plan::model::policy::{Gauges, Runner, Surge, Unstick};

/// Where an object of an installation lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In no namespace.
    Cluster,
    /// In the installation's own namespace.
    Own,
    /// In another one, which the settings name: that of the backup, of a hook, of freezes.
    Other,
}

impl Place {
    /// Of an object in this namespace, if it is in any; `own`: the installation's.
    pub fn of(namespace: Option<&str>, own: &str) -> Place {
        match namespace {
            None => Place::Cluster,
            Some(namespace) if namespace == own => Place::Own,
            Some(_) => Place::Other,
        }
    }
}

/// An object that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// API group and version: `batch/v1`.
    pub version: String,
    pub kind: String,
    pub name: String,
    pub place: Place,
}

impl Piece {
    fn of(object: &Value, own: &str) -> Piece {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = Place::of(object.pointer("/metadata/namespace").and_then(Value::as_str), own);
        Piece { version: text("/apiVersion"), kind: text("/kind"), name: text("/metadata/name"), place }
    }
}

/// Stands for whatever namespace the settings name; no namespace is called so.
const ELSEWHERE: &str = "*";

/// All that `manifests` prints for this namespace with any settings, each once, in the order in which it goes: first what acts, then what may be
/// done, then the policies that bound that, and the namespace last.
///
/// # Errors
/// A bug: the manifests cannot be made.
pub fn pieces(namespace: &str) -> Result<Vec<Piece>, Cause> {
    let elsewhere = Some((ELSEWHERE, ELSEWHERE));
    let forced_in = [ELSEWHERE.to_owned()];
    let secret = Credentials::Secret { ssh_key: &[], ssh_key_pub: &[], slack_webhook: None, webhooks: "", prometheus: &[] };
    let mut pieces = Vec::new();
    for credentials in [secret, Credentials::External { store: ELSEWHERE, key: ELSEWHERE }] {
        let everything = Install {
            namespace,
            image: names::PROGRAM,
            config: "",
            backup: elsewhere,
            hooks: Hooks { before: elsewhere, after: elsewhere },
            prefix: names::ANNOTATION_PREFIX,
            unstick: Unstick::All,
            forced_in: &forced_in,
            surge: Surge::Single,
            events: true,
            gauges: Gauges::Pushgateway,
            runbook: None,
            freezes: elsewhere,
            credentials,
            runner: &Runner::FirstWorker,
            standby: &[],
            host_keys: Default::default(),
        };
        for object in install::objects(&everything)?.iter().rev() {
            let piece = Piece::of(object, namespace);
            if !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
    }
    let (last, mut others): (Vec<Piece>, Vec<Piece>) = pieces.into_iter().partition(|piece| piece.kind == "Namespace");
    others.extend(last);
    Ok(others)
}
