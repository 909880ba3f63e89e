//! Where a service of the cluster is and how it is reached: by its address, or through the API server's service proxy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use super::Access;
use crate::failure::{Advice, Cause};
use crate::permit::Gate;
use crate::words::{Address, command};
use crate::world::{Bounds, TooMuch, Web, WebError};

/// Bytes of an answer that says hardly more than that something was done.
pub(super) const WORD: usize = 64 << 10;

/// Where requests to a service of the cluster go, by one of two ways.
#[derive(Clone)]
pub enum Endpoint {
    /// A base URL without a slash at its end.
    Url { base: String, web: Arc<dyn Web>, access: Access },
    /// A Service, from outside the cluster: the API server passes requests on.
    Service { namespace: String, service: String, port: u16, client: kube::Client, access: Access },
}

impl Endpoint {
    /// By its URL. A Service has a DNS name in the cluster; from outside, requests to it go through `client`.
    pub fn new(address: &Address, web: &Arc<dyn Web>, client: &kube::Client, in_cluster: bool, access: Access) -> Self {
        match address {
            Address::Url(base) => Endpoint::Url { base: base.to_string(), web: web.clone(), access },
            Address::Service { namespace, service, port } if in_cluster => {
                Endpoint::Url { base: format!("http://{service}.{namespace}.svc:{port}"), web: web.clone(), access }
            }
            Address::Service { namespace, service, port } => Endpoint::Service {
                namespace: namespace.clone(),
                service: service.clone(),
                port: *port,
                client: client.clone(),
                access,
            },
        }
    }

    /// For messages.
    pub fn place(&self) -> String {
        match self {
            Endpoint::Url { base, .. } => base.clone(),
            Endpoint::Service { namespace, service, port, .. } => {
                format!("{namespace}/{service}:{port} (through the API server)")
            }
        }
    }

    fn access(&self) -> &Access {
        match self {
            Endpoint::Url { access, .. } | Endpoint::Service { access, .. } => access,
        }
    }

    /// The first line of an answer, as a message may show it.
    pub(super) fn excerpt(&self, answer: &Response<Bytes>) -> String {
        excerpt(self.shown(&String::from_utf8_lossy(answer.body())).as_bytes())
    }

    /// What the other side has said: it may have repeated what it was sent.
    pub(super) fn shown(&self, text: &str) -> String {
        self.access().without_secrets(text)
    }

    /// What a service means that wants other credentials than it was shown, and what to do about it; None: that is not what it says.
    pub(super) fn wants_credentials(&self, answer: &Response<Bytes>) -> Option<Cause> {
        let status = answer.status();
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
        // The API server's own word is about the right to its proxy.
        if !refused || answer.extensions().get::<OfProxy>().is_some() {
            return None;
        }
        let secret = Advice::from("k8s-upgrade manifests --help    # --prometheus-token, --prometheus-password: into the Secret");
        let (why, next) = match (self, self.access().kind()) {
            (Endpoint::Service { namespace, service, port, .. }, _) => (
                "it wants credentials, and through the API server none can be sent: it takes them for those of a user of its own"
                    .to_owned(),
                vec![Advice::from(command!(
                    "kubectl -n {} port-forward service/{} 9090:{}    # beside it, with --set prometheus=http://localhost:9090",
                    namespace,
                    service,
                    port
                ))],
            ),
            (_, None) => ("it wants credentials, and the Secret has none".to_owned(), vec![secret]),
            (_, Some(kind)) if status == StatusCode::FORBIDDEN => (
                format!("{kind} of the Secret may not ask this, or not of this tenant (setting prometheus-tenant)"),
                vec![secret],
            ),
            (_, Some(kind)) => (format!("it does not take {kind} of the Secret"), vec![secret]),
        };
        let mut cause = Cause::refused(format!("{} answered with status {status}: {why}", self.place()));
        cause.detail = vec![format!("it says: {}", self.excerpt(answer))];
        cause.next = next;
        Some(cause)
    }

    /// Any status is an answer. `path` begins with a slash.
    pub async fn get(&self, path: &str, bounds: Bounds) -> Result<Response<Bytes>, WebError> {
        self.send(Method::GET, path, "", Bytes::new(), bounds).await
    }

    /// A change: needs a live permit. Any status is an answer.
    pub async fn post(&self, path: &str, content_type: &str, body: Bytes, deadline: Duration) -> Result<Response<Bytes>, Cause> {
        self.change(Method::POST, path, content_type, body, deadline).await
    }

    /// The same, in place of what is there.
    pub async fn put(&self, path: &str, content_type: &str, body: Bytes, deadline: Duration) -> Result<Response<Bytes>, Cause> {
        self.change(Method::PUT, path, content_type, body, deadline).await
    }

    async fn change(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Response<Bytes>, Cause> {
        Gate.check(true, || format!("{method} {}{path}", self.place())).map_err(|error| Cause::bug(error.to_string()))?;
        let answer = self.send(method, path, content_type, body, Bounds::new(deadline, WORD)).await;
        answer.map_err(|error| Cause::unreachable(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, WebError> {
        let unreachable = |why: String| WebError::Unreachable(self.place(), why);
        let uri = match self {
            Endpoint::Url { base, .. } => format!("{base}{path}"),
            Endpoint::Service { namespace, service, port, .. } => {
                format!("/api/v1/namespaces/{namespace}/services/http:{service}:{port}/proxy{path}")
            }
        };
        let mut request = Request::builder().method(method).uri(uri);
        if !content_type.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        let mut request = request.body(body).map_err(|error| unreachable(error.to_string()))?;
        self.access().apply(&mut request, matches!(self, Endpoint::Service { .. })).map_err(unreachable)?;
        match self {
            Endpoint::Url { web, .. } => web.send(request, bounds).await,
            Endpoint::Service { client, .. } => {
                let answer = async {
                    let failed = |error: kube::Error| unreachable(error.to_string());
                    let answer = client.send(request.map(Into::into)).await.map_err(failed)?;
                    let (head, body) = answer.into_parts();
                    let body =
                        Limited::new(body, bounds.bytes).collect().await.map_err(|error| match error
                            .is::<http_body_util::LengthLimitError>(
                        ) {
                            true => TooMuch { peer: self.place(), what: "an answer", limit_bytes: bounds.bytes }.into(),
                            false => unreachable(error.to_string()),
                        })?;
                    Ok(of_proxy(Response::from_parts(head, body.to_bytes())))
                };
                tokio::time::timeout(bounds.time, answer).await.unwrap_or(Err(WebError::Deadline(self.place(), bounds.time)))
            }
        }
    }
}

/// Among the extensions of an answer: the API server itself gave it.
#[derive(Clone, Copy)]
struct OfProxy;

/// Where the API server has nobody to ask, or will not, it says so in a Status of its own: what it says is the message in it.
fn of_proxy(mut answer: Response<Bytes>) -> Response<Bytes> {
    #[derive(Deserialize)]
    struct Status {
        kind: String,
        message: String,
    }
    if let Ok(status) = serde_json::from_slice::<Status>(answer.body())
        && status.kind == "Status"
    {
        *answer.body_mut() = status.message.into();
        answer.extensions_mut().insert(OfProxy);
    }
    answer
}

/// Percent-encodes one segment of a path or one value of a query.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The first line of an answer that says nothing useful, short enough for a message.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(empty)");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::fake::{self, BOUNDS, FakeWeb, SECOND};
    use super::*;

    fn place(address: &str, in_cluster: bool) -> String {
        let web: Arc<dyn Web> = FakeWeb::answers(200, "");
        fake::run(async {
            let client = fake::kube(200, "").0;
            Endpoint::new(&address.parse().unwrap(), &web, &client, in_cluster, Access::default()).place()
        })
    }

    #[test]
    fn settings_name_a_url_or_a_service() {
        assert_eq!(place("http://10.0.0.9:9090/prometheus/", false), "http://10.0.0.9:9090/prometheus");
        assert_eq!(place("monitoring/prometheus-server:80", true), "http://prometheus-server.monitoring.svc:80");
        assert_eq!(place("monitoring/prometheus-server:80", false), "monitoring/prometheus-server:80 (through the API server)");
    }

    #[test]
    fn a_service_is_asked_through_the_api_server() {
        fake::run(async {
            let (client, seen) = fake::kube(200, "up");
            let web: Arc<dyn Web> = FakeWeb::answers(500, "");
            let endpoint = Endpoint::new(&"monitoring/push:9091".parse().unwrap(), &web, &client, false, Access::default());
            assert_eq!(endpoint.get("/metrics?a=b", BOUNDS).await.unwrap().body().as_ref(), b"up");
            let path = "/api/v1/namespaces/monitoring/services/http:push:9091/proxy/metrics?a=b";
            assert_eq!(*seen.lock().unwrap(), [format!("GET {path}")]);
        });
    }

    #[test]
    fn the_proxy_saying_that_nothing_is_there_is_a_status() {
        fake::run(async {
            let status = r#"{"kind":"Status","status":"Failure","message":"no endpoints available","code":503}"#;
            let (client, _) = fake::kube(503, status);
            let web: Arc<dyn Web> = FakeWeb::answers(200, "");
            let endpoint = Endpoint::new(&"monitoring/push:9091".parse().unwrap(), &web, &client, false, Access::default());
            let answer = endpoint.get("/", BOUNDS).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (503, &b"no endpoints available"[..]));
        });
    }

    /// A token for Prometheus would be taken for one of the cluster; and what Prometheus refuses, the API server's word is not.
    #[test]
    fn through_the_api_server_go_no_credentials() {
        fake::run(async {
            let web: Arc<dyn Web> = FakeWeb::answers(200, "");
            let status = r#"{"kind":"Status","status":"Failure","message":"services \"push\" is forbidden","code":403}"#;
            for (code, body, refuses) in [(401, "no org id", true), (403, "", true), (403, status, false), (404, "", false)] {
                let (client, _) = fake::kube(code, body);
                let access = Access { credentials: super::super::Credentials::token("hunter2").ok(), ..Access::default() };
                let endpoint = Endpoint::new(&"monitoring/push:9091".parse().unwrap(), &web, &client, false, access);
                let answer = endpoint.get("/", BOUNDS).await.unwrap();
                let cause = endpoint.wants_credentials(&answer);
                assert_eq!(cause.is_some(), refuses, "{code} {body}");
                let next = cause.map_or(String::new(), |cause| cause.next[0].to_string());
                assert!(!refuses || next.starts_with("kubectl -n monitoring port-forward service/push 9090:9091"), "{next}");
            }
        });
    }

    #[test]
    fn a_post_without_a_permit_is_a_bug_and_is_not_sent() {
        fake::run(async {
            let web = FakeWeb::answers(200, "");
            let endpoint = Endpoint::Url { base: "http://push".into(), web: web.clone(), access: Access::default() };
            let cause = endpoint.post("/metrics", "text/plain", Bytes::new(), SECOND).await.unwrap_err();
            assert_eq!(cause.class, crate::failure::Class::Bug);
            assert!(web.seen().is_empty());
        });
    }
}
