//! An API server without manners, asked as `run` asks it.

use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_upgrade::adapters::{Proxies, RealKube};
use k8s_upgrade::clients::{Access, Endpoint};
use k8s_upgrade::permit::Gate;
use k8s_upgrade::world::{API_ANSWER, Bounds, EVENT, Env, KubeSource, KubeTarget, LOG};
use kube::api::{Api, ListParams, LogParams, WatchParams};

use super::server::{ALL, Manner, serve};
use super::{DEADLINE, SOCKETS, ends, run};

type Ask = fn(kube::Client) -> BoxFuture<'static, Result<(), kube::Error>>;

/// The kinds of questions, with the most bytes that are taken of an answer.
const CALLS: &[(&str, usize, Ask)] = &[
    ("get", API_ANSWER, |client| Box::pin(async { Api::<Node>::all(client).get("a").await.map(drop) })),
    ("list", API_ANSWER, |client| Box::pin(async { Api::<Node>::all(client).list(&ListParams::default()).await.map(drop) })),
    ("log", LOG, |client| {
        Box::pin(async { Api::<Pod>::namespaced(client, "n").logs("a", &LogParams::default()).await.map(drop) })
    }),
    ("watch", EVENT, |client| {
        Box::pin(async {
            let events = Api::<Node>::all(client).watch(&WatchParams::default(), "1").await?;
            events.try_for_each(|_| async { Ok(()) }).await
        })
    }),
    ("service", 1000, |client| {
        Box::pin(async {
            let (namespace, service, port) = ("n".into(), "s".into(), 80);
            let endpoint = Endpoint::Service { namespace, service, port, client, access: Access::default() };
            let answer = endpoint.get("/", Bounds::new(DEADLINE, 1000)).await;
            answer.map(drop).map_err(|error| kube::Error::Service(Box::new(error)))
        })
    }),
];

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn no_manner_harms_any_question() {
    for manner in ALL {
        let folder = tempfile::tempdir().unwrap();
        let calls = CALLS.iter().map(|(name, limit, ask)| {
            let file = folder.path().join(name);
            async move {
                let what = format!("{name}, {manner:?}");
                let server = serve(manner);
                let text = format!(
                    "current-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\n\
                     contexts: [{{name: c, context: {{cluster: c}}}}]\n",
                    server.address
                );
                std::fs::write(&file, text).unwrap();
                let target = KubeTarget { kubeconfig: Some(file), ..KubeTarget::default() };
                let kube = RealKube::new(&Env::new(), Ok(Proxies::default()));
                let client = kube.connect(&target, Gate).await.unwrap().client;
                // Each call of `run` has such a deadline.
                let answer = ends(&what, async { tokio::time::timeout(DEADLINE * 5, ask(client)).await }).await;
                let sent = server.sent.load(Ordering::Relaxed);
                // Heads that are no answer yet are thrown away as they come: their end is the deadline.
                assert!(manner == Manner::EndlessInterim || sent < limit + SOCKETS, "{what}: {sent} bytes were read");
                if let Ok(Err(error)) = answer {
                    let told = chain(&error);
                    let too_much = told.contains("which is the limit");
                    assert!(!too_much || told.contains(&server.address) || *name == "service", "{what}: {told}");
                }
            }
        });
        run(join_all(calls));
    }
}

/// The limit itself, and not the deadline, ends the floods.
#[test]
fn a_flood_is_told_with_the_server_and_the_limit() {
    for (name, limit) in [("log", "1 MiB, which is the limit for a log"), ("watch", "4 MiB, which is the limit for an event")] {
        let server = serve(Manner::EndlessLine);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = format!(
            "current-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\ncontexts: [{{name: c, context: {{cluster: c}}}}]\n",
            server.address
        );
        std::fs::write(&file, text).unwrap();
        let told = run(ends(name, async {
            let target = KubeTarget { kubeconfig: Some(file), ..KubeTarget::default() };
            let client = RealKube::new(&Env::new(), Ok(Proxies::default())).connect(&target, Gate).await.unwrap().client;
            let ask = CALLS.iter().find(|(call, ..)| *call == name).unwrap().2;
            chain(&ask(client).await.unwrap_err())
        }));
        assert!(told.contains(&server.address) && told.contains(limit), "{told}");
    }
}
