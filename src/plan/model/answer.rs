//! What a gate was told. Unknown is an answer too, and it holds: there is no default to fall back on.

use crate::failure::Cause;
use crate::words::Texts;

/// What somebody outside was asked, and said or did not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Known(T),
    /// Nobody could say, and why.
    Unknown(String),
}

impl<T: Texts> Texts for Answer<T> {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        match self {
            Answer::Known(value) => value.texts(edit),
            Answer::Unknown(why) => why.texts(edit),
        }
    }
}

/// What a gate decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Time may change it: reasons, one a line.
    Hold(Vec<String>),
    /// Only a person can change it: reasons, one a line.
    Refuse(Vec<String>),
}

impl Verdict {
    /// Holds with these reasons; without any it passes.
    pub fn hold_if(reasons: Vec<String>) -> Self {
        if reasons.is_empty() { Verdict::Pass } else { Verdict::Hold(reasons) }
    }

    /// Several gates as one: what needs a person outweighs what needs time; no reason gets lost.
    pub fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for verdict in verdicts {
            match verdict {
                Verdict::Pass => {}
                Verdict::Hold(reasons) => held.extend(reasons),
                Verdict::Refuse(reasons) => refused.extend(reasons),
            }
        }
        if refused.is_empty() {
            Verdict::hold_if(held)
        } else {
            refused.extend(held);
            Verdict::Refuse(refused)
        }
    }

    /// The gate named `what` as a step's result.
    pub fn into_result(self, what: &str) -> Result<(), Cause> {
        match self {
            Verdict::Pass => Ok(()),
            Verdict::Hold(reasons) => Err(Cause::hold(what).detail(reasons)),
            Verdict::Refuse(reasons) => Err(Cause::refused(what).detail(reasons)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_outweighs_a_hold_and_no_reason_is_lost() {
        let hold = || Verdict::Hold(vec!["wait".into()]);
        assert_eq!(Verdict::all([Verdict::Pass, Verdict::Pass]), Verdict::Pass);
        assert_eq!(Verdict::all([Verdict::Pass, hold()]), hold());
        assert_eq!(
            Verdict::all([hold(), Verdict::Refuse(vec!["mend".into()])]),
            Verdict::Refuse(vec!["mend".into(), "wait".into()])
        );
    }
}
