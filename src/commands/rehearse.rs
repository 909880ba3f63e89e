//! `rehearse`: the chain on a cluster in memory, at hand or copied from a real one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::ResourceExt;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use super::install::{cannot_write, write_out};
use super::never_over;
use crate::cli::{Page, Rehearse};
use crate::failure::{Advice, Cause, Class, Failure, Outcome};
use crate::names::{ALERT_GROUP, ALERT_WATCHDOG};
use crate::plan::model::answer::Answer;
use crate::plan::model::journal::{BY_HAND, Journal};
use crate::plan::model::policy::Gauges;
use crate::plan::view::cut::Now;
use crate::plan::view::story;
use crate::plan::view::timeline::{self, Timeline};
use crate::report::{self, Event, Out, Printed, Shared};
use crate::run::session::{Stop, signalled};
use crate::run::{Services, chain};
use crate::settings::{Settings, Sources};
use crate::twin::Process;
use crate::twin::rehearsal::{Evidence, Injection, Rehearsed, rehearse};
use crate::twin::scenario::{Fault, Objects, Release, SCHEMA, Scenario, Source};
use crate::words::command;
use crate::world::{Env, Files, TEXT_FILE, World};

/// Bytes of the stack of a rehearsal in a thread of its own: a future that is polled stands on it with all that it waits for.
const STACK: usize = 64 << 20;

/// A scenario's name, and what makes it.
type AtHand = (&'static str, fn() -> Scenario);

/// Scenarios that are there without a file.
pub(super) const AT_HAND: [AtHand; 3] = [
    ("runbook", Scenario::runbook),
    ("minor", Scenario::runbook_minor),
    ("three-control-planes", Scenario::three_control_planes),
];

/// What to type where the file is there.
pub(super) const INSTEAD: &str = "the same with --save -    # prints the scenario instead";

/// What is to be broken can be, in whatever cluster.
pub(super) fn known(wanted: &Rehearse) -> Result<(), Cause> {
    wanted.inject.iter().try_for_each(|text| Injection::known(text).map(|_| ()))
}

/// The scenario that is at hand by this name, else the one in this file.
pub(super) fn scenario(world: &World, name: &str) -> Result<Scenario, Cause> {
    if let Some((_, at_hand)) = AT_HAND.iter().find(|(known, _)| *known == name) {
        return Ok(at_hand());
    }
    let bytes = world.files.read(Path::new(name), TEXT_FILE).map_err(|error| {
        let known = AT_HAND.map(|(known, _)| known).join(", ");
        Cause::usage(format!("cannot read the scenario {name}: {error}"))
            .detail([format!("a file that --save wrote is wanted, or one of {known}")])
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let source = Source::new(name, &text);
    let scenario = source.scenario()?;
    match source.refusal(&unusable(&scenario)?) {
        Some(cause) => Err(cause),
        None => Ok(scenario),
    }
}

/// What a rehearsal is given, wherever its scenario comes from.
pub struct Rehearsal<'a> {
    pub wanted: &'a Rehearse,
    /// This program, for the pods of the world in memory.
    pub process: &'a dyn Process,
    pub sink: Shared,
    pub stdout: &'a Out,
    pub world: &'a World,
}

impl Rehearsal<'_> {
    /// A scenario that is at hand or lies in a file. Of all settings only those of the command line count: the others speak of a real
    /// cluster.
    pub async fn of_scenario(self, set: &[String], stop: Stop) -> Result<Outcome, Failure> {
        if self.wanted.schema {
            write_out(self.stdout, SCHEMA.as_bytes()).map_err(Failure::nothing_begun)?;
            return Ok(Outcome::Done);
        }
        let scenario = self.read(set).map_err(Failure::nothing_begun)?;
        self.go(scenario, stop).await
    }

    /// A copy of the cluster that `services` reads.
    pub async fn of_cluster(self, services: &Services, stop: Stop) -> Result<Outcome, Failure> {
        let scenario = copy(services, self.wanted).await.map_err(Failure::nothing_begun)?;
        self.go(scenario, stop).await
    }

    fn read(&self, set: &[String]) -> Result<Scenario, Cause> {
        let mut scenario = scenario(self.world, &self.wanted.scenario)?;
        let settings = Settings::load(&Sources { config: None, set, env: &Env::new(), files: &NoFiles })?;
        scenario.settings.extend(settings.for_jobs()?);
        if let Some(target) = self.wanted.target {
            scenario.target = target;
            if scenario.releases.iter().all(|release| release.version != target) {
                scenario.releases.push(Release { version: target, from: None });
            }
        }
        Ok(scenario)
    }

    async fn go(self, mut scenario: Scenario, stop: Stop) -> Result<Outcome, Failure> {
        if let Some(seed) = self.wanted.seed {
            scenario.seed = seed;
        }
        if let Some(path) = &self.wanted.save {
            self.save(&scenario, path).map_err(Failure::nothing_begun)?;
            return Ok(Outcome::Done);
        }
        let read = |text: &String| Injection::read(text, &scenario);
        let injections = self.wanted.inject.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(Failure::nothing_begun)?;
        let place = "rehearsal".to_owned();
        let text = format!("to {} in memory: nothing outside is touched", scenario.target);
        self.tell(scenario.start, &Event::Note { place, text });
        // Nothing outside waits for us: all time from here on is the rehearsal's own.
        tokio::time::pause();
        let told = tokio::select! {
            biased;
            signal = signalled(stop) => Err(Cause::new(Class::Stopped(signal), "the rehearsal was left; nothing outside was touched")),
            told = rehearse(&scenario, injections, self.process, self.sink.clone()) => told,
        };
        tokio::time::resume();
        let mut told = told.map_err(Failure::nothing_begun)?;
        let next = self.next(&told);
        told.next = next.iter().map(|next| next.command.clone()).collect();
        let text = match self.wanted.output {
            Page::Text => Some(told.text()),
            Page::Json | Page::Yaml => Some(Printed::pretty(&told).map_err(Failure::nothing_begun)?),
            page => as_reported(&told, page),
        };
        match text {
            Some(text) => report::write(self.stdout, &text).map_err(cannot_write).map_err(Failure::nothing_begun)?,
            None => {
                let text = "the rehearsed run did not begin: there is nothing to draw; -o text says why".to_owned();
                self.tell(told.ended, &Event::Note { place: "rehearsal".to_owned(), text });
            }
        }
        // A page and a document have it in them; of what failed it is told as of any failure.
        if !matches!(self.wanted.output, Page::Text | Page::Json | Page::Yaml) && told.end.class.is_none() {
            for Advice { command, .. } in &next {
                let (place, what_for) = (String::new(), "next".to_owned());
                self.tell(told.ended, &Event::Next { place, what_for, command: command.clone() });
            }
        }
        outcome(told, next)
    }

    /// What one would type next. What the rehearsed run advises, it advises for the real one.
    fn next(&self, told: &Rehearsed) -> Vec<Advice> {
        let on_a_copy = "k8s-upgrade rehearse --from-cluster    # on a copy of your cluster, which is only read";
        match told.end.class {
            None if self.wanted.from_cluster && told.jobs.is_empty() => vec![Advice::status()],
            None if self.wanted.from_cluster => {
                vec![Advice::go_on(command!("k8s-upgrade start --target {}    # in earnest", told.target))]
            }
            None => vec![Advice::go_on(on_a_copy)],
            // Of the rehearsal itself.
            Some(Class::Bug) => vec![Advice::look("k8s-upgrade plan    # what a real run would find, asked of the cluster")],
            Some(_) if told.end.advice.is_empty() => {
                vec![Advice::look("k8s-upgrade plan    # on the real cluster: which gates are closed, and why")]
            }
            Some(_) => told.end.advice.clone(),
        }
    }

    fn tell(&self, now: Timestamp, event: &Event) {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).event(now, event);
    }

    fn save(&self, scenario: &Scenario, path: &Path) -> Result<(), Cause> {
        let text = scenario.yaml()?;
        if path == Path::new("-") {
            return write_out(self.stdout, text.as_bytes());
        }
        let cannot = |error| Cause::usage(format!("cannot write {}: {error}", path.display()));
        never_over(self.world, path, INSTEAD)?;
        self.world.files.write(path, text.as_bytes(), 0o644).map_err(cannot)
    }
}

/// The same beside a command that goes on with real time, and untold.
///
/// # Errors
/// What a rehearsal of a scenario meets that is none.
pub(super) fn rehearsed(scenario: Scenario, process: &'static (dyn Process + Sync)) -> Result<Rehearsed, Cause> {
    let rehearse = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.map_err(|error| Cause::step(format!("cannot start a rehearsal: {error}")))?;
        runtime.block_on(rehearse(&scenario, Vec::new(), process, report::shared(Vec::new())))
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(rehearse);
    let thread = thread.map_err(|error| Cause::step(format!("cannot start a rehearsal: {error}")))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// As `report` would tell it; None: no run has begun.
fn as_reported(told: &Rehearsed, page: Page) -> Option<Printed> {
    let Evidence { journals, unreadable, in_flight, api_away } = &told.evidence;
    let now = Now { at: Some(told.ended), in_flight: *in_flight, ..Now::default() };
    let run = journals.iter().map(|journal| &journal.head.run).find(|run| *run != BY_HAND)?;
    let journals: Vec<Journal> = journals.iter().filter(|journal| journal.head.run == *run).cloned().collect();
    let story = story::tell(run, &journals, unreadable, &now, false)?;
    // It was seen from outside, better than by those who waited for it.
    let timeline = Timeline { api_away: api_away.clone(), ..timeline::draw(&story, &journals, &now) };
    Some(match page {
        Page::Svg => report::svg(&story, &timeline),
        Page::Html => report::html(&story, &timeline),
        _ => report::markdown(&story, &timeline),
    })
}

/// The rehearsed run's end is the command's.
fn outcome(told: Rehearsed, next: Vec<Advice>) -> Result<Outcome, Failure> {
    let Some(class) = told.end.class else {
        return Ok(if told.jobs.is_empty() { Outcome::Nothing } else { Outcome::Done });
    };
    let cause = Cause::new(class, format!("the rehearsed run: {}", told.end.why)).detail(told.end.detail);
    Err(Failure {
        cause,
        place: told.end.place,
        state: "This was a rehearsal: nothing outside was touched. On a real cluster you would type what follows.".to_owned(),
        next,
    })
}

/// Settings of a scenario that the program would not take.
fn unusable(scenario: &Scenario) -> Result<Vec<Fault>, Cause> {
    let faults = Settings::faults("settings", &scenario.settings)?;
    Ok(faults.into_iter().map(|fault| Fault { at: format!("settings/{}", fault.key), what: fault.cause.what }).collect())
}

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path, _: usize) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> std::io::Result<()> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn make_folder(&self, _: &Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn is_file(&self, _: &Path) -> std::io::Result<bool> {
        Ok(false)
    }
}

/// Reads the cluster: objects and alerts, and where it would go.
async fn copy(services: &Services, wanted: &Rehearse) -> Result<Scenario, Cause> {
    let target = match wanted.target {
        Some(target) => target,
        None => {
            let found = chain::detect::detect(&services.settings, &services.world, &services.observer.observe().await?).await?;
            // What is to be approved, or not, is worth a rehearsal above all.
            found.target.or(found.asks).ok_or_else(|| {
                let what = "detection would choose no target: say one with --target X.Y.Z";
                Cause::usage(what).detail(found.unknown)
            })?
        }
    };
    let all = ListParams::default();
    let objects = Objects {
        nodes: services.cluster.list_all("list nodes", services.cluster.all(), all).await?,
        pods: everywhere(services, "list pods").await?,
        deployments: everywhere(services, "list Deployments").await?,
        replica_sets: everywhere(services, "list ReplicaSets").await?,
        stateful_sets: everywhere(services, "list StatefulSets").await?,
        daemon_sets: everywhere(services, "list DaemonSets").await?,
        budgets: everywhere(services, "list PodDisruptionBudgets").await?,
        autoscalers: everywhere(services, "list HorizontalPodAutoscalers").await?,
        beside: beside(services).await,
    };
    let mut scenario = Scenario::from_objects(
        &objects,
        target,
        services.session.now(),
        &services.settings.annotation_prefix,
        &services.cluster.namespace,
    )?;
    scenario.about = format!("a copy of {}", services.settings.cluster_name);
    scenario.settings = services.settings.for_jobs()?;
    let waits = ["windows", "freezes", "freeze-configmap"].map(|key| scenario.settings.shift_remove(key).is_some());
    if waits.contains(&true) {
        scenario.assumptions.push("It is begun now, and waits for no window and for the end of no freeze.".to_owned());
    }
    if scenario.settings.shift_remove("addons").is_some() {
        scenario.assumptions.push("Every addon goes along to the target: at which version each runs is not copied.".to_owned());
    }
    Ok(match services.monitoring.alerts().await {
        Answer::Known(alerts) => {
            let own =
                |name: &str| crate::plan::decide::rules::alerts(Gauges::Pushgateway).iter().any(|rule| rule["alert"] == name);
            if !alerts.iter().any(|alert| alert.firing && alert.name == ALERT_WATCHDOG) {
                let what =
                    "The alert rules of the upgrade are loaded; in your cluster Watchdog does not fire, and a run would hold.";
                scenario.assumptions.push(what.to_owned());
            }
            let gates = match services.monitoring.rules_loaded().await {
                Answer::Known(rules) => {
                    rules.into_iter().filter(|rule| rule.group == ALERT_GROUP).map(|rule| rule.name).collect()
                }
                Answer::Unknown(why) => {
                    let what = "No alert of other people is of the group Upgrade Gates: which rules are loaded is not known";
                    scenario.assumptions.push(format!("{what} ({why})."));
                    BTreeSet::new()
                }
            };
            let firing = alerts.into_iter().filter(|alert| alert.firing && !own(&alert.name));
            scenario.with_alerts(firing.map(|alert| (alert.name, alert.labels)), &gates)
        }
        Answer::Unknown(why) => {
            scenario.assumptions.push(format!("No alert fires: which do now is not known ({why})."));
            scenario
        }
    })
}

/// What a rehearsal does not imitate, where the cluster has it. A reader who may not see it is told so: it stops no rehearsal.
async fn beside(services: &Services) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    match chain::webhooks::closed(&services.cluster).await {
        Ok(webhooks) => {
            let what = "Admission webhooks let everything pass, and always answer";
            found.extend(webhooks.into_iter().map(|webhook| (what, webhook.name)));
        }
        Err(cause) => found.push(("There are no admission webhooks: which there are is not known", cause.what)),
    }
    match everywhere::<ResourceQuota>(services, "list ResourceQuotas").await {
        Ok(quotas) => {
            let what = "Quotas are not counted: no pod and no Job is refused for one";
            let name = |quota: ResourceQuota| format!("{}/{}", quota.namespace().unwrap_or_default(), quota.name_any());
            found.extend(quotas.into_iter().map(|quota| (what, name(quota))));
        }
        Err(cause) => found.push(("There are no quotas: which there are is not known", cause.what)),
    }
    found
}

async fn everywhere<K>(services: &Services, what: &str) -> Result<Vec<K>, Cause>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    services.cluster.list_all(what, services.cluster.all(), ListParams::default()).await
}
