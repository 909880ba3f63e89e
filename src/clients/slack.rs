//! Slack's incoming webhook.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use http::StatusCode;

use super::{Hook, Notifier};
use crate::failure::Cause;
use crate::plan::model::webhook::{LONGEST, Message, NoticeKind};

/// A webhook that is told everything.
#[derive(Clone, Debug)]
pub struct Slack(Hook);

impl Slack {
    /// How messages call it.
    pub const NAME: &str = "slack";

    /// Behind this URL, a secret.
    pub fn new(hook: Hook) -> Self {
        Slack(hook)
    }
}

impl Notifier for Slack {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn wants(&self, _: NoticeKind) -> bool {
        true
    }

    fn send<'a>(&'a self, message: &'a Message, deadline: Duration) -> LocalBoxFuture<'a, Result<(), Cause>> {
        let body = serde_json::json!({ "text": escape(message) }).to_string();
        let none = std::iter::empty();
        Box::pin(self.0.post("application/json", none, body, |status| status == StatusCode::OK, deadline))
    }
}

/// As text, whatever is in it: no link and no call of a channel. The three characters are all that Slack's markup takes for its own;
/// `@channel` calls nobody without the brackets around it.
fn escape(message: &Message) -> String {
    message.text(LONGEST).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::fake::{self, FakeWeb, SECOND};
    use super::*;
    use crate::failure::Class;
    use crate::world::WebError;

    const WEBHOOK: &str = " https://hooks.slack.example/services/T0/B0/SECRET\n";

    fn message(text: &str) -> Message {
        let (kind, text) = (NoticeKind::Done, text.to_owned());
        Message { at: Timestamp::UNIX_EPOCH, kind, cluster: String::new(), place: String::new(), target: None, text }
    }

    fn slack(web: Arc<FakeWeb>) -> Slack {
        Slack::new(Hook::new(Slack::NAME, WEBHOOK, web).unwrap())
    }

    #[test]
    fn a_message_is_sent_as_text() {
        let web = FakeWeb::answers(200, "ok");
        fake::permitted(slack(web.clone()).send(&message("✅ K8s upgrade \"complete\"\n1.35.4 -> 1.36.3"), SECOND)).unwrap();
        let body = r#"{"text":"✅ K8s upgrade \"complete\"\n1.35.4 -&gt; 1.36.3"}"#;
        assert_eq!(web.seen(), [(format!("POST {}", WEBHOOK.trim()), body.to_owned())]);
    }

    #[test]
    fn what_others_said_calls_nobody_and_steers_nothing() {
        let said = format!("a\u{1b}[2J\u{202e}<!here> <https://evil.example|log in>\r\nb\0{}", "x".repeat(100_000));
        let shown = escape(&message(&said));
        assert!(shown.starts_with("a\u{fffd}&lt;!here&gt; &lt;https://evil.example|log in&gt; \nb\u{fffd}xxx"), "{shown:.200}");
        assert!(!shown.contains(['<', '>', '\u{1b}', '\r']) && shown.chars().count() < usize::from(LONGEST) + 50);
    }

    #[test]
    fn the_secret_is_in_no_error_whatever_happens() {
        let echo = "no_service: /services/T0/B0/SECRET";
        let unreachable = WebError::Unreachable(WEBHOOK.into(), format!("dns error for {WEBHOOK}"));
        let cases = [
            (FakeWeb::answers(404, echo), Class::Step),
            (FakeWeb::answers(302, ""), Class::Step),
            // Slack says `ok` with 200 alone.
            (FakeWeb::answers(204, ""), Class::Step),
            (FakeWeb::fails(unreachable), Class::Unreachable),
            (FakeWeb::fails(WebError::Deadline(WEBHOOK.into(), SECOND)), Class::Unreachable),
        ];
        for (web, class) in cases {
            let slack = slack(web);
            let cause = fake::permitted(slack.send(&message("x"), SECOND)).unwrap_err();
            assert_eq!(cause.class, class);
            assert!(cause.what.contains("hooks.slack.example"), "{cause:?}");
            assert!(!format!("{cause:?}{slack:?}").contains("SECRET"), "{cause:?} {slack:?}");
        }
        for nonsense in ["", "SECRET", "xoxb-SECRET value", "/services/SECRET", "ftp://h/SECRET"] {
            let cause = Hook::new(Slack::NAME, nonsense, FakeWeb::answers(200, "")).unwrap_err();
            assert!(cause.class == Class::Usage && !format!("{cause:?}").contains("SECRET"), "{cause:?}");
        }
    }
}
