//! Long work on a node: begun as the node's one transient unit, then followed to its end, across lost sessions and lost runners.

use std::time::Duration;

use crate::failure::{Cause, Class};
use crate::guard::Guard;
use crate::node::{Begin, Begun, Follow, Step, Target};
use crate::permit::ChangeClass;
use crate::plan::model::facts::Node;
use crate::run::session::Change;
use crate::run::ssh::Ssh;
use crate::words::RunId;

/// One look at the log lasts this long; then the Lease is renewed.
const LOOK: Duration = Duration::from_secs(8);

impl Ssh {
    /// Does one long step on a node, or attaches to it where it already runs. From a node's first change on the class is settle: no
    /// stop signal leaves it half done.
    pub async fn work(
        &self,
        node: &Node,
        class: ChangeClass,
        label: &str,
        step: Step,
        target: Target,
        run: &RunId,
    ) -> Result<(), Cause> {
        let begin = Begin { step, target, run: run.clone() };
        let change = Change { class, ..Change::disrupt(&node.name, label, self.settings.step_deadline) };
        self.session
            .change(change, async {
                if self.begin(node, &begin).await? == Begun::Attached {
                    self.session.note(&node.name, format!("{label} was already running: attached to it"));
                }
                self.follow(node).await
            })
            .await
    }

    /// A session cut while it begins is no harm: a second begin attaches.
    async fn begin(&self, node: &Node, begin: &Begin) -> Result<Begun, Cause> {
        match self.on_node(node, begin).await {
            Err(cause) if cause.class == Class::Step => {
                self.session.warn(&node.name, format!("{}; looking again", cause.what));
                self.on_node(node, begin).await
            }
            other => other,
        }
    }

    /// Follows the node's work to its end. A session that is lost is taken up again where its log was; only the caller's deadline
    /// ends that, for the work itself goes on.
    pub async fn follow(&self, node: &Node) -> Result<(), Cause> {
        let mut from = 0;
        loop {
            match self.on_node_telling(node, &Follow { from, wait: LOOK }).await {
                Ok(followed) => {
                    from = followed.offset;
                    if let Some(end) = followed.end() {
                        return end;
                    }
                }
                Err(cause) if matches!(cause.class, Class::Unreachable | Class::Step) => {
                    self.session.warn(&node.name, format!("{}; the work on the node goes on, looking again", cause.what));
                    self.session.sleep(Duration::from_secs(5), false).await;
                }
                Err(cause) => return Err(cause),
            }
            self.session.keep(Guard::LeaseInWork).await?;
        }
    }
}
