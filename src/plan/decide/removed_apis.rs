//! APIs that somebody calls though they are deprecated: those that the target no longer serves keep a run from it, unless a person says
//! otherwise. Each API server counts for itself, and only since it started; when it names no release, the API is merely deprecated.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::gates::first_few;
use crate::failure::Cause;
use crate::plan::model::answer::Answer;
use crate::plan::model::deprecated::{Call, Counted, Writer};
use crate::plan::model::version::Version;
use crate::words::{ApiResource, Keyword, Minor, command};

/// The API server of a control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub node: String,
    pub counted: Answer<Counted>,
}

/// Who is known to call an API, a line each.
pub type Callers = BTreeMap<ApiResource, Vec<String>>;

/// So many of what is deprecated are named.
const NAMED: usize = 10;

/// For so many of those that are gone stands how to look for their callers.
const LOOKED_FOR: usize = 3;

/// What all of them have counted, as the target sees it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    target: String,
    /// With the release that no longer serves it, and where it was called since when.
    gone: BTreeMap<Name, (Minor, Vec<(String, Timestamp)>)>,
    /// Deprecated, and still served.
    later: BTreeMap<Name, Option<Minor>>,
    /// Who has answered, since when.
    asked: Vec<(String, Timestamp)>,
    unknown: Vec<String>,
    /// Who has written objects through which.
    writers: Callers,
}

/// An API, and its subresource.
type Name = (ApiResource, Option<Keyword>);

/// Puts together what each API server says.
pub fn find(servers: &[Server], target: Version) -> Found {
    let mut found = Found { target: target.series(), ..Found::default() };
    for Server { node, counted } in servers {
        let Counted { since, calls, writers } = match counted {
            Answer::Known(counted) => counted,
            Answer::Unknown(why) => {
                found.unknown.push(format!("{node}: {why}"));
                continue;
            }
        };
        found.asked.push((node.clone(), *since));
        for Writer { api, manager, objects, one } in writers {
            let others = if *objects > 1 { format!(" and {} others", objects - 1) } else { String::new() };
            let line = format!("{manager} has written {one}{others} through this version");
            let lines = found.writers.entry(api.clone()).or_default();
            // All API servers have the same objects.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        for Call { api, subresource, removed } in calls {
            let name = (api.clone(), subresource.clone());
            match removed {
                // One that is served past its time counts, too: that ends with the next release at the latest.
                Some(removed) if removed.numbers() <= (target.major, target.minor) => {
                    found.gone.entry(name).or_insert_with(|| (removed.clone(), Vec::new())).1.push((node.clone(), *since));
                }
                _ => drop(found.later.insert(name, removed.clone())),
            }
        }
    }
    found
}

impl Found {
    /// What the target no longer serves.
    pub fn gone(&self) -> BTreeSet<&ApiResource> {
        self.gone.keys().map(|(api, _)| api).collect()
    }

    /// What a run goes on in spite of, by the setting.
    pub fn ignored(&self, ignore: &[ApiResource]) -> Vec<String> {
        let ignored = self.gone.iter().filter(|((api, _), _)| ignore.contains(api));
        ignored.map(|(name, seen)| format!("{}; the setting removed-apis-ignore lets it pass", said(name, seen))).collect()
    }

    /// Nothing is called that the target no longer serves; as far as, and since when, that is known.
    pub fn quiet(&self) -> Option<String> {
        let quiet = self.gone.is_empty() && !self.asked.is_empty();
        quiet.then(|| format!("nobody has called an API that {} no longer serves at {}", self.target, places(&self.asked)))
    }

    /// What is called that goes later, or nobody knows when.
    pub fn later(&self) -> Option<String> {
        let later = |(name, removed): (&Name, &Option<Minor>)| match removed {
            Some(removed) => format!("{} (until {removed})", shown(name)),
            None => shown(name),
        };
        let later: Vec<String> = self.later.iter().map(later).collect();
        let what = || format!("called and deprecated, and still served by {}: {}", self.target, first_few(&later, NAMED));
        (!later.is_empty()).then(what)
    }

    /// May a run go to the target? `ignore`: what a person has said may fail.
    ///
    /// # Errors
    /// Refused: something is called that it no longer serves. Hold: an API server could not be asked.
    pub fn judge(&self, ignore: &[ApiResource], callers: &Callers) -> Result<(), Cause> {
        let gone: Vec<_> = self.gone.iter().filter(|((api, _), _)| !ignore.contains(api)).collect();
        let unknown = self.unknown.iter().map(|why| format!("which deprecated APIs are called is not known of {why}"));
        if gone.is_empty() {
            let unknown: Vec<String> = unknown.collect();
            return if unknown.is_empty() {
                Ok(())
            } else {
                Err(Cause::hold("not every API server says what is still called").detail(unknown))
            };
        }
        let mut lines = Vec::new();
        for (name, seen) in &gone {
            lines.push(said(name, seen));
            let callers = [callers, &self.writers].into_iter().filter_map(|callers| callers.get(&name.0));
            lines.extend(callers.flatten().map(|caller| format!("  {caller}")));
        }
        lines.extend(unknown);
        let servers: BTreeSet<&str> = gone.iter().flat_map(|(_, (_, at))| at).map(|(node, _)| node.as_str()).collect();
        let servers: Vec<&str> = servers.into_iter().collect();
        let apis: BTreeSet<&str> =
            gone.iter().map(|((api, _), _)| api.as_str()).chain(ignore.iter().map(ApiResource::as_str)).collect();
        let apis: Vec<&str> = apis.into_iter().collect();
        let turn = if servers.len() > 1 { ", one after the other" } else { "" };
        let refused =
            Cause::refused(format!("{} API(s) are called that {} no longer serves", gone.len(), self.target)).detail(lines);
        let apis_gone: BTreeSet<&ApiResource> = gone.iter().map(|((api, _), _)| api).collect();
        let refused = apis_gone.into_iter().take(LOOKED_FOR).fold(refused, |refused, api| refused.next(writers(api)));
        let knowingly = format!(
            "the setting that would let this pass, and what still calls them fails from then on: removed-apis-ignore: [{}]",
            apis.join(", ")
        );
        Err(refused.detail([knowingly]).next(command!(
            "sudo pkill -x kube-apiserver    # on {}, once the callers are mended: it starts again, and has forgotten them",
            format!("{}{turn}", servers.join(", "))
        )))
    }
}

/// Through which version an object was written stands in its managed fields; whoever only reads leaves no trace there.
fn writers(api: &ApiResource) -> String {
    let (group, version, resource) = api.parts();
    let (of, through) = match group {
        "" => (resource.to_owned(), version.to_owned()),
        _ => (format!("{resource}.{group}"), format!("{group}/{version}")),
    };
    let managers = format!("{{.metadata.managedFields[?(@.apiVersion==\"{through}\")].manager}}");
    let each = format!("jsonpath={{range .items[*]}}{{.metadata.namespace}}/{{.metadata.name}} {managers}{{\"\\n\"}}{{end}}");
    command!("kubectl get {} -A --show-managed-fields -o {}    # who has written objects through {}", of, each, api).to_string()
}

fn shown((api, subresource): &Name) -> String {
    subresource.as_ref().map_or_else(|| api.to_string(), |of| format!("{api}/{of}"))
}

fn said(name: &Name, (removed, at): &(Minor, Vec<(String, Timestamp)>)) -> String {
    format!("{}: not served from {removed} on, and called at {}", shown(name), places(at))
}

/// `k8s-master since its start at 2026-11-28T03:14:00Z`.
fn places(at: &[(String, Timestamp)]) -> String {
    let each: Vec<String> = at.iter().map(|(node, since)| format!("{node} since its start at {since}")).collect();
    each.join(", ")
}

#[cfg(test)]
#[path = "removed_apis_tests.rs"]
mod tests;
