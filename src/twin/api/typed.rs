//! Objects in the form of their types: what no type knows is dropped, what does not fit is refused.

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch,
};
use k8s_openapi::api::{coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery};
use k8s_openapi::api::{policy::v1 as policy, rbac::v1 as rbac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::store::Kind;
use super::Refusal;

pub fn normal(kind: Kind, mut object: Value) -> Result<Value, Refusal> {
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.names().kind);
    let typed = match kind {
        Kind::Namespace => through::<core::Namespace>(object),
        Kind::Node => through::<core::Node>(object),
        Kind::Pod => through::<core::Pod>(object),
        Kind::ConfigMap => through::<core::ConfigMap>(object),
        Kind::Secret => through::<core::Secret>(object),
        Kind::ServiceAccount => through::<core::ServiceAccount>(object),
        Kind::Deployment => through::<apps::Deployment>(object),
        Kind::ReplicaSet => through::<apps::ReplicaSet>(object),
        Kind::StatefulSet => through::<apps::StatefulSet>(object),
        Kind::DaemonSet => through::<apps::DaemonSet>(object),
        Kind::Job => through::<batch::Job>(object),
        Kind::CronJob => through::<batch::CronJob>(object),
        Kind::Budget => through::<policy::PodDisruptionBudget>(object),
        Kind::Autoscaler => through::<autoscaling::HorizontalPodAutoscaler>(object),
        Kind::Lease => through::<coordination::Lease>(object),
        Kind::ClusterRole => through::<rbac::ClusterRole>(object),
        Kind::ClusterRoleBinding => through::<rbac::ClusterRoleBinding>(object),
        Kind::Role => through::<rbac::Role>(object),
        Kind::RoleBinding => through::<rbac::RoleBinding>(object),
        Kind::Policy => through::<admission::ValidatingAdmissionPolicy>(object),
        Kind::PolicyBinding => through::<admission::ValidatingAdmissionPolicyBinding>(object),
        Kind::MutatingWebhook => through::<admission::MutatingWebhookConfiguration>(object),
        Kind::ValidatingWebhook => through::<admission::ValidatingWebhookConfiguration>(object),
        Kind::EndpointSlice => through::<discovery::EndpointSlice>(object),
        Kind::Service => through::<core::Service>(object),
        Kind::Quota => through::<core::ResourceQuota>(object),
        Kind::Event => through::<core::Event>(object),
        Kind::Claim => through::<core::PersistentVolumeClaim>(object),
        // Its definition is not modelled: all is kept as it comes.
        Kind::ExternalSecret => Ok(object),
    };
    let mut typed = typed.map_err(|error| {
        let names = kind.names();
        Refusal::bad(format!("{} in version {:?} cannot be handled as a {}: {error}", names.kind, names.version, names.kind))
    })?;
    for place in [
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/finalizers",
        "/metadata/ownerReferences",
        "/data",
        "/spec/taints",
    ] {
        drop_empty(&mut typed, place);
    }
    Ok(typed)
}

fn through<T: DeserializeOwned + Serialize>(object: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(object)?)
}

/// An empty map or list is none.
fn drop_empty(object: &mut Value, place: &str) {
    let Some((holder, field)) = place.rsplit_once('/') else { return };
    let Some(holder) = object.pointer_mut(holder).and_then(Value::as_object_mut) else { return };
    let empty = match holder.get(field) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => false,
    };
    if empty {
        holder.shift_remove(field);
    }
}
