//! How a rehearsal went, for people.

use std::time::Duration;

use jiff::Timestamp;

use super::data::{Done, Gauge, Injected, Job, Node, Rehearsed};
use crate::names;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::report::{Page, Printed, span};
use crate::words::{line, shown};

/// Lines of a message that are shown; what follows is what the end of the page says.
const MESSAGE: usize = 2;
/// Columns of a label.
const LABEL: usize = 9;

fn clock(time: Timestamp) -> impl std::fmt::Display {
    time.strftime("%H:%M:%S")
}

fn seconds(seconds: u64) -> String {
    span(Duration::from_secs(seconds))
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.step, seconds(self.seconds))?;
        if self.times > 1 { write!(f, " (×{})", self.times) } else { Ok(()) }
    }
}

/// Lines under one label.
fn under(out: &mut Page, label: &str, lines: impl IntoIterator<Item = (String, String)>) {
    for (index, (head, text)) in lines.into_iter().enumerate() {
        out.record(&format!("{:LABEL$}  {head}", if index == 0 { label } else { "" }), &text);
    }
}

impl Rehearsed {
    pub fn text(&self) -> Printed {
        let told = shown(self);
        let mut out = Page::new();
        told.head(&mut out);
        told.jobs(&mut out);
        told.nodes(&mut out);
        told.on_the_way(&mut out);
        out.gap();
        told.end(&mut out);
        Printed::page(out)
    }

    /// The verdict, for whoever reads no further.
    fn head(&self, out: &mut Page) {
        let kind = match (self.from.parse::<Version>(), self.target.parse::<Version>()) {
            (Ok(from), Ok(target)) => format!(" ({})", UpgradeKind::between(from, target)),
            _ => String::new(),
        };
        let title = format!("{} → {}{kind}, {} nodes, seed {}", self.from, self.target, self.nodes.len(), self.seed);
        under(out, "rehearsal", [(String::new(), title)]);
        under(out, &self.end.state, [(String::new(), format!("after {}: {}", seconds(self.seconds), self.where_and_why()))]);
    }

    fn where_and_why(&self) -> String {
        let place = if self.end.place.is_empty() { String::new() } else { format!("{}: ", self.end.place) };
        format!("{place}{}", self.end.why)
    }

    fn jobs(&self, out: &mut Page) {
        let row = |job: &Job| {
            let mut did: Vec<String> = job.steps.iter().map(Done::to_string).collect();
            match job.exit_code {
                Some(0) => {}
                Some(code) => did.push(format!("exit {code}")),
                None => did.push("killed".to_owned()),
            }
            let took = job.seconds.map_or(String::new(), seconds);
            vec![clock(job.began).to_string(), job.place.clone(), job.node.clone(), took, did.join(", ")]
        };
        if !self.jobs.is_empty() {
            out.gap();
            out.table(&(vec!["BEGAN", "STEP", "RAN ON", "TOOK", "DID"], self.jobs.iter().map(row).collect()));
        }
    }

    fn nodes(&self, out: &mut Page) {
        let row = |node: &str, at: &str, out_of_service: u64, evicted: u32, refused: u32| {
            let service = if out_of_service == 0 { "-".to_owned() } else { seconds(out_of_service) };
            vec![node.to_owned(), at.to_owned(), service, evicted.to_string(), refused.to_string()]
        };
        let one = |node: &Node| row(&node.name, &node.version, node.out_of_service_seconds, node.evicted, node.refused);
        let sum = |of: fn(&Node) -> u32| self.nodes.iter().map(of).sum();
        let total = row("total", "", self.out_of_service_seconds, sum(|node| node.evicted), sum(|node| node.refused));
        let rows = self.nodes.iter().map(one).chain([total]).collect();
        out.gap();
        out.table(&(vec!["NODE", "VERSION", "OUT OF SERVICE", "EVICTED", "REFUSED"], rows));
        out.gap();
        under(out, "api", [(String::new(), format!("away or not ready for {} in all", seconds(self.api_away_seconds)))]);
    }

    fn on_the_way(&self, out: &mut Page) {
        let never = self.not_injected.iter().map(|what| ("never     ".to_owned(), what.clone()));
        let injected = self.injected.iter().flat_map(|Injected { at, place, text, no_effect }| {
            let effect = no_effect.as_ref().map(|why| ("          ".to_owned(), format!("no effect: {why}")));
            std::iter::once((format!("{}  {place}  ", clock(*at)), text.clone())).chain(effect)
        });
        under(out, "injected", never.chain(injected));
        let gap = |place: &str| if place.is_empty() { "" } else { "  " };
        let remarks = self.remarks.iter();
        under(
            out,
            "told",
            remarks.map(|told| (format!("{}  {}{}", clock(told.at), told.place, gap(&told.place)), told.text.clone())),
        );
        under(out, "gauges", self.gauges_by_name());
        let messages = self.slack.iter().flat_map(|message| {
            let time = |index| if index == 0 { format!("{}  ", clock(message.at)) } else { " ".repeat(10) };
            let more = message.text.lines().count().checked_sub(MESSAGE).filter(|more| *more > 0);
            let more = more.map(|more| format!("… {more} more lines; -o json has them"));
            let lines = message.text.lines().take(MESSAGE).map(line).chain(more);
            lines.enumerate().map(move |(index, line)| (time(index), line))
        });
        under(out, "slack", messages);
        under(out, "assumes", self.assumptions.iter().map(|text| (String::new(), text.clone())));
    }

    /// A line a gauge, with its changes; times and progress only by their number.
    fn gauges_by_name(&self) -> Vec<(String, String)> {
        let mut names: Vec<&str> = Vec::new();
        for gauge in &self.gauges {
            if !names.contains(&gauge.series.as_str()) {
                names.push(&gauge.series);
            }
        }
        let line = |name: &str| {
            let changes: Vec<&Gauge> = self.gauges.iter().filter(|gauge| gauge.series == name).collect();
            let times = [names::METRIC_PROGRESS, names::METRIC_STARTED, names::METRIC_LAST_CHECK].contains(&name);
            let says = match changes.last() {
                Some(last) if times => format!("{} times, last at {}", changes.len(), clock(last.at)),
                _ => changes.iter().map(|g| format!("{} at {}", g.value, clock(g.at))).collect::<Vec<_>>().join(", "),
            };
            (String::new(), format!("{name}  {says}"))
        };
        names.into_iter().map(line).collect()
    }

    /// What stands at the end is read first: how it ended, why, what it cost, and what one would type where it is no rehearsal.
    fn end(&self, out: &mut Page) {
        let none = || String::new();
        let ended = format!("{} (exit {}) after {}", self.end.state, self.end.exit_code, seconds(self.seconds));
        under(out, "outcome", [(none(), ended)]);
        let detail = self.end.detail.iter().map(|line| ("  ".to_owned(), line.clone()));
        under(out, "cause", std::iter::once((none(), self.where_and_why())).chain(detail));
        under(out, "cost", [(none(), self.cost())]);
        if !self.end.leaves.is_empty() {
            under(out, "leaves", [(none(), self.end.leaves.clone())]);
        }
        for (index, command) in self.next.iter().enumerate() {
            out.command(&format!("{:LABEL$}  ", if index == 0 { "type" } else { "" }), command);
        }
    }

    /// Time, and whom it was taken from.
    fn cost(&self) -> String {
        let nodes = self.nodes.iter().filter(|node| node.out_of_service_seconds > 0);
        let nodes: Vec<String> = nodes.map(|node| format!("{} {}", node.name, seconds(node.out_of_service_seconds))).collect();
        let service = match nodes.as_slice() {
            [] => "no node was out of service".to_owned(),
            nodes => format!("out of service {}: {}", seconds(self.out_of_service_seconds), nodes.join(", ")),
        };
        format!("{} in all; {service}; the API server away for {}", seconds(self.seconds), seconds(self.api_away_seconds))
    }
}
