//! What people are told who look at no screen, as data; its text is the same for every notifier.

use std::time::Duration;

use jiff::Timestamp;

use super::{Event, span};
use crate::failure::{Class, Failure};
use crate::plan::model::approved::Approved;
use crate::plan::model::halt::{Halt, Skip};
use crate::plan::model::policy::Days;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::plan::model::webhook::{Message, NoticeKind};
use crate::plan::view::still_held::StillHeld;
use crate::words::command;

/// One message, sent once.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The run is claimed, and its snapshot made.
    Begun {
        from: String,
        target: Version,
        kind: UpgradeKind,
        /// Path, and how it was verified.
        snapshot: String,
        bytes: u64,
        hash: String,
        /// Where on each control plane the restore card lies.
        card: String,
    },
    /// A node is at the target, and has soaked.
    NodeDone {
        node: String,
        target: Version,
    },
    /// The run is over.
    Done {
        target: Version,
        took: Option<Duration>,
        /// Nodes that the settings exclude.
        excluded: Vec<String>,
        /// What a person skipped by force, and what was left out: with any, the upgrade is partial.
        skipped: Vec<Skip>,
    },
    Skipped {
        target: Version,
        skip: Skip,
    },
    /// A worker that can never be drained is not upgraded by this run.
    LeftOut {
        target: Version,
        skip: Skip,
    },
    /// A pod is deleted that its budget can never release, as the setting `undrainable` wants it.
    Forced {
        node: String,
        pod: String,
        /// What the budget says.
        says: String,
        /// So long its eviction was refused.
        after: Duration,
    },
    /// A gate is closed before anything was claimed.
    Deferred {
        target: Version,
        what: String,
        reasons: String,
    },
    /// The run has come to the end of a window.
    Rests {
        target: Version,
        /// Whose turn is next.
        node: String,
        /// Why, and until when.
        closed: String,
    },
    /// The run has done the one worker that it was begun for.
    Only {
        target: Version,
        node: String,
    },
    /// A release is there, and begins by nobody's word but a person's.
    Asks {
        release: Version,
        running: Version,
        /// So long an approval holds.
        holds: Days,
    },
    /// A newer release is there that the settings keep detection from.
    PassedOver {
        release: Version,
        /// By which of them.
        why: String,
    },
    /// A person lets a run begin.
    Approved {
        approved: Approved,
        /// When it does.
        begins: String,
    },
    /// That is taken back.
    Withdrawn {
        release: Version,
        by: String,
    },
    /// It holds no more, and nothing has begun.
    Expired {
        approved: Approved,
    },
    Failed(Failure),
    /// A reminder: a run has stood for long.
    StillHeld(StillHeld),
    Halted(Halt),
    Lifted {
        by: String,
    },
    Cleared {
        by: String,
    },
}

impl Notice {
    /// What screens, logs and the journal tell of the same fact; None: other events say so.
    pub fn event(&self, cluster: &str, place: &str) -> Option<Event> {
        let did = |text: String| Some(Event::Did { place: place.to_owned(), text });
        let warns = |text: String| Some(Event::Warning { place: place.to_owned(), text });
        match self {
            Notice::Begun { .. } | Notice::NodeDone { .. } | Notice::Failed(_) => None,
            Notice::Done { skipped, .. } => Some(Event::RunDone { text: self.text(cluster), whole: skipped.is_empty() }),
            Notice::LeftOut { skip, .. } => warns(format!("left out: {skip}; the run will end as partial")),
            Notice::Forced { pod, says, after, .. } => warns(forced(pod, says, *after)),
            Notice::Skipped { skip, .. } => did(format!("skipped {skip}; the run will end as partial")),
            Notice::Deferred { reasons, .. } if reasons.is_empty() => warns(self.brief()),
            Notice::Deferred { what, reasons, .. } => warns(format!("deferred: {what}: {reasons}")),
            Notice::Rests { node, closed, .. } => did(format!("the run rests before {node}: {closed}")),
            Notice::Only { node, .. } => did(format!("the run stops after {node}, as it was begun for that worker alone")),
            Notice::Asks { .. } | Notice::Expired { .. } => warns(self.brief()),
            Notice::PassedOver { .. } | Notice::Approved { .. } | Notice::Withdrawn { .. } => did(self.brief()),
            Notice::StillHeld(held) => {
                let why: Vec<&str> = held.why.iter().map(|(why, _)| why.as_str()).collect();
                warns(format!("people are reminded: {}: {}", stands(held), why.join("; ")))
            }
            Notice::Halted(halt) => did(halt.to_string()),
            Notice::Lifted { .. } => did("lifted".to_owned()),
            Notice::Cleared { .. } => {
                did("cleared; a person's cordons, finished Jobs and the nodes' versions are as they were".to_owned())
            }
        }
    }

    /// What it is about in one line, of what is no part of a run.
    pub fn brief(&self) -> String {
        match self {
            Notice::Asks { release, running, .. } => {
                let kind = UpgradeKind::between(*running, *release);
                format!("{release} is there, and waits for a person's approval (setting {kind}: ask)")
            }
            Notice::PassedOver { release, why } => format!("{release} is there, and passed over ({why})"),
            Notice::Approved { approved, begins } => format!("approved: {}; it begins {begins}", approved.words()),
            Notice::Withdrawn { release, by } => format!("the approval of {release} is taken back by {by}"),
            Notice::Expired { approved } => {
                format!("the approval of {} by {} is over, and no run could begin", approved.release, approved.by)
            }
            Notice::Deferred { target, what, reasons } => {
                let reasons = if reasons.is_empty() { String::new() } else { format!(": {reasons}") };
                format!("deferred: {target} is there, but {what}{reasons}")
            }
            other => other.text(""),
        }
    }

    /// The place that it is about, where it names one: a node, or where something failed.
    pub fn about(&self) -> Option<&str> {
        match self {
            Notice::NodeDone { node, .. }
            | Notice::Forced { node, .. }
            | Notice::Rests { node, .. }
            | Notice::Only { node, .. } => Some(node),
            // A step's token: its phase, and behind a slash its node.
            Notice::Skipped { skip, .. } | Notice::LeftOut { skip, .. } => Some(skip.step.split_once('/')?.1),
            Notice::Failed(failure) => Some(&failure.place),
            Notice::StillHeld(held) => held.out.first().map(|(node, _)| node.as_str()),
            _ => None,
        }
    }

    fn kind(&self) -> NoticeKind {
        match self {
            Notice::Begun { .. } => NoticeKind::Started,
            Notice::NodeDone { .. } => NoticeKind::NodeDone,
            Notice::Done { skipped, .. } if skipped.is_empty() => NoticeKind::Done,
            Notice::Done { .. } => NoticeKind::Partial,
            Notice::Skipped { .. } => NoticeKind::Skipped,
            Notice::LeftOut { .. } => NoticeKind::LeftOut,
            Notice::Forced { .. } => NoticeKind::Forced,
            Notice::Deferred { .. } => NoticeKind::Deferred,
            Notice::Rests { .. } => NoticeKind::Rests,
            Notice::Only { .. } => NoticeKind::Only,
            // Both want the same of a person.
            Notice::Asks { .. } | Notice::Expired { .. } => NoticeKind::Asks,
            Notice::PassedOver { .. } => NoticeKind::PassedOver,
            Notice::Approved { .. } | Notice::Withdrawn { .. } => NoticeKind::Approved,
            Notice::Failed(failure) if failure.class() == Class::Hold => NoticeKind::Held,
            Notice::Failed(_) => NoticeKind::Failed,
            // Whoever wants to know of holds wants to be reminded of them.
            Notice::StillHeld(_) => NoticeKind::Held,
            Notice::Halted(_) => NoticeKind::Halted,
            Notice::Lifted { .. } => NoticeKind::Lifted,
            Notice::Cleared { .. } => NoticeKind::Cleared,
        }
    }

    fn target(&self) -> Option<Version> {
        match self {
            Notice::Begun { target, .. }
            | Notice::NodeDone { target, .. }
            | Notice::Done { target, .. }
            | Notice::Skipped { target, .. }
            | Notice::LeftOut { target, .. }
            | Notice::Deferred { target, .. }
            | Notice::Rests { target, .. }
            | Notice::Only { target, .. } => Some(*target),
            Notice::Asks { release, .. } | Notice::PassedOver { release, .. } | Notice::Withdrawn { release, .. } => {
                Some(*release)
            }
            Notice::Approved { approved, .. } | Notice::Expired { approved } => Some(approved.release),
            Notice::StillHeld(held) => held.target,
            Notice::Forced { .. } | Notice::Failed(_) | Notice::Halted(_) | Notice::Lifted { .. } | Notice::Cleared { .. } => {
                None
            }
        }
    }

    /// To whoever is told of it; `place`: where it happened, unless it says so itself.
    pub fn message(&self, at: Timestamp, cluster: &str, place: &str) -> Message {
        let place = self.about().unwrap_or(place).to_owned();
        let (kind, target) = (self.kind(), self.target());
        Message { at, kind, cluster: cluster.to_owned(), place, target, text: self.text(cluster) }
    }

    /// As one message; `cluster` is the setting `cluster-name`.
    pub fn text(&self, cluster: &str) -> String {
        match self {
            Notice::Begun { from, target, kind, snapshot, bytes, hash, card } => format!(
                "⬆️ {cluster}: K8s upgrade {from} → {target} ({kind}) begins. etcd snapshot {snapshot} ({bytes} bytes, {hash}). \
                 Restore card: {card} on each control plane"
            ),
            Notice::NodeDone { node, target } => format!("✔️ {cluster}: {node} is at {target}"),
            Notice::Done { target, took, excluded, skipped } => {
                let took = took.map_or(String::new(), |took| format!(" after {}", span(took)));
                let without = match excluded.as_slice() {
                    [] => String::new(),
                    excluded => format!(" (without {}, excluded)", excluded.join(", ")),
                };
                match skipped.as_slice() {
                    [] => format!("✅ K8s upgrade complete: {cluster} is at {target}{took}{without}"),
                    skipped => {
                        let skipped = skipped.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                        format!("⚠️ K8s upgrade partial: {cluster} is at {target}{took}{without}; skipped: {skipped}")
                    }
                }
            }
            Notice::Skipped { target, skip } => format!("⚠️ {cluster}: K8s upgrade to {target}: skipped {skip}"),
            Notice::LeftOut { target, skip } => format!("⚠️ {cluster}: K8s upgrade to {target}: left out {skip}"),
            Notice::Forced { node, pod, says, after } => format!("⚠️ {cluster}: {node}: {}", forced(pod, says, *after)),
            Notice::Deferred { target, what, reasons } => {
                let reasons = if reasons.is_empty() { String::new() } else { format!(": {reasons}") };
                format!("⏸️ {cluster}: K8s upgrade to {target} deferred: {what}{reasons}")
            }
            Notice::Rests { target, node, closed } => {
                format!("⏸️ {cluster}: K8s upgrade to {target} rests before {node}: {closed}. All nodes serve meanwhile")
            }
            Notice::Only { target, node } => format!(
                "⏸️ {cluster}: {node} is at {target}, and the K8s upgrade stops here, as it was begun for that worker alone.\n\
                 Next: {}\n      {}",
                ONWARD,
                back(node)
            ),
            Notice::Asks { release, running, holds } => format!(
                "🙋 {cluster}: K8s {running} → {release}: {}.\nNext: {}",
                self.brief(),
                command!("k8s-upgrade approve {}    # within {} it begins by itself, in a window", release, holds)
            ),
            Notice::PassedOver { .. } => format!("⏭️ {cluster}: K8s {}", self.brief()),
            Notice::Approved { .. } => format!("👍 {cluster}: K8s upgrade {}", self.brief()),
            Notice::Withdrawn { .. } => format!("✋ {cluster}: K8s upgrade: {}", self.brief()),
            Notice::Expired { approved } => format!(
                "⌛ {cluster}: K8s upgrade: {}.\nNext: {}",
                self.brief(),
                command!("k8s-upgrade approve {}    # once more", approved.release)
            ),
            Notice::Failed(failure) => format!("🛑 {cluster}: K8s upgrade\n{failure}"),
            Notice::StillHeld(held) => format!("⏳ {cluster}: {}", reminder(held)),
            Notice::Halted(halt) => format!("⏸️ {cluster}: {halt}"),
            Notice::Lifted { by } => format!("▶️ {cluster}: the halt is lifted by {by}"),
            Notice::Cleared { by } => format!("🧹 {cluster}: the state of the run was cleared by {by}"),
        }
    }
}

/// How a run goes on that was begun for one worker.
pub const ONWARD: &str = "k8s-upgrade resume    # goes on with the others";

/// How one goes back from there.
pub fn back(node: &str) -> String {
    command!("k8s-upgrade rollback {}    # takes it back; then k8s-upgrade clear-state gives the run up", node)
}

/// Where it stands, and for how long.
fn stands(held: &StillHeld) -> String {
    let to = held.target.map_or(String::new(), |target| format!(" to {target}"));
    let since = held.since.strftime("%Y-%m-%d %H:%M UTC");
    format!("K8s upgrade{to} {} for {}, since {since}", held.at, span(held.lasts))
}

/// All that a person wants to know who reads it at 3 a.m.; in the words of `status`.
fn reminder(held: &StillHeld) -> String {
    let lasting = |lasts: &Option<Duration>| lasts.map_or(String::new(), |lasts| format!(", for {} now", span(lasts)));
    let mut lines = vec![stands(held)];
    lines.extend(held.why.iter().map(|(why, lasts)| format!("Held by: {why}{}", lasting(lasts))));
    lines.extend(held.out.iter().map(|(node, lasts)| format!("Out of service: {node}{}", lasting(lasts))));
    lines.extend(held.drains.iter().map(|(node, drains)| format!("{node}: {drains}")));
    lines.push(held.then.clone());
    let label = |i| if i == 0 { "Next: " } else { "      " };
    lines.extend(held.next.iter().enumerate().map(|(i, command)| format!("{}{command}", label(i))));
    lines.join("\n")
}

fn forced(pod: &str, says: &str, after: Duration) -> String {
    format!("{pod} is deleted: its eviction was refused for {} ({says}; setting undrainable: force-after)", span(after))
}

/// One of every kind, for whoever must do with all of them.
#[cfg(test)]
pub mod samples {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Cause;
    use crate::plan::decide::reminders::At;

    /// Of some kinds several, where they differ.
    pub fn all() -> Vec<Notice> {
        let target: Version = "1.36.3".parse().unwrap();
        let skip = || Skip { step: "worker/k8s-node3".into(), by: "ann".into(), reason: "\"disk\"\n\\ {text}".into() };
        let failed = |class| {
            Notice::Failed(Failure {
                cause: Cause::new(class, "kubeadm upgrade node failed"),
                place: "k8s-node3".into(),
                state: "It is cordoned.".into(),
                next: Vec::new(),
            })
        };
        let lasts = Duration::from_secs(3600);
        let held = StillHeld {
            target: Some(target),
            at: At::Step(None),
            since: Timestamp::UNIX_EPOCH,
            lasts,
            why: vec![("firing: DiskFull".into(), Some(lasts))],
            out: vec![("k8s-node3".into(), None)],
            drains: Vec::new(),
            then: "Nothing else will start.".into(),
            next: vec!["k8s-upgrade status".into()],
        };
        let approved = Approved {
            release: target,
            run: "5f3a21bc".parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH,
            by: "ann".into(),
        };
        let done = |skipped| Notice::Done { target, took: Some(lasts), excluded: Vec::new(), skipped };
        vec![
            Notice::Begun {
                from: "1.35.4".into(),
                target,
                kind: UpgradeKind::Minor,
                snapshot: "/var/backups/etcd.db".into(),
                bytes: 1 << 20,
                hash: "crc ok".into(),
                card: "/var/lib/k8s-upgrade/restore.txt".into(),
            },
            Notice::NodeDone { node: "k8s-node3".into(), target },
            done(Vec::new()),
            done(vec![skip()]),
            Notice::Skipped { target, skip: skip() },
            Notice::LeftOut { target, skip: skip() },
            Notice::Forced { node: "k8s-node3".into(), pod: "web/shop".into(), says: "allows 0".into(), after: lasts },
            Notice::Deferred { target, what: "preflight".into(), reasons: "firing: DiskFull".into() },
            Notice::Rests { target, node: "k8s-node3".into(), closed: "outside of the windows".into() },
            Notice::Only { target, node: "k8s-node3".into() },
            Notice::Asks { release: target, running: "1.35.4".parse().unwrap(), holds: "14d".parse().unwrap() },
            Notice::PassedOver { release: target, why: "setting minor: off".into() },
            Notice::Approved { approved: approved.clone(), begins: "within 10 minutes".into() },
            Notice::Withdrawn { release: target, by: "ann".into() },
            Notice::Expired { approved },
            failed(Class::Step),
            failed(Class::Hold),
            failed(Class::Halted),
            Notice::StillHeld(held),
            Notice::Halted(Halt::default()),
            Notice::Lifted { by: "ann".into() },
            Notice::Cleared { by: "ann".into() },
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::model::webhook::Webhook;

    /// As docs/webhooks.yaml has them, and the manual.
    fn examples() -> Vec<(String, Webhook)> {
        let text = include_str!("../../docs/webhooks.yaml");
        let file: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let webhooks = file["webhooks"].as_object().unwrap().clone();
        webhooks.into_iter().map(|(name, written)| (name, serde_json::from_value(written).unwrap())).collect()
    }

    #[test]
    fn every_kind_of_message_is_told_by_every_example() {
        let messages: Vec<Message> =
            samples::all().iter().map(|notice| notice.message(Timestamp::UNIX_EPOCH, "home\"lab", "watch")).collect();
        let kinds: BTreeSet<String> = messages.iter().map(|message| message.kind.to_string()).collect();
        assert_eq!(kinds, NoticeKind::ALL.iter().map(ToString::to_string).collect());
        assert_eq!(examples().len(), 3);
        for (name, webhook) in examples() {
            for message in &messages {
                let body = webhook.body(message);
                let text = if name == "ntfy" {
                    body
                } else {
                    let sent: serde_json::Value =
                        serde_json::from_str(&body).unwrap_or_else(|why| panic!("{name}: {why}: {body}"));
                    let path = if name == "teams" { "/attachments/0/content/body/0/text" } else { "/content" };
                    sent.pointer(path).unwrap().as_str().unwrap().to_owned()
                };
                assert_eq!(text, message.text(crate::plan::model::webhook::LONGEST), "{name}");
                assert!(webhook.headers(message).all(|(_, value)| !value.contains(['\n', '{'])), "{name}");
            }
        }
    }

    #[test]
    fn whoever_wants_holds_is_reminded_of_them() {
        let kind = |notice: &Notice| notice.message(Timestamp::UNIX_EPOCH, "c", "p").kind;
        let held = samples::all().into_iter().filter(|notice| kind(notice) == NoticeKind::Held);
        assert_eq!(held.map(|notice| matches!(notice, Notice::StillHeld(_))).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_message_says_where() {
        let place = |notice: &Notice| notice.message(Timestamp::UNIX_EPOCH, "c", "preflight").place;
        for notice in samples::all() {
            let node = !matches!(
                notice,
                Notice::Begun { .. }
                    | Notice::Done { .. }
                    | Notice::Deferred { .. }
                    | Notice::Asks { .. }
                    | Notice::PassedOver { .. }
                    | Notice::Approved { .. }
                    | Notice::Withdrawn { .. }
                    | Notice::Expired { .. }
                    | Notice::Halted(_)
                    | Notice::Lifted { .. }
                    | Notice::Cleared { .. }
            );
            assert_eq!(place(&notice), if node { "k8s-node3" } else { "preflight" }, "{notice:?}");
        }
    }
}
