//! Whether the addons of the owner's matrix may go along to a release: what runs is known by the images of workloads.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::gates::full_name;
use crate::failure::{Cause, Class, nearest};
use crate::plan::model::addons::{Addons, Fit, Image, Limit, Release};
use crate::plan::model::version::Version;
use crate::words::{AddonName, ImageName};

/// A workload with pods, and what they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// `DaemonSet kube-system/cilium`.
    workload: String,
    images: Vec<(ImageName, Image)>,
    /// Each of its pods runs these images, and none any more what was there before.
    settled: bool,
}

impl Runs {
    /// Out of its object; None: no pod of it is wanted.
    pub fn of_deployment(object: &Deployment) -> Option<Self> {
        let (spec, status) = (object.spec.as_ref()?, object.status.clone().unwrap_or_default());
        let wanted = spec.replicas.unwrap_or(1);
        let updated = status.updated_replicas.unwrap_or(0) >= wanted && status.replicas.unwrap_or(0) <= wanted;
        let seen = status.observed_generation >= object.metadata.generation;
        Self::of("Deployment", full_name(object), &spec.template, wanted, updated && seen)
    }

    /// Out of its object; None: no pod of it is wanted.
    pub fn of_stateful_set(object: &StatefulSet) -> Option<Self> {
        let (spec, status) = (object.spec.as_ref()?, object.status.clone().unwrap_or_default());
        let wanted = spec.replicas.unwrap_or(1);
        let updated = status.updated_replicas.unwrap_or(0) >= wanted;
        let seen = status.observed_generation >= object.metadata.generation;
        Self::of("StatefulSet", full_name(object), &spec.template, wanted, updated && seen)
    }

    /// Out of its object; None: no pod of it is wanted.
    pub fn of_daemon_set(object: &DaemonSet) -> Option<Self> {
        let (spec, status) = (object.spec.as_ref()?, object.status.clone().unwrap_or_default());
        let wanted = status.desired_number_scheduled;
        let updated = status.updated_number_scheduled.unwrap_or(0) >= wanted;
        let seen = status.observed_generation >= object.metadata.generation;
        Self::of("DaemonSet", full_name(object), &spec.template, wanted, updated && seen)
    }

    fn of(kind: &str, name: String, template: &PodTemplateSpec, wanted: i32, settled: bool) -> Option<Self> {
        let containers = template.spec.iter().flat_map(|spec| &spec.containers);
        // What is no name of an image runs nowhere.
        let images = containers.filter_map(|container| container.image.as_deref()?.parse::<ImageName>().ok());
        let images: Vec<_> = images.map(|name| (name.clone(), Image::read(&name))).collect();
        (wanted > 0 && !images.is_empty()).then(|| Runs { workload: format!("{kind} {name}"), images, settled })
    }
}

/// An addon of the matrix at one of its versions, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub addon: AddonName,
    /// None: the image does not say.
    pub release: Option<Release>,
    pub image: ImageName,
    /// `DaemonSet kube-system/cilium`.
    pub workload: String,
    settled: bool,
    /// What the matrix says of it.
    pub limit: Option<Limit>,
}

impl Seen {
    /// `cilium 1.18.3 (DaemonSet kube-system/cilium)`.
    pub fn words(&self) -> String {
        let release = self.release.as_ref().map_or(String::new(), |release| format!(" {release}"));
        format!("{}{release} ({})", self.addon, self.workload)
    }
}

/// Where the addons of the matrix run, each image of a workload once. Where images are called as the addon is, others in a folder of that name
/// do not count: `quay.io/cilium` has cilium-envoy too, which has versions of its own.
pub fn seen(addons: &Addons, runs: &[Runs]) -> Vec<Seen> {
    let mut all = Vec::new();
    for addon in addons.names() {
        let fits = |image: &Image| image.fit(addon);
        let best = runs.iter().flat_map(|runs| &runs.images).filter_map(|(_, image)| fits(image)).max();
        let Some(best) = best else { continue };
        for Runs { workload, images, settled } in runs {
            let of_addon: BTreeMap<&str, &(ImageName, Image)> = images
                .iter()
                .filter(|(_, image)| fits(image).is_some_and(|fit: Fit| fit == best))
                .map(|both| (both.0.as_str(), both))
                .collect();
            all.extend(of_addon.into_values().map(|(name, image)| Seen {
                addon: addon.clone(),
                release: image.release.clone(),
                image: name.clone(),
                workload: workload.clone(),
                settled: *settled,
                limit: image.release.as_ref().and_then(|release| addons.limit(addon, release)),
            }));
        }
    }
    all
}

/// Why the addon that was seen there does not let a run go to `target`.
///
/// # Errors
/// Pinned, where the matrix says no; refused, where it says nothing; a hold, while it is being changed.
pub fn allows(addons: &Addons, seen: &Seen, target: Version) -> Result<(), Cause> {
    let Seen { addon, image, limit, .. } = seen;
    let words = seen.words();
    match limit {
        None if seen.release.is_none() => {
            Err(Cause::refused(format!("{words}: its image {image} does not say which version it is")))
        }
        None => Err(Cause::refused(format!(
            "{words}: the setting addons says nothing of this version, only of {}",
            addons.listed(addon)
        ))),
        // There may be no version of it yet that does.
        Some(limit) if !limit.allows(target) => Err(Cause::pinned(format!(
            "{words} lets Kubernetes go to {} at most, and the target is {target}: upgrade {addon} first, or change the setting addons",
            limit.series()
        ))),
        Some(_) if !seen.settled => Err(Cause::hold(format!("{words}: not every pod of it runs {image} yet"))),
        Some(_) => Ok(()),
    }
}

/// What the gate asks: whether all of them let a run go to `target`.
///
/// # Errors
/// As [`allows`], each with its reason.
pub fn judge(addons: &Addons, runs: &[Runs], target: Version) -> Result<(), Cause> {
    let closed: Vec<Cause> = seen(addons, runs).iter().filter_map(|seen| allows(addons, seen, target).err()).collect();
    match closed.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        all => {
            let class = all.iter().map(|cause| cause.class).max_by_key(|class| class.gravity()).unwrap_or(Class::Refused);
            let cause = Cause::new(class, "addons do not let the cluster go there");
            Err(cause.detail(all.iter().map(|cause| cause.what.as_str())))
        }
    }
}

/// Addons of the matrix that run nowhere, each with the image that was meant perhaps: mistyped, or of another cluster.
pub fn missing<'a>(addons: &'a Addons, runs: &[Runs]) -> Vec<(&'a AddonName, Option<String>)> {
    let there: BTreeSet<AddonName> = seen(addons, runs).into_iter().map(|seen| seen.addon).collect();
    let names: BTreeSet<&str> = runs.iter().flat_map(|runs| &runs.images).map(|(_, image)| image.name()).collect();
    let near = |addon: &AddonName| nearest(names.iter().copied(), addon).map(str::to_owned);
    addons.names().filter(|addon| !there.contains(*addon)).map(|addon| (addon, near(addon))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn matrix() -> Addons {
        serde_json::from_value(json!({
            "cilium": { "1.17": "<=1.34", "1.18": "<=1.35" },
            "calico": { "3.30": "<=1.35" },
        }))
        .unwrap()
    }

    fn daemon_set(image: &str, desired: i32, updated: i32) -> Option<Runs> {
        let object = json!({
            "metadata": { "namespace": "kube-system", "name": "net", "generation": 2 },
            "spec": { "selector": {}, "template": { "spec": { "containers": [{ "name": "a", "image": image }] } } },
            "status": {
                "desiredNumberScheduled": desired, "updatedNumberScheduled": updated, "observedGeneration": 2,
                "currentNumberScheduled": desired, "numberMisscheduled": 0, "numberReady": desired,
            },
        });
        Runs::of_daemon_set(&serde_json::from_value(object).unwrap())
    }

    fn runs(images: &[&str]) -> Vec<Runs> {
        images.iter().filter_map(|image| daemon_set(image, 5, 5)).collect()
    }

    fn judged(images: &[&str], target: Version) -> Result<(), (Class, String)> {
        judge(&matrix(), &runs(images), target)
            .map_err(|cause| (cause.class, [vec![cause.what], cause.detail].concat().join("\n")))
    }

    const TARGET: Version = Version::new(1, 35, 4);

    #[test]
    fn what_the_matrix_allows_passes() {
        assert_eq!(judged(&["quay.io/cilium/cilium:v1.18.3@sha256:00ff"], TARGET), Ok(()));
        // Neither of one that does not run nor of what is not in the matrix is anything said.
        assert_eq!(judged(&[], TARGET), Ok(()));
        assert_eq!(judged(&["flannel:v0.1"], Version::new(1, 99, 0)), Ok(()));
    }

    #[test]
    fn what_it_does_not_allow_is_refused_with_what_to_do() {
        let refused = |images: &[&str], target| judged(images, target).unwrap_err();
        let (class, why) = refused(&["quay.io/cilium/cilium:v1.17.9"], TARGET);
        let wanted = "cilium 1.17.9 (DaemonSet kube-system/net) lets Kubernetes go to 1.34 at most, and the target is 1.35.4: \
                      upgrade cilium first, or change the setting addons";
        assert_eq!((class, why.as_str()), (Class::Pinned, wanted));
        let (class, why) = refused(&["quay.io/cilium/cilium:v1.16.0"], TARGET);
        assert!(class == Class::Refused && why.ends_with("says nothing of this version, only of 1.17, 1.18"), "{why}");
        for image in ["quay.io/cilium/cilium:latest", "quay.io/cilium/cilium@sha256:00ff", "cilium"] {
            let (class, why) = refused(&[image], TARGET);
            assert!(class == Class::Refused && why.contains("does not say which version it is"), "{image}: {why}");
        }
        // Each is named.
        let (class, why) =
            refused(&["cilium:v1.18.3", "docker.io/calico/node:v3.31.0", "docker.io/calico/cni:v3.30.1"], Version::new(1, 36, 0));
        assert!(
            class == Class::Pinned
                && why.contains("cilium 1.18.3")
                && why.contains("calico 3.31.0")
                && why.contains("calico 3.30.1"),
            "{why}"
        );
    }

    /// Two versions at once: each of them must be allowed.
    #[test]
    fn the_least_of_several_versions_decides() {
        let (class, why) = judged(&["cilium:v1.18.3", "cilium:v1.17.0"], TARGET).unwrap_err();
        assert!(class == Class::Pinned && why.contains("cilium 1.17.0") && !why.contains("1.18.3"), "{why}");
    }

    #[test]
    fn neighbours_in_the_folder_count_only_where_none_has_the_name() {
        assert_eq!(judged(&["quay.io/cilium/cilium:v1.18.3", "quay.io/cilium/cilium-envoy:v1.34.1"], TARGET), Ok(()));
        assert_eq!(judged(&["docker.io/calico/node:v3.30.1", "docker.io/calico/typha:v3.30.1"], TARGET), Ok(()));
        assert!(judged(&["docker.io/calico/node:v3.29.0"], TARGET).is_err());
    }

    #[test]
    fn while_it_is_changed_nobody_knows_what_runs() {
        let judge = |updated| judge(&matrix(), &[daemon_set("cilium:v1.18.3", 5, updated).unwrap()], TARGET);
        assert_eq!(judge(5), Ok(()));
        let cause = judge(4).unwrap_err();
        assert!(cause.class == Class::Hold && cause.what.ends_with("not every pod of it runs cilium:v1.18.3 yet"), "{cause:?}");
        // None of its pods is wanted.
        assert_eq!(daemon_set("cilium:v1.17.3", 0, 0), None);
    }

    #[test]
    fn deployments_and_stateful_sets_count_as_well() {
        let object = |replicas: i32, updated: i32| {
            json!({
                "metadata": { "namespace": "a", "name": "b" },
                "spec": {
                    "replicas": replicas, "selector": {}, "serviceName": "",
                    "template": { "spec": { "containers": [{ "name": "a", "image": "cilium:v1.17.3" }] } },
                },
                "status": { "replicas": replicas, "updatedReplicas": updated },
            })
        };
        for (replicas, updated, settled) in [(2, 2, Some(true)), (2, 1, Some(false)), (0, 0, None)] {
            let deployment = Runs::of_deployment(&serde_json::from_value(object(replicas, updated)).unwrap());
            let stateful = Runs::of_stateful_set(&serde_json::from_value(object(replicas, updated)).unwrap());
            assert_eq!(deployment.map(|runs| runs.settled), settled);
            assert_eq!(stateful.map(|runs| runs.settled), settled);
        }
    }

    #[test]
    fn one_that_runs_nowhere_is_told_with_what_was_meant() {
        let addons: Addons = serde_json::from_value(json!({ "cilum": { "1": "<=1.35" }, "cilium": { "1": "<=1.35" } })).unwrap();
        let runs = runs(&["quay.io/cilium/cilium:v1.18.3", "coredns:v1"]);
        let missing = missing(&addons, &runs);
        assert_eq!(missing, [(&"cilum".parse().unwrap(), Some("cilium".to_owned()))]);
    }
}
