//! Tells people who look at no screen. One that cannot be told stops nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::clients::{Notifier, Slack};
use crate::failure::Cause;
use crate::report::Notice;
use crate::run::outside::Credentials;
use crate::run::session::{Change, Session};
use crate::settings::{PlainHttp, Settings};
use crate::world::Web;

const SEND: Duration = Duration::from_secs(10);

/// All who are to be told.
pub struct Notices {
    settings: Arc<Settings>,
    session: Arc<Session>,
    credentials: Arc<Credentials>,
    web: Arc<dyn Web>,
}

impl Notices {
    /// Has told nobody yet.
    pub fn new(settings: Arc<Settings>, session: Arc<Session>, credentials: Arc<Credentials>, web: Arc<dyn Web>) -> Self {
        Notices { settings, session, credentials, web }
    }

    /// Sends a notice to all who are to be told. False: somebody could not be.
    pub async fn send(&self, notice: &Notice) -> bool {
        let text = notice.text(&self.settings.cluster_name);
        let change = Change::settle("slack", "tell Slack", SEND * 2).silent();
        let told = self.session.change(change, async {
            let mut sent = Ok(());
            // One that is away keeps nothing from the others.
            for notifier in self.notifiers().await? {
                sent = sent.and(notifier.send(&text, SEND).await);
            }
            sent
        });
        if let Err(cause) = told.await {
            self.session.warn("slack", format!("could not be notified, work goes on: {}", cause.what));
            return false;
        }
        true
    }

    /// All that the settings and the credentials name; a new one is a line here and a file in `clients`.
    async fn notifiers(&self) -> Result<Vec<Box<dyn Notifier>>, Cause> {
        let slack = self.slack().await?.map(|slack| Box::new(slack) as Box<dyn Notifier>);
        Ok(slack.into_iter().collect())
    }

    /// None: there is no webhook.
    async fn slack(&self) -> Result<Option<Slack>, Cause> {
        let Some(webhook) = self.credentials.get().await?.slack.clone() else { return Ok(None) };
        if !self.settings.allows(PlainHttp::SlackWebhook, &webhook) {
            let stated = format!("plain-http: [{}]", PlainHttp::SlackWebhook);
            let what = format!("the webhook, a secret, is http:// to another machine: write https://, or set {stated}");
            return Err(Cause::usage(what));
        }
        Slack::new(&webhook, self.web.clone()).map(Some)
    }
}
