//! What `manifests` prints, as an API server keeps it: found again by kind and label, and deleted one by one.

use k8s_upgrade::plan::manifests::install;
use k8s_upgrade::plan::manifests::installation::{Credentials, Install};
use k8s_upgrade::plan::model::policy::Unstick;
use serde_json::json;

use super::policies::place;
use crate::bench::{Bench, text, uid};
use crate::support::installed;

/// Without the policies that look at a CronJob: an API server from which the last of them goes hears of no CronJob any more, and other
/// behaviours have theirs.
pub async fn it_is_found_by_its_label_and_deleted_by_uid(b: &Bench<'_>) {
    let installation = format!("{}-of", b.ns);
    let secret = Credentials::Secret { ssh_key: b"KEY", ssh_key_pub: b"PUB", slack_webhook: None, webhooks: "", prometheus: &[] };
    let install = Install { backup: None, unstick: Unstick::Never, credentials: secret, ..installed::install(&installation) };
    let objects = install::objects(&install).unwrap();
    for object in &objects {
        b.post(&place(text(object, "/kind"), object), object.clone()).await.with_code(201);
    }
    for object in objects.iter().rev() {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        // Of a namespace, or of the whole cluster: as those are found that lie in a namespace of somebody else.
        let paths = [place(kind, object), place(kind, &json!({ "apiVersion": object["apiVersion"] }))];
        let mut found = Vec::new();
        for path in &paths {
            let items = b.items(&format!("{path}?labelSelector=app.kubernetes.io/name=k8s-upgrade")).await;
            let same = |item: &&serde_json::Value| {
                item["metadata"]["name"] == name && item["metadata"]["namespace"] == object["metadata"]["namespace"]
            };
            found.push(uid(items.iter().find(same).unwrap_or_else(|| panic!("{path}: no {name}"))).to_owned());
        }
        assert_eq!(found[0], found[1], "{kind} {name}");
        let path = format!("{}/{name}", paths[0]);
        let meant = |uid: &str| json!({ "propagationPolicy": "Background", "preconditions": { "uid": uid } });
        b.delete(&path, meant("00000000-0000-4000-8000-0000000bad00")).await.with_code(409);
        b.delete(&path, meant(&found[0])).await.with_code(200);
        b.gone(&path).await;
    }
}
