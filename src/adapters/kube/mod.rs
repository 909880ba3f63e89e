//! The API client: where the API server is, who we are, and the gate in front of it.

mod bounds;
mod kubeconfig;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::{AuthError, ClientBuilder};
use kube::config::AuthInfo;
use kube::{Client, Config};

use super::Proxies;
use crate::permit::Gate;
use crate::words::place;
use crate::world::{Env, KubeConnection, KubeSource, KubeTarget, Named};
use bounds::Bounded;

/// Its presence says that the program runs in a pod with a ServiceAccount.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// A credential plugin may have to ask its person; files that somebody writes while we read are here soon.
const PATIENCE: Duration = Duration::from_secs(120);

/// Clients out of a kubeconfig, or of the pod's ServiceAccount.
pub struct RealKube {
    /// Where a kubeconfig is looked for when none is named.
    usual: Option<PathBuf>,
    proxies: Result<Proxies, String>,
    patience: Duration,
}

impl RealKube {
    /// `proxies` as the environment says, or why it says nothing that can be used.
    pub fn new(env: &Env, proxies: Result<Proxies, String>) -> Self {
        let var = |name: &str| env.get(name).map(String::as_str);
        RealKube { usual: kubeconfig::usual(var("KUBECONFIG"), var("HOME")), proxies, patience: PATIENCE }
    }

    /// How long a client may take to be made; a credential plugin's time is in it.
    pub fn patience(self, patience: Duration) -> Self {
        RealKube { patience, ..self }
    }
}

impl KubeSource for RealKube {
    fn connect<'a>(&'a self, target: &'a KubeTarget, gate: Gate) -> BoxFuture<'a, Result<KubeConnection, String>> {
        Box::pin(async move {
            super::install_crypto_provider();
            let in_cluster = !target.names_kubeconfig() && Path::new(SERVICE_ACCOUNT_TOKEN).exists();
            let (target, usual, proxies) = (target.clone(), self.usual.clone(), self.proxies.clone());
            let read = move || match in_cluster {
                true => of_pod(&target),
                false => of_kubeconfig(&target, usual.as_deref(), proxies),
            };
            let (config, place) = self.within("the kubeconfig or a file that it names", read).await??;
            let asked = match plugin(&config.auth_info) {
                Some(plugin) => format!("the credential plugin {plugin} of {place}"),
                None => format!("a client for {place}"),
            };
            let shown = place.clone();
            // What a plugin gives is not ours: where kube cannot use it, it stops its thread, which is told.
            let client = self.within(&asked, move || client(config, &shown, gate)).await??;
            Ok(KubeConnection { client, in_cluster, place })
        })
    }

    fn named<'a>(&'a self, target: &'a KubeTarget) -> BoxFuture<'a, Option<Named>> {
        Box::pin(async move {
            let paths = target.kubeconfig.clone().or_else(|| self.usual.clone())?;
            let read = move || kubeconfig::read_merged(&paths);
            Some(kubeconfig::named(&self.within("the kubeconfig", read).await.ok()?.ok()?))
        })
    }
}

impl RealKube {
    /// Does on a thread what blocks. One that is still at it when the time is over is left behind: it has nothing to say any more.
    async fn within<T: Send + 'static>(&self, what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        #[expect(clippy::disallowed_methods, reason = "kube waits for plugins and files on the thread that asks")]
        let thread = tokio::task::spawn_blocking(work);
        match tokio::time::timeout(self.patience, thread).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(format!("{what} gave what cannot be used")),
            Err(_) => Err(format!("{what} did not answer within {:?}", self.patience)),
        }
    }
}

/// As the pod's ServiceAccount. The API server's Service is never reached through a proxy.
fn of_pod(target: &KubeTarget) -> Result<(Config, String), String> {
    let mut config = Config::incluster().map_err(|error| format!("the pod's ServiceAccount cannot be used: {error}"))?;
    let source = std::iter::once("in the cluster".to_owned()).chain(kubeconfig::act_as(&mut config.auth_info, target)?);
    let place = format!("{} ({})", place(&config.cluster_url.to_string()), source.collect::<Vec<_>>().join(", "));
    Ok((config, place))
}

/// The configuration and, for messages, where it leads and which context it came from.
fn of_kubeconfig(
    target: &KubeTarget,
    usual: Option<&Path>,
    proxies: Result<Proxies, String>,
) -> Result<(Config, String), String> {
    let (kubeconfig, shown) = match (&target.kubeconfig, usual) {
        (Some(paths), _) => (kubeconfig::read_merged(paths)?, paths.display().to_string()),
        (None, Some(paths)) => {
            let none = |why: String| {
                format!("no cluster is known: {why}; name a kubeconfig with --kubeconfig or the environment variable KUBECONFIG")
            };
            (kubeconfig::read_merged(paths).map_err(none)?, "the default kubeconfig".to_owned())
        }
        (None, None) => {
            return Err(
                "no cluster is known: name a kubeconfig with --kubeconfig or the environment variable KUBECONFIG".to_owned()
            );
        }
    };
    let kubeconfig::Chosen { mut config, source } = kubeconfig::choose(kubeconfig, &shown, target)?;
    // The kubeconfig's own proxy-url is meant for this cluster, the environment's for all.
    if config.proxy_url.is_none() {
        config.proxy_url = proxies?.of(&config.cluster_url).cloned();
    }
    let place = format!("{} ({source})", place(&config.cluster_url.to_string()));
    Ok((config, place))
}

/// The program that gives credentials, if there is one.
fn plugin(user: &AuthInfo) -> Option<&str> {
    let provided = || user.auth_provider.as_ref()?.config.get("cmd-path").map(String::as_str);
    user.exec.as_ref().and_then(|exec| exec.command.as_deref()).or_else(provided)
}

fn client(mut config: Config, place: &str, gate: Gate) -> Result<Client, String> {
    // One client policy: retries are ours to see and to time.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Longer than a watch that is looked at may be silent; each call has its own, shorter deadline.
    config.read_timeout = Some(Duration::from_secs(180));
    config.write_timeout = Some(Duration::from_secs(30));
    config.reset_reader_on_write = true;
    // By this an audit log tells who has asked.
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("k8s-upgrade/", env!("CARGO_PKG_VERSION")))));
    let builder = ClientBuilder::try_from(config.clone())
        .or_else(|error| match config.root_cert {
            Some(_) => Err(error),
            // Without a CA of its own the system's are meant; an image FROM scratch has none.
            None => {
                config.root_cert = Some(bundled_roots());
                ClientBuilder::try_from(config)
            }
        })
        .map_err(|error| format!("no client for {place} can be made: {}", reason(&error)))?;
    Ok(builder.with_layer(&Bounded { peer: place.into() }).with_layer(&gate).build())
}

/// kube repeats a plugin's command line, its environment and its output, which may be the credentials.
fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => format!("the credential plugin failed ({})", out.status),
        kube::Error::Auth(AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_)) => {
            "the credential plugin printed no credentials".to_owned()
        }
        error => error.to_string(),
    }
}

fn bundled_roots() -> Vec<Vec<u8>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| der.to_vec()).collect()
}
