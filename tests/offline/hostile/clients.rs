//! Each call of each client against each manner.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::{LocalBoxFuture, join_all};
use k8s_upgrade::adapters::RealWeb;
use k8s_upgrade::clients::vault::StoredSecret;
use k8s_upgrade::clients::{Access, Endpoint, Hook, Notifier, Packages, Prometheus, Pushgateway, Receiver, Slack, Vault};
use k8s_upgrade::permit::{ChangeClass, Permit};
use k8s_upgrade::plan::model::answer::Answer;
use k8s_upgrade::plan::model::webhook::{Message, NoticeKind};
use k8s_upgrade::world::{Bounds, Web};
use serde_json::json;

use super::server::{ALL, Manner, serve};
use super::{DEADLINE, SOCKETS, ends, run};

/// A webhook whose path is the secret.
fn hook(base: &str) -> Hook {
    Hook::new("teams", &format!("{base}/services/SECRET"), web()).unwrap()
}

fn message() -> Message {
    let (at, kind, text) = (jiff::Timestamp::UNIX_EPOCH, NoticeKind::Done, "x".to_owned());
    Message { at, kind, cluster: String::new(), place: String::new(), target: None, text }
}

/// Why it gave nothing; None: it took the answer.
type Ask = fn(String) -> LocalBoxFuture<'static, Option<String>>;

fn web() -> Arc<dyn Web> {
    Arc::new(RealWeb::default())
}

fn endpoint(base: String) -> Endpoint {
    Endpoint::Url { base, web: web(), access: Access::default() }
}

fn vault(base: &str) -> Vault {
    Vault::new(base, "secret", "k8s-upgrade", "hvs.x", web()).unwrap()
}

fn kept() -> StoredSecret {
    StoredSecret { version: 1, data: Some(BTreeMap::new()) }
}

fn unknown<T>(answer: Answer<T>) -> Option<String> {
    match answer {
        Answer::Known(_) => None,
        Answer::Unknown(why) => Some(why),
    }
}

fn why<T>(result: Result<T, k8s_upgrade::failure::Cause>) -> Option<String> {
    result.err().map(|cause| format!("{} {:?}", cause.what, cause.detail))
}

fn permitted<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    Permit { class: ChangeClass::Settle, step: "test".into() }.scope(work)
}

/// Every call that goes out, by file and name; the most bytes that its answers may have; how it is made.
const CALLS: &[(&str, &str, usize, Ask)] = &[
    ("endpoint.rs", "get", 1000, |base| {
        Box::pin(async move { endpoint(base).get("/", Bounds::new(DEADLINE, 1000)).await.err().map(|error| error.to_string()) })
    }),
    ("endpoint.rs", "post", 64 << 10, |base| {
        Box::pin(async move { why(permitted(endpoint(base).post("/", "text/plain", "x".into(), DEADLINE)).await) })
    }),
    ("endpoint.rs", "put", 64 << 10, |base| {
        Box::pin(async move { why(permitted(endpoint(base).put("/", "text/plain", "x".into(), DEADLINE)).await) })
    }),
    ("packages.rs", "releases", 16 << 20, |base| {
        Box::pin(async move { unknown(Packages::new(&base, web()).releases(36, DEADLINE).await) })
    }),
    ("prometheus.rs", "look", 8 << 20, |base| {
        Box::pin(async move { Prometheus::new(endpoint(base)).look(DEADLINE).await.err().map(|cause| cause.what) })
    }),
    ("prometheus.rs", "query", 8 << 20, |base| {
        Box::pin(async move { unknown(Prometheus::new(endpoint(base)).query("up", DEADLINE).await) })
    }),
    ("prometheus.rs", "rules", 8 << 20, |base| {
        Box::pin(async move { unknown(Prometheus::new(endpoint(base)).rules(DEADLINE).await) })
    }),
    ("pushgateway.rs", "series", 16 << 20, |base| {
        Box::pin(async move { unknown(Pushgateway::new(endpoint(base)).series(DEADLINE).await) })
    }),
    ("pushgateway.rs", "push", 64 << 10, |base| {
        Box::pin(async move { why(permitted(Pushgateway::new(endpoint(base)).push("job", &[], DEADLINE)).await) })
    }),
    ("pushgateway.rs", "replace", 64 << 10, |base| {
        Box::pin(async move { why(permitted(Pushgateway::new(endpoint(base)).replace("job", &[], DEADLINE)).await) })
    }),
    ("slack.rs", "send", 64 << 10, |base| {
        Box::pin(async move { why(permitted(Slack::new(hook(&base)).send(&message(), DEADLINE)).await) })
    }),
    ("hook.rs", "send", 64 << 10, |base| {
        Box::pin(async move {
            let webhook = serde_json::from_value(json!({ "body": "\"{text}\"" })).unwrap();
            why(permitted(Receiver::new("teams", hook(&base), webhook).send(&message(), DEADLINE)).await)
        })
    }),
    ("vault/mod.rs", "read", 8 << 20, |base| Box::pin(async move { why(vault(&base).read(DEADLINE).await) })),
    ("vault/mod.rs", "may_write", 8 << 20, |base| Box::pin(async move { why(vault(&base).may_write(&kept(), DEADLINE).await) })),
    ("vault/mod.rs", "write", 8 << 20, |base| {
        Box::pin(async move {
            permitted(vault(&base).write(&kept(), &json!({}), DEADLINE)).await.err().map(|refusal| refusal.cause.what)
        })
    }),
    ("vault/mount.rs", "is_kv2", 8 << 20, |base| Box::pin(async move { why(vault(&base).is_kv2(DEADLINE).await) })),
];

/// Answers that a call may take, for it only wants a status.
fn may_be_taken(name: &str, manner: Manner) -> bool {
    let any = ["get", "post", "put"].contains(&name);
    let done = ["push", "replace", "send"].contains(&name);
    match manner {
        Manner::NotEvenText | Manner::OtherThanAsked => any || done,
        // Any status is an answer, and so is a redirect that leads nowhere.
        Manner::Escapes | Manner::RedirectsNowhere | Manner::DeepJson => any || (done && manner == Manner::DeepJson),
        _ => false,
    }
}

#[test]
fn no_manner_harms_any_call() {
    for manner in ALL {
        let calls = CALLS.iter().map(|(file, name, limit, ask)| async move {
            let server = serve(manner);
            let what = format!("{file} {name}, {manner:?}");
            let why = ends(&what, ask(format!("http://{}", server.address))).await;
            match &why {
                Some(why) => {
                    let host = server.address.split(':').next().unwrap();
                    assert!(why.contains(if *name == "send" { host } else { &server.address }), "{what}: {why}");
                    assert!(!why.contains("SECRET"), "{what}: {why}");
                }
                None => assert!(may_be_taken(name, manner), "{what}: it was taken for an answer"),
            }
            // Vault is asked again what is wrong, and who is sent on asks again.
            let sent = server.sent.load(Ordering::Relaxed);
            // Heads that are no answer yet are thrown away as they come: their end is the deadline.
            assert!(manner == Manner::EndlessInterim || sent < 3 * limit + SOCKETS, "{what}: {sent} bytes were read");
        });
        run(join_all(calls));
    }
}

/// A call that is not in the list fails here.
#[test]
fn no_call_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clients");
    let mut files: Vec<_> = ["", "vault"]
        .into_iter()
        .flat_map(|inner| std::fs::read_dir(folder.join(inner)).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(files.len() > 8, "{files:?}");
    let mut missing = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&folder).unwrap().display().to_string();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("pub async fn ")) {
            let name = line.split(['(', '<']).next().unwrap();
            if !CALLS.iter().any(|(of, call, ..)| *of == file && *call == name) {
                missing.push(format!("{file} {name}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "tests/offline/hostile/clients.rs has no row for these");
}
