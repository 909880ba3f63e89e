//! The settings that follow from a pipeline's own texts. Each is a guess, read by a person before it is used, and no other word of a text comes
//! further than its own parser lets it.

use std::str::FromStr;

use super::{FORMER_MARKS, Seen};
use crate::names::{self, Mark};
use crate::plan::view::offer::Offer;
use crate::words::{Address, AnnotationPrefix, Login, Namespace, ObjectName, ObjectPath, VaultPath};

/// A text of the pipeline, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// `ConfigMap k8s-upgrade-scripts, upgrade-step.sh`.
    pub place: String,
    pub text: String,
}

/// Where the pipeline has it otherwise than what is in force.
pub fn offers(seen: &Seen, in_force: impl Fn(&str) -> Option<String>) -> Vec<Offer> {
    let lines =
        || seen.scripts.iter().flat_map(|script| script.text.lines()).map(str::trim).filter(|line| !line.starts_with('#'));
    let vault = seen.store.as_ref().and_then(|store| store.key.clone()).filter(|key| key.parse::<VaultPath>().is_ok());
    let all = [
        ("annotation-prefix", "The prefix of its annotations on the namespace.", prefixes(seen)),
        ("ssh-user", "Who its scripts log in as on the nodes.", often(lines().flat_map(logins))),
        (
            "backup-cronjob",
            "The CronJob out of which its scripts make the Job that takes etcd's snapshot.",
            often(lines().filter_map(backup)),
        ),
        (
            "prometheus",
            "Where its scripts ask for alerts.",
            often(lines().flat_map(urls).filter(|url| !pushes(url)).filter(|url| asks(url)).filter_map(address)),
        ),
        (
            "pushgateway",
            "Where its scripts push gauges.",
            often(lines().flat_map(urls).filter(|url| pushes(url)).filter_map(address)),
        ),
        ("vault-path", "The secret in Vault that its ExternalSecret reads.", vault.into_iter().collect()),
    ];
    let differs = |(key, _, values): &(&'static str, &'static str, Vec<String>)| {
        values.first().is_some_and(|first| in_force(key).as_ref() != Some(first))
    };
    all.into_iter().filter(differs).map(|(key, what, values)| Offer { key, what, values }).collect()
}

/// The one under which a chain is in flight; else the one that its annotations and scripts have.
pub fn prefix(seen: &Seen) -> String {
    let in_flight = |prefix: &&String| seen.annotations.get(&Mark::InFlight.key(prefix)).is_some_and(|text| !text.is_empty());
    let all = prefixes(seen);
    all.iter().find(in_flight).or(all.first()).unwrap_or(&seen.prefix).clone()
}

/// Each once, the most frequent first; of those that are as frequent, the one that came first.
fn often(found: impl Iterator<Item = String>) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for value in found {
        match counted.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counted.push((value, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counted.into_iter().map(|(value, _)| value).collect()
}

/// Of annotations that the pipeline has, and that nobody else would name so.
fn prefixes(seen: &Seen) -> Vec<String> {
    let suffixes = FORMER_MARKS.map(|mark| mark.key(""));
    let prefix = |key: &String| suffixes.iter().find_map(|suffix| key.strip_suffix(suffix.as_str())).map(str::to_owned);
    let in_scripts =
        seen.scripts.iter().flat_map(|script| script.text.split(|c: char| !(c.is_ascii_alphanumeric() || "-./".contains(c))));
    let all = seen.annotations.keys().cloned().chain(in_scripts.map(str::to_owned));
    often(all.filter_map(|key| prefix(&key)).filter(|prefix| prefix.parse::<AnnotationPrefix>().is_ok()))
}

/// `wizard` of `ssh … wizard@$node`.
fn logins(line: &str) -> Vec<String> {
    let is_ssh = line.to_ascii_lowercase().contains("ssh");
    let words = line.split(|c: char| c.is_whitespace() || "\"'`(){}=;|&".contains(c)).filter(|_| is_ssh);
    let login = |word: &str| {
        let (user, host) = word.split_once('@')?;
        let at_a_host = host.starts_with(|c: char| c == '$' || c.is_ascii_alphanumeric());
        user.parse::<Login>().ok().filter(|_| at_a_host).map(|user| user.to_string())
    };
    words.filter_map(login).collect()
}

/// `default/backup-etcd` of `kubectl -n default create job --from=cronjob/backup-etcd`.
fn backup(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let name = words.iter().find_map(|word| word.trim_start_matches('"').strip_prefix("--from=cronjob/"))?;
    let name = name.trim_end_matches(['"', '\'', ';', '\\', ')']);
    let after = |flag: &str| words.iter().skip_while(|word| **word != flag).nth(1).copied();
    let namespace =
        words.iter().find_map(|word| word.strip_prefix("--namespace=")).or_else(|| after("-n")).or_else(|| after("--namespace"));
    let (namespace, name) = (namespace.unwrap_or("default").parse::<Namespace>().ok()?, name.parse::<ObjectName>().ok()?);
    (*name != *names::DETECT_CRONJOB).then(|| ObjectPath { namespace, name }.to_string())
}

/// Every URL of a line, as far as it is written out.
fn urls(line: &str) -> Vec<String> {
    let begins = line
        .match_indices("http")
        .map(|(at, _)| &line[at..])
        .filter(|rest| rest.starts_with("http://") || rest.starts_with("https://"));
    begins
        .map(|rest| {
            rest.split(|c: char| c.is_whitespace() || "\"'`$(){}<>|;\\".contains(c)).next().unwrap_or_default().to_owned()
        })
        .collect()
}

fn host(url: &str) -> &str {
    url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default())
}

fn pushes(url: &str) -> bool {
    url.contains("/metrics/job/") || host(url).contains("pushgateway")
}

fn asks(url: &str) -> bool {
    url.contains("/api/v1/alerts") || url.contains("/api/v1/query") || host(url).contains("prometheus")
}

/// As the setting has it: a Service of the cluster by its name, so that it is found from outside, too; anything else by its URL.
fn address(url: String) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, if scheme == "https" { "443" } else { "80" }));
    let names: Vec<&str> = host.split('.').collect();
    let inside = matches!(names.as_slice(), [_, _] | [_, _, "svc"] | [_, _, "svc", "cluster", "local"]);
    let text = match names.as_slice() {
        [service, namespace, ..] if inside && scheme == "http" => format!("{namespace}/{service}:{port}"),
        _ => {
            let base = ["metrics", "api"].iter().fold(path, |path, end| match path.find(end) {
                Some(at) => &path[..at],
                None => path,
            });
            format!("{scheme}://{authority}/{base}")
        }
    };
    Address::from_str(&text).ok().map(|address| address.to_string())
}
