//! Prometheus, Pushgateway, Slack, the package index and Vault, as small HTTP services. A route that none of them has is unmodelled.

mod packages;
mod prometheus;
mod pushgateway;
mod receiver;
mod slack;
mod vault;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response};
use jiff::Timestamp;

use super::{Call, Lost, State, Twin, Who};
use crate::words::place;
use crate::world::{Bounds, Web, WebError};

pub use packages::{Packages, UPSTREAM_KEY, offered};
pub use prometheus::{Active, Injected, Prometheus, Wanted, booted};
pub use pushgateway::{Pushed, Pushgateway};
pub use receiver::{Received, url as webhook};
pub use slack::{Message, Slack, WEBHOOK};
pub use vault::{VAULT, Vault};

/// Where the services are unless a cluster's settings say otherwise.
const PROMETHEUS: &str = "http://prometheus-server.monitoring.svc:80";
const PUSHGATEWAY: &str = "http://prometheus-prometheus-pushgateway.monitoring.svc:9091";
pub(super) const PACKAGES: &str = "https://pkgs.k8s.io";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Prometheus,
    Pushgateway,
    Slack,
    /// Whatever the settings name as a webhook.
    Receiver,
    Packages,
    Vault,
}

#[derive(Clone)]
pub struct Services {
    pub prometheus: Prometheus,
    pub pushgateway: Pushgateway,
    pub slack: Slack,
    /// What other webhooks were told.
    pub received: std::sync::Arc<Vec<Received>>,
    pub packages: Packages,
    pub vault: Vault,
    /// What is before a path of each service: scheme, host and port.
    addresses: [(Service, String); 4],
    /// When a service does not answer as it should.
    pub troubles: Vec<Trouble>,
}

/// A span in which a service is away or answers wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub service: Service,
    pub from: Timestamp,
    pub until: Timestamp,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Connections are refused.
    Refused,
    /// Connections stand, and no answer comes.
    Silent,
    /// A page of some proxy, with status 200.
    Nonsense,
    Status(u16),
}

impl Default for Services {
    fn default() -> Self {
        let addresses = [
            (Service::Prometheus, PROMETHEUS),
            (Service::Pushgateway, PUSHGATEWAY),
            (Service::Packages, PACKAGES),
            (Service::Vault, VAULT),
        ];
        Services {
            prometheus: Prometheus::default(),
            pushgateway: Pushgateway::default(),
            slack: Slack::default(),
            received: std::sync::Arc::default(),
            packages: Packages::default(),
            vault: Vault::default(),
            addresses: addresses.map(|(service, at)| (service, at.to_owned())),
            troubles: Vec::new(),
        }
    }
}

impl Services {
    /// Takes an address as the settings write it: a URL or `namespace/service:port`.
    pub fn listen(&mut self, service: Service, setting: &str) {
        let by_name = || {
            let (namespace, rest) = setting.split_once('/')?;
            let (name, port) = rest.split_once(':')?;
            Some(format!("http://{name}.{namespace}.svc:{port}"))
        };
        let url = if setting.contains("://") { None } else { by_name() };
        let at = url.unwrap_or_else(|| setting.trim_end_matches('/').to_owned());
        for (known, address) in &mut self.addresses {
            if *known == service {
                address.clone_from(&at);
            }
        }
    }

    /// The service that a URL names, and the path in it. A webhook's is all of it: the path is the secret.
    fn route<'a>(&self, url: &'a str) -> Option<(Service, &'a str)> {
        if let Some(path) = url.strip_prefix(slack::HOST) {
            return Some((Service::Slack, path));
        }
        if let Some(path) = url.strip_prefix(receiver::HOST) {
            return Some((Service::Receiver, path));
        }
        let within = |address: &str| url.strip_prefix(address).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        self.addresses.iter().find_map(|(service, address)| Some((*service, within(address)?)))
    }

    /// The service that a call goes to; of Slack's its host says it.
    pub fn service_at(&self, url: &str) -> Option<Service> {
        self.route(url).map(|(service, _)| service)
    }

    /// How a service is out of order now.
    pub fn trouble(&self, service: Service, now: Timestamp) -> Option<How> {
        let on = |trouble: &&Trouble| trouble.service == service && trouble.from <= now && now < trouble.until;
        self.troubles.iter().find(on).map(|trouble| trouble.how)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// Prometheus scrapes and evaluates its rules.
    Evaluate,
}

/// Lets the services begin to work.
pub fn begin(state: &mut State) {
    prometheus::evaluate(state);
}

pub fn fire(state: &mut State, due: Due) {
    match due {
        Due::Evaluate => prometheus::evaluate(state),
    }
}

/// One request's effect: status and body. The error: nothing answers there.
pub fn serve(state: &mut State, method: &str, url: &str, headers: &HeaderMap, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let Some((service, path)) = state.web.route(url) else {
        state.unmodelled.push(format!("web: {method} {}", place(url)));
        return Err("no such host is known here".to_owned());
    };
    match state.web.trouble(service, state.now()) {
        None => {}
        Some(How::Refused) => return Err("connection refused".to_owned()),
        Some(How::Silent) => return Err("i/o timeout".to_owned()),
        Some(How::Nonsense) => return Ok((200, b"<html><body>Please sign in to the network</body></html>".to_vec())),
        Some(How::Status(code)) => return Ok((code, b"upstream connect error".to_vec())),
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let answer = match service {
        Service::Prometheus => prometheus::serve(state, method, path, query, headers),
        Service::Pushgateway => pushgateway::serve(state, method, path, body),
        Service::Slack => slack::serve(state, method, path, body),
        Service::Receiver => receiver::serve(state, method, path, headers, body),
        Service::Packages => packages::serve(state, method, path),
        Service::Vault => vault::serve(state, method, path, headers, body),
    };
    Ok(answer.unwrap_or_else(|| {
        let tail = if query.is_empty() { String::new() } else { format!("?{query}") };
        let what = if matches!(service, Service::Slack | Service::Receiver) { place(url) } else { format!("{path}{tail}") };
        state.unmodelled.push(format!("{service:?}: {method} {what}"));
        (501, b"the rehearsal does not model this".to_vec())
    }))
}

/// The HTTP client of one caller.
pub struct Http {
    pub twin: Twin,
    pub who: Who,
}

impl Web for Http {
    fn send<'a>(&'a self, request: Request<Bytes>, bounds: Bounds) -> BoxFuture<'a, Result<Response<Bytes>, WebError>> {
        Box::pin(async move {
            let place = place(&request.uri().to_string());
            match tokio::time::timeout(bounds.time, self.exchange(&request, &place)).await {
                Ok(answer) => answer,
                Err(_) => Err(WebError::Deadline(place, bounds.time)),
            }
        })
    }
}

impl Http {
    async fn exchange(&self, request: &Request<Bytes>, place: &str) -> Result<Response<Bytes>, WebError> {
        let (method, url) = (request.method(), request.uri().to_string());
        let secret = [slack::HOST, receiver::HOST].iter().any(|host| url.starts_with(host));
        let shown = if secret { place } else { &url };
        let call = Call {
            who: self.who.clone(),
            changes: method != Method::GET && method != Method::HEAD,
            what: format!("{method} {shown}"),
        };
        let unreachable = |why: &str| WebError::Unreachable(place.to_owned(), why.to_owned());
        let answer = self.twin.call(call, |state| {
            let silent =
                state.web.route(&url).is_some_and(|(service, _)| state.web.trouble(service, state.now()) == Some(How::Silent));
            let answer = serve(state, method.as_str(), &url, request.headers(), request.body());
            let word = match &answer {
                Ok((code, _)) => code.to_string(),
                Err(why) => why.clone(),
            };
            ((answer, silent), word)
        });
        match answer.await {
            Ok((_, true)) => std::future::pending().await,
            Ok((Ok((code, body)), false)) => {
                Response::builder().status(code).body(Bytes::from(body)).map_err(|error| unreachable(&error.to_string()))
            }
            Ok((Err(why), false)) => Err(unreachable(&why)),
            Err(Lost::Call) => Err(unreachable("connection reset by peer")),
            Err(Lost::Answer) => Err(unreachable("connection closed before the answer came")),
        }
    }
}

#[cfg(test)]
mod tests;
