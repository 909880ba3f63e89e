//! What a gate was told. Unknown is an answer too, and it holds: there is no default to fall back on.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Known(T),
    /// Nobody could say, and why.
    Unknown(String),
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
