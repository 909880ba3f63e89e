//! Against answers as Vault words them.
#![allow(clippy::unwrap_used)]

use super::super::fake::{self, FakeWeb, SECOND};
use super::*;
use crate::failure::Class;

const TOKEN: &str = "hvs.SECRET";
/// As Vault 1.21 words it.
const STALE: &str = r#"{"errors":["check-and-set parameter did not match the current version"]}"#;
const DENIED: &str = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
const WRITTEN: &str = r#"{"data":{"version":4}}"#;
const NONE: &str = r#"{"errors":[]}"#;
/// Of the mount: parts of the URL, and what is answered there.
const MOUNT: &str = "/sys/internal/ui/mounts/secret";
const KV2: &str = r#"{"data":{"options":{"version":"2"},"path":"secret/","type":"kv"}}"#;

fn vault(web: &Arc<FakeWeb>) -> Vault {
    Vault::new("https://vault.example:8200/", "secret", "/k8s-upgrade", " hvs.SECRET\n", web.clone()).unwrap()
}

#[test]
fn a_secret_is_read_with_its_version() {
    let body = r#"{"data":{"data":{"ssh_key":"k","number":7},"metadata":{"version":3}}}"#;
    let web = FakeWeb::answers(200, body);
    let kept = fake::run(vault(&web).read(SECOND)).unwrap();
    assert_eq!((kept.version, kept.data), (3, Some(BTreeMap::from([("ssh_key".to_owned(), "k".to_owned())]))));
    assert_eq!(web.seen()[0].0, "GET https://vault.example:8200/v1/secret/data/k8s-upgrade");
    let deleted = r#"{"data":{"data":null,"metadata":{"version":2,"deletion_time":"2026-01-01T00:00:00Z"}}}"#;
    for (body, version) in [(NONE, 0), (deleted, 2)] {
        let web = FakeWeb::knows(&[(MOUNT, 200, KV2), ("", 404, body)]);
        let kept = fake::run(vault(&web).read(SECOND)).unwrap();
        assert!(kept.version == version && kept.data.is_none(), "{body}");
    }
    for (status, body, class) in [
        (403, DENIED, Class::Refused),
        (503, r#"{"errors":["Vault is sealed"]}"#, Class::Unreachable),
        (200, "<html>sign in</html>", Class::Step),
    ] {
        assert_eq!(fake::run(vault(&FakeWeb::answers(status, body)).read(SECOND)).err().unwrap().class, class, "{status}");
    }
}

fn kept(version: u64) -> StoredSecret {
    StoredSecret { version, data: Some(BTreeMap::new()) }
}

#[test]
fn a_write_is_guarded_by_its_version() {
    let web = FakeWeb::answers(200, WRITTEN);
    let written = fake::permitted(vault(&web).write(&kept(3), &json!({ "ssh_key": "k" }), SECOND)).unwrap();
    assert_eq!(written, Wrote::Version(4));
    // Where there is nothing, nothing can be patched.
    fake::permitted(vault(&web).write(&StoredSecret { version: 0, data: None }, &json!({ "ssh_key": "k" }), SECOND)).unwrap();
    let asked = |method: &str, cas| {
        let body = format!(r#"{{"options":{{"cas":{cas}}},"data":{{"ssh_key":"k"}}}}"#);
        (format!("{method} https://vault.example:8200/v1/secret/data/k8s-upgrade"), body)
    };
    assert_eq!(web.seen(), [asked("PATCH", 3), asked("POST", 0)]);
    let stale = fake::permitted(vault(&FakeWeb::answers(400, STALE)).write(&kept(3), &json!({}), SECOND)).unwrap();
    assert_eq!(stale, Wrote::Stale);
}

/// Only a refusal that Vault itself has spoken is the end of it; after anything else the write may have happened.
#[test]
fn what_is_not_known_is_not_called_a_refusal() {
    let end = |web: Arc<FakeWeb>| fake::permitted(vault(&web).write(&kept(3), &json!({}), SECOND)).unwrap_err();
    for (status, body) in [(403, DENIED), (404, r#"{"errors":[]}"#), (415, r#"{"errors":[]}"#), (400, r#"{"errors":["no"]}"#)] {
        assert!(end(FakeWeb::answers(status, body)).definite, "{status}");
    }
    for (status, body) in [(502, "bad gateway"), (500, r#"{"errors":[]}"#), (200, "<html>sign in</html>")] {
        assert!(!end(FakeWeb::answers(status, body)).definite, "{status}");
    }
    assert!(!end(FakeWeb::fails(crate::world::WebError::Deadline("there".into(), SECOND))).definite);
}

/// The write that asks cannot succeed: no secret has that version.
#[test]
fn the_right_to_write_is_asked_for_without_writing() {
    let web = FakeWeb::knows(&[(MOUNT, 200, KV2), ("", 400, STALE)]);
    fake::run(vault(&web).may_write(&kept(3), SECOND)).unwrap();
    assert_eq!(web.seen()[1].1, r#"{"options":{"cas":2147483647},"data":{}}"#);
    for (status, body) in [(403, DENIED), (404, NONE), (415, NONE)] {
        let web = FakeWeb::knows(&[(MOUNT, 200, KV2), ("", status, body)]);
        assert!(fake::run(vault(&web).may_write(&kept(3), SECOND)).is_err(), "{status}");
    }
}

/// To an older engine that write would be one like others: nothing is sent before the mount has said what it is.
#[test]
fn only_to_kv_version_2_anything_is_sent() {
    let mount =
        |options: &str, path: &str, kind: &str| format!(r#"{{"data":{{"options":{options},"path":"{path}","type":"{kind}"}}}}"#);
    let preflight = r#"{"errors":["preflight capability check returned 403, please ensure client's policies grant access to path \"secret/\""]}"#;
    let invalid = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
    for (status, body, class, says) in [
        (200, mount("null", "secret/", "kv"), Class::Refused, "is KV version 1,"),
        (200, mount("{}", "secret/", "kv"), Class::Refused, "secret of Vault at https://vault.example:8200 is KV version 1,"),
        (200, mount(r#"{"version":"1"}"#, "secret/", "kv"), Class::Refused, "is KV version 1,"),
        (200, mount("null", "secret/", "pki"), Class::Refused, "is a pki engine"),
        (200, "<html>sign in</html>".to_owned(), Class::Step, "not as Vault does"),
        (403, preflight.to_owned(), Class::Refused, "answers 403"),
        (403, invalid.to_owned(), Class::Refused, "answers 403"),
        (404, NONE.to_owned(), Class::Refused, "answers 404"),
        (503, r#"{"errors":["Vault is sealed"]}"#.to_owned(), Class::Unreachable, "answers 503"),
    ] {
        let web = FakeWeb::knows(&[(MOUNT, status, &body), ("", 404, NONE)]);
        let cause = fake::run(vault(&web).may_write(&kept(3), SECOND)).unwrap_err();
        assert!(cause.class == class && cause.what.contains(says), "{body}: {cause:?}");
        let cause = fake::run(vault(&web).read(SECOND)).err().unwrap();
        assert!(cause.class == class && cause.what.contains(says), "{body}: {cause:?}");
        assert!(web.seen().iter().all(|(asked, _)| asked.starts_with("GET ")), "{:?}", web.seen());
    }
    // A part of the path that stands in the setting of the mount.
    let web = FakeWeb::knows(&[("/mounts/kv/team", 200, &mount(r#"{"version":"2"}"#, "kv/", "kv")), ("", 404, NONE)]);
    let vault = Vault::new("https://vault.example:8200", "kv/team", "k8s-upgrade", TOKEN, web).unwrap();
    let cause = fake::run(vault.read(SECOND)).err().unwrap();
    assert_eq!(cause.next, ["k8s-upgrade --set vault-mount=kv --set vault-path=team/k8s-upgrade rotate-key"], "{cause:?}");
}

/// Which capability is missing where, and what to type.
#[test]
fn a_refusal_says_what_is_missing() {
    let may = |words: &str| format!(r#"{{"data":{{"secret/data/k8s-upgrade":[{words}]}}}}"#);
    let write = |kept: StoredSecret, may: &str| {
        let web = FakeWeb::knows(&[(MOUNT, 200, KV2), ("capabilities-self", 200, may), ("", 403, DENIED)]);
        fake::permitted(vault(&web).write(&kept, &json!({}), SECOND)).unwrap_err().cause
    };
    let gone = |version| StoredSecret { version, data: None };
    for (kept, words, says) in [
        (kept(3), r#""read""#, "the token may do read on secret/data/k8s-upgrade: its policy lacks patch"),
        (kept(3), r#""create","update""#, "the token may do create, update on secret/data/k8s-upgrade: its policy lacks patch"),
        (gone(0), r#""deny""#, "the token may do nothing on secret/data/k8s-upgrade: its policy lacks create"),
        (gone(2), r#""read","patch""#, "lacks update"),
        (kept(3), r#""root""#, "the token's policy allows patch on secret/data/k8s-upgrade: something else forbids it"),
    ] {
        let cause = write(kept, &may(words));
        assert!(cause.detail.iter().any(|line| line.contains(says)), "{words}: {cause:?}");
    }
    let cause = write(kept(3), &may(r#""read""#));
    let needs = r#"path "secret/data/k8s-upgrade" { capabilities = ["read", "patch", "create", "update"] }"#;
    assert!(
        cause.detail.last().unwrap().ends_with(needs) && cause.next[0].command.starts_with("vault policy write"),
        "{cause:?}"
    );
    let deny = FakeWeb::knows(&[("capabilities-self", 200, &may(r#""deny""#)), ("", 403, DENIED)]);
    let cause = fake::run(vault(&deny).read(SECOND)).err().unwrap();
    assert!(cause.detail.iter().any(|line| line.contains("its policy lacks read")), "{cause:?}");
    let unknown = r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
    let cause = fake::run(vault(&FakeWeb::answers(403, unknown)).read(SECOND)).err().unwrap();
    assert_eq!(cause.next, ["vault login -address=https://vault.example:8200"], "{cause:?}");
    // Deleted between the look and the write: the rest of it can be brought back.
    let refusal = fake::permitted(vault(&FakeWeb::answers(404, NONE)).write(&kept(3), &json!({}), SECOND)).unwrap_err();
    assert!(refusal.cause.next[0].command.starts_with("vault kv undelete -mount=secret -versions=3 k8s-upgrade "), "{refusal:?}");
}

#[test]
fn neither_token_nor_contents_are_in_a_message() {
    let echo = r#"{"errors":["bad token hvs.SECRET"],"data":{"ssh_key":"PRIVATE"}}"#;
    for status in [400, 403, 404, 415, 500, 302] {
        let cause =
            fake::permitted(vault(&FakeWeb::answers(status, echo)).write(&kept(1), &json!({ "ssh_key": "PRIVATE" }), SECOND));
        let text = format!("{:?}", cause.unwrap_err());
        assert!(!text.contains(TOKEN) && !text.contains("PRIVATE"), "{text}");
    }
    for token in ["", "two words", "hvs.SECRET\u{7}"] {
        let cause = Vault::new("http://v", "secret", "p", token, FakeWeb::answers(200, "")).err().unwrap();
        assert!(cause.class == Class::Usage && !cause.what.contains("SECRET"), "{cause}");
    }
    assert!(Vault::new("vault.example", "secret", "p", TOKEN, FakeWeb::answers(200, "")).is_err());
}

#[test]
fn without_a_permit_nothing_is_written() {
    let web = FakeWeb::answers(200, WRITTEN);
    let refusal = fake::run(vault(&web).write(&kept(3), &json!({}), SECOND)).unwrap_err();
    assert!(refusal.definite && refusal.cause.class == Class::Bug && web.seen().is_empty());
}
