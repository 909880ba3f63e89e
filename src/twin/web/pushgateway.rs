//! Pushgateway: groups of gauges that live until it is restarted, and all that was ever pushed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::State;

/// A gauge by its name and labels: `k8s_upgrade_available{kind="patch"}`.
type Series = String;

#[derive(Clone, Default)]
pub struct Pushgateway {
    /// What it holds, by the job of the group.
    pub groups: BTreeMap<String, BTreeMap<Series, f64>>,
    /// Every change of a gauge, oldest first; a restart forgets the groups, not this.
    pub pushed: Arc<Vec<Pushed>>,
}

/// A gauge took a new value.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    pub at: Timestamp,
    pub job: String,
    pub series: Series,
    pub value: f64,
}

impl Pushgateway {
    /// It comes back empty.
    pub fn restart(&mut self) {
        self.groups.clear();
    }

    /// The greatest value of a metric over all groups and labels.
    pub fn max(&self, metric: &str) -> Option<f64> {
        let named = |(series, value): (&Series, &f64)| (name(series) == metric).then_some(*value);
        self.groups.values().flatten().filter_map(named).reduce(f64::max)
    }

    /// What a scrape gets: each series with the labels of its group.
    fn exposition(&self) -> String {
        let own = "# TYPE pushgateway_build_info gauge\npushgateway_build_info 1\n".to_owned();
        let line = |job: &str, (series, value): (&Series, &f64)| {
            let labels = series.split_once('{').map_or(String::new(), |(_, rest)| format!(",{}", rest.trim_end_matches('}')));
            format!("{}{{instance=\"\",job=\"{job}\"{labels}}} {value}\n", name(series))
        };
        self.groups
            .iter()
            .flat_map(|(job, group)| group.iter().map(move |series| line(job, series)))
            .fold(own, |all, line| all + &line)
    }

    fn push(&mut self, at: Timestamp, job: &str, gauges: BTreeMap<Series, f64>) {
        let group = self.groups.entry(job.to_owned()).or_default();
        // A metric that is pushed again replaces all its former series.
        let again: Vec<Series> = group.keys().filter(|old| gauges.keys().any(|new| name(new) == name(old))).cloned().collect();
        let former: BTreeMap<Series, f64> =
            again.into_iter().filter_map(|series| group.remove(&series).map(|value| (series, value))).collect();
        self.set(at, job, former, gauges);
    }

    /// All that the group had goes.
    fn replace(&mut self, at: Timestamp, job: &str, gauges: BTreeMap<Series, f64>) {
        let former = self.groups.insert(job.to_owned(), BTreeMap::new()).unwrap_or_default();
        self.set(at, job, former, gauges);
    }

    fn set(&mut self, at: Timestamp, job: &str, former: BTreeMap<Series, f64>, gauges: BTreeMap<Series, f64>) {
        let group = self.groups.entry(job.to_owned()).or_default();
        for (series, value) in gauges {
            if former.get(&series) != Some(&value) {
                Arc::make_mut(&mut self.pushed).push(Pushed { at, job: job.to_owned(), series: series.clone(), value });
            }
            group.insert(series, value);
        }
    }
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

pub(super) fn serve(state: &mut State, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    if (method, path) == ("GET", "/metrics") {
        return Some((200, state.web.pushgateway.exposition().into_bytes()));
    }
    let job = path.strip_prefix("/metrics/job/")?;
    if !["POST", "PUT"].contains(&method) || job.contains(['/', '%']) || job.is_empty() {
        return None;
    }
    Some(match read(&String::from_utf8_lossy(body)) {
        Ok(gauges) => {
            let now = state.now();
            match method {
                "PUT" => state.web.pushgateway.replace(now, job, gauges),
                _ => state.web.pushgateway.push(now, job, gauges),
            }
            (200, Vec::new())
        }
        Err(why) => (400, why.into_bytes()),
    })
}

/// The text format: comments, and lines of `name{labels} value`.
fn read(text: &str) -> Result<BTreeMap<Series, f64>, String> {
    let mut gauges = BTreeMap::new();
    // Nothing is a whole text: with it a group is emptied.
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("text format parsing error: unexpected end of input stream".to_owned());
    }
    for (index, line) in text.lines().enumerate() {
        let bad = |why: &str| format!("text format parsing error in line {}: {why}: {line:?}", index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').ok_or_else(|| bad("no value"))?;
        let value: f64 = value.parse().map_err(|_| bad("expected float as value"))?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        if name(series).is_empty() || !name(series).bytes().all(valid) || (series.contains('{') && !series.ends_with('}')) {
            return Err(bad("invalid metric name"));
        }
        if gauges.insert(series.to_owned(), value).is_some() {
            return Err(bad("this metric was collected before with the same name and label values"));
        }
    }
    Ok(gauges)
}
