//! Which alerts hold a run, by their labels: matchers as Prometheus writes them
//! (<https://prometheus.io/docs/prometheus/latest/querying/basics/#instant-vector-selectors>).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::policy::LONGEST_FILTER;
use crate::words::line;

/// Of what an expression is compiled to, in bytes.
const LARGEST: usize = 1 << 20;

/// One label, and what its value must be: `severity="critical"`, `team!=batch`, `severity=~"critical|page"`, `namespace!~"dev-.*"`. Without the
/// label its value is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Matcher {
    label: String,
    wanted: bool,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    /// Matches from beginning to end; as it was written beside it.
    Pattern(Regex, String),
}

impl Matcher {
    /// An alert with these labels is one.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        let is = match &self.value {
            Value::Text(text) => text == value,
            Value::Pattern(pattern, _) => pattern.is_match(value),
        };
        is == self.wanted
    }
}

impl FromStr for Matcher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "LABEL=VALUE, LABEL!=VALUE, LABEL=~REGEX or LABEL!~REGEX is wanted, for example severity=~\"critical|page\"";
        let none = || format!("{:?} is no matcher: {wanted}", line(text));
        if text.len() > LONGEST_FILTER || line(text) != text {
            return Err(none());
        }
        let at = text.find(['=', '!']).ok_or_else(none)?;
        let (label, rest) = text.split_at(at);
        let name = |(i, b): (usize, u8)| b.is_ascii_alphabetic() || b == b'_' || i > 0 && b.is_ascii_digit();
        if label.is_empty() || !label.bytes().enumerate().all(name) {
            return Err(none());
        }
        let operators = [("=~", true, true), ("!~", false, true), ("!=", false, false), ("=", true, false)];
        let found = operators.into_iter().find_map(|(sign, wanted, regex)| Some((rest.strip_prefix(sign)?, wanted, regex)));
        let (value, is, regex) = found.ok_or_else(none)?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if value.contains(['"', '\n']) {
            return Err(none());
        }
        let pattern = || RegexBuilder::new(&format!("^(?:{value})$")).size_limit(LARGEST).build();
        let value = match regex {
            false => Value::Text(value.to_owned()),
            true => Value::Pattern(
                pattern().map_err(|_| format!("{text:?}: its value is no regular expression: {wanted}"))?,
                value.to_owned(),
            ),
        };
        Ok(Matcher { label: label.to_owned(), wanted: is, value })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, value) = match (&self.value, self.wanted) {
            (Value::Text(text), true) => ("=", text),
            (Value::Text(text), false) => ("!=", text),
            (Value::Pattern(_, text), true) => ("=~", text),
            (Value::Pattern(_, text), false) => ("!~", text),
        };
        write!(f, "{}{sign}\"{value}\"", self.label)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

crate::words::as_text!(Matcher);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_prometheus_writes_them() {
        let labels: BTreeMap<String, String> =
            [("severity", "critical"), ("team", "shop")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (text, matches) in [
            ("severity=critical", true),
            ("severity=\"critical\"", true),
            ("severity=crit", false),
            ("severity!=critical", false),
            ("severity=~\"critical|page\"", true),
            ("severity=~crit", false),
            ("severity!~\"crit.*\"", false),
            ("absent=\"\"", true),
            ("absent!=x", true),
        ] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!(matcher.matches(&labels), matches, "{text}");
            assert_eq!(matcher.to_string().parse::<Matcher>().unwrap(), matcher, "{text}");
        }
        for other in ["", "severity", "=x", "a b=c", "1a=b", "a=~(", "a>b", "a=\"b", "a==\"b\"c\""] {
            assert!(other.parse::<Matcher>().is_err(), "{other:?}");
        }
    }
}
