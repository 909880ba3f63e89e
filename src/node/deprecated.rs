//! Which deprecated APIs somebody has called, as the API server of a control plane counts them. Behind one address for all, one would answer for
//! itself alone: so each is asked on its own node.

use std::time::Duration;

use jiff::Timestamp;

use super::{API_SERVER, ETCD, Operation, garbled, results, token};
use crate::failure::Cause;
use crate::plan::model::deprecated::{Call, Counted, Writer};
use crate::words;

/// Asks its metrics, and changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct AskDeprecated;

/// What it has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deprecated {
    Counted(Counted),
    /// There is nobody to ask on this node, or no way to; and why.
    Unasked(String),
}

impl Operation for AskDeprecated {
    const NAME: &'static str = "deprecated";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = Deprecated;

    fn script(&self) -> &'static str {
        include_str!("deprecated.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[ETCD, API_SERVER]
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<Deprecated, Cause> {
        let (mut since, mut calls, mut writers, mut ended) = (None, Vec::new(), Vec::new(), false);
        for (key, rest) in results(stdout) {
            let bad = || garbled(Self::NAME, format_args!("{key} {rest}"));
            match key {
                "unasked" if since.is_none() && calls.is_empty() && !rest.is_empty() => {
                    return Ok(Deprecated::Unasked(rest.to_owned()));
                }
                "started" if since.is_none() => since = Some(started(rest).ok_or_else(bad)?),
                "called" => calls.push(call(rest).ok_or_else(bad)??),
                "wrote" => writers.push(writer(rest).ok_or_else(bad)??),
                "asked" if rest.is_empty() => ended = true,
                _ => return Err(bad()),
            }
        }
        // An answer without its end would be one that nobody has called anything.
        match (since, ended) {
            (Some(since), true) => Ok(Deprecated::Counted(Counted { since, calls, writers })),
            _ => Err(garbled(Self::NAME, "it does not come to its end")),
        }
    }
}

/// Seconds since 1970, as metrics have them: `1.79583564012e+09`.
fn started(text: &str) -> Option<Timestamp> {
    let seconds: f64 = text.parse().ok()?;
    let known = seconds.is_finite() && (0.0..1e11).contains(&seconds);
    known.then(|| Timestamp::from_second(seconds as i64).ok()).flatten()
}

/// `{group="…",removed_release="…",resource="…",subresource="…",version="…"} 1`: what metrics print of it. None: that is something else.
fn call(text: &str) -> Option<Result<Call, Cause>> {
    const LABELS: [&str; 5] = ["group", "version", "resource", "subresource", "removed_release"];
    let labels = text.strip_prefix('{')?.strip_suffix("} 1")?;
    let mut found = [None; LABELS.len()];
    for label in labels.split(',') {
        let (name, value) = label.split_once('=')?;
        let at = LABELS.iter().position(|known| *known == name)?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        if found[at].replace(value).is_some() {
            return None;
        }
    }
    let [Some(group), Some(version), Some(resource), Some(subresource), Some(removed)] = found else { return None };
    let slash = if group.is_empty() { "" } else { "/" };
    Some(of(&format!("{group}{slash}{version}/{resource}"), subresource, removed))
}

/// `group/version/resource OBJECTS ONE MANAGER`
fn writer(text: &str) -> Option<Result<Writer, Cause>> {
    let mut parts = text.splitn(4, ' ');
    let (api, objects, one) = (parts.next()?, parts.next()?.parse().ok()?, words::line(parts.next()?).to_string());
    let manager = words::line(parts.next()?).to_string();
    Some(token(AskDeprecated::NAME, api).map(|api| Writer { api, manager, objects, one }))
}

fn of(api: &str, subresource: &str, removed: &str) -> Result<Call, Cause> {
    const NAME: &str = AskDeprecated::NAME;
    let subresource = if subresource.is_empty() { None } else { Some(token(NAME, subresource)?) };
    let removed = if removed.is_empty() { None } else { Some(token(NAME, removed)?) };
    Ok(Call { api: token(NAME, api)?, subresource, removed })
}
