//! Sends what the outbox holds to people who look at no screen. One that cannot be told stops nothing, and nothing waits for it but a
//! Job's successor and the end of the process, and these not for long.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::clients::{Notifier, Slack};
use crate::failure::Cause;
use crate::permit::{ChangeClass, Permit};
use crate::report::Outbox;
use crate::run::outside::Credentials;
use crate::run::session::Session;
use crate::settings::{PlainHttp, Settings};
use crate::world::Web;

/// One message to one of them.
const SEND: Duration = Duration::from_secs(10);
/// All that is still to be sent.
const FLUSH: Duration = Duration::from_secs(20);

/// All who are to be told.
pub struct Notices {
    settings: Arc<Settings>,
    session: Arc<Session>,
    credentials: Arc<Credentials>,
    web: Arc<dyn Web>,
    /// None: a command that tells nobody.
    outbox: Option<Outbox>,
}

impl Notices {
    /// Has told nobody yet.
    pub fn new(
        settings: Arc<Settings>,
        session: Arc<Session>,
        credentials: Arc<Credentials>,
        web: Arc<dyn Web>,
        outbox: Option<Outbox>,
    ) -> Self {
        Notices { settings, session, credentials, web, outbox }
    }

    /// Works, and sends meanwhile what is told; then what is left, with a deadline.
    pub async fn sending<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(outbox) = &self.outbox else { return work.await };
        let work = async {
            let worked = work.await;
            self.flush().await;
            worked
        };
        tokio::select! {
            biased;
            worked = work => worked,
            never = self.send_all(outbox) => match never {},
        }
    }

    /// Waits until all that was told has left, but not for ever. False: something has not arrived.
    pub async fn flush(&self) -> bool {
        let Some(outbox) = &self.outbox else { return true };
        tokio::time::timeout(FLUSH, outbox.queue().emptied()).await.unwrap_or(false)
    }

    async fn send_all(&self, outbox: &Outbox) -> Infallible {
        loop {
            let text = outbox.queue().next().await;
            // No change of the run: neither its Lease nor a signal has a say in it.
            let permit = Permit { class: ChangeClass::Settle, step: "tell people".to_owned() };
            let sent = permit.scope(self.send(&text)).await;
            if let Err(cause) = &sent {
                self.session.warn("slack", format!("could not be notified, work goes on: {}", cause.what));
            }
            outbox.queue().sent(sent.is_ok());
        }
    }

    async fn send(&self, text: &str) -> Result<(), Cause> {
        let mut sent = Ok(());
        // One that is away keeps nothing from the others.
        for notifier in self.notifiers().await? {
            sent = sent.and(notifier.send(text, SEND).await);
        }
        sent
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
