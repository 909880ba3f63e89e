//! The dashboard for Grafana that `manifests --only dashboard` prints: where a run stands, what holds it, and what detection has found.
//! Whoever imports it chooses the Prometheus.

use serde_json::{Value, json};

use crate::failure::Cause;
use crate::names::{
    ALERT_WATCHDOG, METRIC_AVAILABLE, METRIC_BLOCKER, METRIC_GATE_HOLDING, METRIC_HALTED, METRIC_IN_FLIGHT, METRIC_LAST_CHECK,
    METRIC_PROGRESS, METRIC_SNAPSHOT, METRIC_STARTED, METRICS, PROGRAM,
};
use crate::plan::decide::rules::{self, CHAIN, FORGOTTEN_AFTER, MISSED_AFTER, STALLED_AFTER, jobs};
use crate::plan::model::policy::Gauges;

/// The form of dashboards that Grafana 11 writes; a newer one brings it up to its own.
const SCHEMA: u32 = 39;
/// Heights, in Grafana's units.
const LOW: u32 = 4;
const HIGH: u32 = 8;

/// What a value means: its colour, and its word.
type Words = &'static [(u32, &'static str, &'static str)];

/// How an answer is shown.
enum Shown {
    /// One number that stands for a word; the text where there is no series.
    Word(Words, &'static str),
    /// How long ago (seconds), red from some age on; the text where there is no series.
    Age(Option<u32>, &'static str),
    /// A row for each series, by its labels.
    Rows,
    /// A bar for each series over time, named by these labels.
    Bars(Words, &'static str),
    /// The series on top of each other, named by these labels.
    Stacked(&'static str),
}

struct Panel {
    title: &'static str,
    about: &'static str,
    /// Of the 24 columns of a dashboard.
    width: u32,
    shown: Shown,
    query: String,
}

fn panel(title: &'static str, width: u32, shown: Shown, query: String, about: &'static str) -> Panel {
    Panel { title, about, width, shown, query }
}

/// The rows of the dashboard, from top to bottom, each with its height.
fn rows(gauges: Gauges) -> [(u32, Vec<Panel>); 4] {
    let since = |metric: &str| format!("time() - (max({metric}) > 0)");
    let in_flight = format!("on () max({METRIC_IN_FLIGHT}) == 1");
    let run = vec![
        panel(
            "Run",
            4,
            Shown::Word(&[(0, "green", "none"), (1, "blue", "in flight")], "unknown"),
            format!("max({METRIC_IN_FLIGHT})"),
            "Whether a run is on. k8s-upgrade status says where it stands.",
        ),
        panel("Since its start", 4, Shown::Age(None, "no run"), since(METRIC_STARTED), "How long the run has been on."),
        panel(
            "Since its last progress",
            4,
            Shown::Age(Some(STALLED_AFTER), "no run"),
            format!("time() - max({METRIC_PROGRESS}) and {in_flight}"),
            "Red: the run has stalled. k8s-upgrade status says what holds it.",
        ),
        panel(
            "Snapshot of etcd",
            4,
            Shown::Word(&[(0, "orange", "not yet"), (1, "green", "taken")], "no run"),
            format!("max({METRIC_SNAPSHOT}) and {in_flight}"),
            "Whether the run has its snapshot: the only way back of a control plane.",
        ),
        panel(
            "Halted for",
            4,
            Shown::Age(Some(FORGOTTEN_AFTER), "not halted"),
            since(METRIC_HALTED),
            "How long a person's halt has stood. k8s-upgrade status says whose; k8s-upgrade halt --lift ends it.",
        ),
        panel(
            "Blocker",
            4,
            Shown::Word(&[(0, "green", "none"), (1, "red", "blocks")], "none"),
            format!("max({METRIC_BLOCKER})"),
            "Whether a person blocks upgrades and reboots by halt --blocker-alert.",
        ),
    ];
    let closed = format!("max by (gate, verdict) ({METRIC_GATE_HOLDING}) == 1");
    let gates = vec![
        panel(
            "Closed gates",
            12,
            Shown::Rows,
            closed.clone(),
            "What keeps the run from going on. hold: time may open it; refused, pinned: a person must; unknown: nobody could say.",
        ),
        panel(
            "Closed gates over time",
            12,
            Shown::Bars(&[(1, "orange", "closed")], "{{gate}}: {{verdict}}"),
            closed,
            "When which gate was closed.",
        ),
    ];
    let releases = vec![
        panel(
            "Releases to go to",
            8,
            Shown::Rows,
            format!("max by (kind, running, target) ({METRIC_AVAILABLE}) == 1"),
            "What detection has found.",
        ),
        panel(
            "Since the last look for a release",
            4,
            Shown::Age(Some(MISSED_AFTER), "never"),
            since(METRIC_LAST_CHECK),
            "Detection runs once a week. k8s-upgrade status --health says why it does not.",
        ),
        panel(
            "Alerts of upgrades",
            12,
            Shown::Bars(&[(1, "red", "fires")], "{{alertname}}"),
            format!("max by (alertname) (ALERTS{{alertstate=\"firing\",alertname=~\"{}\"}})", alerts(gauges).join("|")),
            "The alerts of the rules that k8s-upgrade manifests --only rules prints.",
        ),
    ];
    let ours = jobs(CHAIN);
    let failed = format!("max by (job_name) (kube_job_failed{{condition=\"true\",{ours}}} == 1)");
    let works = format!("max by (job_name) (kube_job_status_active{{{ours}}} > 0)");
    let cluster = vec![
        panel(
            "Kubelets by version",
            12,
            Shown::Stacked("{{kubelet_version}}"),
            "count by (kubelet_version) (kube_node_info)".to_owned(),
            "How many nodes run which version.",
        ),
        panel(
            "Jobs of the chain",
            12,
            Shown::Bars(&[(1, "blue", "at work"), (2, "red", "failed")], "{{job_name}}"),
            format!("2 * {failed} or clamp_max({works}, 1)"),
            "Which phase of which node is at work. k8s-upgrade report tells the whole story.",
        ),
    ];
    [(LOW, run), (HIGH, gates), (HIGH, releases), (HIGH, cluster)]
}

/// Those that say something: the watchdog always fires.
fn alerts(gauges: Gauges) -> Vec<String> {
    let names = rules::alerts(gauges).into_iter().filter_map(|rule| rule["alert"].as_str().map(str::to_owned));
    names.filter(|name| name != ALERT_WATCHDOG).collect()
}

impl Panel {
    /// There is something to look at: with gauges that nobody pushes it would be empty for ever.
    fn has_data(&self, gauges: Gauges) -> bool {
        gauges == Gauges::Pushgateway || METRICS.iter().all(|metric| !self.query.contains(metric))
    }

    fn written(&self, id: usize, (x, y): (u32, u32), height: u32) -> Value {
        let (kind, field, options) = self.shown.drawn();
        let mut panel = json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.about,
            "datasource": datasource(),
            "gridPos": { "x": x, "y": y, "w": self.width, "h": height },
            "fieldConfig": { "defaults": field, "overrides": [] },
            "options": options,
            "targets": [self.target()],
        });
        if matches!(self.shown, Shown::Rows) {
            // That a row is there says it: when, and that its value is 1, is no news.
            let hidden = json!({ "Time": true, "Value": true });
            panel["transformations"] = json!([{ "id": "organize", "options": { "excludeByName": hidden } }]);
        }
        panel
    }

    fn target(&self) -> Value {
        let mut target = json!({ "refId": "A", "datasource": datasource(), "expr": self.query });
        match &self.shown {
            Shown::Word(..) | Shown::Age(..) => target["instant"] = json!(true),
            Shown::Rows => (target["instant"], target["format"]) = (json!(true), json!("table")),
            Shown::Bars(_, name) | Shown::Stacked(name) => (target["range"], target["legendFormat"]) = (json!(true), json!(name)),
        }
        target
    }
}

impl Shown {
    /// Grafana's name of the panel, what it is told of the values, and how they are drawn.
    fn drawn(&self) -> (&'static str, Value, Value) {
        let reduced = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        let number = json!({ "colorMode": "value", "graphMode": "none", "textMode": "value", "reduceOptions": reduced });
        let legend = json!({ "showLegend": true, "displayMode": "list", "placement": "bottom" });
        match self {
            Shown::Word(words, none) => {
                let field = json!({ "mappings": mappings(words), "thresholds": thresholds("text", None), "noValue": none });
                ("stat", field, number)
            }
            Shown::Age(red, none) => {
                let field = json!({ "unit": "dtdurations", "thresholds": thresholds("blue", *red), "noValue": none });
                ("stat", field, number)
            }
            Shown::Rows => ("table", json!({ "noValue": "none" }), json!({ "showHeader": true, "cellHeight": "sm" })),
            Shown::Bars(words, _) => {
                let custom = json!({ "fillOpacity": 80, "lineWidth": 0 });
                let field = json!({ "mappings": mappings(words), "thresholds": thresholds("text", None), "custom": custom });
                let tooltip = json!({ "mode": "single", "sort": "none" });
                let options = json!({
                    "mergeValues": true, "showValue": "auto", "rowHeight": 0.8, "legend": legend, "tooltip": tooltip,
                });
                ("state-timeline", field, options)
            }
            Shown::Stacked(_) => {
                let custom = json!({
                    "drawStyle": "line", "lineInterpolation": "stepAfter", "fillOpacity": 40,
                    "stacking": { "mode": "normal", "group": "A" },
                });
                let field = json!({ "color": { "mode": "palette-classic" }, "decimals": 0, "min": 0, "custom": custom });
                ("timeseries", field, json!({ "legend": legend, "tooltip": { "mode": "multi", "sort": "desc" } }))
            }
        }
    }
}

/// A word for each value.
fn mappings(words: Words) -> Value {
    let mut options = json!({});
    for (index, (value, color, text)) in words.iter().enumerate() {
        options[value.to_string()] = json!({ "color": color, "text": text, "index": index });
    }
    json!([{ "type": "value", "options": options }])
}

/// One colour, and red from some value on.
fn thresholds(color: &str, red: Option<u32>) -> Value {
    let red = red.map(|red| json!({ "color": "red", "value": red }));
    let steps: Vec<Value> = std::iter::once(json!({ "color": color, "value": null })).chain(red).collect();
    json!({ "mode": "absolute", "steps": steps })
}

/// The one that is chosen above the dashboard.
fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// The panels with their places: those of a row side by side, the rows below each other.
fn panels(gauges: Gauges) -> Vec<Value> {
    let (mut written, mut y) = (Vec::new(), 0);
    for (height, row) in rows(gauges) {
        let mut x = 0;
        for panel in row.iter().filter(|panel| panel.has_data(gauges)) {
            written.push(panel.written(written.len() + 1, (x, y), height));
            x += panel.width;
        }
        y += if x > 0 { height } else { 0 };
    }
    written
}

/// The dashboard as JSON, as Grafana imports it; `gauges`: what there is to look at.
///
/// # Errors
/// A bug: it cannot be written.
pub fn dashboard(gauges: Gauges) -> Result<String, Cause> {
    let choice = json!({
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0,
        "multi": false, "includeAll": false, "regex": "", "options": [], "current": {},
    });
    let dashboard = json!({
        "id": null,
        // The same each time: an import takes the place of the one before.
        "uid": PROGRAM,
        "title": "Kubernetes upgrades",
        "description": "Where a run of k8s-upgrade stands, what holds it, and what detection has found.",
        "tags": ["kubernetes", PROGRAM],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": { "from": "now-24h", "to": "now" },
        "timezone": "browser",
        "timepicker": {},
        "annotations": { "list": [] },
        "links": [],
        "templating": { "list": [choice] },
        "panels": panels(gauges),
    });
    let text = serde_json::to_string_pretty(&dashboard);
    text.map(|text| text + "\n").map_err(|error| Cause::bug(format!("the dashboard cannot be written as JSON: {error}")))
}
