use k8s_upgrade::permit::{ChangeClass, Gate, Permit};
use k8s_upgrade::twin::store::Kind;
use k8s_upgrade::twin::{State, Twin, Who};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use futures::StreamExt;

#[test]
fn smoke() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut state = State::new("2026-11-22T11:00:00Z".parse().unwrap(), 1);
        let now = state.now();
        state.store.create(now, Kind::Namespace, json!({"metadata": {"name": "default"}})).unwrap();
        let twin = Twin::new(state, None);
        let client = twin.client(&Who::Operator("x".into()), Gate);
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let permit = Permit { class: ChangeClass::Settle, step: "t".into() };
        let cm: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"x": "1"}})).unwrap();
        let made = permit.clone().scope(async { api.create(&PostParams::default(), &cm).await }).await.unwrap();
        println!("{made:?}");
        let list = api.list(&ListParams::default().limit(1)).await.unwrap();
        let mut watch = api.watch(&WatchParams::default(), &list.metadata.resource_version.unwrap()).await.unwrap().boxed();
        permit.clone().scope(async { api.patch("a", &PatchParams::default(), &Patch::Merge(&json!({"data": {"x": null, "y": "2"}}))).await }).await.unwrap();
        let event = watch.next().await;
        assert!(matches!(&event, Some(Ok(WatchEvent::Modified(cm))) if cm.data.as_ref().unwrap()["y"] == "2"), "{event:?}");
        let event = watch.next().await;
        println!("{event:?} {}", twin.now());
        twin.edit(|s| { let now = s.now(); s.take_api_away(now, std::time::Duration::from_secs(20)) });
        println!("{:?}", api.get("a").await);
        println!("{:?} {}", watch.next().await, twin.now());
        println!("{:?}", api.get("a").await);
        let pods: Api<Pod> = Api::all(client);
        println!("{:?}", pods.list(&ListParams::default().fields("spec.nodename=a")).await);
        println!("{}", twin.look(|s| s.history.all().join("\n")));
    });
}
