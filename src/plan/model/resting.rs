//! A run that rests between two nodes, or has not begun, for want of a window: the watch goes on with it in the next one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// As an annotation of our namespace carries it, for people and for whoever goes on: which Job it was that ended well without its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resting {
    /// The node that has not had its turn; empty: the run has not begun, and is deferred for that reason.
    pub node: String,
    pub since: Timestamp,
    /// When it may have it, as its Job saw it; whoever acts looks anew.
    pub until: Option<Timestamp>,
    pub why: String,
}

impl Resting {
    /// None: it is not ours.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As the annotation carries it.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        for until in [None, Some(Timestamp::UNIX_EPOCH)] {
            let resting = Resting { node: "n".into(), since: Timestamp::UNIX_EPOCH, until, why: "w".into() };
            assert_eq!(Resting::read(&resting.write()), Some(resting));
        }
        for odd in ["", "true", "{}", r#"{"node":"n","since":"soon","until":null,"why":""}"#] {
            assert_eq!(Resting::read(odd), None, "{odd}");
        }
    }
}
