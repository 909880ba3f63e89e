//! Slack's incoming webhook. Its URL is the secret: no message, no Debug output names more of it than its host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http::{Request, StatusCode, Uri, header};

use super::Notifier;
use super::endpoint::{WORD, excerpt};
use crate::failure::Cause;
use crate::permit::Gate;
use crate::words;
use crate::world::{Bounds, Web, WebError};

/// A webhook, whose URL is a secret: messages and errors name its host alone.
#[derive(Clone)]
pub struct Slack {
    webhook: Uri,
    web: Arc<dyn Web>,
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slack({})", self.host())
    }
}

impl Notifier for Slack {
    fn send<'a>(&'a self, text: &'a str, deadline: Duration) -> LocalBoxFuture<'a, Result<(), Cause>> {
        Box::pin(Slack::send(self, text, deadline))
    }
}

impl Slack {
    /// Takes the Secret's value; whitespace around it is no part of it.
    pub fn new(webhook: &str, web: Arc<dyn Web>) -> Result<Self, Cause> {
        let uri = webhook.trim().parse::<Uri>().ok().filter(|uri| {
            let scheme = uri.scheme_str();
            uri.host().is_some() && (scheme == Some("https") || scheme == Some("http"))
        });
        match uri {
            Some(webhook) => Ok(Slack { webhook, web }),
            None => Err(Cause::usage("the Slack webhook is no URL (its value is secret and not shown)")),
        }
    }

    fn host(&self) -> &str {
        self.webhook.host().unwrap_or_default()
    }

    /// Sends one message. Needs a live permit.
    pub async fn send(&self, text: &str, deadline: Duration) -> Result<(), Cause> {
        let host = self.host();
        Gate.check(true, || format!("POST to {host}")).map_err(|error| Cause::bug(error.to_string()))?;
        let body = serde_json::json!({ "text": escape(text) }).to_string();
        let request = Request::post(self.webhook.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| Cause::bug(format!("no request to {host} can be made: {error}")))?;
        let answer = self.web.send(request, Bounds::new(deadline, WORD)).await.map_err(|error| {
            Cause::unreachable(match error {
                WebError::Unreachable(_, why) => format!("cannot reach {host}: {}", self.redact(&why)),
                WebError::Deadline(_, limit) => format!("{host} did not answer within {limit:?}"),
                // It names scheme and host.
                WebError::TooMuch(error) => error.to_string(),
            })
        })?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            status => {
                let said = self.redact(&excerpt(answer.body()));
                Err(Cause::step(format!("{host} answered a message with status {status}")).detail([said]))
            }
        }
    }

    /// Should anybody repeat our path to us.
    fn redact(&self, text: &str) -> String {
        match self.webhook.path() {
            "" | "/" => text.to_owned(),
            secret => text.replace(secret, "/…"),
        }
    }
}

/// Slack cuts what is longer itself, in the middle of whatever stands there.
const LONGEST: usize = 12_000;

/// As text, whatever is in it: nothing that obeys a terminal somebody copies it to, no link and no call of a channel. The three characters
/// are all that Slack's markup takes for its own; `@channel` calls nobody without the brackets around it.
fn escape(text: &str) -> String {
    let mut text = words::block(text);
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::failure::Class;

    const WEBHOOK: &str = " https://hooks.slack.example/services/T0/B0/SECRET\n";

    #[test]
    fn a_message_is_sent_as_text() {
        let web = FakeWeb::answers(200, "ok");
        let slack = Slack::new(WEBHOOK, web.clone()).unwrap();
        fake::permitted(slack.send("✅ K8s upgrade \"complete\"\n1.35.4 -> 1.36.3", SECOND)).unwrap();
        let body = r#"{"text":"✅ K8s upgrade \"complete\"\n1.35.4 -&gt; 1.36.3"}"#;
        assert_eq!(web.seen(), [(format!("POST {}", WEBHOOK.trim()), body.to_owned())]);
    }

    #[test]
    fn what_others_said_calls_nobody_and_steers_nothing() {
        let said = format!("a\u{1b}[2J\u{202e}<!here> <https://evil.example|log in>\r\nb\0{}", "x".repeat(100_000));
        let shown = escape(&said);
        assert!(shown.starts_with("a\u{fffd}&lt;!here&gt; &lt;https://evil.example|log in&gt; \nb\u{fffd}xxx"), "{shown:.200}");
        assert!(!shown.contains(['<', '>', '\u{1b}', '\r']) && shown.chars().count() < LONGEST + 50);
    }

    #[test]
    fn the_secret_is_in_no_error_whatever_happens() {
        let echo = "no_service: /services/T0/B0/SECRET";
        let unreachable = WebError::Unreachable(WEBHOOK.into(), format!("dns error for {WEBHOOK}"));
        let cases = [
            (FakeWeb::answers(404, echo), Class::Step),
            (FakeWeb::answers(302, ""), Class::Step),
            (FakeWeb::fails(unreachable), Class::Unreachable),
            (FakeWeb::fails(WebError::Deadline(WEBHOOK.into(), SECOND)), Class::Unreachable),
        ];
        for (web, class) in cases {
            let slack = Slack::new(WEBHOOK, web).unwrap();
            let cause = fake::permitted(slack.send("x", SECOND)).unwrap_err();
            assert_eq!(cause.class, class);
            assert!(cause.what.contains("hooks.slack.example"), "{cause:?}");
            assert!(!format!("{cause:?}{slack:?}").contains("SECRET"), "{cause:?} {slack:?}");
        }
        for nonsense in ["", "SECRET", "xoxb-SECRET value", "/services/SECRET", "ftp://h/SECRET"] {
            let cause = Slack::new(nonsense, FakeWeb::answers(200, "")).unwrap_err();
            assert!(cause.class == Class::Usage && !format!("{cause:?}").contains("SECRET"), "{cause:?}");
        }
    }

    #[test]
    fn without_a_permit_nothing_is_sent() {
        let web = FakeWeb::answers(200, "ok");
        let cause = fake::run(Slack::new(WEBHOOK, web.clone()).unwrap().send("x", SECOND)).unwrap_err();
        assert!(cause.class == Class::Bug && web.seen().is_empty() && !cause.what.contains("SECRET"), "{cause:?}");
    }
}
