//! Ports that are free, and stay so: where nobody must listen, or a program is told where to. A port that the system gives, once it was
//! given back, goes to the next test that asks for one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives (`ip_local_port_range` begins at 32768).
const FIRST: u16 = 10_000;
const PORTS: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Another one with each call. Processes begin at different ones.
pub fn free() -> u16 {
    let begin = u16::try_from(std::process::id() * 61 % u32::from(PORTS)).unwrap();
    let mut tried = std::iter::repeat_with(|| FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS);
    tried.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
