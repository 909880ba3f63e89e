//! `status`: where a run stands, what blocks it, what to do next.

use serde_json::json;

use super::failure;
use crate::failure::{Failure, Outcome};
use crate::plan::facts::{Facts, JobState, Node, Step};
use crate::plan::next::{self, Next};
use crate::plan::order;
use crate::plan::orphan::{self, Verdict};
use crate::plan::target;
use crate::plan::version::Version;
use crate::report::span;
use crate::run::Ctx;

pub async fn status(ctx: &Ctx) -> Result<Outcome, Failure> {
    let facts = ctx.observe().await.map_err(failure)?;
    let next = next::next(&facts, &ctx.settings.policy(), None);
    let text = if ctx.json { format!("{:#}\n", data(ctx, &facts, &next)) } else { text(ctx, &facts, &next) };
    ctx.print(&text).map_err(failure)?;
    Ok(Outcome::Done)
}

type NextStep = Result<Next, crate::failure::Cause>;

fn state(node: &Node, facts: &Facts) -> String {
    let target = facts.marks.target.filter(|_| facts.marks.in_flight);
    let mut words = Vec::new();
    match target {
        Some(target) if node.is_done(target) => words.push("done".to_owned()),
        Some(_) if node.cordoned_by.is_some() => words.push("in work".to_owned()),
        Some(_) if facts.marks.is_skipped(&Step::of(node)) => words.push("SKIPPED by force".to_owned()),
        Some(_) if node.excluded => words.push("excluded".to_owned()),
        Some(_) => words.push("waiting".to_owned()),
        None if node.excluded => words.push("excluded".to_owned()),
        None => {}
    }
    if !node.ready {
        words.push("NOT Ready".to_owned());
    }
    match (&node.cordoned_by, node.unschedulable) {
        (Some(_), _) => words.push("cordoned by this program".to_owned()),
        (None, true) => words.push("cordoned by somebody else".to_owned()),
        (None, false) => {}
    }
    words.extend(node.pressures.iter().cloned());
    if words.is_empty() { "serving".to_owned() } else { words.join(", ") }
}

/// The nodes in the order of their upgrade, the excluded ones last.
fn nodes<'a>(ctx: &Ctx, facts: &'a Facts) -> Vec<&'a Node> {
    let mut nodes = order::order(facts, &ctx.settings.policy());
    nodes.extend(facts.nodes.iter().filter(|node| node.excluded));
    nodes
}

fn role(ctx: &Ctx, facts: &Facts, node: &Node) -> String {
    let runner = order::runner(facts, &ctx.settings.policy()).is_some_and(|runner| runner.name == node.name);
    format!("{}{}", if node.control_plane { "control-plane" } else { "worker" }, if runner { ", runner" } else { "" })
}

fn versions(node: &Node) -> String {
    let oldest = node.components.iter().filter_map(|component| component.version).chain([node.kubelet]).min();
    match oldest {
        Some(oldest) if oldest != node.kubelet || node.components.iter().any(|c| c.version != Some(node.kubelet)) => {
            format!("{} (control plane {})", node.kubelet, components(node))
        }
        _ => node.kubelet.to_string(),
    }
}

fn components(node: &Node) -> String {
    let mut versions: Vec<Version> = node.components.iter().filter_map(|component| component.version).collect();
    versions.sort();
    versions.dedup();
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join("/")
}

fn text(ctx: &Ctx, facts: &Facts, next: &NextStep) -> String {
    let mut text = String::new();
    let running = target::running(facts).map_or("?".to_owned(), |version| version.to_string());
    match (facts.marks.in_flight, facts.marks.target) {
        (true, Some(to)) => {
            let (done, total) = crate::run::phases::progress(facts, &ctx.settings.policy(), to);
            let started = facts.marks.started.map_or(String::new(), |started| {
                format!("   started {} ago", span(ctx.now().duration_since(started).unsigned_abs()))
            });
            text.push_str(&format!(
                "k8s-upgrade  run → {to}   {done} of {total} phases done{started}   cluster: {}\n",
                ctx.settings.cluster_name
            ));
        }
        (true, None) => text.push_str("k8s-upgrade  a run is in flight, but its target is not recorded\n"),
        (false, _) => text.push_str(&format!(
            "k8s-upgrade  no run in flight   the cluster runs {running}   cluster: {}\n",
            ctx.settings.cluster_name
        )),
    }
    if let Some(halted) = &facts.marks.halted {
        text.push_str(&format!("  HALTED: {halted}\n  next   k8s-upgrade halt --lift      # when it may go on\n"));
    }
    for skip in &facts.marks.skipped {
        text.push_str(&format!("  SKIPPED by force: {skip}\n"));
    }
    let nodes = nodes(ctx, facts);
    let wide =
        |f: &dyn Fn(&Node) -> String, title: &str| nodes.iter().map(|node| f(node).len()).chain([title.len()]).max().unwrap_or(0);
    let role = |node: &Node| role(ctx, facts, node);
    let (n, r, v) = (wide(&|node| node.name.clone(), "NODE"), wide(&role, "ROLE"), wide(&|node| versions(node), "VERSION"));
    text.push_str(&format!("\n  {:n$}  {:r$}  {:v$}  STATE\n", "NODE", "ROLE", "VERSION"));
    for node in &nodes {
        text.push_str(&format!("  {:n$}  {:r$}  {:v$}  {}\n", node.name, role(node), versions(node), state(node, facts)));
    }
    text.push('\n');
    for job in &facts.jobs {
        let on = job.node.as_deref().map_or(String::new(), |node| format!(" on {node}"));
        let says = match &job.state {
            JobState::Active => "at work".to_owned(),
            JobState::Complete => "complete".to_owned(),
            JobState::Failed { reason, exit } => {
                format!("FAILED ({reason}{})", exit.map_or(String::new(), |exit| format!(", exit {exit}")))
            }
        };
        text.push_str(&format!("  job    {}{on}: {says}\n", job.name));
    }
    if let Some(path) = &facts.marks.snapshot_path {
        text.push_str(&format!("  backup {path}\n"));
    }
    match next {
        Ok(Next::Done) => text.push_str("  next   nothing: no run is in flight\n"),
        Ok(Next::Running(job)) => {
            text.push_str(&format!("  now    Job {job}\n  log    kubectl -n {} logs -f job/{job}\n", ctx.namespace));
        }
        Ok(Next::Create(planned)) => {
            text.push_str(&format!(
                "  STOPPED: no Job is at work, and {} is not done\n  next   k8s-upgrade resume      # creates {} on {}\n",
                planned.step.token(),
                planned.job,
                planned.pin.as_deref().unwrap_or("any node")
            ));
            match orphan::judge(facts, &ctx.settings.policy(), ctx.now()) {
                Ok(Verdict::TakeUp(found)) => text.push_str(&format!("  watch  takes it up within 10 minutes: {}\n", found.why)),
                Ok(Verdict::Leave(why)) => text.push_str(&format!("  watch  leaves it: {why}\n")),
                Err(cause) => text.push_str(&format!("  watch  cannot judge it: {cause}\n")),
            }
        }
        Err(cause) => {
            text.push_str(&format!("  BLOCKED: {cause}\n"));
            cause.detail.iter().for_each(|line| text.push_str(&format!("           {line}\n")));
            cause.next.iter().for_each(|line| text.push_str(&format!("  next   {line}\n")));
        }
    }
    text
}

fn data(ctx: &Ctx, facts: &Facts, next: &NextStep) -> serde_json::Value {
    let node = |node: &&Node| {
        json!({
            "name": node.name, "controlPlane": node.control_plane, "kubelet": node.kubelet.to_string(), "ready": node.ready,
            "components": node.components.iter().map(|c| json!({ "name": c.name, "version": c.version.map(|v| v.to_string()), "running": c.running })).collect::<Vec<_>>(),
            "unschedulable": node.unschedulable, "cordonedBy": node.cordoned_by, "excluded": node.excluded, "state": state(node, facts),
        })
    };
    let job = |job: &crate::plan::facts::JobFact| {
        let (state, exit) = match &job.state {
            JobState::Active => ("active", None),
            JobState::Complete => ("complete", None),
            JobState::Failed { exit, .. } => ("failed", *exit),
        };
        json!({ "name": job.name, "state": state, "exitCode": exit, "node": job.node })
    };
    let next = match next {
        Ok(Next::Done) => json!({ "kind": "none" }),
        Ok(Next::Running(job)) => json!({ "kind": "running", "job": job }),
        Ok(Next::Create(planned)) => {
            json!({ "kind": "stopped", "job": planned.job, "step": planned.step.token(), "command": "k8s-upgrade resume" })
        }
        Err(cause) => json!({ "kind": "blocked", "why": cause.what, "detail": cause.detail }),
    };
    let marks = &facts.marks;
    json!({
        "inFlight": marks.in_flight, "run": marks.run_id, "target": marks.target.map(|v| v.to_string()),
        "started": marks.started.map(|t| t.to_string()), "snapshotPath": marks.snapshot_path, "halted": marks.halted, "skipped": marks.skipped,
        "running": target::running(facts).map(|v| v.to_string()),
        "nodes": nodes(ctx, facts).iter().map(node).collect::<Vec<_>>(),
        "jobs": facts.jobs.iter().map(job).collect::<Vec<_>>(),
        "next": next,
    })
}
