//! What a program has asked for, by the API server's audit log.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub struct Asked {
    /// By verb and resource.
    pub by_kind: BTreeMap<String, usize>,
    /// Answered with 429.
    #[serde(skip)]
    pub refused: usize,
}

/// Where the log ends now.
pub fn end(log: &Path) -> Result<u64> {
    Ok(std::fs::metadata(log).with_context(|| log.display().to_string())?.len())
}

impl Asked {
    pub fn requests(&self) -> usize {
        self.by_kind.values().sum()
    }

    /// What this user agent has asked for since the log ended there. A watch is one request, though it is written when it begins and when it ends.
    pub fn since(log: &Path, from: u64, agent: &str) -> Result<Self> {
        let mut log = File::open(log)?;
        log.seek(SeekFrom::Start(from))?;
        let (mut by_kind, mut refused, mut seen) = (BTreeMap::new(), 0, HashSet::new());
        for line in BufReader::new(log).lines() {
            let event: Value = serde_json::from_str(&line?).context("a line of the audit log")?;
            let of_agent = event["userAgent"].as_str().is_some_and(|text| text.split('/').next() == Some(agent));
            if !of_agent || !seen.insert(event["auditID"].to_string()) {
                continue;
            }
            refused += usize::from(event["responseStatus"]["code"] == 429);
            *by_kind.entry(kind(&event)).or_default() += 1;
        }
        Ok(Asked { by_kind, refused })
    }
}

fn kind(event: &Value) -> String {
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let what = match (of(&object["resource"]), of(&object["subresource"])) {
        (resource, _) if resource.is_empty() => of(&event["requestURI"]).split('?').next().unwrap_or_default().to_owned(),
        (resource, sub) if sub.is_empty() => resource,
        (resource, sub) => format!("{resource}/{sub}"),
    };
    format!("{} {what}", of(&event["verb"]))
}
