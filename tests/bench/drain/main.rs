//! Drains side by side: `kubectl drain` and `k8s-upgrade drain` on the same control plane, one after the other, with kubelets whose start and
//! stop times are fixed, so that not the machine decides but what is asked, and when. `tests/bench/run drain` starts it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

mod audit;
mod cluster;
mod kubelets;
mod scenario;

use std::cell::Cell;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Serialize;

use crate::audit::Asked;
use crate::cluster::{Place, allow};
use crate::kubelets::{Kubelets, Stages};
use crate::scenario::{SCENARIOS, Scenario};

/// A program that drains.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Drainer {
    Kubectl,
    Ours,
}

impl Drainer {
    /// What its requests bear as user agent, up to the slash.
    fn agent(self) -> &'static str {
        match self {
            Drainer::Kubectl => "kubectl",
            Drainer::Ours => "k8s-upgrade",
        }
    }
}

/// What `tests/bench/drain` is called with.
struct Tools {
    ours: PathBuf,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// The API server's audit log.
    audit: PathBuf,
    /// Here kubectl may keep what it has found out.
    home: PathBuf,
}

impl Tools {
    fn command(&self, drainer: Drainer, node: &str, scenario: &Scenario) -> Command {
        let limit = scenario.limit;
        let mut command = match drainer {
            Drainer::Kubectl => {
                let mut command = Command::new(&self.kubectl);
                command.args(["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force"]);
                command.arg(format!("--timeout={}s", limit.as_secs()));
                command
            }
            Drainer::Ours => {
                let mut command = Command::new(&self.ours);
                command.args(["drain", node, "--yes", "--set", "alerts=off", "--set", "gauges=off"]);
                command.args(["--set", &format!("drain-deadline={}s", limit.as_secs())]);
                command
            }
        };
        command.arg("--kubeconfig").arg(&self.kubeconfig).env_clear().env("HOME", &self.home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// One drain, as it was.
#[derive(Serialize)]
struct Run {
    scenario: &'static str,
    drainer: Drainer,
    round: usize,
    /// Until the command had ended; where it cannot end, until the last pod had gone that could.
    seconds: f64,
    /// Until the command had ended.
    command_seconds: f64,
    /// Until the last pod had gone.
    last_gone_seconds: f64,
    requests: usize,
    /// Answered with 429.
    refused: usize,
    asked: Asked,
}

async fn run(tools: &Tools, kubelets: &Kubelets, scenario: &Scenario, drainer: Drainer, round: usize) -> Result<Run> {
    let place = Place::new(kubelets.client(), scenario, drainer.agent(), round);
    kubelets.fill(&place.node);
    place.make(scenario).await?;
    kubelets.play(Stages { start: scenario.start, stop: scenario.stop });
    // What controllers still write about the pods is no part of the drain.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = audit::end(&tools.audit)?;
    let begun = Instant::now();
    let mut command = tools.command(drainer, &place.node, scenario);
    let drains = tokio::task::spawn_blocking(move || command.output().map(|output| (output, Instant::now())));
    let opens = async {
        if let Some(after) = scenario.opens {
            tokio::time::sleep(after).await;
            allow(&place, scenario.pods).await?;
        }
        anyhow::Ok(())
    };
    let (drained, opened) = tokio::join!(drains, opens);
    opened?;
    let (output, ended) = drained?.with_context(|| format!("run {}", drainer.agent()))?;
    if output.status.success() == scenario.blocked {
        let says = String::from_utf8_lossy(&output.stderr);
        bail!("{}, {}: it ended with {}\n{says}", scenario.name, drainer.agent(), output.status);
    }
    let asked = Asked::since(&tools.audit, before, drainer.agent())?;
    let gone = kubelets.last_gone().map_or(0.0, |gone| gone.duration_since(begun).as_secs_f64());
    let command_seconds = ended.duration_since(begun).as_secs_f64();
    kubelets.play(Stages::default());
    place.remove().await?;
    Ok(Run {
        scenario: scenario.name,
        drainer,
        round,
        seconds: if scenario.blocked { gone } else { command_seconds },
        command_seconds,
        last_gone_seconds: gone,
        requests: asked.requests(),
        refused: asked.refused,
        asked,
    })
}

/// Both, by the medians of their rounds.
#[derive(Serialize)]
struct Row {
    scenario: &'static str,
    pods: usize,
    start_seconds: f64,
    stop_seconds: f64,
    critical_path_seconds: f64,
    kubectl_seconds: f64,
    ours_seconds: f64,
    times_faster: f64,
    of_critical_path: f64,
    kubectl_requests: f64,
    ours_requests: f64,
    share_of_requests: f64,
}

impl Row {
    fn new(scenario: &Scenario, runs: &[Run]) -> Self {
        let of = |drainer: Drainer, figure: fn(&Run) -> f64| {
            let of_it = runs.iter().filter(|run| run.scenario == scenario.name && run.drainer == drainer);
            median(of_it.map(figure).collect())
        };
        let (kubectl_seconds, ours_seconds) = (of(Drainer::Kubectl, |run| run.seconds), of(Drainer::Ours, |run| run.seconds));
        let requests = |run: &Run| run.requests as f64;
        let (kubectl_requests, ours_requests) = (of(Drainer::Kubectl, requests), of(Drainer::Ours, requests));
        let critical_path_seconds = scenario.critical_path().as_secs_f64();
        Row {
            scenario: scenario.name,
            pods: scenario.pods,
            start_seconds: scenario.start.as_secs_f64(),
            stop_seconds: scenario.stop.as_secs_f64(),
            critical_path_seconds,
            kubectl_seconds,
            ours_seconds,
            times_faster: kubectl_seconds / ours_seconds,
            of_critical_path: ours_seconds / critical_path_seconds,
            kubectl_requests,
            ours_requests,
            share_of_requests: ours_requests / kubectl_requests,
        }
    }

    fn print(&self) {
        let Row { scenario, pods, critical_path_seconds: path, kubectl_seconds, ours_seconds, times_faster, .. } = self;
        let Row { of_critical_path, kubectl_requests, ours_requests, share_of_requests, .. } = self;
        println!(
            "{scenario:<34} {pods:>4} {path:>9.1} {kubectl_seconds:>9.2} {ours_seconds:>8.2} {times_faster:>7.2} {of_critical_path:>7.2} \
             {kubectl_requests:>9.0} {ours_requests:>8.0} {share_of_requests:>6.2}"
        );
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn bench(tools: &Tools, rounds: usize, only: &str) -> Result<(Vec<Row>, Vec<Run>)> {
    let kubeconfig = Kubeconfig::read_from(&tools.kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.headers.push((USER_AGENT, HeaderValue::from_static("bench/drain")));
    let client = Client::try_from(config)?;
    let kubelets = Kubelets::new(client, Rc::new(Cell::new(Stages::default())));
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| scenario.name.contains(only)).collect();
    let all = async {
        cluster::nodes(kubelets.client()).await?;
        println!(
            "{:<34} {:>4} {:>9} {:>9} {:>8} {:>7} {:>7} {:>9} {:>8} {:>6}",
            "seconds and requests", "pods", "crit.path", "kubectl", "ours", "faster", "of path", "kubectl r", "ours r", "share"
        );
        let (mut rows, mut runs) = (Vec::new(), Vec::new());
        for scenario in scenarios {
            for round in 0..rounds {
                // By turns, so that neither always has the warmer server.
                let mut pair = [Drainer::Kubectl, Drainer::Ours];
                pair.rotate_left(round % 2);
                for drainer in pair {
                    runs.push(run(tools, &kubelets, scenario, drainer, round).await?);
                }
            }
            let row = Row::new(scenario, &runs);
            row.print();
            rows.push(row);
        }
        Ok((rows, runs))
    };
    tokio::select! {
        done = all => done,
        failed = kubelets.work() => Err(failed),
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [ours, kubectl, kubeconfig, audit, result, rounds, only @ ..] = &args[..] else {
        bail!("usage: tests/bench/run drain [ROUNDS [PART OF A SCENARIO'S NAME]]");
    };
    let home = std::env::temp_dir().join(format!("k8s-upgrade-bench-{}", std::process::id()));
    std::fs::create_dir(&home)?;
    let tools = Tools {
        ours: ours.into(),
        kubectl: kubectl.into(),
        kubeconfig: kubeconfig.into(),
        audit: audit.into(),
        home: home.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let only = only.first().map_or("", String::as_str);
    let measured = runtime.block_on(bench(&tools, rounds.parse().context("ROUNDS")?, only));
    std::fs::remove_dir_all(&home)?;
    let (rows, runs) = measured?;
    std::fs::write(result, serde_json::to_string_pretty(&serde_json::json!({ "table": rows, "runs": runs }))?)?;
    println!("as JSON: {result}");
    Ok(())
}
