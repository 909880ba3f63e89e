//! The real kube, SSH, HTTP, clock, files and terminal behind the traits of [`crate::world`].

mod clock;
mod files;
mod kube;
mod ssh;
mod terminal;
mod web;

use std::sync::Arc;

use crate::world::World;

pub use self::kube::RealKube;
pub use clock::{SystemClock, SystemRandom};
pub use files::SystemFiles;
pub use ssh::Ssh;
pub use terminal::Stdout;
pub use web::RealWeb;

/// The world as it is. Installs the one crypto provider that kube and reqwest share.
pub fn world() -> World {
    install_crypto_provider();
    World {
        kube: Arc::new(RealKube),
        hosts: Arc::new(Ssh),
        web: Arc::new(RealWeb::new()),
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
