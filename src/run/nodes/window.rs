//! Is a window open? The settings' own, and the freezes that others keep in a ConfigMap.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::plan::decide::when::{self, Closed};
use crate::plan::model::calendar::{self, Calendar};
use crate::plan::model::facts::Facts;
use crate::plan::model::policy::Policy;
use crate::run::cluster::Cluster;
use crate::run::services::Services;
use crate::settings::Settings;
use crate::words::RunId;

/// The policy with all that is known of freezes now.
pub async fn policy(cluster: &Cluster, settings: &Settings) -> Policy {
    let mut policy = settings.policy();
    let Some((namespace, name)) = settings.freezes_elsewhere() else { return policy };
    let api: Api<ConfigMap> = cluster.within(namespace);
    let found = cluster.find("read the freezes", async || api.get(name).await).await;
    let read = match &found {
        Err(cause) => Err(vec![cause.what.clone()]),
        Ok(None) => Err(vec!["it does not exist".to_owned()]),
        Ok(Some(map)) if map.binary_data.as_ref().is_some_and(|data| !data.is_empty()) => {
            Err(vec!["it has binary data".to_owned()])
        }
        Ok(Some(map)) => {
            let entries = map.data.iter().flatten();
            calendar::freezes(entries.map(|(key, value)| (key.as_str(), value.as_str())))
        }
    };
    let known = |why: &Vec<String>| format!("ConfigMap {namespace}/{name}: {}", why.join("; "));
    policy.calendar.unknown = read.as_ref().err().filter(|_| guard::on(Guard::FreezesKnown)).map(known).into_iter().collect();
    policy.calendar.freezes.extend(read.unwrap_or_default());
    policy
}

/// Why this run may not take something out of service now that needs so long, if it may not.
pub fn closed(services: &Services, facts: &Facts, run: &RunId, calendar: &Calendar, needs: Duration) -> Option<Closed> {
    if services.session.outside_windows || facts.marks.is_outside_windows(run) {
        return None;
    }
    when::may_begin(calendar, services.session.now(), needs).err()
}

/// A person's command is not deferred: who types it is told when it may be, and that it may be now.
///
/// # Errors
/// Refused: no window is open. `again`: the command that was typed.
pub async fn may_type(
    services: &Services,
    facts: &Facts,
    run: Option<&RunId>,
    needs: Duration,
    again: &str,
) -> Result<(), Cause> {
    let policy = policy(&services.cluster, &services.settings).await;
    let open = RunId::by_hand();
    // The installation may have windows that this machine knows nothing of.
    let rest = || when::rest(facts, &policy, services.session.now()).filter(|_| !services.session.outside_windows);
    match closed(services, facts, run.unwrap_or(&open), &policy.calendar, needs).or_else(|| rest().map(|(_, closed)| closed)) {
        Some(closed) => {
            let now = format!("{again} --now");
            Err(Cause::refused(closed.to_string()).next(format!("{now}    # does not wait for the window")))
        }
        None => Ok(()),
    }
}
