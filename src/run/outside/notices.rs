//! Sends what the outbox holds to people who look at no screen. One that cannot be told stops nothing, and nothing waits for it but a
//! Job's successor and the end of the process, and these not for long.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::clients::{Hook, Notifier, Receiver, Slack};
use crate::failure::Cause;
use crate::names;
use crate::permit::{ChangeClass, Permit};
use crate::plan::model::webhook::{self, Message, NoticeKind};
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

/// Who receives messages, or why that one cannot.
type Receiving = Result<Box<dyn Notifier>, Cause>;

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
            let message = outbox.queue().next().await;
            // No change of the run: neither its Lease nor a signal has a say in it.
            let permit = Permit { class: ChangeClass::Settle, step: "tell people".to_owned() };
            let arrived = permit.scope(self.send(&message)).await;
            outbox.queue().sent(arrived);
        }
    }

    /// At once to all who want it: one that is away keeps nothing from the others, and it is told. False: somebody was to be told, and
    /// nobody was. Who has it must not hear the same again and again for the sake of one that is away for long.
    async fn send(&self, message: &Message) -> bool {
        let warn = |name: &str, cause: Cause| {
            self.session.warn(name, format!("could not be notified, work goes on: {}", cause.what));
        };
        let (mut wanted, mut arrived) = (false, false);
        let mut receivers = Vec::new();
        for (name, receiver) in self.receivers(message.kind).await {
            wanted = true;
            match receiver {
                Ok(receiver) => receivers.push(receiver),
                Err(cause) => warn(&name, cause),
            }
        }
        for (receiver, sent) in join_all(receivers.iter().map(async |to| (to, to.send(message, SEND).await))).await {
            match sent {
                Ok(()) => arrived = true,
                Err(cause) => warn(receiver.name(), cause),
            }
        }
        arrived || !wanted
    }

    /// All who are told of this kind, as the settings and the credentials name them; a new one is a line here and a file in `clients`.
    async fn receivers(&self, kind: NoticeKind) -> Vec<(String, Receiving)> {
        let slack = self.slack().await.transpose();
        let mut all: Vec<(String, Receiving)> = slack
            .map(|slack| (Slack::NAME.to_owned(), slack.map(|slack| Box::new(slack) as Box<dyn Notifier>)))
            .into_iter()
            .collect();
        for (name, webhook) in self.settings.webhooks.iter().filter(|(_, webhook)| webhook.wants(kind)) {
            let receiver = self.hook(name).await.map(|hook| Receiver::new(name, hook, webhook.clone()));
            all.push((name.to_string(), receiver.map(|receiver| Box::new(receiver) as Box<dyn Notifier>)));
        }
        all
    }

    /// None: there is no webhook.
    async fn slack(&self) -> Result<Option<Slack>, Cause> {
        let Some(url) = self.credentials.get().await?.slack.clone() else { return Ok(None) };
        self.to(PlainHttp::SlackWebhook, Slack::NAME, &url).map(|hook| Some(Slack::new(hook)))
    }

    /// Where a webhook of the settings is.
    ///
    /// # Errors
    /// Usage: the credentials have no URL of it, or one that nothing can be sent to.
    pub async fn hook(&self, name: &str) -> Result<Hook, Cause> {
        let text = self.credentials.get().await?.webhooks.clone().unwrap_or_default();
        let wrong = |why: String| Cause::usage(format!("{} with the webhooks: {why}", names::SECRET_WEBHOOKS));
        let urls = webhook::urls(&text).map_err(wrong)?;
        let url = urls.get(name).ok_or_else(|| {
            Cause::usage(format!("the webhook {name} of the settings has no URL in the Secret"))
                .next("k8s-upgrade manifests --help    # --webhook NAME=FILE")
        })?;
        self.to(PlainHttp::Webhooks, name, url)
    }

    fn to(&self, what: PlainHttp, name: &str, url: &str) -> Result<Hook, Cause> {
        if !self.settings.allows(what, url) {
            let stated = format!("plain-http: [{what}]");
            let why = format!("the {name} webhook, a secret, is http:// to another machine: write https://, or set {stated}");
            return Err(Cause::usage(why));
        }
        Hook::new(name, url, self.web.clone())
    }
}
