//! The sink for whoever looks at no screen: it keeps messages until `run` has sent them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{Event, Notice, Sink};

/// What one process has to tell, shared by the sink that takes it in and the run that sends it.
#[derive(Clone, Default)]
pub struct Outbox {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
    empty: Arc<Notify>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    /// Of those that were sent since [`Outbox::emptied`], one did not arrive.
    lost: bool,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest message, once there is one. It stays until [`Outbox::sent`].
    pub async fn next(&self) -> String {
        loop {
            if let Some(message) = self.state().waiting.front() {
                return message.clone();
            }
            self.news.notified().await;
        }
    }

    /// The oldest message was sent, and has arrived or not: it is tried once, for an answer may be lost where the message was not.
    pub fn sent(&self, arrived: bool) {
        let mut state = self.state();
        state.waiting.pop_front();
        state.lost |= !arrived;
        if state.waiting.is_empty() {
            self.empty.notify_one();
        }
    }

    /// Waits until nothing is left. False: something that was told since this was last asked has not arrived.
    pub async fn emptied(&self) -> bool {
        while !self.state().waiting.is_empty() {
            self.empty.notified().await;
        }
        !std::mem::take(&mut self.state().lost)
    }
}

impl Sink for Outbox {
    fn event(&mut self, _: Timestamp, _: &Event) {}

    fn notice(&mut self, _: Timestamp, cluster: &str, _: &str, notice: &Notice) {
        self.state().waiting.push_back(notice.text(cluster));
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::FutureExt;

    use super::*;

    fn told(outbox: &mut Outbox, by: &str) {
        outbox.notice(Timestamp::UNIX_EPOCH, "homelab", "halt", &Notice::Lifted { by: by.to_owned() });
    }

    #[test]
    fn messages_leave_in_their_order_and_one_that_was_lost_is_known_once() {
        let mut outbox = Outbox::default();
        assert_eq!((outbox.next().now_or_never(), outbox.emptied().now_or_never()), (None, Some(true)));
        told(&mut outbox, "ann");
        told(&mut outbox, "ben");
        assert_eq!(outbox.emptied().now_or_never(), None);
        assert!(outbox.next().now_or_never().unwrap().contains("ann"));
        outbox.sent(false);
        assert!(outbox.next().now_or_never().unwrap().contains("ben"));
        outbox.sent(true);
        assert_eq!((outbox.emptied().now_or_never(), outbox.emptied().now_or_never()), (Some(false), Some(true)));
    }
}
