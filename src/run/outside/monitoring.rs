//! Prometheus and Pushgateway, as the settings name them. A dead Pushgateway stops nothing: it is told and left.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clients::{Access, Endpoint, Gauge, Prometheus, Pushgateway};
use crate::failure::Cause;
use crate::names;
use crate::plan::decide::alerts::{Alert, Rule};
use crate::plan::decide::gates::{Found, Gate};
use crate::plan::decide::rules::{self, Input};
use crate::plan::model::answer::Answer;
use crate::plan::model::marks::RunMarks;
use crate::plan::model::policy::{Alerts, Gauges};
use crate::plan::view::health::Series;
use crate::report::GateStates;
use crate::run::cluster::Cluster;
use crate::run::outside::Credentials;
use crate::run::session::{Change, Session};
use crate::settings::{PlainHttp, Settings};
use crate::words::{Address, is_of_cluster};
use crate::world::Web;

const ASK: Duration = Duration::from_secs(10);

/// Prometheus, asked, and the Pushgateway, told.
pub struct Monitoring {
    settings: Arc<Settings>,
    session: Arc<Session>,
    cluster: Arc<Cluster>,
    credentials: Arc<Credentials>,
    web: Arc<dyn Web>,
    /// None: a command that changes nothing.
    gates: Option<GateStates>,
    /// Those that are closed, as they were pushed last.
    pushed: Mutex<Option<BTreeMap<Gate, Found>>>,
}

impl Monitoring {
    /// Has asked nothing yet.
    pub fn new(
        settings: Arc<Settings>,
        session: Arc<Session>,
        cluster: Arc<Cluster>,
        credentials: Arc<Credentials>,
        web: Arc<dyn Web>,
        gates: Option<GateStates>,
    ) -> Self {
        Monitoring { settings, session, cluster, credentials, web, gates, pushed: Mutex::default() }
    }

    /// Works, and pushes meanwhile which gates are closed; in the end, that none is any more or which are left so.
    pub async fn pushing_gates<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(gates) = &self.gates else { return work.await };
        let work = async {
            let worked = work.await;
            self.push_gates(gates.closed()).await;
            worked
        };
        tokio::select! {
            biased;
            worked = work => worked,
            never = self.push_closed(gates) => match never {},
        }
    }

    async fn push_closed(&self, gates: &GateStates) -> Infallible {
        loop {
            gates.news().await;
            // That all are open is the usual end, and told there.
            if let Some(closed) = gates.closed().filter(|closed| !closed.is_empty()) {
                self.push_gates(Some(closed)).await;
            }
        }
    }

    async fn push_gates(&self, closed: Option<BTreeMap<Gate, Found>>) {
        let mut pushed = self.pushed.lock().await;
        if closed.is_none() || *pushed == closed {
            return;
        }
        let holding = |(gate, found): (&Gate, &Found)| {
            Gauge::new(names::METRIC_GATE_HOLDING, 1.0).label("gate", gate.row().id).label("verdict", found.word())
        };
        let gauges: Vec<Gauge> = closed.iter().flatten().map(holding).collect();
        // One that cannot be pushed is told, and not tried again.
        *pushed = closed;
        self.replace(names::PUSH_JOB_GATES, &gauges).await;
    }

    /// Without credentials: what is at an address that nobody has set is not known yet.
    fn endpoint(&self, address: &Address) -> Endpoint {
        self.endpoint_with(address, Access::default())
    }

    fn endpoint_with(&self, address: &Address, access: Access) -> Endpoint {
        Endpoint::new(address, &self.web, &self.cluster.kube, self.cluster.in_cluster, access)
    }

    /// The Prometheus of the settings, asked with all that it may want.
    ///
    /// # Errors
    /// Usage: its credentials cannot be used, or everybody on the way could read them.
    async fn prometheus(&self) -> Result<Prometheus, Cause> {
        let (settings, in_cluster) = (&self.settings, self.cluster.in_cluster);
        let address = &settings.prometheus;
        let credentials = match address {
            // Through the API server's proxy none can be sent.
            Address::Service { .. } if !in_cluster => None,
            _ => self.credentials.prometheus().await?,
        };
        if let (Address::Url(url), Some(_)) = (address, &credentials) {
            let inside = in_cluster && is_of_cluster(url.as_str());
            if !inside && !settings.allows(PlainHttp::Prometheus, url.as_str()) {
                let why = "everybody on the way could read the credentials that the Secret has for it, and they are not sent";
                let stated = format!("plain-http: [{}]", PlainHttp::Prometheus);
                let way = format!(
                    "write https:// (with setting prometheus-ca, if its authority is your own), or state that this is meant: {stated}"
                );
                return Err(Cause::usage(format!("setting prometheus: {url}: {why}")).detail([way]));
            }
        }
        let access = Access { credentials, tenant: settings.prometheus_tenant.clone(), roots: settings.prometheus_ca.clone() };
        Ok(Prometheus::new(self.endpoint_with(address, access)))
    }

    /// Whether alerts hold a run at all.
    pub fn asks_alerts(&self) -> bool {
        self.settings.alerts == Alerts::Prometheus
    }

    /// Whether gauges are pushed at all.
    pub fn pushes_gauges(&self) -> bool {
        self.settings.gauges == Gauges::Pushgateway
    }

    /// The alerts that Prometheus knows, or why it cannot say.
    pub async fn alerts(&self) -> Answer<Vec<Alert>> {
        self.look().await.map_or_else(|cause| Answer::Unknown(cause.what), Answer::Known)
    }

    /// The same, and where it cannot say, what to do about it.
    ///
    /// # Errors
    /// As [`Prometheus::look`]; usage, where it is not asked at all.
    pub async fn look(&self) -> Result<Vec<Alert>, Cause> {
        self.prometheus().await?.look(ASK).await
    }

    /// Whether a Prometheus answers at an address that nobody has set.
    pub async fn is_prometheus(&self, address: &Address) -> bool {
        matches!(Prometheus::new(self.endpoint(address)).rules(ASK).await, Answer::Known(_))
    }

    /// Whether a Pushgateway answers at an address that nobody has set.
    pub async fn is_pushgateway(&self, address: &Address) -> bool {
        matches!(Pushgateway::new(self.endpoint(address)).series(ASK).await, Answer::Known(_))
    }

    /// The alert rules that Prometheus has loaded, or why it cannot say.
    pub async fn rules_loaded(&self) -> Answer<Vec<Rule>> {
        match self.prometheus().await {
            Ok(prometheus) => prometheus.rules(ASK).await,
            Err(cause) => Answer::Unknown(cause.what),
        }
    }

    /// What our rules look at and Prometheus has not, or why it cannot say.
    pub async fn inputs_missing(&self) -> Answer<Vec<Input>> {
        let prometheus = match self.prometheus().await {
            Ok(prometheus) => prometheus,
            Err(cause) => return Answer::Unknown(cause.what),
        };
        let mut missing = Vec::new();
        for input in rules::inputs(self.settings.gauges) {
            match prometheus.query(&input.query(), ASK).await {
                Answer::Known(samples) if samples.is_empty() => missing.push(input),
                Answer::Known(_) => {}
                Answer::Unknown(why) => return Answer::Unknown(why),
            }
        }
        Answer::Known(missing)
    }

    /// The gauges that the Pushgateway holds, or why it cannot say.
    pub async fn gauges_there(&self) -> Answer<Vec<Series>> {
        Pushgateway::new(self.endpoint(&self.settings.pushgateway)).series(ASK).await
    }

    /// Pushes gauges of one Pushgateway job; that this fails is the caller's to judge.
    pub async fn push_surely(&self, step: &str, job: &str, gauges: &[Gauge]) -> Result<(), Cause> {
        if !self.pushes_gauges() {
            return Ok(());
        }
        let change = Change::settle("metrics", step, ASK * 2).silent();
        self.session
            .change(change, async {
                let pushgateway = Pushgateway::new(self.endpoint(&self.settings.pushgateway));
                pushgateway.push(job, gauges, ASK).await
            })
            .await
    }

    /// Pushes gauges of one Pushgateway job.
    pub async fn push(&self, job: &str, gauges: &[Gauge]) {
        if let Err(cause) = self.push_surely("push gauges", job, gauges).await {
            self.not_pushed(&cause);
        }
    }

    /// Pushes gauges of one Pushgateway job, in place of all that it had.
    pub async fn replace(&self, job: &str, gauges: &[Gauge]) {
        if !self.pushes_gauges() {
            return;
        }
        let change = Change::settle("metrics", "push gauges", ASK * 2).silent();
        let replaced = self.session.change(change, async {
            Pushgateway::new(self.endpoint(&self.settings.pushgateway)).replace(job, gauges, ASK).await
        });
        if let Err(cause) = replaced.await {
            self.not_pushed(&cause);
        }
    }

    fn not_pushed(&self, cause: &Cause) {
        self.session.warn("metrics", format!("gauges could not be pushed, work goes on: {}", cause.what));
    }

    /// Pushes the chain's gauges anew from the annotations, and that the run has made progress.
    pub async fn push_run(&self, marks: &RunMarks) {
        let mut gauges = gauges(marks);
        gauges.push(Gauge::new(names::METRIC_PROGRESS, seconds(self.session.now())));
        self.push(names::PUSH_JOB_CHAIN, &gauges).await;
    }

    /// Pushes that no run is on, and that no gate holds one.
    pub async fn push_ended(&self, marks: &RunMarks) {
        self.push_marks(&marks.ended()).await;
        self.push_gates(Some(BTreeMap::new())).await;
    }

    /// Pushes the chain's gauges anew from the annotations, which are the truth: a Pushgateway forgets. To look is no progress: a run that
    /// has stalled stays so.
    pub async fn push_marks(&self, marks: &RunMarks) {
        if marks.halted.as_ref().is_some_and(|halt| halt.blocker) {
            self.push(names::PUSH_JOB_BLOCKER, &[blocker(true)]).await;
        }
        self.push(names::PUSH_JOB_CHAIN, &gauges(marks)).await;
    }
}

fn gauges(marks: &RunMarks) -> Vec<Gauge> {
    let number = |on: bool| if on { 1.0 } else { 0.0 };
    let started = marks.started.filter(|_| marks.in_flight).map_or(0.0, seconds);
    let halted = marks.halted.as_ref().and_then(|halt| halt.at).map_or(0.0, seconds);
    vec![
        Gauge::new(names::METRIC_IN_FLIGHT, number(marks.in_flight)),
        Gauge::new(names::METRIC_STARTED, started),
        Gauge::new(names::METRIC_SNAPSHOT, number(marks.in_flight && marks.snapshot_path.is_some())),
        Gauge::new(names::METRIC_HALTED, halted),
    ]
}

/// Prometheus counts in seconds since 1970.
pub fn seconds(time: jiff::Timestamp) -> f64 {
    std::time::Duration::try_from(time.as_duration()).map_or(0.0, |since| since.as_secs_f64().floor())
}

/// 1 while a person blocks.
pub fn blocker(on: bool) -> Gauge {
    Gauge::new(names::METRIC_BLOCKER, if on { 1.0 } else { 0.0 })
}
