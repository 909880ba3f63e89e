//! How a failure in the middle of a run is told: what state it leaves, what follows by itself, and the one command that goes on.

use std::time::Duration;

use crate::failure::{Advice, Cause, Class, Failure};
use crate::plan::decide::orphan;
use crate::plan::decide::orphan::Verdict;
use crate::plan::model::facts::Facts;
use crate::plan::model::marks::{Edit, RunMarks};
use crate::plan::view::news::News;
use crate::report::Notice;
use crate::run::nodes;
use crate::run::services::Services;
use crate::words::{command, ssh};

/// A failure, and the message of it, wait no longer for what the cluster says of it.
const LOOK: Duration = Duration::from_secs(60);

/// A failure in the middle of a run: what state it leaves, and the one command that goes on.
pub async fn failure_in_run(services: &Services, place: &str, cause: Cause) -> Failure {
    if cause.class == Class::Unreachable && !services.session.has_changed() {
        return Failure { place: place.to_owned(), ..Failure::nothing_begun(cause) };
    }
    let facts = tokio::time::timeout(LOOK, services.observer.observe_as_it_is()).await;
    let mut next = vec![Advice::status()];
    let (run, node) = match facts {
        Ok(Ok(facts)) => {
            let node = facts.node(place);
            let run =
                match (facts.marks.target.filter(|_| facts.marks.in_flight), node.and_then(|node| node.cordoned_by.as_ref())) {
                    (Some(target), _) => {
                        next.push(Advice::go_on(
                            "k8s-upgrade resume                 # after mending it: goes on where the facts say it stands",
                        ));
                        format!(
                            "The run to {target} stays in flight. {}",
                            what_follows(services, &facts, place, cause.class).await
                        )
                    }
                    (None, Some(_)) => "No run is in flight.".to_owned(),
                    (None, None) => {
                        if services.session.chain {
                            next.push(Advice::go_on(
                                "k8s-upgrade resume                 # after mending it: starts this run over",
                            ));
                        }
                        "No run is in flight; nothing was left behind.".to_owned()
                    }
                };
            (
                run,
                if node.is_some() {
                    format!("{} ", nodes::upgrade::node_state(&services.observer, place).await)
                } else {
                    String::new()
                },
            )
        }
        Ok(Err(cause)) => (format!("The cluster cannot be looked at now ({}).", cause.what), String::new()),
        Err(_) => ("The API server does not answer now.".to_owned(), String::new()),
    };
    if !node.is_empty() && cause.class == Class::Step {
        let log = command!("sudo tail -n 50 {}/work/log", crate::names::NODE_DIR);
        next.push(ssh(&services.settings.ssh_user, place, services.settings.ssh_port, &log).into());
    }
    Failure { cause, place: place.to_owned(), state: format!("{node}{run}"), next }
}

/// What happens by itself after a failure in a run.
async fn what_follows(services: &Services, facts: &Facts, place: &str, class: Class) -> String {
    let follows = match class {
        Class::Step | Class::Contended | Class::Unreachable if services.session.chain => {
            "Kubernetes tries this Job again, three times in all; then the watch takes it up, three times at most."
        }
        Class::Hold if services.session.chain => {
            if let Some(drained) = facts.marks.held_drain_of(place).filter(|drained| drained.tries > 0) {
                return format!("The watch tries this step again from {} on.", drained.again().strftime("%Y-%m-%d %H:%M UTC"));
            }
            "The watch tries this step again every 10 minutes; while it holds, no further message is sent."
        }
        // A person's command beside a chain that died.
        _ => match orphan::judge(
            facts,
            &nodes::window::policy(&services.cluster, &services.settings).await,
            services.session.now(),
        ) {
            Ok(Verdict::TakeUp(_)) if !services.session.chain => "The watch takes its Job up within 10 minutes.",
            _ => "Nothing else will start.",
        },
    };
    follows.to_owned()
}

/// A failure of a run, told in Slack when a Job failed: nobody watches its log.
pub async fn told(services: &Services, place: &str, cause: Cause) -> Failure {
    let failure = failure_in_run(services, place, cause).await;
    if services.session.chain {
        tell(services, &failure).await;
    }
    failure
}

/// Tells Slack of a failure, unless the try before this one has: a retry is no news, and neither is a hold that goes on.
pub async fn tell(services: &Services, failure: &Failure) {
    let Some(news) = News::of(failure) else { return };
    let told = async {
        let facts = services.observer.observe().await?;
        let own = services.cluster.own_job().await?;
        let old = news.is_old(&facts, own.as_deref());
        Ok::<_, Cause>((old, facts.marks.run_id.filter(|_| facts.marks.in_flight)))
    };
    // Twice is better than not at all.
    let (old, run) = match tokio::time::timeout(LOOK, told).await {
        Ok(Ok(known)) => known,
        Ok(Err(_)) | Err(_) => (false, None),
    };
    if old {
        return;
    }
    // Whether what came before has arrived is of no interest here.
    services.notices.flush().await;
    services.session.notice(&failure.place, &Notice::Failed(failure.clone()));
    if !services.notices.flush().await {
        return;
    }
    let Some(run) = run else { return };
    let waves = services.settings.waves().on();
    let told = |now: &RunMarks| vec![Edit::told(&news.beside(&now.told, waves))];
    if let Err(cause) = services.record.amend_run(&run, &failure.place, "record what Slack was told", told).await {
        services.session.warn("slack", format!("a retry will tell the same once more: {}", cause.what));
    }
}
