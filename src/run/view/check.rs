//! Looks at all that an installation and an upgrade need, before and after installing. Reads only, and everything at once.

use std::str::FromStr;

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Service as KubeService;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::failure::{Cause, Class};
use crate::names;
use crate::plan::decide::detect::Detection;
use crate::plan::decide::gates::{self, Gate, Occasion, first_few};
use crate::plan::decide::{addons, order, target, undrainable};
use crate::plan::manifests::policies;
use crate::plan::manifests::rights::Account;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::policy::Undrainable;
use crate::plan::model::version::{UpgradeKind, Version, or_unknown};
use crate::plan::view::check::{Finding, Section, Standing};
use crate::plan::view::health;
use crate::plan::view::offer::{self, Offer, Service};
use crate::run::chain;
use crate::run::nodes;
use crate::run::nodes::etcd::Disks;
use crate::run::parallel;
use crate::run::services::Services;
use crate::words::{Address, command};

/// Every section, always all of them and in this order.
pub async fn check(services: &Services) -> Result<Vec<Section>, Cause> {
    let facts = services.observer.observe_uninstalled().await?;
    let (cluster, rights, nodes, planes, (releases, apis), snapshot, monitoring, workloads, addons, installation) = tokio::join!(
        cluster(services, &facts),
        rights(services),
        hosts(services, &facts),
        control_planes(services, &facts),
        releases_and_apis(services, &facts),
        snapshot(services, &facts),
        monitoring(services),
        workloads(services, &facts),
        addons(services, &facts),
        installation(services),
    );
    let section = |name, findings| Section { name, findings };
    Ok(vec![
        section("cluster", cluster),
        section("rights", rights),
        section("nodes", nodes),
        section("control planes", planes),
        section("releases", releases),
        section("deprecated APIs", apis),
        section("snapshot", snapshot),
        section("monitoring", monitoring),
        section("workloads", [workloads, addons].concat()),
        section("installation", installation),
    ])
}

async fn cluster(services: &Services, facts: &Facts) -> Vec<Finding> {
    let now = services.session.now();
    let (planes, all) = (facts.nodes.iter().filter(|node| node.control_plane).count(), facts.nodes.len());
    let configured = nodes::inspect::kubeadm_map(&services.cluster, names::KUBEADM_CONFIG, "ClusterConfiguration").await;
    let who = format!("{planes} control plane(s) and {} worker(s), running {}", all - planes, or_unknown(target::running(facts)));
    vec![
        Finding::of(format!("a kubeadm cluster: {who}"), configured.map(drop)),
        Finding::of("its marks and versions can be read", facts.readable(&services.cluster.namespace)),
        Finding::of("every node is Ready and under no pressure", gates::nodes_fit(facts, &services.settings.policy(), now)),
        Finding::of("every API server is Ready", gates::apiservers_ready(facts).into_result("not every API server is ready")),
        Finding::of(
            "no node has come or gone lately",
            gates::quiet(facts, &services.settings.policy(), now).into_result("nodes came or went lately"),
        ),
        Finding::of("the runner is a node that can be one", order::check_setting(facts, &services.settings.policy())),
    ]
}

async fn rights(services: &Services) -> Vec<Finding> {
    let may = chain::rights::permissions(&services.cluster, &services.settings, Account::Chain).await;
    vec![Finding::of("you may do everything that a run does", may)]
}

/// Each by itself: one that does not answer hides no other.
async fn hosts(services: &Services, facts: &Facts) -> Vec<Finding> {
    let look = |node: &Node| {
        let node = node.clone();
        async move {
            let seen = nodes::prepare::inspect_node(&services.ssh, &services.settings, &node, None).await;
            (node.name, Finding::of("SSH, sudo, packages and room are fine", seen.map(drop)))
        }
    };
    Finding::of_nodes(parallel::looks(facts.managed().map(look)).await)
}

/// What only they have.
async fn control_planes(services: &Services, facts: &Facts) -> Vec<Finding> {
    let mut disks = Disks::default();
    let etcd = async {
        let first = nodes::etcd::first_look(services, facts, &mut disks).await;
        nodes::etcd::gate(services, facts, &mut disks, first, true).await
    };
    let (etcd, certificates) = tokio::join!(etcd, nodes::certificates::gate(services, facts));
    let finding = |good: &str, (answer, told): (Result<(), Cause>, Vec<String>)| {
        let Finding { standing, says, mut detail, command } = Finding::of(good, answer);
        let standing = if standing == Standing::Good && !told.is_empty() { Standing::Mind } else { standing };
        detail.extend(told);
        Finding { standing, says, detail, command }
    };
    vec![
        finding("every member of etcd is well, with room and a fast disk", etcd),
        finding("kubeadm's certificates outlast a run, or are renewed in it", certificates),
    ]
}

/// What a run would go to decides what is in its way.
async fn releases_and_apis(services: &Services, facts: &Facts) -> (Vec<Finding>, Vec<Finding>) {
    let found = chain::detect::detect(&services.settings, &services.world, facts).await;
    let target = found.as_ref().ok().and_then(|found| found.target);
    (releases(found), apis(services, facts, target).await)
}

/// What is called that the next minor version no longer serves: in the way of a run that goes there, and else to be known.
async fn apis(services: &Services, facts: &Facts, target: Option<Version>) -> Vec<Finding> {
    let Some(running) = target::running(facts) else {
        return vec![Finding::of("", Err(Cause::hold("no node of the cluster can be seen")))];
    };
    let next = Version::new(running.major, running.minor + 1, 0);
    let goes_there = target.is_some_and(|target| UpgradeKind::between(running, target) == UpgradeKind::Minor);
    let found = nodes::removed_apis::called(services, facts, next).await;
    let ignore = &services.settings.removed_apis_ignore;
    let callers = nodes::removed_apis::callers(&services.cluster, &found).await;
    let passed = || format!("what is called that {} no longer serves is let pass", next.series());
    let judged = Finding::of(found.quiet().unwrap_or_else(passed), found.judge(ignore, &callers));
    let detail = judged.detail.into_iter().chain(found.ignored(ignore)).chain(found.later()).collect();
    let judged = Finding { detail, ..judged };
    vec![if goes_there { judged } else { judged.minded() }]
}

fn releases(found: Result<Detection, Cause>) -> Vec<Finding> {
    match found {
        Err(cause) => vec![Finding::of("", Err(cause))],
        Ok(found) if !found.unknown.is_empty() => {
            let cause = Cause::unreachable("the package index does not say which releases there are").detail(found.unknown);
            vec![Finding::of("", Err(cause))]
        }
        Ok(Detection { asks: Some(release), .. }) => {
            vec![Finding::good(format!("{release} is there, and waits for a person's approval: k8s-upgrade approve {release}"))]
        }
        Ok(found) => match found.target {
            Some(target) => vec![Finding::good(format!("{target} is there, and this cluster can go to it"))],
            None => vec![Finding::good(format!("{} is the newest release that this cluster can go to", found.running))],
        },
    }
}

async fn snapshot(services: &Services, facts: &Facts) -> Vec<Finding> {
    let settings = &services.settings;
    let good = match (settings.backup(), settings.snapshots()) {
        (Some((namespace, name)), _) => format!("CronJob {namespace}/{name} makes etcd snapshots"),
        (None, folder) => format!(
            "the program can take etcd snapshots on each control plane, into {} (setting snapshot)",
            folder.as_deref().unwrap_or_default()
        ),
    };
    vec![Finding::of(good, chain::snapshot::possible(services, facts).await)]
}

async fn monitoring(services: &Services) -> Vec<Finding> {
    let (prometheus, pushgateway) = (&services.settings.prometheus, &services.settings.pushgateway);
    let (asked, pushed) = (services.monitoring.asks_alerts(), services.monitoring.pushes_gauges());
    let alerts = async { if asked { Some(services.monitoring.look().await) } else { None } };
    let gauges = async { if pushed { Some(services.monitoring.gauges_there().await) } else { None } };
    let (alerts, gauges, slack) = tokio::join!(alerts, gauges, services.credentials.get());
    let away = |who: &str, why: String| {
        Cause::unreachable(format!("{who}: {why}")).next("k8s-upgrade check --write-config FILE    # looks for it in the cluster")
    };
    let mut findings = Vec::new();
    findings.push(match alerts {
        None => Finding::good("alerts are off by the setting alerts: the cluster's own health alone holds a run"),
        Some(Ok(alerts)) if alerts.iter().any(|alert| alert.name == names::ALERT_WATCHDOG) => {
            Finding::good(format!("Prometheus answers ({prometheus}), and Watchdog fires"))
        }
        Some(Ok(_)) => Finding {
            detail: vec!["without it a run holds: nobody can tell quiet from blind".to_owned()],
            ..Finding::of(
                "",
                Err(Cause::refused(format!("Prometheus answers ({prometheus}), but Watchdog does not fire"))
                    .next("k8s-upgrade manifests --only rules > upgrade-gates.yaml    # then let Prometheus load it")),
            )
        },
        Some(Err(cause)) if cause.class == Class::Unreachable => Finding::of("", Err(away("Prometheus", cause.what))),
        // It is there, and wants something else; or it was not asked.
        Some(Err(cause)) => Finding::of("", Err(Cause { what: format!("Prometheus: {}", cause.what), ..cause })),
    });
    findings.push(match gauges {
        None => Finding::good("gauges are off by the setting gauges: alerts that look at them never fire"),
        Some(Answer::Known(_)) => Finding::good(format!("the Pushgateway answers ({pushgateway})")),
        // A run goes on without it; the alerts that look at its gauges are blind.
        Some(Answer::Unknown(why)) => Finding::of("", Err(away("the Pushgateway", why))).minded(),
    });
    findings.push(match slack {
        Ok(creds) if creds.slack.is_some() => Finding::good("a Slack webhook is there"),
        // Others are told, as it says below.
        Ok(_) if !services.settings.webhooks.is_empty() => Finding::good("no Slack webhook, but others"),
        Ok(_) => Finding::mind(
            "no Slack webhook: nobody is told of holds and ends",
            "k8s-upgrade manifests --help    # --slack-webhook",
        ),
        Err(cause) => Finding::of("", Err(cause.clone())),
    });
    // Nothing is sent: that they take it shows with the first message.
    for (name, webhook) in &services.settings.webhooks {
        findings.push(match services.notices.hook(name).await {
            Ok(hook) => Finding::good(format!("the webhook {name} at {} is told of {}", hook.host(), webhook.told_of())),
            Err(cause) => Finding::of("", Err(cause)).minded(),
        });
    }
    findings
}

async fn workloads(services: &Services, facts: &Facts) -> Vec<Finding> {
    let order = order::order(facts, &services.settings.policy());
    let all: Vec<&str> = order.iter().map(|node| node.name.as_str()).collect();
    let stuck = match nodes::drainable::never_drained(services, &all).await {
        Ok(stuck) => stuck,
        Err(cause) => return vec![Finding::of("", Err(cause))],
    };
    let Some(first) = stuck.keys().next() else { return vec![Finding::good("every pod may leave its node, now or in time")] };
    // As the gate judges it before a run, whichever release that goes to.
    let beyond = Version::new(u32::MAX, 0, 0);
    if let Err(cause) = undrainable::judge(&stuck, facts, beyond, services.settings.undrainable, Occasion::Preflight) {
        return vec![Finding::of("", Err(cause))];
    }
    let says = match services.settings.undrainable {
        Undrainable::Skip => "a run goes past the nodes whose pods can never be evicted (setting undrainable)",
        _ => "nodes whose pods can never be evicted are drained nevertheless (setting undrainable)",
    };
    let looks = command!("k8s-upgrade drain {} --dry-run    # what holds each pod", first);
    let detail = stuck.iter().map(|(node, pods)| format!("{node}: {}", first_few(pods, undrainable::NAMED))).collect();
    vec![Finding { detail, ..Finding::mind(says, looks.to_string()) }]
}

/// Each addon of the setting with how far it goes; for the release that runs, as the gate judges it before a run.
async fn addons(services: &Services, facts: &Facts) -> Vec<Finding> {
    let matrix = &services.settings.addons;
    let Some(running) = target::running(facts).filter(|_| !matrix.is_empty()) else { return Vec::new() };
    let runs = match nodes::addons::running(&services.cluster).await {
        Ok(runs) => runs,
        Err(cause) => return vec![Finding::of("", Err(cause))],
    };
    let next = Version::new(running.major, running.minor + 1, 0);
    let seen = addons::seen(matrix, &runs);
    let found = seen.iter().map(|seen| {
        let goes = seen.limit.map_or(String::new(), |limit| format!("{} lets Kubernetes go to {}", seen.words(), limit.series()));
        match addons::allows(matrix, seen, running) {
            Ok(()) if seen.limit.is_some_and(|limit| !limit.allows(next)) => Finding::mind(
                format!("{goes}: before that, upgrade {}", seen.addon),
                "k8s-upgrade preflight --help    # the gate addons",
            ),
            answer => Finding::of(goes, answer.map_err(|cause| cause.next(Gate::Addons.row().advice()))),
        }
    });
    let missing = addons::missing(matrix, &runs).into_iter().map(|(addon, near)| {
        let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        let images = "kubectl get daemonsets,deployments,statefulsets -A -o wide    # which images there are";
        Finding::mind(format!("no workload runs {addon}, which the setting addons names{near}"), images)
    });
    found.chain(missing).collect()
}

/// Before there is one, how to come to it; then what `status --health` says.
async fn installation(services: &Services) -> Vec<Finding> {
    let there = async |name| super::health::cron(&services.cluster, name).await.map(|cron| cron.is_some());
    let (detection, watch) = tokio::join!(there(names::DETECT_CRONJOB), there(names::WATCH_CRONJOB));
    if (detection, watch) == (Ok(false), Ok(false)) {
        let install = "k8s-upgrade manifests --image REF | kubectl apply -f -";
        return vec![Finding::mind(format!("not installed in the namespace {} yet", services.cluster.namespace), install)];
    }
    let seen = match super::health::health(services).await {
        Ok(seen) => seen,
        Err(cause) => return vec![Finding::of("", Err(cause))],
    };
    let settings = &services.settings;
    let bounding = policies::names(chain::rights::scope(&services.cluster.namespace, settings));
    let checks =
        health::checks(&seen, &services.settings.policy(), &bounding, &services.cluster.namespace, services.session.now());
    checks.into_iter().map(Finding::from).collect()
}

/// What would fit where the settings do not: only for what does not answer as it is.
pub async fn offers(services: &Services) -> Result<Vec<Offer>, Cause> {
    let Services { settings, cluster, monitoring, .. } = services;
    let (alerts, gauges) = tokio::join!(monitoring.look(), monitoring.gauges_there());
    let listed = cluster.list_all("list Services", cluster.all::<KubeService>(), ListParams::default()).await?;
    let found: Vec<Service> = listed.into_iter().map(service).collect();
    let mut offers = Vec::new();
    // One that wants credentials is the one that is meant.
    if alerts.is_err_and(|cause| cause.class == Class::Unreachable) && monitoring.asks_alerts() {
        let values = first_that(offer::prometheus(&found), async |address| monitoring.is_prometheus(address).await).await;
        let what = "Where alerts are asked for: namespace/service:port, or a URL. To go without any: alerts: \"off\"";
        offers.push(Offer { key: "prometheus", what, values });
    }
    if matches!(gauges, Answer::Unknown(_)) && monitoring.pushes_gauges() {
        let values = first_that(offer::pushgateway(&found), async |address| monitoring.is_pushgateway(address).await).await;
        let what = "Where gauges are pushed to. To go without any: gauges: \"off\"";
        offers.push(Offer { key: "pushgateway", what, values });
    }
    let facts = services.observer.observe_uninstalled().await?;
    if settings.backup().is_some() && chain::snapshot::possible(services, &facts).await.is_err() {
        let all = cluster.list_all("list CronJobs", cluster.all::<CronJob>(), ListParams::default()).await?;
        let paths: Vec<String> =
            all.iter().map(|cron| format!("{}/{}", cron.namespace().unwrap_or_default(), cron.name_any())).collect();
        offers.push(offer::snapshots(&paths));
    }
    Ok(offers)
}

/// One that answers comes before those that do not.
async fn first_that(values: Vec<String>, answers: impl AsyncFn(&Address) -> bool) -> Vec<String> {
    let (mut good, mut others) = (Vec::new(), Vec::new());
    for value in values {
        let answered = match Address::from_str(&value) {
            Ok(address) => answers(&address).await,
            Err(_) => continue,
        };
        if answered { good.push(value) } else { others.push(value) }
    }
    good.extend(others);
    good
}

fn service(found: KubeService) -> Service {
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    let labels = found.labels().clone();
    let ports = found.spec.and_then(|spec| spec.ports).into_iter().flatten();
    let ports = ports.filter_map(|port| Some((port.name, u16::try_from(port.port).ok()?))).collect();
    Service { namespace, name, ports, labels }
}
