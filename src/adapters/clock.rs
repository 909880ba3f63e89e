//! Time and randomness of the machine.

use std::hash::{BuildHasher, RandomState};

use crate::world::{Clock, Random};

/// The machine's own clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one clock")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Numbers for names and jitter are no keys: a hash under keys that std takes from the operating system.
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "a seed, not a time")]
    fn u64(&self) -> u64 {
        RandomState::new().hash_one(std::time::SystemTime::now())
    }

    /// From the operating system, by the provider that TLS has its keys of.
    fn secret(&self) -> std::io::Result<[u8; 32]> {
        let mut bytes = [0; 32];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| std::io::Error::other("the operating system gives no random bytes"))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ() {
        let numbers: std::collections::BTreeSet<u64> = (0..1000).map(|_| SystemRandom.u64()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}
