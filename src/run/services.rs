//! What a process works with: each service owns its state, and has in hand only those that it needs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::report::{Bulletins, Follower, GateStates, Outbox, SharedJournal};
use crate::run::cluster::{Cluster, Journals, Observer, Record};
use crate::run::guards::{HaltWatch, Leases, Recorder};
use crate::run::outside::{Credentials, KubeEvents, Monitoring, Notices};
use crate::run::session::{self, Guardian, Session};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::world::{KubeConnection, World};

/// What [`Services`] are made of.
pub struct Parts {
    pub settings: Settings,
    pub namespace: String,
    pub connection: KubeConnection,
    pub world: World,
    pub session: session::Parts,
    /// How long an API server that does not answer is waited for before anything has changed.
    pub request_timeout: Duration,
    /// What a person does to a node that is no upgrade goes on while upgrades are halted.
    pub despite_halt: bool,
    /// None: a command that keeps no journal.
    pub journal: Option<SharedJournal>,
    /// None: a command that records no progress.
    pub follower: Option<Follower>,
    /// None: a command that tells nobody who looks at no screen.
    pub outbox: Option<Outbox>,
    /// None: a command that changes nothing.
    pub bulletins: Option<Bulletins>,
    /// None: a command that changes nothing.
    pub gates: Option<GateStates>,
}

/// Handed down by commands and the chain. Whatever needs few of them takes these few.
pub struct Services {
    pub settings: Arc<Settings>,
    pub world: World,
    pub session: Arc<Session>,
    pub cluster: Arc<Cluster>,
    pub observer: Arc<Observer>,
    pub record: Arc<Record>,
    pub halt: Arc<HaltWatch>,
    pub leases: Arc<Leases>,
    pub journal: Arc<Journals>,
    pub progress: Arc<Recorder>,
    pub credentials: Arc<Credentials>,
    pub ssh: Arc<Ssh>,
    pub monitoring: Arc<Monitoring>,
    pub notices: Arc<Notices>,
    pub kube_events: Arc<KubeEvents>,
}

impl Services {
    /// Builds them from the ground up; guardians register themselves with the session.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            settings,
            namespace,
            connection,
            world,
            session,
            request_timeout,
            despite_halt,
            journal,
            follower,
            outbox,
            bulletins,
            gates,
        } = parts;
        let settings = Arc::new(settings);
        let session = Arc::new(Session::new(session));
        let cluster = Arc::new(Cluster::new(connection, namespace, session.clone(), settings.api_patience, request_timeout));
        let observer = Arc::new(Observer::new(settings.clone(), session.clone(), cluster.clone()));
        let record = Arc::new(Record::new(settings.clone(), session.clone(), cluster.clone(), observer.clone()));
        let halt = Arc::new(HaltWatch::new(session.clone(), observer.clone(), despite_halt));
        let leases = Arc::new(Leases::new(settings.clone(), session.clone(), cluster.clone(), follower.clone()));
        let journal = Arc::new(Journals::new(session.clone(), cluster.clone(), observer.clone(), journal));
        let progress = Arc::new(Recorder::new(
            settings.clone(),
            session.clone(),
            cluster.clone(),
            observer.clone(),
            leases.clone(),
            follower,
        ));
        let credentials = Arc::new(Credentials::new(settings.clone(), cluster.clone(), world.files.clone()));
        let ssh = Arc::new(Ssh::new(settings.clone(), session.clone(), cluster.clone(), credentials.clone(), &world));
        let (web, creds) = (world.web.clone(), credentials.clone());
        let monitoring = Arc::new(Monitoring::new(settings.clone(), session.clone(), cluster.clone(), creds, web, gates));
        let notices = Arc::new(Notices::new(settings.clone(), session.clone(), credentials.clone(), world.web.clone(), outbox));
        let bulletins = bulletins.filter(|_| settings.events);
        let kube_events = Arc::new(KubeEvents::new(session.clone(), cluster.clone(), observer.clone(), bulletins));
        // A halt stops what a Lease would only carry on; the journal is written once neither objects.
        let guardians: [Arc<dyn Guardian>; 3] = [halt.clone(), leases.clone(), journal.clone()];
        session.guarded_by(guardians.iter().map(Arc::downgrade).collect::<Vec<Weak<dyn Guardian>>>());
        Services {
            settings,
            world,
            session,
            cluster,
            observer,
            record,
            halt,
            leases,
            journal,
            progress,
            credentials,
            ssh,
            monitoring,
            notices,
            kube_events,
        }
    }
}
