//! After every failure that the chain can end with, `resume` is the one command that goes on: each kind of end, at each phase, with the watch
//! asleep; a person mends what was broken and types that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_upgrade::twin::control::Backup;
use k8s_upgrade::twin::rehearsal::{Injection, Injector, KNOWN};
use k8s_upgrade::twin::state::{ProgramPhase, later};
use k8s_upgrade::twin::store::{Key, Kind};
use k8s_upgrade::twin::web::{How, Injected, Service, Trouble};
use k8s_upgrade::twin::{Call, Driver, Fate, Hook, Scenario, State};
use serde_json::{Value, json};

use super::hands::{done, observed, runbook, slack};
use super::rules::Observer;
use super::world::{LIMIT, NAMESPACE, at_work, begin, calm, in_flight, is_over, jobs, live, pass, tail, types, when};

/// Nothing more will happen by itself after so long without anybody at work.
const IDLE: Duration = Duration::from_secs(40 * 60);

/// Nobody but a person takes anything up.
pub fn watch(state: &mut State, awake: bool) {
    let key = Key::new(Kind::CronJob, NAMESPACE, "k8s-upgrade-watch");
    state.store.update(&key, |cronjob| cronjob["spec"]["suspend"] = json!(!awake));
}

pub fn job(phase: &str) -> String {
    match phase {
        "preflight" | "master" | "postflight" => format!("k8s-upgrade-{phase}-1-34-7"),
        node => format!("k8s-upgrade-worker-1-34-7-{node}"),
    }
}

fn node(phase: &str) -> &str {
    if phase == "master" { "k8s-master" } else { phase }
}

fn is_there(state: &State, phase: &str) -> bool {
    state.store.get(&Key::new(Kind::Job, NAMESPACE, &job(phase))).is_some()
}

fn has_failed(state: &State, phase: &str) -> bool {
    jobs(state).lines().any(|line| line.starts_with(&job(phase)) && line.contains("\"Failed\""))
}

/// The codes with which the pods of a Job have ended.
fn codes(state: &State, phase: &str) -> Vec<i64> {
    let name = job(phase);
    let of_job =
        state.store.list(Kind::Pod).filter(|(_, pod)| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == *name);
    of_job.filter_map(|(_, pod)| pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64()).collect()
}

/// Its pod works, and no other.
fn alone_at_work(state: &State, phase: &str) -> bool {
    let mut working = state.programs.values().filter(|program| program.phase != ProgramPhase::Killed);
    at_work(state) && working.all(|program| program.pod.name.starts_with(&job(phase)))
}

type Change = fn(&mut State, &str);

/// How a Job is made to end, what mends that, and with which code it ends for good.
struct End {
    code: i64,
    what: &'static str,
    phases: &'static [&'static str],
    breaks: Change,
    mends: Change,
}

fn config(state: &mut State, edit: impl Fn(&str) -> String) {
    state.store.update(&Key::new(Kind::ConfigMap, NAMESPACE, "k8s-upgrade-config"), |map| {
        let text = map["data"]["config.yaml"].as_str().unwrap_or_default();
        map["data"]["config.yaml"] = json!(edit(text));
    });
}

fn away(state: &mut State, service: Service) {
    let (from, until) = (state.now(), later(state.now(), LIMIT));
    state.web.troubles.push(Trouble { service, from, until, how: How::Refused });
}

pub fn fires(state: &mut State, name: &str) {
    let (from, until) = (state.now(), later(state.now(), LIMIT));
    state.web.prometheus.injected.push(Injected { name: name.to_owned(), labels: Default::default(), from, until });
}

fn ssh(state: &mut State, phase: &str, away: bool) {
    let until = away.then(|| later(state.now(), LIMIT));
    let node = if phase == "preflight" { "k8s-node3" } else { node(phase) };
    state.hosts.change(node, |machine| machine.faults.away_until = until);
}

fn kubeadm_fails(state: &mut State, phase: &str, times: u32) {
    state.hosts.change(node(phase), |machine| machine.faults.kubeadm_fails = times);
}

/// The run's beginning, as nobody can read it.
fn started(state: &mut State, spoil: bool) {
    let key = "viktorbarzin.me/k8s-upgrade-started";
    state.store.update(&Key::new(Kind::Namespace, "", NAMESPACE), |namespace| {
        let text = namespace["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        let text = if spoil { format!("about {text}") } else { text.trim_start_matches("about ").to_owned() };
        namespace["metadata"]["annotations"][key] = json!(text);
    });
}

const NODES: &[&str] = &["master", "k8s-node4", "k8s-node1"];

const ENDS: [End; 11] = [
    End {
        code: 2,
        what: "a setting that nobody knows",
        phases: &["preflight", "master", "k8s-node4", "k8s-node1", "postflight"],
        breaks: |state, _| config(state, |text| format!("{text}\nbogus: 1\n")),
        mends: |state, _| config(state, |text| text.replace("\nbogus: 1\n", "")),
    },
    End {
        code: 3,
        what: "an alert",
        phases: &["master", "k8s-node4", "k8s-node1", "postflight"],
        breaks: |state, _| fires(state, "K8sUpgradeHaltedByOperator"),
        mends: |state, _| state.web.prometheus.injected.clear(),
    },
    End {
        code: 4,
        what: "a key that is refused",
        phases: &["preflight", "master", "k8s-node4", "k8s-node1"],
        breaks: |state, phase| {
            let node = if phase == "preflight" { "k8s-node3" } else { node(phase) };
            state.hosts.change(node, |machine| machine.faults.key_refused = true);
        },
        mends: |state, phase| {
            let node = if phase == "preflight" { "k8s-node3" } else { node(phase) };
            state.hosts.change(node, |machine| machine.faults.key_refused = false);
        },
    },
    End {
        code: 4,
        what: "a mark that nobody can read",
        phases: &["postflight"],
        breaks: |state, _| started(state, true),
        mends: |state, _| started(state, false),
    },
    End {
        code: 4,
        what: "a backup that fails",
        phases: &["preflight"],
        breaks: |state, _| state.control.backup = Backup::Fails,
        mends: |state, _| state.control.backup = Backup::Fine,
    },
    End {
        code: 4,
        what: "a backup that is none",
        phases: &["preflight"],
        breaks: |state, _| state.control.backup = Backup::Small,
        mends: |state, _| state.control.backup = Backup::Fine,
    },
    End {
        code: 5,
        what: "kubeadm that fails",
        phases: NODES,
        breaks: |state, phase| kubeadm_fails(state, phase, u32::MAX),
        mends: |state, phase| kubeadm_fails(state, phase, 0),
    },
    End {
        code: 6,
        what: "somebody else at work on the node",
        phases: NODES,
        breaks: |state, phase| {
            let name = format!("k8s-upgrade-node-{}", node(phase));
            let lease = json!({
                "metadata": { "name": name, "namespace": NAMESPACE },
                "spec": { "holderIdentity": "somebody", "leaseDurationSeconds": 3600, "renewTime": "2026-11-22T12:00:00.000000Z" },
            });
            let now = state.now();
            state.store.create(now, Kind::Lease, lease).unwrap();
        },
        mends: |state, phase| {
            drop(state.store.remove(&Key::new(Kind::Lease, NAMESPACE, &format!("k8s-upgrade-node-{}", node(phase)))))
        },
    },
    End {
        code: 7,
        what: "a node that does not answer",
        phases: &["preflight", "master", "k8s-node4", "k8s-node1"],
        breaks: |state, phase| ssh(state, phase, true),
        mends: |state, phase| ssh(state, phase, false),
    },
    End {
        code: 7,
        what: "a package index that does not answer",
        phases: &["preflight"],
        breaks: |state, _| away(state, Service::Packages),
        mends: |state, _| state.web.troubles.clear(),
    },
    End {
        code: 137,
        what: "a program that is killed each time",
        phases: &["preflight", "master", "k8s-node4", "k8s-node1", "postflight"],
        breaks: |_, _| {},
        mends: |_, _| {},
    },
];

/// Breaks it when the phase's Job is there; until it has failed for good, mended, and resumed.
fn ends_and_is_resumed(end: &End, phase: &str) {
    let mut state = runbook();
    watch(&mut state, false);
    let case = format!("exit {} of {phase}: {}", end.code, end.what);
    let end_state = observed(state, async |driver| {
        when(driver, &case, |state| is_there(state, phase)).await;
        driver.twin.edit(|state| (end.breaks)(state, phase));
        let until = later(driver.twin.now(), LIMIT);
        while !driver.twin.look(|state| has_failed(state, phase)) && driver.twin.now() < until {
            match end.code {
                137 => {
                    driver.until(until, |state| alone_at_work(state, phase) || has_failed(state, phase)).await;
                    driver.twin.edit(State::kill_programs);
                }
                _ => pass(driver, 5).await,
            }
        }
        driver.twin.look(|state| {
            let told = || format!("{case}\n{}\n{}", jobs(state), tail(state, 60));
            assert!(has_failed(state, phase), "{}", told());
            assert!(codes(state, phase).contains(&end.code), "{:?} {}", codes(state, phase), told());
        });
        pass(driver, 1800).await;
        driver.twin.edit(|state| (end.mends)(state, phase));
        resumes(driver, &case).await;
        driver.twin.look(State::clone)
    });
    done(&end_state, &[]);
    assert!(slack(&end_state).contains("✅ K8s upgrade complete"), "{case}: {}", slack(&end_state));
}

fn failed_jobs(state: &State) -> usize {
    let failed =
        |line: &&str| line.starts_with("k8s-upgrade-") && !line.starts_with("k8s-upgrade-watch") && line.contains("\"Failed\"");
    jobs(state).lines().filter(failed).count()
}

/// The one command, and the run goes to its end.
pub async fn resumes(driver: &mut Driver<'_>, case: &str) {
    let (code, said) = types(driver, "resume", "resume --yes").await;
    assert_eq!(code, 0, "{case}: {said}");
    // The Job of a node that is done stays Failed where what came after its upgrade held; one that is replaced is gone by now.
    let before = driver.twin.look(failed_jobs);
    let limit = later(driver.twin.now(), LIMIT);
    let over = driver.until(limit, |state| is_over(state) || (!at_work(state) && failed_jobs(state) > before)).await;
    pass(driver, 1).await;
    driver.twin.look(|state| assert!(over && is_over(state), "{case}: {said}\n{}\n{}", jobs(state), tail(state, 80)));
}

fn all(code: i64) {
    let ends: Vec<&End> = ENDS.iter().filter(|end| end.code == code).collect();
    assert!(!ends.is_empty());
    for end in ends {
        end.phases.iter().for_each(|phase| ends_and_is_resumed(end, phase));
    }
}

#[test]
fn after_usage() {
    all(2);
}

#[test]
fn after_a_hold() {
    all(3);
}

#[test]
fn after_a_refusal() {
    all(4);
}

#[test]
fn after_a_failed_step() {
    all(5);
}

#[test]
fn after_a_contention() {
    all(6);
}

#[test]
fn after_an_unreachable_endpoint() {
    all(7);
}

#[test]
fn after_a_kill() {
    all(137);
}

/// What a rehearsal can be asked to break.
struct Struck(Injector, Arc<AtomicBool>);

impl Struck {
    fn told(&self, fate: Fate) -> Fate {
        self.1.store(!self.0.happened.is_empty(), Ordering::Relaxed);
        fate
    }
}

impl Hook for Struck {
    fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let fate = self.0.before(state, call);
        self.told(fate)
    }
    fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        let fate = self.0.after(state, call);
        self.told(fate)
    }
    fn look(&mut self, state: &mut State) {
        self.0.look(state);
    }
}

/// Takes away what does not end by itself.
fn mend(state: &mut State) {
    state.web.prometheus.injected.clear();
    state.web.troubles.clear();
    state.control.backup = Backup::Fine;
    // Whoever has mended a Deployment has its pods made anew.
    for (namespace, name) in std::mem::take(&mut state.control.broken).into_keys() {
        let of = |pod: &Value| {
            let set = pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default();
            set.rsplit_once('-').is_some_and(|(deployment, _)| deployment == name)
        };
        let pods = state.store.list(Kind::Pod).filter(|(key, pod)| key.namespace == namespace && of(pod));
        let pods: Vec<Key> = pods.map(|(key, _)| key.clone()).collect();
        pods.iter().for_each(|key| drop(state.store.remove(key)));
    }
    state.dns_away_until = None;
    state.hosts.change("k8s-master", |machine| (machine.faults.etcd_ill, machine.faults.etcd_slow) = (None, None));
    let budgets: Vec<Key> = state.store.list(Kind::Budget).map(|(key, _)| key.clone()).collect();
    for key in budgets {
        let deadlock = state.store.get(&key).is_some_and(|budget| budget["spec"]["maxUnavailable"] == 0);
        if deadlock {
            state.store.update(&key, |budget| budget["spec"]["maxUnavailable"] = json!(1));
        }
    }
}

/// Breaks one thing at that step. A run that does not come to its end by itself stands still, is mended, and resumed.
fn injected(step: &str) {
    let scenario = calm(Scenario::runbook());
    for (what, _) in KNOWN {
        let Ok(injection) = Injection::read(&format!("{what}@{step}"), &scenario) else {
            let of_another = match what {
                "backup-failure" | "old-api-caller" => step != "preflight",
                "etcd-ill" | "etcd-slow" => !step.contains("master"),
                "pdb-deadlock" | "deployment-down" | "crash-loop" => !step.contains("master") && !step.contains('/'),
                _ => false,
            };
            assert!(of_another, "{what}@{step} cannot be asked for");
            continue;
        };
        let mut state = begin(&scenario);
        watch(&mut state, false);
        let happened = Arc::new(AtomicBool::new(false));
        let injector = Struck(Injector::new(vec![injection], &scenario), happened.clone());
        let (observer, broken) = Observer::new(&state, Some(Box::new(injector)));
        let end = live(state, Some(Box::new(observer)), async |driver| {
            let limit = later(driver.twin.now(), LIMIT);
            assert!(driver.until(limit, |_| happened.load(Ordering::Relaxed)).await, "{what}@{step} never came");
            let (limit, mut still) = (later(driver.twin.now(), LIMIT), None);
            let stands = |state: &State| {
                if at_work(state) {
                    still = None;
                }
                let since = *still.get_or_insert(state.now());
                is_over(state) || (!at_work(state) && state.now() >= later(since, IDLE))
            };
            assert!(driver.until(limit, stands).await, "{what}@{step} goes on for ever");
            let ended = driver.twin.look(is_over);
            driver.twin.edit(mend);
            let case = format!("{what}@{step}");
            if ended {
                // A Pushgateway that was away hears of it by the watch.
                driver.twin.edit(|state| watch(state, true));
                pass(driver, 1200).await;
            } else if driver.twin.look(|state| !in_flight(state) && failed_jobs(state) == 0) {
                // Deferred, which is no failure: the next detection tries again.
                assert_eq!(types(driver, "detect", "detect").await.0, 0, "{case}");
                when(driver, &case, is_over).await;
            } else {
                resumes(driver, &case).await;
            }
            driver.twin.look(State::clone)
        });
        assert!(broken.lock().unwrap().is_empty(), "{what}@{step}: {:#?}", broken.lock().unwrap());
        done(&end, &[]);
    }
}

#[test]
fn after_what_a_rehearsal_breaks_in_preflight() {
    injected("preflight");
}

#[test]
fn after_what_a_rehearsal_breaks_at_the_master() {
    injected("master");
}

#[test]
fn after_what_a_rehearsal_breaks_at_a_worker() {
    injected("worker/k8s-node3");
}

#[test]
fn after_what_a_rehearsal_breaks_in_postflight() {
    injected("postflight");
}
