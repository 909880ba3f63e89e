//! Several at a time, each bounded: who changes nodes by the setting `parallel`, who only looks at them by a number of its own.

use futures::{StreamExt, stream};

use crate::settings::Settings;

/// So many sessions at once in which nodes are only looked at: each takes a thread here, and nothing there that anybody would feel.
pub const LOOKS: usize = 64;

/// What becomes of each, in the order in which they are given, never more at once than the setting `parallel` says. One that takes long keeps no
/// other from its turn.
pub async fn each<F: Future>(settings: &Settings, tasks: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    bounded(usize::from(settings.parallel), tasks).await
}

/// The same of those who only look at nodes. All begin at once, and [`crate::run::ssh`] bounds their sessions: one that waits for a node to answer
/// keeps no place that another could have.
pub async fn looks<F: Future>(tasks: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    bounded(usize::MAX, tasks).await
}

/// The same where each has a deadline for all that it asks: that begins with its turn.
pub async fn looks_in_turn<F: Future>(tasks: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    bounded(LOOKS, tasks).await
}

async fn bounded<F: Future>(most: usize, tasks: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let numbered = tasks.into_iter().enumerate().map(|(number, task)| async move { (number, task.await) });
    let mut all: Vec<_> = stream::iter(numbered).buffer_unordered(most).collect().await;
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, end)| end).collect()
}
