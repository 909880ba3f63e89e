//! The dashboard on the lab's Prometheus: what each panel asks is sent while a run is on, and answered; and what this program itself pushes is
//! there to be seen at least once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_upgrade::names::METRICS;
use serde_json::Value;

use super::lab::{COMMAND, Lab};

/// A graph looks so far back.
const SPAN: Duration = Duration::from_secs(300);
/// Between two looks: Prometheus reads anew every five seconds.
const PAUSE: Duration = Duration::from_secs(5);

struct Panel {
    title: String,
    query: String,
    /// It shows a graph: its query is asked over a time, too.
    graph: bool,
}

/// The panels as they are printed for Grafana, and which of them have shown something.
pub struct Panels {
    all: Vec<Panel>,
    shown: RefCell<BTreeSet<String>>,
    looks: Cell<(usize, Option<Instant>)>,
}

impl Panels {
    pub fn of(lab: &Lab) -> Panels {
        let printed = lab.product_within(&["manifests", "--only", "dashboard"], COMMAND);
        let dashboard: Value = serde_json::from_str(&printed.good()).expect("the dashboard is JSON");
        let read = |panel: &Value| Panel {
            title: panel["title"].as_str().expect("a title").to_owned(),
            query: panel["targets"][0]["expr"].as_str().expect("a query").to_owned(),
            graph: panel["targets"][0]["range"] == true,
        };
        let all: Vec<Panel> = dashboard["panels"].as_array().expect("panels").iter().map(read).collect();
        assert!(all.len() >= 12, "only {} panels", all.len());
        Panels { all, shown: RefCell::default(), looks: Cell::default() }
    }

    /// Asks what each panel asks. What Prometheus cannot read, or refuses, ends the test.
    pub fn look(&self, lab: &Lab) {
        for panel in &self.all {
            let mut series = lab.query(&panel.query).len();
            if panel.graph {
                series += lab.graph(&panel.query, SPAN).len();
            }
            if series > 0 {
                self.shown.borrow_mut().insert(panel.title.clone());
            }
        }
        self.looks.set((self.looks.get().0 + 1, Some(Instant::now())));
    }

    /// The same, not more often than there is something new.
    pub fn look_again(&self, lab: &Lab) {
        if self.looks.get().1.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.look(lab);
        }
    }

    /// Until this panel shows something.
    pub fn until(&self, lab: &Lab, title: &str) {
        assert!(self.all.iter().any(|panel| panel.title == title), "there is no panel {title}");
        lab.until(Duration::from_secs(60), &format!("the panel {title} to show something"), || {
            self.look_again(lab);
            if self.shown.borrow().contains(title) { Ok(()) } else { Err("no series".to_owned()) }
        });
    }

    /// All that this program pushes was seen.
    pub fn end(&self, lab: &Lab) {
        let (looks, shown) = (self.looks.get().0, self.shown.borrow());
        lab.say(format!("dashboard: {looks} looks, {} of {} panels have shown something", shown.len(), self.all.len()));
        let own = self.all.iter().filter(|panel| METRICS.iter().any(|metric| panel.query.contains(metric)));
        let (seen, missing): (Vec<&Panel>, Vec<&Panel>) = own.partition(|panel| shown.contains(&panel.title));
        let missing: Vec<String> = missing.iter().map(|panel| format!("{}: {}", panel.title, panel.query)).collect();
        assert!(missing.is_empty(), "panels that never showed anything:\n{}", missing.join("\n"));
        assert!(looks > 10 && seen.len() >= 10, "{looks} looks at {} panels of our own gauges", seen.len());
    }
}
