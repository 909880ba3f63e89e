//! Whether the image that the chain's Jobs run is on the nodes that host them. One that was brought there by hand is pulled by nobody: a
//! kubelet that cleaned up, or a node that was made anew, lacks it for good, and the Job that lands there never begins.

use crate::failure::Cause;
use crate::plan::decide::order;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::policy::Policy;
use crate::words::ImageName;

/// Where an image is taken from that names no registry.
const UNNAMED: &str = "docker.io";
/// Only Docker itself puts images there.
const OFFICIAL: &str = "docker.io/library/";

/// As a runtime keeps it: with its registry, a tag or a digest, and not with both.
fn canonical(image: &str) -> String {
    let (named, digest) = image.split_once('@').map_or((image, None), |(named, digest)| (named, Some(digest)));
    let (path, last) = named.rsplit_once('/').map_or(("", named), |(path, last)| (path, last));
    let (name, tag) = last.split_once(':').map_or((last, "latest"), |(name, tag)| (name, tag));
    let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let path = match path.split('/').next() {
        Some("") | None => format!("{UNNAMED}/library"),
        Some(first) if is_registry(first) && path == UNNAMED => format!("{UNNAMED}/library"),
        Some(first) if is_registry(first) => path.to_owned(),
        Some(_) => format!("{UNNAMED}/{path}"),
    };
    match digest {
        Some(digest) => format!("{path}/{name}@{digest}"),
        None => format!("{path}/{name}:{tag}"),
    }
}

/// The last part of its name, without tag and digest, by which a runtime is asked for it.
pub fn name(image: &str) -> &str {
    let last = image.split('@').next().and_then(|named| named.rsplit('/').next()).unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

/// It is among those that a runtime has. Some runtimes look for an image without a registry in several.
pub fn is_there(image: &str, listed: &[ImageName]) -> bool {
    let (wanted, unnamed) = (canonical(image), format!("/{image}"));
    listed
        .iter()
        .map(|other| other.as_str())
        .any(|other| canonical(other) == wanted || (!image.contains('/') && other.ends_with(&unnamed)))
}

/// A registry may have it, one on the node's own port, too. No image of ours is in the place of Docker's own, which is where `k8s-upgrade image` puts it by name.
pub fn may_be_pulled(image: &str) -> bool {
    let image = canonical(image);
    !image.starts_with(OFFICIAL) && !image.starts_with("localhost/")
}

/// The nodes that may host a Job, and so need the image.
pub fn hosts<'a>(facts: &'a Facts, policy: &Policy) -> Vec<&'a Node> {
    order::trusted(facts, policy)
}

/// What is made of the nodes that lack it. Ok: it is pulled when it is first needed; what to tell of that.
///
/// # Errors
/// Refused: nobody can pull it.
pub fn judge(image: &str, lacking: &[&str]) -> Result<Option<String>, Cause> {
    let nodes = lacking.join(", ");
    if lacking.is_empty() {
        return Ok(None);
    }
    if may_be_pulled(image) {
        return Ok(Some(format!("{nodes}: {image} is not there yet, and is pulled by the first Job that runs there")));
    }
    let what = format!("{nodes}: the runtime does not have {image}, which no registry has: a Job there would never begin");
    Err(Cause::refused(what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Class;

    const OWN: &str = "docker.io/library/k8s-upgrade:0123456789ab";

    #[test]
    fn an_image_is_found_by_whatever_name_it_was_given() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let of = |registry: &str, end: &str| format!("{registry}k8s-upgrade{end}");
        let by_digest = of("r.test:5000/a/", &format!("@{digest}"));
        let with_both = of("r.test:5000/a/", &format!(":1@{digest}"));
        for (image, listed, there) in [
            (OWN, OWN, true),
            ("k8s-upgrade:0123456789ab", OWN, true),
            ("docker.io/k8s-upgrade:0123456789ab", OWN, true),
            ("k8s-upgrade:0123456789ab", "localhost/k8s-upgrade:0123456789ab", true),
            (OWN, "localhost/k8s-upgrade:0123456789ab", false),
            (OWN, "docker.io/library/k8s-upgrade:0123456789ac", false),
            ("me/k8s-upgrade", "docker.io/me/k8s-upgrade:latest", true),
            (&with_both, &by_digest, true),
            (&by_digest, "r.test:5000/a/k8s-upgrade:1", false),
            ("r.test:5000/k8s-upgrade:1", "r.test/k8s-upgrade:1", false),
        ] {
            assert_eq!(is_there(image, &[listed.parse().unwrap()]), there, "{image} in {listed}");
            assert_eq!(name(image), "k8s-upgrade", "{image}");
        }
        assert!(!is_there(OWN, &[]));
    }

    #[test]
    fn what_nobody_can_pull_is_refused_and_the_rest_told() {
        assert_eq!(judge(OWN, &[]), Ok(None));
        for image in [OWN, "k8s-upgrade:1", "localhost/k8s-upgrade:1"] {
            let cause = judge(image, &["k8s-node1", "k8s-master"]).unwrap_err();
            assert!(cause.class == Class::Refused && cause.what.contains("k8s-node1, k8s-master"), "{cause}");
        }
        for image in ["ghcr.io/me/k8s-upgrade:1", "me/k8s-upgrade:1", "localhost:5000/k8s-upgrade:1"] {
            assert!(judge(image, &["k8s-node1"]).unwrap().unwrap().contains("k8s-node1"), "{image}");
        }
    }
}
