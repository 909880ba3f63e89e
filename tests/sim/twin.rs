//! The suite on the twin, one test a behaviour, on paused time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_upgrade::Program;
use k8s_upgrade::permit::{ChangeClass, Gate, Permit};
use k8s_upgrade::twin::state::later;
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{Driver, State, Twin, Who};
use kube::Client;
use serde_json::json;

use crate::behaviour;
use crate::bench::{Behaviour, Cluster, hold};

const BEGINNING: Timestamp = Timestamp::constant(1_795_348_680, 0);
/// No behaviour waits that long.
const LIMIT: Duration = Duration::from_secs(3600);

struct Memory(Twin);

impl Memory {
    fn client(&self, who: &Who) -> Client {
        self.0.client(who, Gate)
    }
}

impl Cluster for Memory {
    fn admin(&self) -> Client {
        self.client(&Who::Operator("admin".to_owned()))
    }

    fn service_account(&self, namespace: &str, name: &str) -> Client {
        let account = (namespace.to_owned(), name.to_owned());
        self.client(&Who::Pod { name: name.to_owned(), uid: name.to_owned(), account })
    }

    fn stranger(&self) -> Client {
        self.client(&Who::Stranger)
    }

    fn salt(&self) -> String {
        "twin".to_owned()
    }
}

/// An empty cluster that has lived for a while, in which the suite plays scheduler and kubelets.
fn cluster() -> State {
    let mut state = State::new(BEGINNING, 7);
    state.control.by_hand = true;
    for name in ["default", "kube-system"] {
        state.store.create(BEGINNING, Kind::Namespace, json!({ "metadata": { "name": name } })).unwrap();
    }
    k8s_upgrade::twin::control::begin(&mut state);
    state.store.compact();
    state
}

/// Lives through one behaviour; the state that is left.
pub fn run(name: &str, behaviour: Behaviour) -> State {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut driver = Driver::new(Twin::new(cluster(), None), &Program, None);
        let memory = Memory(driver.twin.clone());
        // Permits are the program's own matter: all of the suite has one.
        let permit = Permit { class: ChangeClass::Settle, step: name.to_owned() };
        tokio::select! {
            () = permit.scope(hold(&memory, name, behaviour)) => {}
            _ = driver.until(later(BEGINNING, LIMIT), |_| false) => panic!("{name} has no end"),
        }
        let state = memory.0.look(State::clone);
        assert!(state.unmodelled.is_empty(), "not modelled: {:#?}", state.unmodelled);
        state
    })
}

macro_rules! tests {
    ($($room:ident: $($name:ident),+;)+) => {
        $(mod $room {
            $(#[test]
            fn $name() {
                super::run(concat!(stringify!($room), "-", stringify!($name)), |bench| {
                    Box::pin(super::behaviour::$room::$name(bench))
                });
            })+
        })+
    };
}
behaviour::behaviours!(tests);

macro_rules! list {
    ($($room:ident: $($name:ident),+;)+) => {
        /// All behaviours, with their names.
        pub const ALL: &[(&str, Behaviour)] = &[
            $($((concat!(stringify!($room), "-", stringify!($name)), |bench| Box::pin(behaviour::$room::$name(bench)))),+),+
        ];
    };
}
behaviour::behaviours!(list);
