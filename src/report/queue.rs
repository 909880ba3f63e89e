//! What sinks take in and `run` sends, one after the other, beside the work.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Of these, so many wait at most; what comes then is lost. A run tells people of less in all.
const MOST: usize = 256;

/// Shared by the sink that fills it and the run that sends what is in it.
pub struct Queue<T> {
    state: Arc<Mutex<State<T>>>,
    news: Arc<Notify>,
    empty: Arc<Notify>,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Since [`Queue::emptied`], one did not arrive.
    lost: bool,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue { state: self.state.clone(), news: self.news.clone(), empty: self.empty.clone() }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State { waiting: VecDeque::new(), lost: false };
        Queue { state: Arc::new(Mutex::new(state)), news: Arc::default(), empty: Arc::default() }
    }
}

impl<T: Clone> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Behind all that wait.
    pub(super) fn put(&self, item: T) {
        let mut state = self.state();
        if state.waiting.len() < MOST {
            state.waiting.push_back(item);
        } else {
            state.lost = true;
        }
        drop(state);
        self.news.notify_one();
    }

    /// The oldest, once there is one. It stays until [`Queue::sent`].
    pub async fn next(&self) -> T {
        loop {
            if let Some(item) = self.state().waiting.front() {
                return item.clone();
            }
            self.news.notified().await;
        }
    }

    /// The oldest was sent, and has arrived or not.
    pub fn sent(&self, arrived: bool) {
        let mut state = self.state();
        state.waiting.pop_front();
        state.lost |= !arrived;
        if state.waiting.is_empty() {
            self.empty.notify_one();
        }
    }

    /// Waits until nothing is left. False: something that came since this was last asked has not arrived.
    pub async fn emptied(&self) -> bool {
        while !self.state().waiting.is_empty() {
            self.empty.notified().await;
        }
        !std::mem::take(&mut self.state().lost)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::FutureExt;

    use super::*;

    #[test]
    fn all_leave_in_their_order_and_one_that_was_lost_is_known_once() {
        let queue = Queue::default();
        assert_eq!((queue.next().now_or_never(), queue.emptied().now_or_never()), (None, Some(true)));
        queue.put("ann");
        queue.put("ben");
        assert_eq!(queue.emptied().now_or_never(), None);
        assert_eq!(queue.next().now_or_never(), Some("ann"));
        queue.sent(false);
        assert_eq!(queue.next().now_or_never(), Some("ben"));
        queue.sent(true);
        assert_eq!((queue.emptied().now_or_never(), queue.emptied().now_or_never()), (Some(false), Some(true)));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for_and_that_is_known() {
        let queue = Queue::default();
        (0..=MOST).for_each(|number| queue.put(number));
        for number in 0..MOST {
            assert_eq!(queue.next().now_or_never(), Some(number));
            queue.sent(true);
        }
        assert_eq!(queue.next().now_or_never(), None);
        assert_eq!(queue.emptied().now_or_never(), Some(false));
    }
}
