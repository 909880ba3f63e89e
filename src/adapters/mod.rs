//! The real kube, SSH, HTTP, clock, files and terminal behind the traits of [`crate::world`].

mod clock;
mod files;
mod kube;
mod proxy;
mod resolver;
mod ssh;
mod terminal;
mod web;

use std::path::PathBuf;
use std::sync::Arc;

use crate::world::{Env, World};

pub use self::kube::RealKube;
pub use clock::{SystemClock, SystemRandom};
pub use files::SystemFiles;
pub use proxy::Proxies;
pub use resolver::SystemResolver;
pub use ssh::Ssh;
pub use terminal::{Stdout, size};
pub use web::RealWeb;

/// The world as it is, as the environment describes it. Installs the one crypto provider that kube and reqwest share.
pub fn world(env: &Env) -> World {
    install_crypto_provider();
    let proxies = Proxies::new(env);
    World {
        kube: Arc::new(RealKube::new(env, proxies.clone())),
        hosts: Arc::new(Ssh::new(env.get("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from))),
        web: Arc::new(RealWeb::new(proxies)),
        resolver: Arc::new(SystemResolver),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        files: Arc::new(SystemFiles),
        terminal: Arc::new(Stdout),
    }
}

fn install_crypto_provider() {
    // An error means that one is installed already: a second world in one process, as tests make.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
