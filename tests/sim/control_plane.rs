//! The suite on a real control plane, one test a behaviour. `tests/control-plane/run` starts it and says where it is.

mod typed;

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::behaviour;
use crate::bench::{Behaviour, Cluster, hold};

const KUBECONFIG: &str = "CONTROL_PLANE_KUBECONFIG";

struct ControlPlane {
    config: Config,
}

impl ControlPlane {
    fn client(&self, change: impl FnOnce(&mut Config)) -> Client {
        let mut config = self.config.clone();
        // Refusals are what is looked at.
        config.default_retry = false;
        config.read_timeout = Some(Duration::from_secs(180)); // a watch is silent for a minute
        change(&mut config);
        Client::try_from(config).unwrap()
    }
}

impl Cluster for ControlPlane {
    fn admin(&self) -> Client {
        self.client(|_| {})
    }

    fn service_account(&self, namespace: &str, name: &str) -> Client {
        self.client(|config| {
            config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{name}"));
            let of_namespace = format!("system:serviceaccounts:{namespace}");
            config.auth_info.impersonate_groups =
                Some(vec!["system:serviceaccounts".to_owned(), of_namespace, "system:authenticated".to_owned()]);
        })
    }

    fn stranger(&self) -> Client {
        self.client(|config| {
            config.auth_info = kube::config::AuthInfo { token: Some("nonsense".to_owned().into()), ..Default::default() };
        })
    }

    fn salt(&self) -> String {
        std::process::id().to_string()
    }
}

fn run(name: &str, behaviour: Behaviour) {
    let Ok(path) = std::env::var(KUBECONFIG) else {
        panic!("{KUBECONFIG} is not set: no control plane is running. tests/control-plane/run starts one and runs these tests");
    };
    // The second test to come finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        hold(&ControlPlane { config }, name, behaviour).await;
    });
}

macro_rules! tests {
    ($($room:ident: $($name:ident),+;)+) => {
        $(mod $room {
            $(#[test]
            fn $name() {
                super::run(concat!(stringify!($room), "-", stringify!($name)), |bench| {
                    Box::pin(super::behaviour::$room::$name(bench))
                });
            })+
        })+
    };
}
behaviour::behaviours!(tests);
behaviour::admitted!(tests);
