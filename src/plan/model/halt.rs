//! What a person has said about a run, as the annotations carry it: that it is halted, and what was skipped.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Upgrades are halted. It says what was set, so that lifting it undoes that and no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Halt {
    pub by: String,
    pub at: Option<Timestamp>,
    pub reason: String,
    /// A run stops at its next safe point, and none starts; without it only what stands below was set.
    pub run: bool,
    /// It was us who suspended the detection's CronJob.
    pub suspended: bool,
    /// The gauge of the blocker alert is pushed.
    pub blocker: bool,
}

impl Halt {
    /// Whatever stands there halts: a text that somebody wrote by hand is its own reason.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Halt { reason: text.to_owned(), run: true, ..Halt::default() })
    }

    /// As the annotation carries it.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Both: what was set before stays set. The newer word and name are what people read; who gives no word takes none away.
    pub fn beside(self, former: Option<&Halt>) -> Self {
        let Some(former) = former else { return self };
        Halt {
            run: self.run || former.run,
            suspended: self.suspended || former.suspended,
            blocker: self.blocker || former.blocker,
            reason: if self.reason.is_empty() { former.reason.clone() } else { self.reason },
            ..self
        }
    }

    /// What is halted, for people.
    pub fn scope(&self) -> &'static str {
        match (self.run, self.blocker) {
            (true, _) => "upgrades are halted",
            (false, true) => "the alert that blocks upgrades and reboots is raised",
            (false, false) => "detection is suspended",
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.by.is_empty() { "" } else { " by " };
        write!(f, "{}{by}{}", self.scope(), self.by)?;
        if let Some(at) = self.at {
            write!(f, " at {}", at.strftime("%Y-%m-%d %H:%M UTC"))?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// A step of the run that a person skipped by force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// As [`super::facts::Step::token`] writes it.
    pub step: String,
    pub by: String,
    pub reason: String,
}

impl Skip {
    /// A list; names with commas between, as somebody may write them by hand, are steps of which no more is known.
    pub fn read(text: &str) -> Vec<Self> {
        serde_json::from_str(text).unwrap_or_else(|_| text.split(',').map(|step| Skip::from(step.trim())).collect())
    }

    /// All annotations of an object together have no more than 256 KiB
    /// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/>): these have so much of it.
    pub const MOST_BYTES: usize = 48 << 10;

    /// These, and of `more` those whose steps are not among them.
    pub fn beside(skips: &[Skip], more: &[Skip]) -> Vec<Skip> {
        let new = more.iter().filter(|skip| skips.iter().all(|known| known.step != skip.step));
        skips.iter().chain(new).cloned().collect()
    }

    /// As the annotation carries them.
    pub fn write(skips: &[Skip]) -> String {
        serde_json::json!(skips).to_string()
    }
}

impl From<&str> for Skip {
    fn from(step: &str) -> Self {
        Skip { step: step.to_owned(), by: "somebody".to_owned(), reason: "not recorded".to_owned() }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {}: {})", self.step, self.by, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_reads_back_and_any_text_halts() {
        let halt = Halt { by: "ann".into(), reason: "disks".into(), run: true, suspended: true, ..Halt::default() };
        assert_eq!(Halt::read(&halt.write()), halt);
        assert_eq!(halt.to_string(), "upgrades are halted by ann: disks");
        for text in ["a person says so", "true", "{", "[1]", "{\"run\":\"maybe\"}"] {
            let read = Halt::read(text);
            assert!(read.run && !read.suspended && !read.blocker && read.reason == text, "{read:?}");
        }
    }

    #[test]
    fn what_was_set_before_stays_set() {
        let blocker = Halt { blocker: true, reason: "first".into(), ..Halt::default() };
        let both = Halt { run: true, reason: "second".into(), ..Halt::default() }.beside(Some(&blocker));
        assert_eq!((both.run, both.blocker, both.suspended, both.reason.as_str()), (true, true, false, "second"));
        assert_eq!(Halt::default().beside(Some(&both)).reason, "second");
    }

    #[test]
    fn skips_read_back_and_bare_names_are_skips() {
        let skips = vec![Skip { step: "worker/n".into(), by: "ann".into(), reason: "a, b".into() }];
        assert_eq!(Skip::read(&Skip::write(&skips)), skips);
        let steps: Vec<String> = Skip::read("preflight,worker/n").into_iter().map(|skip| skip.step).collect();
        assert_eq!(steps, ["preflight", "worker/n"]);
    }
}
