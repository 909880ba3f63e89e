//! Calls to the API server: a deadline on each, one retry table, errors as sentences.
//!
//! An upgrade takes the API server away twice; on its return a real one answered 403, then 500, then 200. The twin does the same, and
//! the crash matrices of `tests/sim/proof.rs` live through it; that the lab's gives 403 right after an outage and at no other time,
//! `no_unexpected_refusal` in `tests/live/audit.rs` asserts. So in the middle of a run these are waited for; a person's first call is
//! told at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Error, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::failure::{Cause, Class};
use crate::names;
use crate::permit::NoPermit;
use crate::plan::model::admission::{Admission, admission};
use crate::plan::model::progress::Awaited;
use crate::report::Event;
use crate::run::cluster::job::{own_container, own_in};
use crate::run::session::{Session, locked};
use crate::world::{KubeConnection, TooMuch};

/// One call may take this long; a stuck connection is dropped and tried again.
const CALL: Duration = Duration::from_secs(30);
/// How long 401 and 403 may follow an outage.
const FORBIDDEN_AFTER_OUTAGE: Duration = Duration::from_secs(90);

/// What a call that failed waits for.
const SERVER: &str = "the API server";
const WEBHOOK: &str = "an admission webhook";

/// Objects a page; a list of thousands of nodes or pods never comes as one answer.
const PAGE: u32 = 500;
/// Pages a list: half a million objects. One that never ends is no list.
const PAGES: u32 = 1000;

/// Where the rules of admission stand, one of which is at fault; the server's words name it.
const WEBHOOKS: &str =
    "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies    # who admits what";

/// What to do about an error.
enum Retry {
    /// The server is away or busy.
    Outage,
    /// The server is there, and a webhook that it must ask is not: it may be on its way to another node.
    Webhook,
    /// Refused; right after an outage this passes, for a webhook that asks the API server itself, too.
    Forbidden,
    /// Its certificate is not one that is trusted: with a wrong kubeconfig that stays so, in the middle of a run a stranger may have its address
    /// for a moment.
    Distrusted,
    No,
}

fn retry(error: &Error) -> Retry {
    match error {
        Error::Api(status) => match (admission(&status.message), status.code) {
            (Some(Admission::Unasked), _) => Retry::Webhook,
            (Some(Admission::Denied), _) | (None, 401 | 403) => Retry::Forbidden,
            (None, 429 | 500 | 502 | 503 | 504) => Retry::Outage,
            (None, _) => Retry::No,
        },
        Error::HyperError(_) | Error::ReadEvents(_) => Retry::Outage,
        // What was refused here would be refused again.
        Error::Service(inner) if within::<Unconnected>(inner.as_ref()).is_some() => Retry::No,
        Error::Service(inner) if within::<TooMuch>(inner.as_ref()).is_some() => Retry::No,
        Error::Service(inner) if distrusted(inner.as_ref()) => Retry::Distrusted,
        Error::Service(inner) if within::<NoPermit>(inner.as_ref()).is_none() => Retry::Outage,
        _ => Retry::No,
    }
}

/// Why no API server can be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unconnected(String);

/// In the place of a connection, for what can do without: whatever is asked fails at once, and says why.
pub fn unconnected(why: &str) -> KubeConnection {
    let fails = {
        let why = why.to_owned();
        move |_: Request<Body>| std::future::ready(Err::<Response<Body>, _>(Unconnected(why.clone())))
    };
    KubeConnection { client: kube::Client::new(tower::service_fn(fails), "default"), in_cluster: false, place: why.to_owned() }
}

/// An error of ours that others have wrapped.
fn within<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The server showed a certificate that is not trusted. What reads and writes wraps errors so that they are no source of its own.
fn distrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_tls = |error: &(dyn std::error::Error + 'static)| {
        matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidCertRevocationList(_)))
    };
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        of_tls(error) || inner.is_some_and(|inner| of_tls(inner))
    })
}

/// The innermost error says what happened ("connection refused"), the outer ones only where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// An API error as a cause, without a second try.
pub fn cause(what: &str, error: &Error) -> Cause {
    let bare = match error {
        Error::Api(status) => {
            let text = status.message.clone();
            match (admission(&text), status.code) {
                (Some(Admission::Unasked), _) => Cause::unreachable(text).next(WEBHOOKS),
                (Some(Admission::Denied), _) => Cause::refused(text).next(WEBHOOKS),
                (None, 401) => Cause::refused(text).next("kubectl auth whoami    # whom the API server takes this for"),
                (None, 403) => Cause::refused(text),
                (None, 409) => Cause::contended(text),
                (None, 429 | 500..=599) => Cause::unreachable(format!("{text} (HTTP {})", status.code)),
                (None, _) => Cause::step(format!("{text} (HTTP {})", status.code)),
            }
        }
        Error::Service(inner) => match (within::<NoPermit>(inner.as_ref()), within::<TooMuch>(inner.as_ref())) {
            (Some(no_permit), _) => return Cause::bug(no_permit.to_string()),
            (_, Some(too_much)) => Cause::unreachable(too_much.to_string()),
            _ if distrusted(inner.as_ref()) => {
                Cause::unreachable(format!("the API server is not the one that is meant: {}", innermost(inner.as_ref())))
                    .next("kubectl config view --minify    # its address, and whose certificates are trusted")
            }
            _ => Cause::unreachable(format!("the API server cannot be reached: {}", innermost(inner.as_ref()))),
        },
        other => Cause::unreachable(innermost(other)),
    };
    bare.during(what)
}

/// The API server: calls and lists, each with a deadline, tried again by one table.
pub struct Cluster {
    pub kube: kube::Client,
    /// Ours.
    pub namespace: String,
    pub in_cluster: bool,
    /// Where the API server is, for messages.
    place: String,
    session: Arc<Session>,
    /// How long an outage is waited for in the middle of a run.
    api_patience: Duration,
    /// The same where nothing has changed yet.
    request_timeout: Duration,
    /// When the API server was last seen away: right after that it refuses with 403 what it will allow again.
    last_outage: Mutex<Option<Instant>>,
}

impl Cluster {
    /// Of an open connection. How long an outage is waited for: `api_patience` in the middle of a run, `request_timeout` before anything has
    /// changed.
    pub fn new(
        connection: KubeConnection,
        namespace: String,
        session: Arc<Session>,
        api_patience: Duration,
        request_timeout: Duration,
    ) -> Self {
        let KubeConnection { client: kube, in_cluster, place } = connection;
        Cluster { kube, namespace, in_cluster, place, session, api_patience, request_timeout, last_outage: Mutex::default() }
    }

    /// Objects of no namespace, or of all.
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.kube.clone())
    }

    /// Objects of our namespace.
    pub fn own<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        self.within(&self.namespace)
    }

    /// Objects of another namespace.
    pub fn within<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.kube.clone(), namespace)
    }

    /// A Job of the chain, and whoever has begun to change something, waits for an API server that is away.
    fn patient(&self) -> bool {
        self.session.chain || self.session.has_changed()
    }

    /// How long it is waited for.
    pub fn patience(&self) -> Duration {
        if self.patient() { self.api_patience } else { self.request_timeout }
    }

    fn after_outage(&self) -> bool {
        self.patient() || locked(&self.last_outage).is_some_and(|seen| seen.elapsed() < FORBIDDEN_AFTER_OUTAGE)
    }

    /// Makes a call until it succeeds, fails for good, or patience ends. `what` reads like "list nodes".
    pub async fn call<T>(&self, what: &str, call: impl AsyncFnMut() -> kube::Result<T>) -> Result<T, Cause> {
        self.call_within(what, self.patience(), call).await
    }

    /// The same with a patience of its own; none means one try.
    async fn call_within<T>(
        &self,
        what: &str,
        patience: Duration,
        mut call: impl AsyncFnMut() -> kube::Result<T>,
    ) -> Result<T, Cause> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(500);
        // How long the call had lasted when the server first refused it.
        let mut forbidden: Option<Duration> = None;
        loop {
            let failed = match tokio::time::timeout(CALL, call()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => {
                    let bound = match retry(&error) {
                        Retry::Outage | Retry::Webhook => patience,
                        // Counted from the end of the outage, which may have been longer than this.
                        Retry::Forbidden if self.after_outage() => {
                            let answers = *forbidden.get_or_insert_with(|| begun.elapsed());
                            answers + FORBIDDEN_AFTER_OUTAGE.min(patience)
                        }
                        Retry::Distrusted if self.patient() => patience,
                        Retry::Forbidden | Retry::Distrusted | Retry::No => Duration::ZERO,
                    };
                    if matches!(retry(&error), Retry::Outage) {
                        forbidden = None;
                        *locked(&self.last_outage) = Some(Instant::now());
                    }
                    let on = if matches!(retry(&error), Retry::Webhook) { WEBHOOK } else { SERVER };
                    (cause(what, &error), bound, on)
                }
                Err(_) => {
                    *locked(&self.last_outage) = Some(Instant::now());
                    (
                        Cause::unreachable(format!("the API server did not answer within {}s", CALL.as_secs())).during(what),
                        patience,
                        SERVER,
                    )
                }
            };
            let (cause, bound, on) = failed;
            let left = bound.saturating_sub(begun.elapsed());
            if left.is_zero() {
                // Which one it is tells a wrong kubeconfig from an outage.
                let place = (cause.class == Class::Unreachable && on == SERVER).then(|| format!("API server: {}", self.place));
                return Err(cause.detail(place));
            }
            if begun.elapsed() > Duration::from_secs(2) {
                let on = Awaited { api_away: on == SERVER, ..Awaited::new(on, &cause.what) };
                self.session.emit(&Event::Waiting { place: String::new(), on, left });
            }
            self.session.sleep(pause.min(left), false).await;
            pause = (pause * 2).min(Duration::from_secs(3));
        }
    }

    /// As [`Cluster::call`], for an object that need not exist.
    pub async fn find<T>(&self, what: &str, mut call: impl AsyncFnMut() -> kube::Result<T>) -> Result<Option<T>, Cause> {
        self.call(what, async || match call().await {
            Ok(value) => Ok(Some(value)),
            // A webhook may deny with this code, too.
            Err(Error::Api(status)) if status.code == 404 && admission(&status.message).is_none() => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }
}

impl Cluster {
    /// The image that Jobs run: our own pod's, or from outside the one of the detection CronJob.
    pub async fn own_image(&self) -> Result<String, Cause> {
        if let Some(name) = self.session.identity.pod.as_deref().filter(|_| self.in_cluster) {
            let api: Api<Pod> = self.own();
            let pod = self.call("read our own pod", async || api.get(name).await).await?;
            let image = pod.spec.as_ref().and_then(own_in).and_then(|container| container.image.clone());
            return image.ok_or_else(|| Cause::refused(format!("our own pod {name} has no container named {}", names::PROGRAM)));
        }
        let api: Api<CronJob> = self.own();
        let found = self.find("read the detection CronJob", async || api.get(names::DETECT_CRONJOB).await).await?;
        let install = "k8s-upgrade manifests --image REF | kubectl apply -f -";
        let cronjob = found.ok_or_else(|| {
            Cause::refused(format!(
                "CronJob {}/{} does not exist: the program is not installed",
                self.namespace,
                names::DETECT_CRONJOB
            ))
            .next(install)
        })?;
        let job = cronjob.spec.and_then(|spec| spec.job_template.spec);
        own_container(job.as_ref()).and_then(|container| container.image.clone()).ok_or_else(|| {
            Cause::refused(format!(
                "CronJob {} has no container named {}: it belongs to another pipeline",
                names::DETECT_CRONJOB,
                names::PROGRAM
            ))
            .next("k8s-upgrade adopt    # what becomes of it, and what to type in which order")
        })
    }

    /// The name of the Job that our own pod belongs to.
    pub async fn own_job(&self) -> Result<Option<String>, Cause> {
        let Some((api, name)) = self.own_pod() else { return Ok(None) };
        let pod = self.call("read our own pod", async || api.get(name).await).await?;
        Ok(pod.metadata.labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name").cloned()))
    }

    /// The object that our own pod belongs to: its Job. It is asked for once, and no outage is waited for.
    pub async fn own_owner(&self) -> kube::Result<Option<OwnerReference>> {
        let Some((api, name)) = self.own_pod() else { return Ok(None) };
        let owners = api.get(name).await?.metadata.owner_references.unwrap_or_default();
        Ok(owners.into_iter().find(|owner| owner.controller == Some(true)))
    }

    fn own_pod(&self) -> Option<(Api<Pod>, &str)> {
        let name = self.session.identity.pod.as_deref().filter(|_| self.in_cluster)?;
        Some((self.own(), name))
    }

    /// A list, page by page.
    pub async fn list_all<K>(&self, what: &str, api: Api<K>, params: ListParams) -> Result<Vec<K>, Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        Ok(self.list_at(what, api, params, None).await?.0)
    }

    /// Of a list, what `pick` makes of each object: of a list of a whole cluster only one page is there at a time.
    pub async fn pick<K, T>(
        &self,
        what: &str,
        api: Api<K>,
        params: ListParams,
        pick: impl Fn(K) -> Option<T>,
    ) -> Result<Vec<T>, Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        self.fold(what, api, params, Vec::new, |all, one| all.extend(pick(one))).await
    }

    /// A list, taken object by object into what `fresh` begins with; begun anew where the list is.
    pub async fn fold<K, A>(
        &self,
        what: &str,
        api: Api<K>,
        params: ListParams,
        fresh: impl Fn() -> A,
        take: impl FnMut(&mut A, K),
    ) -> Result<A, Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        Ok(self.pages(what, api, params, None, fresh, take).await?.0)
    }

    /// A list, and the resource version that it stands for; with a patience of its own, where one is given.
    pub async fn list_at<K>(
        &self,
        what: &str,
        api: Api<K>,
        params: ListParams,
        patience: Option<Duration>,
    ) -> Result<(Vec<K>, String), Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        self.pages(what, api, params, patience, Vec::new, Vec::push).await
    }

    async fn pages<K, A>(
        &self,
        what: &str,
        api: Api<K>,
        params: ListParams,
        patience: Option<Duration>,
        fresh: impl Fn() -> A,
        mut take: impl FnMut(&mut A, K),
    ) -> Result<(A, String), Cause>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let first = params.limit(PAGE);
        let (mut all, mut params, mut restarted) = (fresh(), first.clone(), false);
        for _ in 0..PAGES {
            let patience = patience.unwrap_or_else(|| self.patience());
            let page = self.call_within(what, patience, async || match api.list(&params).await {
                Err(Error::Api(status)) if status.code == 410 => Ok(Err(status.message.clone())),
                page => page.map(Ok),
            });
            match page.await? {
                Ok(page) => {
                    page.items.into_iter().for_each(|one| take(&mut all, one));
                    match page.metadata.continue_.filter(|token| !token.is_empty()) {
                        Some(token) => params = params.continue_token(&token),
                        None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
                    }
                }
                // What the pages after the first were to continue has been compacted meanwhile: the list is begun anew.
                Err(_) if !restarted => (all, params, restarted) = (fresh(), first.clone(), true),
                Err(why) => return Err(Cause::unreachable(format!("{what}: the list expired while it was read, twice: {why}"))),
            }
        }
        Err(Cause::unreachable(format!("{what}: the API server sent {PAGES} pages, and says that there are more")))
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, message: &str) -> Error {
        Error::Api(Box::new(Status::failure(message, "").with_code(code)))
    }

    /// A denial is an answer, whatever its code; and an API server whose webhook is away is not away itself.
    #[test]
    fn admission_is_no_outage() {
        let denied = "admission webhook \"guard.io\" denied the request: no";
        for code in [400, 403, 404, 409, 429, 500] {
            let error = answer(code, denied);
            let cause = cause("create Job j", &error);
            assert!(matches!(retry(&error), Retry::Forbidden), "{code}");
            assert_eq!(
                (cause.class, cause.what.as_str()),
                (Class::Refused, format!("create Job j: {denied}").as_str()),
                "{code}"
            );
        }
        let unasked = answer(500, "Internal error occurred: failed calling webhook \"guard.io\": no endpoints available");
        assert!(matches!(retry(&unasked), Retry::Webhook));
        assert_eq!(cause("create Job j", &unasked).class, Class::Unreachable);
        assert!(matches!(retry(&answer(500, "etcdserver: leader changed")), Retry::Outage));
    }
}
