//! What people know of a hold that lasts: which it is, since when it stands, and when they were reminded of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// As an annotation of our namespace carries it. Another hold begins a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reminded {
    /// Id of the run; empty where it has none.
    pub run: String,
    /// What it stands at, as [`crate::plan::decide::reminders::At::key`] writes it.
    pub at: String,
    /// When the watch first saw it stand there, or since when that was so.
    pub since: Timestamp,
    pub times: u32,
    /// The last time that a reminder arrived.
    pub last: Option<Timestamp>,
}

impl Reminded {
    /// None: it is not ours.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As the annotation carries it.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// One more has arrived.
    pub fn told(self, now: Timestamp) -> Self {
        Reminded { times: self.times.saturating_add(1), last: Some(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let at: Timestamp = Timestamp::UNIX_EPOCH;
        let first = Reminded { run: "5f3a21bc".into(), at: "worker/n".into(), since: at, times: 0, last: None };
        let told = first.clone().told(at).told(at);
        assert_eq!((told.times, told.last), (2, Some(at)));
        for reminded in [first, told] {
            assert_eq!(Reminded::read(&reminded.write()), Some(reminded));
        }
        for odd in ["", "true", "{}", r#"{"run":"a","at":"b","since":"soon","times":1,"last":null}"#] {
            assert_eq!(Reminded::read(odd), None, "{odd}");
        }
    }
}
