//! What an installation and an upgrade need, in sections: what `check` shows, before and after installing.

use crate::failure::{Cause, Class};
use crate::plan::decide::gates::first_few;
use crate::plan::view::health;
use crate::words::texts;

/// How it is with one thing that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Nothing is amiss, but somebody should know; or time mends it.
    Mind,
    /// A run would not begin, or would not come to its end.
    Bad,
}

/// One thing that is needed, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub standing: Standing,
    pub says: String,
    /// More of it, a line each.
    pub detail: Vec<String>,
    /// What to type about it.
    pub command: Option<String>,
}

texts!(none: Standing);
texts!(Finding { standing, says, detail, command });

/// So many nodes of which the same is to be said are named.
const NAMED: usize = 10;

impl Finding {
    /// As it should be.
    pub fn good(says: impl Into<String>) -> Self {
        Finding { standing: Standing::Good, says: says.into(), detail: Vec::new(), command: None }
    }

    /// To be known, with what to type.
    pub fn mind(says: impl Into<String>, command: impl Into<String>) -> Self {
        Finding { standing: Standing::Mind, says: says.into(), detail: Vec::new(), command: Some(command.into()) }
    }

    /// What was asked: `good` is what an answer without complaint means. What only time mends is no mistake of anybody.
    pub fn of(good: impl Into<String>, answer: Result<(), Cause>) -> Self {
        let Err(cause) = answer else { return Finding::good(good) };
        let standing = if cause.class == Class::Hold { Standing::Mind } else { Standing::Bad };
        let command = cause.next.first().map(ToString::to_string);
        Finding { standing, says: cause.what, detail: cause.detail, command }
    }

    /// The same, for what a person may go without.
    pub fn minded(self) -> Self {
        let standing = if self.standing == Standing::Bad { Standing::Mind } else { self.standing };
        Finding { standing, ..self }
    }

    /// Of nodes, by name: what is the same of several is said once, in the order of the first of them.
    pub fn of_nodes(each: Vec<(String, Finding)>) -> Vec<Finding> {
        let mut alike: Vec<(Vec<String>, Finding)> = Vec::new();
        for (node, finding) in each {
            match alike.iter_mut().find(|(_, other)| *other == finding) {
                Some((nodes, _)) => nodes.push(node),
                None => alike.push((vec![node], finding)),
            }
        }
        let named = |(nodes, finding): (Vec<String>, Finding)| Finding {
            says: format!("{}: {}", first_few(&nodes, NAMED), finding.says),
            ..finding
        };
        alike.into_iter().map(named).collect()
    }
}

impl From<health::Check> for Finding {
    fn from(check: health::Check) -> Self {
        let standing = if check.ok { Standing::Good } else { Standing::Bad };
        Finding { standing, says: format!("{}: {}", check.name, check.says), detail: Vec::new(), command: check.command }
    }
}

/// What is looked at together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: &'static str,
    pub findings: Vec<Finding>,
}

texts!(Section { name, findings });

/// How many findings stand so.
pub fn count(sections: &[Section], standing: Standing) -> usize {
    sections.iter().flat_map(|section| &section.findings).filter(|finding| finding.standing == standing).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_of_several_nodes_is_said_once() {
        let away = || Finding::of("fine", Err(Cause::unreachable("no answer").next("ssh NODE")));
        let nodes = (1..=15).map(|i| (format!("n{i}"), if i % 5 == 2 { away() } else { Finding::good("fine") }));
        let told = Finding::of_nodes(nodes.collect());
        let says: Vec<&str> = told.iter().map(|finding| finding.says.as_str()).collect();
        assert_eq!(says, ["n1, n3, n4, n5, n6, n8, n9, n10, n11, n13 and 2 more: fine", "n2, n7, n12: no answer"]);
        assert_eq!(told[1].command.as_deref(), Some("ssh NODE"));
    }
}
