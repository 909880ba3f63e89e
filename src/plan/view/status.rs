//! Where a run stands, for a person at 3 a.m.: what works, what holds it and since when, what failed, what to type, and whether one may
//! go back to bed. What is seen goes in, a [`Screen`] comes out; `report` writes it.

use std::time::Duration;

use jiff::Timestamp;

use super::estimate::Times;
use super::paused::Pauses;
use super::screen::{Failed, Left, Row, Run, Screen, ScreenInput, Work};
use crate::failure::{Cause, Purpose};
use crate::names;
use crate::plan::decide::gates::Gate;
use crate::plan::decide::next::{self, Next};
use crate::plan::decide::order;
use crate::plan::decide::orphan::{self, Verdict};
use crate::plan::decide::{planned, target, when};
use crate::plan::model::answer::Answer;
use crate::plan::model::approved::Approved;
use crate::plan::model::facts::{Facts, JobFact, JobState, Node, Phase, Step};
use crate::plan::model::lease::Driver;
use crate::plan::model::paused::Pause;
use crate::plan::model::policy::Policy;
use crate::plan::model::progress::{Doing, ToldFailure};
use crate::plan::model::version::Version;
use crate::plan::rescue::hosts::{End, Unit};
use crate::words::command;

/// So many of the steps to come are named, and the last.
const NAMED: usize = 4;
/// So long after its Job was created a pod need not have recorded anything.
const FRESH: Duration = Duration::from_secs(60);

/// A node of which all is done, and that serves.
const DONE: &str = "done";

/// The screen, now.
pub fn screen(seen: &ScreenInput, policy: &Policy, cluster: &str, namespace: &str, now: Timestamp) -> Screen {
    let facts = &seen.facts;
    let marks = &facts.marks;
    // Nothing is told to be next where nobody who acts could say so.
    let next = facts.readable(namespace).and_then(|()| next::next(facts, policy, None, now));
    let work: Vec<Work> =
        facts.jobs.iter().filter(|job| job.state == JobState::Active).map(|job| at_work(seen, job, now)).collect();
    let failure = failed(seen);
    let view = View { seen, policy, now, work: &work, next: &next };
    Screen {
        cluster: cluster.to_owned(),
        running: target::running(facts),
        run: marks.in_flight.then(|| Run {
            id: marks.run_id.clone().map(String::from),
            target: marks.target,
            started: marks.started,
            position: view.position(),
            left: view.left(),
            image: marks.image.clone(),
            installed: seen.installed.clone().filter(|installed| marks.image.as_ref().is_some_and(|image| image != installed)),
        }),
        halted: marks.halted.as_ref().map(ToString::to_string),
        paused: Pauses::of(facts),
        off: seen.off.clone(),
        skipped: marks.passed_over().map(ToString::to_string).collect(),
        asks: marks.asks(target::running(facts)),
        approved: marks.approved.as_ref().map(Approved::words),
        rests: view.rest(),
        stopped: match view.next {
            _ if view.driver().is_some() || view.rest().is_some() => None,
            Ok(Next::Create(wave)) => {
                let at_work = if work.is_empty() { "no Job is at work" } else { "a Job has failed" };
                Some(format!("{at_work}, and {} is not done", wave.first.step.token()))
            }
            _ => None,
        },
        rows: view.nodes().into_iter().map(|node| view.row(node)).collect(),
        leases: seen.leases.clone(),
        units: seen.units.iter().map(|(node, unit)| (node.clone(), of_run(unit, marks.run_id.as_deref()))).collect(),
        driver: seen.driver.clone(),
        backup: marks.snapshot_path.clone().filter(|_| marks.in_flight),
        blocks: view.blocks(),
        gates: view.gates(),
        then: view.then(),
        commands: view.commands(failure.as_ref(), namespace),
        safe: view.safe(failure.as_ref()),
        failure,
        work,
    }
}

/// What a node's unit did for another run than this one tells nothing here.
fn of_run(unit: &Answer<Unit>, run: Option<&str>) -> Answer<Unit> {
    match unit {
        Answer::Known(Unit { work: Some(work), .. }) if work.end != End::Running && run.is_some_and(|run| work.run != run) => {
            Answer::Known(Unit::default())
        }
        unit => unit.clone(),
    }
}

/// The step that a Job performs, as its name tells.
fn step_of(facts: &Facts, job: &str) -> Option<Step> {
    let target = facts.marks.target?;
    let nodes = facts.nodes.iter().map(Step::of);
    [Step::preflight(), Step::postflight()].into_iter().chain(nodes).find(|step| planned::name(facts, step, target) == job)
}

/// What a Job does or did, or why that is not known.
fn doing(job: &JobFact) -> (Doing, Option<String>) {
    match (&job.progress, job.progress_of_newest()) {
        (_, Some(progress)) => (progress.doing.clone(), None),
        (Some(Err(why)), None) => (Doing::default(), Some(format!("its progress record {why}"))),
        (other, None) => {
            let earlier = other.as_ref().and_then(|other| other.as_ref().ok());
            let failure = earlier.and_then(|progress| progress.doing.failure.clone());
            let pod = job.pod.as_ref().map_or("its pod".to_owned(), |pod| format!("pod {pod}"));
            (Doing { failure, ..Doing::default() }, Some(format!("{pod} has recorded no progress")))
        }
    }
}

fn at_work(seen: &ScreenInput, job: &JobFact, now: Timestamp) -> Work {
    let (doing, silent) = doing(job);
    let is_new = job.progress.is_none() && job.created.is_some_and(|created| now.duration_since(created).unsigned_abs() < FRESH);
    Work {
        step: step_of(&seen.facts, &job.name).map_or_else(|| job.name.clone(), |step| step.token()),
        job: job.name.clone(),
        created: job.created,
        deadline: job.deadline,
        pod: job.pod.clone(),
        node: job.node.clone(),
        pin: job.pin.clone(),
        silent: idle(seen, job, now).map(|(why, _)| why).or(silent.filter(|_| !is_new)),
        doing,
    }
}

/// Why no pod works for a Job that should be at work, and since when.
fn idle(seen: &ScreenInput, job: &JobFact, now: Timestamp) -> Option<(String, Option<Timestamp>)> {
    if let Some(pending) = &job.pending {
        return Some((format!("the pod of {} does not run: {pending}", job.name), job.created));
    }
    let since = job.unstarted(now)?;
    let what =
        if job.pod.is_some() { format!("the pod of {} does not start", job.name) } else { format!("{} has no pod", job.name) };
    let why = match seen.warnings.get(&job.name) {
        Some(Answer::Known(Some(warning))) => warning.clone(),
        Some(Answer::Unknown(why)) => format!("why is not known: {why}"),
        Some(Answer::Known(None)) | None => "no event says why".to_owned(),
    };
    Some((format!("{what}: {why}"), Some(since)))
}

/// It has done its work, or failed at it; only the Job itself does not know.
fn outlived_by(job: &JobFact) -> String {
    let (name, others) = (&job.name, job.outlived_by.join(", "));
    format!("{name} does not end, though its work has: {others} runs on beside it; keep that out of the pods of this namespace")
}

/// The last failure that nothing has followed: of the run in flight, else of one that was never claimed.
pub fn last_failed(facts: &Facts) -> Option<&JobFact> {
    let of_run = |job: &&JobFact| !facts.marks.in_flight || job.run == facts.marks.run_id;
    let newest = facts.jobs.iter().filter(of_run).max_by_key(|job| (job.created, &job.name))?;
    matches!(newest.state, JobState::Failed { .. }).then_some(newest)
}

fn failed(seen: &ScreenInput) -> Option<Failed> {
    let job = last_failed(&seen.facts)?;
    let JobState::Failed { reason, exit } = &job.state else { return None };
    let (doing, silent) = doing(job);
    let message = || silent.into_iter().chain(job.message.clone()).collect();
    let told = doing.failure.unwrap_or_else(|| ToldFailure { what: message(), ..ToldFailure::default() });
    Some(Failed { job: job.name.clone(), ended: job.ended, reason: reason.clone(), exit: *exit, told })
}

struct View<'a> {
    seen: &'a ScreenInput,
    policy: &'a Policy,
    now: Timestamp,
    work: &'a [Work],
    next: &'a Result<Next, Cause>,
}

impl View<'_> {
    fn facts(&self) -> &Facts {
        &self.seen.facts
    }

    fn target(&self) -> Option<Version> {
        self.facts().marks.target.filter(|_| self.facts().marks.in_flight)
    }

    /// Who works by hand now.
    fn driver(&self) -> Option<&Driver> {
        self.seen.driver.as_ref().filter(|driver| driver.lives(self.now))
    }

    /// In the order of their upgrade. The planner puts who is out of service first; here whoever is done stands before.
    fn in_turn(&self) -> Vec<&Node> {
        let mut nodes = order::order(self.facts(), self.policy);
        if let Some(target) = self.target() {
            nodes.sort_by_key(|node| (!node.control_plane, !node.is_done(target)));
        }
        nodes
    }

    /// The same, the excluded ones last.
    fn nodes(&self) -> Vec<&Node> {
        let mut nodes = self.in_turn();
        nodes.extend(self.facts().nodes.iter().filter(|node| node.excluded));
        nodes
    }

    fn undone(&self) -> Vec<Step> {
        let chain = self.target().map(|target| next::chain(self.facts(), self.policy, target)).unwrap_or_default();
        chain.into_iter().filter(|link| !link.done).map(|link| link.step).collect()
    }

    /// The nodes that are left, and when they are done. None while something holds the run: nobody can foresee for how long.
    fn left(&self) -> Option<Left> {
        let waits = self.facts().marks.halted.is_some() || self.rest().is_some() || !self.blocks().is_empty();
        if waits || (self.work.is_empty() && self.driver().is_none()) {
            return None;
        }
        let done: Vec<(Timestamp, Phase)> = {
            let ours = self.facts().nodes.iter().filter(|node| node.changed_by(&self.facts().marks));
            let mut done: Vec<_> = ours.filter_map(|node| Some((node.changed_at?, Step::of(node).phase))).collect();
            done.sort_by_key(|(at, _)| *at);
            done
        };
        // From the end of one to the end of the next: with what lies between them, such as its soak.
        let mut times = Times::default();
        for (before, (at, phase)) in done.iter().zip(done.iter().skip(1)) {
            times.add(*phase, at.duration_since(before.0).unsigned_abs());
        }
        let undone = self.undone();
        let nodes: Vec<&Step> = undone.iter().filter(|step| step.node.is_some()).collect();
        let turn = |step: &Step| times.of_turn(step.node.as_deref()?, step.phase).map(|took| took.all);
        let turns = nodes.iter().map(|step| turn(step)).collect::<Option<Vec<Duration>>>()?;
        let until = done.last()?.0.checked_add(turns.iter().sum::<Duration>()).ok()?;
        // What takes longer than it should has proved the guess wrong.
        (until > self.now && !nodes.is_empty()).then_some(Left { nodes: nodes.len(), until })
    }

    /// What is at work, else what comes next.
    fn position(&self) -> String {
        if self.work.len() > 1 {
            let workers = || self.facts().managed().filter(|node| !node.control_plane);
            let done = workers().filter(|node| self.target().is_some_and(|target| node.is_done(target))).count();
            return format!("{} Jobs at work, {done} of {} workers done", self.work.len(), workers().count());
        }
        let undone = || self.undone().first().map(Step::token);
        let Some(token) = self.work.first().map(|work| work.step.clone()).or_else(undone) else { return String::new() };
        let nodes = self.in_turn();
        let Some(node) = nodes.iter().find(|node| Step::of(node).token() == token) else { return token };
        let class: Vec<_> = nodes.iter().filter(|other| other.control_plane == node.control_plane).collect();
        let before = class.iter().position(|other| other.name == node.name).unwrap_or_default();
        format!("{} {} of {}", if node.control_plane { "control plane" } else { "worker" }, before + 1, class.len())
    }

    fn row(&self, node: &Node) -> Row {
        let runner = order::runner(self.facts(), self.policy).is_some_and(|runner| runner.name == node.name);
        let (state, since, until) = self.state(node);
        // One that is done and does not serve is told for how long it does not.
        let is_over = state == [DONE];
        Row {
            node: node.name.clone(),
            role: format!(
                "{}{}",
                if node.control_plane { "control-plane" } else { "worker" },
                if runner { ", runner" } else { "" }
            ),
            version: versions(node),
            state: if state.is_empty() { "serving".to_owned() } else { state.join(", ") },
            since,
            is_over,
            until,
        }
    }

    fn state(&self, node: &Node) -> (Vec<String>, Option<Timestamp>, Option<Timestamp>) {
        let (mut words, mut since, mut until) = (Vec::new(), None, None);
        let token = Step::of(node).token();
        let work = self.work.iter().find(|work| work.step == token);
        match (self.target(), work) {
            _ if node.excluded => words.push("excluded by the settings".to_owned()),
            (Some(target), _) if node.is_done(target) => {
                since = node.changed_at.filter(|_| node.changed_by(&self.facts().marks));
                until = work.and_then(|work| work.doing.wait.as_ref()).filter(|wait| wait.on.soak).map(|wait| wait.until);
                words.push(if until.is_some() { "done, soaking" } else { DONE }.to_owned());
            }
            (Some(_), Some(work)) => {
                let (state, at) = phase(&work.doing);
                since = at.or(work.created);
                words.push(state);
            }
            (Some(_), None) if node.is_begun() => {
                since = node.cordoned_since;
                words.push("HALF DONE".to_owned());
            }
            (Some(target), None) if self.facts().is_done_for_now(node, target) => {
                words.push("control plane done, its kubelet is upgraded after the last control plane".to_owned());
            }
            (Some(_), None) if Step::of(node).is_skipped(&self.facts().marks) => words.push("SKIPPED".to_owned()),
            (Some(_), None) if node.paused.is_some() => words.extend(node.paused.as_ref().map(Pause::words)),
            (Some(_), None) => words.push("waiting".to_owned()),
            (None, _) => {}
        }
        if let Some(held) =
            self.facts().marks.held_drain_of(&node.name).filter(|_| self.target().is_some_and(|target| !node.is_done(target)))
        {
            words.push(held.words());
        }
        if node.hooked.is_some() && work.is_none() {
            words.push("the hook after it is owed".to_owned());
        }
        if !node.ready {
            since = node.ready_since.or(since);
            words.push("NOT Ready".to_owned());
        }
        match (&node.cordoned_by, node.unschedulable) {
            (Some(_), _) => words.push("out of service".to_owned()),
            (None, true) => words.push("cordoned by somebody else".to_owned()),
            (None, false) => {}
        }
        words.extend(node.pressures.iter().cloned());
        words.extend(node.odd.iter().map(|odd| odd.what.clone()));
        (words, since, until)
    }

    /// What those at work have recorded, Jobs and people.
    fn doings(&self) -> impl Iterator<Item = &Doing> {
        let by_hand = self.driver().and_then(|driver| driver.progress.as_ref()?.as_ref().ok()).map(|progress| &progress.doing);
        self.work.iter().map(|work| &work.doing).chain(by_hand)
    }

    /// The gates that somebody at work waits for.
    fn gates(&self) -> Vec<Gate> {
        let waits = self.doings().filter_map(|doing| doing.wait.as_ref()).filter(|wait| wait.on.is_block());
        let mut gates: Vec<Gate> = waits.filter_map(|wait| Gate::by_id(wait.on.gate.as_deref()?)).collect();
        gates.dedup();
        gates
    }

    fn blocks(&self) -> Vec<(String, Option<Timestamp>)> {
        let mut blocks = Vec::new();
        for doing in self.doings() {
            // A soak is the run's own pace, and a step that goes on is no block.
            let wait = doing.wait.iter().filter(|wait| wait.on.is_block());
            blocks.extend(wait.map(|wait| (wait.on.to_string(), Some(wait.since))));
            let held = doing.drain.iter().flat_map(|drain| &drain.held);
            blocks.extend(held.map(|(what, since)| (what.clone(), Some(*since))));
        }
        if self.target().is_some() {
            let away = self.facts().managed().filter(|node| !node.ready);
            blocks.extend(away.map(|node| {
                let why = node.not_ready.as_ref().map_or(String::new(), |why| format!(": {why}"));
                (format!("{} is not Ready{why}", node.name), node.ready_since)
            }));
        }
        blocks.extend(self.active().filter_map(|job| idle(self.seen, job, self.now)));
        let outlived = self.facts().jobs.iter().filter(|job| !job.outlived_by.is_empty() && self.target().is_some());
        blocks.extend(outlived.map(|job| (outlived_by(job), None)));
        if let Err(cause) = self.next {
            let why: Vec<&str> = std::iter::once(cause.what.as_str()).chain(cause.detail.iter().map(String::as_str)).collect();
            blocks.push((why.join("; "), None));
        }
        blocks
    }

    fn then(&self) -> Option<String> {
        self.target()?;
        let undone = self.undone();
        let at_work = |step: &Step| self.work.iter().any(|work| work.step == step.token());
        let rest: Vec<&Step> = undone.iter().filter(|step| !at_work(step)).collect();
        let mut named: Vec<String> = rest.iter().take(NAMED).map(|step| step.token()).collect();
        if rest.len() > NAMED + 1 {
            named.push(format!("{} more", rest.len() - NAMED - 1));
        }
        named.extend(rest.iter().skip(NAMED).last().map(|step| step.token()));
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// The window has come to its end, or a person wanted no more than one worker.
    fn rest(&self) -> Option<String> {
        let rest = || when::rest(self.facts(), self.policy, self.now);
        let rests = || rest().map(|(resting, closed)| format!("before {}: {closed}", resting.node));
        orphan::has_stopped(self.facts()).map(orphan::stops_after).or_else(rests)
    }

    fn verdict(&self) -> Result<Verdict, Cause> {
        orphan::judge(self.facts(), self.policy, self.now)
    }

    fn commands(&self, failure: Option<&Failed>, namespace: &str) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        if self.facts().marks.halted.is_some() {
            commands.push("k8s-upgrade halt --lift    # when it may go on: undoes what was set, and no more".to_owned());
        }
        commands.extend(self.gates().iter().map(|gate| gate.row().advice().command));
        // This screen is the look; how it goes on is known better now.
        let advised = failure.iter().flat_map(|failed| &failed.told.next).filter(|advice| advice.purpose != Purpose::Look);
        match self.next {
            _ if self.driver().is_some() => {
                commands.push("k8s-upgrade halt    # stops that process at its next safe point, as Ctrl-C does".to_owned());
            }
            Ok(Next::Running(job) | Next::Failed(job)) => {
                let idle = self.active().find(|active| active.name == *job && idle(self.seen, active, self.now).is_some());
                commands.push(match idle.map(|job| job.pod.as_deref()) {
                    Some(Some(pod)) => command!("kubectl -n {} describe pod {}    # why it does not run", namespace, pod),
                    Some(None) => command!("kubectl -n {} describe job {}    # why it has no pod", namespace, job),
                    None => command!("kubectl -n {} logs -f job/{}", namespace, job),
                });
            }
            Ok(Next::Create(wave)) => {
                let planned = &wave.first;
                let pin = planned.place();
                commands.extend(advised.filter(|advice| advice.purpose != Purpose::GoOn).map(ToString::to_string));
                let mended = if failure.is_some() { "after mending it: " } else { "" };
                let step = planned.step.token();
                commands.push(match when::rest(self.facts(), self.policy, self.now) {
                    Some(_) => command!("k8s-upgrade resume --now    # goes on with {} at once, run from {}", step, pin),
                    None => command!("k8s-upgrade resume    # {}goes on with {}, run from {}", mended, step, pin),
                });
            }
            Ok(Next::Done) => {
                commands.extend(advised.map(ToString::to_string));
                let marks = &self.facts().marks;
                if let Some(release) = marks.asks(target::running(self.facts())) {
                    commands.push(command!("k8s-upgrade approve {}    # it begins by itself, in a window", release));
                }
                if marks.approved.is_some() {
                    commands.push("k8s-upgrade approve --lift    # takes the approval back".to_owned());
                }
                commands.push("k8s-upgrade status --health    # whether the next one will start by itself".to_owned());
            }
            Err(cause) => commands.extend(cause.next.iter().map(ToString::to_string)),
        }
        commands
    }

    /// Nodes that are out of service by our doing.
    fn out(&self) -> Vec<&str> {
        self.facts().nodes.iter().filter(|node| node.cordoned_by.is_some()).map(|node| node.name.as_str()).collect()
    }

    fn safe(&self, failure: Option<&Failed>) -> (bool, String) {
        let out = self.out();
        let meanwhile = match out.as_slice() {
            [] => "All nodes serve meanwhile".to_owned(),
            out => format!("{} is out of service until then", out.join(", ")),
        };
        let marks = &self.facts().marks;
        if let Some(driver) = self.driver() {
            return (false, format!("{} works in a process of their own: it goes on as long as that does.", driver.by));
        }
        if !marks.in_flight {
            return match (failure, out.as_slice()) {
                (_, [_, ..]) => (false, format!("no run is on, and {} still has our cordon.", out.join(", "))),
                (Some(_), []) => (true, "nothing was begun, and nothing is out of service.".to_owned()),
                (None, []) if marks.deferred.is_some() || marks.approved.is_some() => (true, self.waits()),
                (None, []) => (true, "nothing is going on.".to_owned()),
            };
        }
        if let Some(who) = &marks.local {
            return (
                false,
                format!("{who} performs the run in a process of their own: it goes on as long as that process does."),
            );
        }
        match (self.next, self.verdict()) {
            (Ok(Next::Running(_)), _) if self.stuck().is_some() => {
                (false, format!("nothing works: {}.", self.stuck().unwrap_or_default()))
            }
            (Ok(Next::Running(_)), Ok(Verdict::Leave(_)) | Err(_)) if marks.halted.as_ref().is_some_and(|halt| halt.run) => {
                let safe = "the Job at work stops at its next safe point, a node in work is finished first";
                (true, format!("{safe}; nothing follows until the halt is lifted."))
            }
            (Ok(Next::Running(_)), Ok(Verdict::Leave(_)) | Err(_)) => {
                (true, format!("the chain goes on by itself; without progress for 90 minutes {} fires.", names::ALERT_STALLED))
            }
            (_, Ok(Verdict::TakeUp(found))) => match &self.seen.no_watch {
                None => (true, format!("the watch takes it up within 10 minutes ({}). {meanwhile}.", found.why)),
                Some(why) => (false, format!("nothing takes the run up: {why}. {meanwhile}.")),
            },
            (_, Ok(Verdict::Leave(why))) if when::rest(self.facts(), self.policy, self.now).is_some() => {
                let takes_up = match &self.seen.no_watch {
                    None => "the watch goes on with it by itself".to_owned(),
                    Some(why) => format!("then nothing goes on with it: {why}"),
                };
                (out.is_empty() && self.seen.no_watch.is_none(), format!("{why}; {takes_up}. {meanwhile}."))
            }
            (_, Ok(Verdict::Leave(why))) => (out.is_empty(), format!("nothing more will start by itself: {why}. {meanwhile}.")),
            (_, Err(cause)) => (false, format!("{cause}. {meanwhile}.")),
        }
    }

    /// What becomes of a run that was deferred, or approved.
    fn waits(&self) -> String {
        match (self.verdict(), &self.seen.no_watch) {
            (Ok(Verdict::TakeUp(found)), _) if self.seen.suspended => {
                found.begins.map_or_else(String::new, |begins| format!("{}.", orphan::kept_off(&begins)))
            }
            (Ok(Verdict::TakeUp(found)), None) => format!("{}, by the watch within 10 minutes.", found.why),
            (Ok(Verdict::TakeUp(_)), Some(why)) => format!("nothing begins the run that waits: {why}."),
            (Ok(Verdict::Leave(why)), _) => format!("{why}."),
            (Err(cause), _) => format!("{cause}."),
        }
    }

    /// Why the Job at work does not run.
    fn stuck(&self) -> Option<String> {
        self.active().find_map(|job| idle(self.seen, job, self.now)).map(|(why, _)| why)
    }

    fn active(&self) -> impl Iterator<Item = &JobFact> {
        self.facts().jobs.iter().filter(|job| job.state == JobState::Active)
    }
}

/// What a runner does with its node, in a few words.
fn phase(doing: &Doing) -> (String, Option<Timestamp>) {
    match doing {
        Doing { drain: Some(drain), step, .. } => {
            (format!("draining: {} of {} pods left", drain.left, drain.total), step.as_ref().map(|step| step.since))
        }
        Doing { step: Some(step), .. } => (step.what.clone(), Some(step.since)),
        Doing { wait: Some(wait), .. } => {
            let on = &wait.on.on;
            (format!("waits for {on}"), Some(wait.since))
        }
        _ => ("at work".to_owned(), None),
    }
}

fn versions(node: &Node) -> String {
    let mut components: Vec<Version> = node.components.iter().filter_map(|component| component.version).collect();
    components.sort();
    components.dedup();
    let kubelet = node.kubelet.map_or("?".to_owned(), |kubelet| kubelet.to_string());
    if components.iter().all(|component| Some(*component) == node.kubelet) {
        return kubelet;
    }
    let components: Vec<String> = components.iter().map(ToString::to_string).collect();
    format!("{kubelet} (control plane {})", components.join("/"))
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
