//! The chain as a picture, for README: a column for each node, a row for each Job, on whose node it runs and whose node it works.

use std::fmt::Write;

/// One Job of a run.
pub struct Job {
    /// A phase, or the node that is upgraded.
    pub place: String,
    /// Where its pod ran.
    pub node: String,
}

/// Those of the pictures of runs, light and dark.
const STYLE: &str = include_str!("../../src/report/picture/style.css");
const OWN: &str = "svg .job { fill: var(--kubeadm); stroke: var(--kubeadm-line); stroke-width: 1.5 }
svg .worked { fill: var(--soak); stroke: var(--soak-line); stroke-width: 1.5 }
svg .all { fill: none; stroke: var(--soak-line); stroke-width: 1.5; stroke-dasharray: 4 3 }
svg .does { stroke: var(--text); stroke-width: 1.5; fill: none; marker-end: url(#head) }
svg .creates { stroke: var(--quiet); stroke-width: 1.5; fill: none; stroke-dasharray: 3 3; marker-end: url(#quiet) }
svg .middle { text-anchor: middle }
svg .small { font-size: 11px }
";

const LEFT: f64 = 144.0;
const COLUMN: f64 = 132.0;
const TOP: f64 = 44.0;
const ROW: f64 = 56.0;
const BOX: (f64, f64) = (112.0, 30.0);

/// The picture, as SVG.
pub fn drawn(jobs: &[Job], from: &str, target: &str) -> String {
    let mut nodes: Vec<&str> =
        jobs.iter().flat_map(|job| [job.place.as_str(), job.node.as_str()]).filter(|name| is_node(name)).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let column = |node: &str| LEFT + COLUMN * (0.5 + nodes.iter().position(|name| *name == node).unwrap() as f64);
    let row = |at: usize| TOP + ROW * (0.5 + at as f64);
    let (width, height) = (LEFT + COLUMN * nodes.len() as f64 + 12.0, TOP + ROW * jobs.len() as f64 + 34.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>The chain of a run from {from} to {target}</title>\n<style>{STYLE}{OWN}</style>\n<defs>{}{}</defs>\n",
        head("head", "--text"),
        head("quiet", "--quiet")
    );
    let mut put = |line: String| {
        let _ = writeln!(out, "{line}");
    };
    let text = |x: f64, y: f64, class: &str, text: &str| format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>");
    let rect = |middle: f64, y: f64, class: &str| {
        format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" class=\"{class}\"/>",
            middle - BOX.0 / 2.0,
            y - BOX.1 / 2.0,
            BOX.0,
            BOX.1
        )
    };
    for node in &nodes {
        let x = column(node);
        put(text(x, 24.0, "name middle", node));
        put(format!("<line x1=\"{x}\" y1=\"34\" x2=\"{x}\" y2=\"{}\" class=\"tick\"/>", height - 34.0));
    }
    for (at, pair) in jobs.windows(2).enumerate() {
        let (one, next) = (column(&pair[0].node), column(&pair[1].node));
        let (y, end) = (row(at) + BOX.1 / 2.0, row(at + 1) - BOX.1 / 2.0 - 3.0);
        let bend = y + (end - y) * 0.6;
        put(format!("<path d=\"M{one} {y}C{one} {bend} {next} {} {next} {end}\" class=\"creates\"/>", y + (end - y) * 0.2));
    }
    for (at, job) in jobs.iter().enumerate() {
        let (y, x) = (row(at), column(&job.node));
        put(text(12.0, y - 1.0, "name", &format!("{} {}", at + 1, phase(&job.place, at))));
        put(text(12.0, y + 14.0, "quiet", what(&job.place, at)));
        if is_node(&job.place) {
            let to = column(&job.place);
            assert!(job.node != job.place, "a Job runs on the node that it drains");
            let side = if to > x { 1.0 } else { -1.0 };
            let (start, end) = (x + side * BOX.0 / 2.0, to - side * (BOX.0 / 2.0 + 4.0));
            put(format!("<line x1=\"{start}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\" class=\"does\"/>"));
            put(rect(to, y, "worked"));
            put(text(to, y + 4.0, "middle small", &format!("{from} → {target}")));
        } else {
            let (first, last) = (column(nodes[0]) - BOX.0 / 2.0 - 5.0, column(nodes[nodes.len() - 1]) + BOX.0 / 2.0 + 5.0);
            let (top, high) = (y - BOX.1 / 2.0 - 5.0, BOX.1 + 10.0);
            put(format!("<rect x=\"{first}\" y=\"{top}\" width=\"{}\" height=\"{high}\" rx=\"8\" class=\"all\"/>", last - first));
        }
        put(rect(x, y, "job"));
        put(text(x, y + 4.0, "middle small", "Job"));
    }
    let below =
        "Each Job runs on a node that it does not drain, works on the green one or looks at all (dashed), and creates the next.";
    put(text(12.0, height - 12.0, "quiet", below));
    out + "</svg>\n"
}

fn head(id: &str, colour: &str) -> String {
    format!(
        "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"6\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" style=\"fill: var({colour})\"/></marker>"
    )
}

fn is_node(place: &str) -> bool {
    !["preflight", "postflight"].contains(&place)
}

/// As Jobs are named. The first that works on a node is that of the control plane.
fn phase(place: &str, at: usize) -> &str {
    match (is_node(place), at) {
        (true, 1) => "master",
        (true, _) => "worker",
        (false, _) => place,
    }
}

fn what(place: &str, at: usize) -> &'static str {
    match (place, at) {
        ("preflight", _) => "gates, snapshot, fetch",
        ("postflight", _) => "verify, end the run",
        (_, 1) => "drain, kubeadm, soak",
        _ => "drain, kubelet, soak",
    }
}
