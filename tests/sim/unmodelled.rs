//! What the world in memory does not model is refused, told, and fails the run that asked for it: such a run proves nothing.

use std::sync::{Arc, Mutex};

use futures::future::LocalBoxFuture;
use k8s_upgrade::Program;
use k8s_upgrade::permit::{ChangeClass, Gate, Permit};
use k8s_upgrade::report::{Event, Sink};
use k8s_upgrade::twin::rehearsal::rehearse;
use k8s_upgrade::twin::{Process, Scenario, Start, State, Who};
use k8s_upgrade::world::{KubeTarget, World};
use kube::Client;
use kube::client::Body;

use super::world::{amiss, begin, cordoned_by_people, live, quick, to_the_end};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Method, path, kind of the body, and what is said of it.
type Asked = (&'static str, &'static str, &'static str, &'static str);
const STRANGE: [Asked; 6] = [
    ("GET", "/api/v1/persistentvolumes", "", "/api/v1/persistentvolumes"),
    ("GET", "/apis/apps/v1/namespaces/web/deployments/shop/scale", "", "get deployments.apps scale"),
    ("PUT", "/api/v1/nodes/k8s-node1", MERGE, "PUT /api/v1/nodes/k8s-node1"),
    ("PATCH", "/api/v1/nodes/k8s-node1", STRATEGIC, STRATEGIC),
    ("GET", "/api/v1/pods?labelSelector=app%20in%20web", "", "label selector app in web"),
    ("GET", "/api/v1/pods?resourceVersionMatch=Exact", "", "resourceVersionMatch=Exact"),
];

/// Asks; the answer's status and text.
async fn asks(client: &Client, (method, path, content, _): Asked) -> (u16, String) {
    let body = if content.is_empty() { Vec::new() } else { b"{}".to_vec() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let permit = Permit { class: ChangeClass::Settle, step: "ask".to_owned() };
    let answer = permit.scope(client.send(request.body(Body::from(body)).unwrap())).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status.as_u16(), String::from_utf8(body.collect_bytes().await.unwrap().to_vec()).unwrap())
}

/// Each is answered 501, and a run that ended well has failed from then on.
#[test]
fn what_is_not_modelled_fails_a_run() {
    let scenario = quick(Scenario::runbook());
    let (target, end) = (scenario.target.to_string(), to_the_end(begin(&scenario), None));
    let wrong = |state: &State| amiss(state, &target, &cordoned_by_people(state));
    assert_eq!(wrong(&end), Vec::<String>::new());
    for strange in STRANGE {
        live(end.clone(), None, async |driver| {
            let (code, text) = asks(&driver.twin.client(&Who::Operator("me".to_owned()), Gate), strange).await;
            assert!(code == 501 && text.contains("does not model this"), "{strange:?}: {code} {text}");
            let wrong = driver.twin.look(wrong);
            assert!(wrong.len() == 1 && wrong[0].starts_with("not modelled: "), "{strange:?}: {wrong:?}");
            assert!(wrong[0].contains(strange.3), "{strange:?}: {wrong:?}");
        });
    }
}

/// This program, but each of its processes asks one strange thing first.
struct Strange(Asked);

impl Process for Strange {
    fn run(&self, start: Start, world: World) -> LocalBoxFuture<'_, u8> {
        Box::pin(async move {
            let connection = world.kube.connect(&KubeTarget::default(), Gate).await.unwrap();
            asks(&connection.client, self.0).await;
            Program.run(start, world).await
        })
    }
}

/// A rehearsal in which that happens ends as a bug, and says what was asked.
#[test]
fn a_rehearsal_that_meets_it_proves_nothing() {
    struct Silent;
    impl Sink for Silent {
        fn event(&mut self, _: jiff::Timestamp, _: &Event) {}
    }
    let scenario = quick(Scenario::runbook());
    for strange in STRANGE {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let sink = Arc::new(Mutex::new(Box::new(Silent) as Box<dyn Sink>));
        let told = runtime.block_on(rehearse(&scenario, Vec::new(), &Strange(strange), sink)).unwrap();
        assert_eq!((told.end.exit_code, told.end.state.as_str()), (1, "bug"), "{:?}", told.end);
        assert!(told.end.why.contains("proves nothing"), "{:?}", told.end);
        assert!(told.end.detail.iter().any(|what| what.contains(strange.3)), "{:?}", told.end);
    }
}
