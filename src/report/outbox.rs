//! The sink for whoever looks at no screen: it keeps messages until `run` has sent them.

use jiff::Timestamp;

use super::queue::Queue;
use super::{Event, Notice, Sink};
use crate::plan::model::webhook::Message;

/// What one process has to tell, shared by the sink that takes it in and the run that sends it.
#[derive(Clone, Default)]
pub struct Outbox(Queue<Message>);

impl Outbox {
    /// The messages that are to be sent. Each is tried once, for an answer may be lost where the message was not.
    pub fn queue(&self) -> &Queue<Message> {
        &self.0
    }
}

impl Sink for Outbox {
    fn event(&mut self, _: Timestamp, _: &Event) {}

    fn notice(&mut self, now: Timestamp, cluster: &str, place: &str, notice: &Notice) {
        self.0.put(notice.message(now, cluster, place));
    }
}
