//! A canary after whose upgrade the cluster got worse, and which the run takes back to what it ran before: the record of that, and what
//! stands by it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::span::stamp;
use super::version::Version;
use crate::words::{NodeName, RunId, command, line};

/// So many reasons are kept, each cut to so many characters.
const REASONS: usize = 10;
const LONGEST: usize = 300;

/// As an annotation of our namespace carries it, from before the way back begins until a person lets the run go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The run that does it: another's is none.
    pub run: RunId,
    pub node: NodeName,
    /// What it ran before, as [`Version`] is written.
    to: String,
    pub at: Timestamp,
    /// What had got worse.
    pub why: Vec<String>,
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::json!(self).to_string())
    }
}

impl FromStr for TakenBack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read: Option<TakenBack> = serde_json::from_str(text).ok();
        let read = read.filter(|read| !read.run.is_by_hand() && read.to.parse::<Version>().is_ok());
        read.ok_or_else(|| "it is no record of a canary that is taken back".to_owned())
    }
}

impl TakenBack {
    /// What is about to begin.
    pub fn new(run: &RunId, node: NodeName, to: Version, at: Timestamp, why: &[String]) -> Self {
        let cut = |why: &String| line(why).chars().take(LONGEST).collect();
        let at = at.round(jiff::Unit::Second).unwrap_or(at);
        TakenBack { run: run.clone(), node, to: to.to_string(), at, why: why.iter().take(REASONS).map(cut).collect() }
    }

    /// As people read it, once it is back.
    pub fn words(&self) -> String {
        let TakenBack { node, to, at, .. } = self;
        format!("the cluster got worse after the canary {node} was upgraded: it was rolled back to {to} ({})", stamp(*at))
    }

    /// The same while it is on its way.
    pub fn on_its_way(&self) -> String {
        let TakenBack { node, to, .. } = self;
        format!("the cluster got worse after the canary {node} was upgraded: it is rolled back to {to}")
    }

    /// What a person may type, once it is back.
    pub fn next(&self) -> [String; 3] {
        let node = &self.node;
        [
            command!("k8s-upgrade resume    # after mending it: upgrades {} again, and goes on", node),
            command!("k8s-upgrade pause node/{} && k8s-upgrade resume    # goes on without it", node),
            "k8s-upgrade clear-state    # gives the run up: nodes stay at two versions".to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let run: RunId = "5f3a21bc".parse().unwrap();
        let why = vec!["x\n".repeat(400); 20];
        let back = TakenBack::new(&run, "k8s-node4".parse().unwrap(), "1.34.2".parse().unwrap(), Timestamp::UNIX_EPOCH, &why);
        assert_eq!(back.to_string().parse(), Ok(back.clone()));
        assert!(back.to_string().len() < 4096, "{}", back.to_string().len());
        let text = back.to_string();
        for odd in ["", "true", "{}", &text.replace("5f3a21bc", "by-hand"), &text.replace("1.34.2", "1.34"), &text[1..]] {
            assert!(odd.parse::<TakenBack>().is_err(), "{odd}");
        }
    }
}
