//! Asks the runtimes of the nodes that may host a Job whether they have the program's own image.

use std::time::Duration;

use crate::failure::Cause;
use crate::node::ImagesThere;
use crate::plan::decide::{order, own_image};
use crate::plan::model::facts::{Facts, Node};
use crate::run::parallel;
use crate::run::services::Services;
use crate::words::{ImageTag, command, ssh};

/// Where a node's runtime is containerd, this brings an image to it.
const IMPORT: &str = "sudo ctr -n k8s.io images import -";
/// So long a command by hand is given to find out what is installed.
const BY_HAND: Duration = Duration::from_secs(10);

/// That each of them has it, or can pull it. A run that a process outside the cluster performs needs it on none: then it is only told.
pub async fn there(services: &Services, place: &str, facts: &Facts) -> Result<(), Cause> {
    let installed = match &facts.marks.image {
        Some(image) if facts.marks.in_flight => image.clone(),
        _ if services.cluster.in_cluster => services.cluster.own_image().await?,
        // By hand nothing need be installed, and whoever types need not have the right to see it; the chain's own preflight asks again.
        _ => match tokio::time::timeout(BY_HAND, services.cluster.own_image()).await {
            Ok(Ok(image)) => image,
            Ok(Err(_)) | Err(_) => return Ok(()),
        },
    };
    let name: ImageTag = own_image::name(&installed)
        .parse()
        .map_err(|error| Cause::refused(format!("the image that is installed, {installed}: {error}")))?;
    let lacks = async |node: &Node| {
        let listed = services.ssh.on_node(node, &ImagesThere { name: name.clone() }).await?;
        Ok::<_, Cause>(!own_image::is_there(&installed, &listed))
    };
    let (lacks, policy) = (&lacks, services.settings.policy());
    let asked = own_image::hosts(facts, &policy).into_iter().map(|node| async move { (node, lacks(node).await) });
    let asked: Vec<_> = parallel::looks(asked).await;
    let (mut lacking, mut failed) = (Vec::new(), Vec::new());
    for (node, lacks) in asked {
        match lacks {
            Ok(lacks) => lacking.extend(lacks.then_some(node)),
            Err(cause) => failed.push((node.name.clone(), cause)),
        }
    }
    if let Some(cause) = Cause::together("nodes failed", failed) {
        return Err(cause);
    }
    lacking.sort_by(|a, b| order::natural(&a.name, &b.name));
    let names: Vec<&str> = lacking.iter().map(|node| node.name.as_str()).collect();
    match own_image::judge(&installed, &names) {
        Ok(None) => {}
        Ok(Some(told)) => services.session.note(place, told),
        Err(cause) if services.session.chain || services.session.dry_run => {
            return Err(bring(services, &lacking, &installed, cause));
        }
        Err(cause) => services.session.warn(place, cause.what),
    }
    Ok(())
}

/// How it comes there: from the very build that is installed, for its name is a hash of that.
fn bring(services: &Services, lacking: &[&Node], installed: &str, cause: Cause) -> Cause {
    let settings = &services.settings;
    let write = command!("k8s-upgrade image --file k8s-upgrade.tar    # by the build that is {}", installed);
    lacking.iter().fold(cause.next(write), |cause, node| {
        let address = services.ssh.address_of(node).unwrap_or_else(|| node.name.clone());
        let mut import = ssh(&settings.ssh_user, &address, settings.ssh_port, IMPORT);
        let on = if node.container_runtime.starts_with("containerd") { "" } else { "; as its runtime wants it" };
        import.push_str(&format!(" < k8s-upgrade.tar    # {}{on}", node.name));
        cause.next(import)
    })
}
