//! The API client: where the API server is, who we are, and the gate in front of it.

use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::Config;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::permit::Gate;
use crate::world::{KubeConnection, KubeSource, KubeTarget};

/// Its presence says that the program runs in a pod with a ServiceAccount.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

pub struct RealKube;

impl KubeSource for RealKube {
    fn connect<'a>(&'a self, target: &'a KubeTarget, gate: Gate) -> BoxFuture<'a, Result<KubeConnection, String>> {
        Box::pin(async move {
            super::install_crypto_provider();
            let in_cluster = target.kubeconfig.is_none() && target.context.is_none() && Path::new(SERVICE_ACCOUNT_TOKEN).exists();
            let (mut config, source) = if in_cluster {
                let config = Config::incluster().map_err(|error| format!("the pod's ServiceAccount cannot be used: {error}"))?;
                (config, "in the cluster".to_owned())
            } else {
                from_kubeconfig(target).await?
            };
            // One client policy (design §3): retries are ours to see and to time.
            config.default_retry = false;
            config.connect_timeout = Some(Duration::from_secs(5));
            // Longer than a watch that is looked at may be silent; each call has its own, shorter deadline.
            config.read_timeout = Some(Duration::from_secs(180));
            config.write_timeout = Some(Duration::from_secs(30));
            config.reset_reader_on_write = true;
            let place = format!("{} ({source})", config.cluster_url.to_string().trim_end_matches('/'));
            let builder = ClientBuilder::try_from(config.clone())
                .or_else(|error| match config.root_cert {
                    Some(_) => Err(error),
                    // Without a CA of its own the system's are meant; an image FROM scratch has none.
                    None => {
                        config.root_cert = Some(bundled_roots());
                        ClientBuilder::try_from(config)
                    }
                })
                .map_err(|error| format!("no client for {place} can be made: {error}"))?;
            Ok(KubeConnection { client: builder.with_layer(&gate).build(), in_cluster, place })
        })
    }
}

/// The configuration and, for messages, the context that it came from.
async fn from_kubeconfig(target: &KubeTarget) -> Result<(Config, String), String> {
    let (kubeconfig, file) = match &target.kubeconfig {
        Some(paths) => (read_merged(paths)?, paths.display().to_string()),
        None => {
            let read = Kubeconfig::read().map_err(|error| {
                format!(
                    "no cluster is known: {error}; name a kubeconfig with --kubeconfig or the environment variable KUBECONFIG"
                )
            })?;
            (read, "the default kubeconfig".to_owned())
        }
    };
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let Some(context) = target.context.clone().or_else(|| kubeconfig.current_context.clone()).filter(|name| !name.is_empty())
    else {
        return Err(format!("{file} has no current context: name one with --context (known: {})", known.join(", ")));
    };
    if !known.contains(&context) {
        return Err(format!("{file} has no context {context} (known: {})", known.join(", ")));
    }
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| format!("{file}, context {context}: {error}"))?;
    Ok((config, format!("context {context}")))
}

/// A value of KUBECONFIG: one path, or more separated by colons. The first to say a thing wins, as with kubectl.
fn read_merged(paths: &Path) -> Result<Kubeconfig, String> {
    let mut merged = Kubeconfig::default();
    for path in std::env::split_paths(paths) {
        let next = Kubeconfig::read_from(&path).map_err(|error| format!("kubeconfig {}: {error}", path.display()))?;
        merged = merged.merge(next).map_err(|error| format!("kubeconfig {}: {error}", path.display()))?;
    }
    Ok(merged)
}

fn bundled_roots() -> Vec<Vec<u8>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| der.to_vec()).collect()
}
