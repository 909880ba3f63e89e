//! The world's traits, answered by a twin, for one program.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::client::ClientBuilder;

use super::{Call, Lost, State, Twin, Who, api, hosts, web};
use crate::permit::Gate;
use crate::world::{Clock, Files, KubeConnection, KubeSource, KubeTarget, Random, Resolver, Size, Terminal, World};

impl Twin {
    /// What the program `who` sees of this twin; `files` are those of the machine or container that it runs in.
    pub fn world(&self, who: &Who, files: BTreeMap<PathBuf, Arc<[u8]>>) -> World {
        let door = Door { twin: self.clone(), who: who.clone() };
        World {
            kube: Arc::new(door.clone()),
            hosts: Arc::new(hosts::Ssh { twin: self.clone(), who: who.clone() }),
            web: Arc::new(web::Http { twin: self.clone(), who: who.clone() }),
            resolver: Arc::new(door.clone()),
            clock: Arc::new(door.clone()),
            random: Arc::new(door.clone()),
            files: Arc::new(Disk(files)),
            terminal: Arc::new(door),
        }
    }

    /// A client of this twin's API server as `who`; `gate` stands before it as it does in the real one.
    pub fn client(&self, who: &Who, gate: Gate) -> kube::Client {
        ClientBuilder::new(api::Server { twin: self.clone(), who: who.clone() }, "default").with_layer(&gate).build()
    }
}

#[derive(Clone)]
struct Door {
    twin: Twin,
    who: Who,
}

impl KubeSource for Door {
    fn connect<'a>(&'a self, _target: &'a KubeTarget, gate: Gate) -> BoxFuture<'a, Result<KubeConnection, String>> {
        let in_cluster = matches!(self.who, Who::Pod { .. });
        let place = format!("https://10.96.0.1 ({})", if in_cluster { "in the cluster" } else { "rehearsal" });
        let client = self.twin.client(&self.who, gate);
        Box::pin(async move { Ok(KubeConnection { client, in_cluster, place }) })
    }
}

/// What the C library says where no nameserver answers.
const NO_NAMESERVER: &str = "failed to lookup address information: Try again";

impl Resolver for Door {
    fn resolve<'a>(&'a self, name: &'a str, deadline: Duration) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let call = Call { who: self.who.clone(), changes: false, what: format!("resolve {name}") };
            let is_away = |state: &mut State| {
                let away = state.dns_away_until.is_some_and(|until| state.now() < until);
                (away, String::new())
            };
            match self.twin.call(call, is_away).await {
                Ok(false) => Ok(()),
                Ok(true) | Err(Lost::Call | Lost::Answer) => {
                    tokio::time::sleep(deadline).await;
                    Err(NO_NAMESERVER.to_owned())
                }
            }
        })
    }
}

impl Clock for Door {
    fn now(&self) -> Timestamp {
        let off = self.twin.look(|state| {
            let own = match &self.who {
                Who::Operator(name) => state.clocks.get(name).copied().unwrap_or_default(),
                _ => 0,
            };
            state.clock_off + own
        });
        self.twin.now().checked_add(jiff::SignedDuration::from_secs(off)).unwrap_or(Timestamp::MAX)
    }
}

impl Random for Door {
    fn u64(&self) -> u64 {
        self.twin.edit(State::random)
    }
    fn secret(&self) -> io::Result<[u8; 32]> {
        let words = std::array::from_fn::<_, 4, _>(|_| self.u64().to_le_bytes());
        Ok(std::array::from_fn(|at| words[at / 8][at % 8]))
    }
}

impl Terminal for Door {
    fn size(&self) -> Option<Size> {
        self.twin.look(|state| state.terminal).filter(|_| matches!(self.who, Who::Operator(_)))
    }
}

struct Disk(BTreeMap<PathBuf, Arc<[u8]>>);

impl Files for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.to_vec()) }
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn is_file(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.contains_key(path))
    }
}
