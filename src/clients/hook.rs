//! An incoming webhook of any service. Its URL is the secret: no message, no Debug output names more of it than its host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};

use super::Notifier;
use super::endpoint::{WORD, excerpt};
use crate::failure::Cause;
use crate::permit::Gate;
use crate::plan::model::webhook::{Message, NoticeKind, Webhook};
use crate::world::{Bounds, Web, WebError};

/// A URL that is a secret: messages and errors name its host alone.
#[derive(Clone)]
pub struct Hook {
    url: Uri,
    web: Arc<dyn Web>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook({})", self.host())
    }
}

impl Hook {
    /// Takes the Secret's value, of the webhook called `name`; whitespace around it is no part of it.
    pub fn new(name: &str, url: &str, web: Arc<dyn Web>) -> Result<Self, Cause> {
        let uri = url.trim().parse::<Uri>().ok().filter(|uri| {
            let scheme = uri.scheme_str();
            uri.host().is_some() && (scheme == Some("https") || scheme == Some("http"))
        });
        match uri {
            Some(url) => Ok(Hook { url, web }),
            None => Err(Cause::usage(format!("the {name} webhook is no URL (its value is secret and not shown)"))),
        }
    }

    /// All of it that may be told.
    pub fn host(&self) -> &str {
        self.url.host().unwrap_or_default()
    }

    /// Sends one body. Needs a live permit. `good`: whether a status says that it has arrived.
    pub(super) async fn post(
        &self,
        content_type: &str,
        headers: impl Iterator<Item = (&str, String)>,
        body: String,
        good: impl Fn(StatusCode) -> bool,
        deadline: Duration,
    ) -> Result<(), Cause> {
        let host = self.host();
        Gate.check(true, || format!("POST to {host}")).map_err(|error| Cause::bug(error.to_string()))?;
        let mut request = Request::post(self.url.clone()).header(header::CONTENT_TYPE, content_type);
        for (name, value) in headers {
            let pair = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()));
            let (Ok(name), Ok(value)) = pair else { return Err(Cause::usage(format!("the header {name} cannot be sent"))) };
            request = request.header(name, value);
        }
        let request =
            request.body(Bytes::from(body)).map_err(|error| Cause::bug(format!("no request to {host} can be made: {error}")))?;
        let answer = self.web.send(request, Bounds::new(deadline, WORD)).await.map_err(|error| {
            Cause::unreachable(match error {
                WebError::Unreachable(_, why) => format!("cannot reach {host}: {}", self.redact(&why)),
                WebError::Deadline(_, limit) => format!("{host} did not answer within {limit:?}"),
                // It names scheme and host.
                WebError::TooMuch(error) => error.to_string(),
            })
        })?;
        match answer.status() {
            status if good(status) => Ok(()),
            status => {
                let said = self.redact(&excerpt(answer.body()));
                Err(Cause::step(format!("{host} answered a message with status {status}")).detail([said]))
            }
        }
    }

    /// Should anybody repeat our path to us, or what stands behind it.
    fn redact(&self, text: &str) -> String {
        let secrets = [self.url.path_and_query().map(|all| all.as_str()), Some(self.url.path()), self.url.query()];
        let secrets = secrets.into_iter().flatten().filter(|secret| !["", "/"].contains(secret));
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "/…"))
    }
}

/// A webhook of the settings.
pub struct Receiver {
    name: String,
    hook: Hook,
    webhook: Webhook,
}

impl Receiver {
    /// `hook`: where what `webhook` says goes.
    pub fn new(name: &str, hook: Hook, webhook: Webhook) -> Self {
        Receiver { name: name.to_owned(), hook, webhook }
    }
}

impl Notifier for Receiver {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self, kind: NoticeKind) -> bool {
        self.webhook.wants(kind)
    }

    fn send<'a>(&'a self, message: &'a Message, deadline: Duration) -> LocalBoxFuture<'a, Result<(), Cause>> {
        let (headers, body) = (self.webhook.headers(message), self.webhook.body(message));
        Box::pin(self.hook.post(self.webhook.content_type(), headers, body, |status| status.is_success(), deadline))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use serde_json::json;

    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::failure::Class;

    const URL: &str = "https://ntfy.example/TOPIC?auth=TOKEN";

    fn message() -> Message {
        let kind = NoticeKind::Done;
        let (cluster, place) = ("homelab".to_owned(), "postflight".to_owned());
        Message { at: Timestamp::UNIX_EPOCH, kind, cluster, place, target: None, text: "✅ complete".to_owned() }
    }

    fn receiver(web: Arc<FakeWeb>) -> Receiver {
        let written = json!({ "body": "{text}", "content-type": "text/plain", "headers": { "Title": "{cluster} ✅" } });
        Receiver::new("ntfy", Hook::new("ntfy", URL, web).unwrap(), serde_json::from_value(written).unwrap())
    }

    #[test]
    fn whatever_status_says_that_it_arrived_is_fine() {
        for (status, arrives) in [(200, true), (202, true), (204, true), (302, false), (400, false), (500, false)] {
            let web = FakeWeb::answers(status, "");
            let sent = fake::permitted(receiver(web.clone()).send(&message(), SECOND));
            assert_eq!(sent.is_ok(), arrives, "{status}");
            assert_eq!(web.seen(), [(format!("POST {URL}"), "✅ complete".to_owned())]);
        }
    }

    #[test]
    fn the_secret_is_in_no_error_whatever_happens() {
        let unreachable = WebError::Unreachable(URL.into(), format!("dns error for {URL}"));
        for web in [FakeWeb::answers(404, "no /TOPIC?auth=TOKEN: auth=TOKEN at /TOPIC"), FakeWeb::fails(unreachable)] {
            let receiver = receiver(web);
            let cause = fake::permitted(receiver.send(&message(), SECOND)).unwrap_err();
            let all = format!("{cause:?} {:?}", receiver.hook);
            assert!(all.contains("ntfy.example") && !all.contains("TOPIC") && !all.contains("TOKEN"), "{all}");
        }
        let cause = Hook::new("ntfy", "TOKEN", FakeWeb::answers(200, "")).unwrap_err();
        assert!(cause.what.contains("ntfy") && !format!("{cause:?}").contains("TOKEN"), "{cause:?}");
    }

    #[test]
    fn without_a_permit_nothing_is_sent() {
        let web = FakeWeb::answers(200, "ok");
        let cause = fake::run(receiver(web.clone()).send(&message(), SECOND)).unwrap_err();
        assert!(cause.class == Class::Bug && web.seen().is_empty(), "{cause:?}");
    }
}
