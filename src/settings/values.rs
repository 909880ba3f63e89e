//! Values that settings alone have: what they may say, and why not more.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::names;
use crate::plan::model::policy::LONGEST_FILTER;
use crate::plan::model::waves::Share;
use crate::words::{Flag, NotAToken, line};

/// Alerts that never block: a regular expression that matches anywhere in the name, as kured's filter does. Empty: there are none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertFilter(Option<Regex>);

impl AlertFilter {
    /// None: no alert is ignored.
    pub fn regex(&self) -> Option<&Regex> {
        self.0.as_ref()
    }
}

/// Names that no filter may match: that alerting works is seen by the first, a person's block are the next two. An expression that matches
/// one of the others, which nobody would give an alert, matches practically all.
const NEVER_IGNORED: [&str; 6] =
    [names::ALERT_WATCHDOG, names::ALERT_BLOCKER, names::ALERT_BLOCKER_FORMER, "Xyzzyq", "qqfjx", "_0_"];
/// Of what an expression is compiled to, in bytes.
const LARGEST_FILTER: usize = 1 << 20;

impl FromStr for AlertFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(AlertFilter(None));
        }
        if text.chars().nth(LONGEST_FILTER).is_some() {
            return Err(format!("an expression of at most {LONGEST_FILTER} characters is wanted"));
        }
        if line(text) != text {
            return Err("an expression in one line is wanted, without what a terminal obeys or hides".to_owned());
        }
        let regex = RegexBuilder::new(text).size_limit(LARGEST_FILTER).build();
        let instead = "name the alerts that may fire, for example ^(CertExpiresSoon|NodeDiskFull)$";
        let regex = regex.map_err(|error| format!("it is no regular expression: {error}; {instead}"))?;
        if regex.is_match("") {
            return Err(format!("it matches every alert, and the alert gate would be off: {instead}"));
        }
        match NEVER_IGNORED.iter().find(|name| regex.is_match(name)) {
            Some(name) => Err(format!("it also matches {name}, and with it alerts that nobody thought of: {instead}")),
            None => Ok(AlertFilter(Some(regex))),
        }
    }
}

impl fmt::Display for AlertFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("", Regex::as_str))
    }
}

impl PartialEq for AlertFilter {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// A flag that is added to `kubeadm upgrade apply` and `kubeadm upgrade node` alike: one that both know, and that changes nothing of what
/// this program relies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KubeadmFlag(Flag);

impl KubeadmFlag {
    /// As kubeadm takes it.
    pub fn flag(&self) -> &Flag {
        &self.0
    }
}

/// Flags that both know, and how their values look.
const ALLOWED: [(&str, Shape); 6] = [
    ("certificate-renewal", Shape::Switch),
    ("etcd-upgrade", Shape::Switch),
    ("ignore-preflight-errors", Shape::List),
    ("patches", Shape::Folder),
    ("skip-phases", Shape::List),
    ("v", Shape::Number),
];

#[derive(Clone, Copy)]
enum Shape {
    /// `true` or `false`; or nothing, for true.
    Switch,
    /// Words between commas.
    List,
    /// An absolute path.
    Folder,
    Number,
}

impl Shape {
    fn fits(self, value: Option<&str>) -> bool {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        match (self, value) {
            (Shape::Switch, value) => matches!(value, None | Some("true" | "false")),
            (Shape::List, Some(list)) => list.split(',').all(|item| !item.is_empty() && item.bytes().all(word)),
            (Shape::Folder, Some(path)) => {
                path.starts_with('/') && path.bytes().all(word) && path.split('/').all(|part| part != "..")
            }
            (Shape::Number, Some(number)) => {
                number.len() <= 2 && number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty()
            }
            (_, None) => false,
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Shape::Switch => "true or false",
            Shape::List => "words between commas",
            Shape::Folder => "an absolute path",
            Shape::Number => "a number",
        }
    }
}

/// Why a flag that kubeadm has is not for everyone to add.
fn objection(name: &str) -> &'static str {
    match name {
        "dry-run" | "print-config" | "help" => "kubeadm would change nothing, and say that all went well",
        "force" => "kubeadm would go on where it has found a reason not to",
        "yes" => "it is always given",
        "config" => "kubeadm would take its settings from elsewhere, and refuse all other flags",
        "kubeconfig" => "kubeadm would ask another cluster, or as somebody else",
        "rootfs" => "kubeadm would upgrade another file system",
        "allow-experimental-upgrades" | "allow-release-candidate-upgrades" => {
            "targets are releases, and `kubeadm upgrade node` has no such flag"
        }
        _ => "`kubeadm upgrade apply` and `kubeadm upgrade node` have no such flag in common",
    }
}

impl FromStr for KubeadmFlag {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || ALLOWED.map(|(name, _)| format!("--{name}")).join(", ");
        let (name, value) = match text
            .strip_prefix("--")
            .map(|flag| flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v))))
        {
            Some((name, value)) if text.len() <= 1000 => (name, value),
            _ => {
                return Err(format!(
                    "{} is not --NAME or --NAME=VALUE, in at most 1000 bytes: one flag of kubeadm is wanted, for example --v=5",
                    shown(text)
                ));
            }
        };
        let Some((_, shape)) = ALLOWED.iter().find(|(allowed, _)| *allowed == name) else {
            return Err(format!("{} is not allowed: {}; allowed are {}", shown(text), objection(name), allowed()));
        };
        if !shape.fits(value) {
            return Err(format!("{}: {} is wanted after --{name}=", shown(text), shape.wanted()));
        }
        let items = || value.unwrap_or_default().split(',');
        if name == "ignore-preflight-errors" && items().any(|item| item.eq_ignore_ascii_case("all")) {
            return Err(format!("{} is not allowed: kubeadm would check nothing; name the checks that may fail", shown(text)));
        }
        if let Some(phase) = items().find(|phase| name == "skip-phases" && ["preflight", "control-plane"].contains(phase)) {
            return Err(format!(
                "{} is not allowed: without the phase {phase} it is no upgrade that can be relied on",
                shown(text)
            ));
        }
        text.parse().map(KubeadmFlag).map_err(|error: NotAToken| error.to_string())
    }
}

impl fmt::Display for KubeadmFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

crate::words::as_text!(AlertFilter, KubeadmFlag);

/// What may go over plain http, although others can read and change it on the way, because somebody has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainHttp {
    PackagesUrl,
    VaultAddress,
    SlackWebhook,
    Webhooks,
    /// Its credentials: without any, nothing secret goes there.
    Prometheus,
}

impl fmt::Display for PlainHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlainHttp::PackagesUrl => "packages-url",
            PlainHttp::VaultAddress => "vault-address",
            PlainHttp::SlackWebhook => "slack-webhook",
            PlainHttp::Webhooks => "webhooks",
            PlainHttp::Prometheus => "prometheus",
        })
    }
}

/// An empty text is no value.
pub(super) mod optional {
    use super::*;

    /// None is the empty text.
    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    /// The empty text is None.
    pub fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(de::Error::custom) }
    }
}

/// A number of nodes, or a part of all, that is one at least; nothing where none is set.
pub(super) mod unavailable {
    use super::*;
    use crate::plan::model::waves::share_text;

    /// As text.
    pub fn serialize<S: Serializer>(share: &Option<Share>, serializer: S) -> Result<S::Ok, S::Error> {
        optional::serialize(share, serializer)
    }

    /// None of a text that is empty.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Share>, D::Error> {
        let text = share_text(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        let share: Share = text.parse().map_err(de::Error::custom)?;
        share.at_least_one().map(Some).map_err(de::Error::custom)
    }
}

/// Names of namespaces.
pub(super) mod namespaces {
    use super::*;
    use crate::words::Namespace;

    /// As they stand.
    pub fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        names.serialize(serializer)
    }

    /// Each is one that a namespace can have.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(Vec::<Namespace>::deserialize(deserializer)?.into_iter().map(String::from).collect())
    }
}

/// A file of this machine: empty, or a path that a message can show.
pub(super) mod file {
    use super::*;

    /// As it stands.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.serialize(serializer)
    }

    /// Whether the file exists is not asked here: whoever reads it says so.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fine = text.len() <= 4096 && line(&text) == text && (text.is_empty() || !text.trim().is_empty());
        if fine {
            Ok(text.into())
        } else {
            Err(de::Error::custom("the path of a file is wanted, 4096 bytes without control characters at most"))
        }
    }
}

/// A slash at the end of the URL of packages is none of it.
pub(super) mod packages {
    use super::*;
    use crate::words::PackagesUrl;

    /// As it stands.
    pub fn serialize<S: Serializer>(url: &PackagesUrl, serializer: S) -> Result<S::Ok, S::Error> {
        url.serialize(serializer)
    }

    /// A slash at its end is dropped.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PackagesUrl, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.trim_end_matches('/').parse().map_err(de::Error::custom)
    }
}

/// The beginning of a text that is not what it should be.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}
