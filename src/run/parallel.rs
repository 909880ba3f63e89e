//! Several at a time, never more than the setting `parallel` says.

use futures::{StreamExt, stream};

use crate::settings::Settings;

/// What becomes of each, in the order in which they are given. One that takes long keeps no other from its turn.
pub async fn each<F: Future>(settings: &Settings, tasks: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let numbered = tasks.into_iter().enumerate().map(|(number, task)| async move { (number, task.await) });
    let mut all: Vec<_> = stream::iter(numbered).buffer_unordered(usize::from(settings.parallel)).collect().await;
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, end)| end).collect()
}
