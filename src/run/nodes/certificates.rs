//! kubeadm's certificates, asked on every control plane before a run.

use crate::failure::{Cause, Class};
use crate::node::CheckCertificates;
use crate::plan::decide::certificates::{Outlook, outlook, renews};
use crate::plan::decide::order;
use crate::plan::model::certificates::Certificates;
use crate::plan::model::facts::{Facts, Node};
use crate::run::parallel;
use crate::run::services::Services;

/// Whether they outlast a run, and what is told beside it. Who cannot be asked has none that do.
pub async fn gate(services: &Services, facts: &Facts) -> (Result<(), Cause>, Vec<String>) {
    let ask = |node: &Node| {
        let node = node.clone();
        async move {
            let said = services.ssh.on_node(&node, &CheckCertificates).await;
            (node.name, said.and_then(|said| Certificates::read(&said)))
        }
    };
    let asked: Vec<(String, Result<Certificates, Cause>)> =
        parallel::looks(order::control_planes(facts).into_iter().map(ask)).await;
    let known = asked.iter().filter_map(|(node, said)| Some((node.as_str(), said.as_ref().ok()?)));
    let Outlook { mut closed, told } = outlook(known, renews(&services.settings.kubeadm_flags()), services.session.now());
    let unknown = |cause: &Cause| match cause.class {
        Class::Refused => cause.clone(),
        _ => Cause { class: Class::Hold, what: format!("when they end is not known: {}", cause.what), ..cause.clone() },
    };
    closed.extend(asked.iter().filter_map(|(node, said)| Some((node.clone(), unknown(said.as_ref().err()?)))));
    (Cause::together("certificates do not outlast a run", closed).map_or(Ok(()), Err), told)
}
