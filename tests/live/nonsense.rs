//! Something at Prometheus' own address that answers, and is no Prometheus.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it answers, in turn. The third is good, but for its status; the fourth is true of a Prometheus that has lost its rules.
const ANSWERS: [(&str, &str); 4] = [
    ("200 OK", "<html><title>Sign in</title></html>"),
    ("200 OK", r#"{"status":"success","data":{"alerts":["#),
    (
        "503 Service Unavailable",
        r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"Watchdog"},"annotations":{},"state":"firing"}]}}"#,
    ),
    ("200 OK", r#"{"status":"success","data":{"alerts":[]}}"#),
];

pub struct Nonsense {
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Nonsense {
    /// `url`: http://HOST:PORT, where nothing listens any more.
    pub fn at(url: &str) -> Nonsense {
        let address = url.strip_prefix("http://").expect("an http URL");
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        listener.set_nonblocking(true).expect("a listener that does not block");
        let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((client, _)) => answer(client, &asked),
                        Err(_) => std::thread::sleep(Duration::from_millis(20)),
                    }
                }
            }
        });
        Nonsense { asked, stop, thread: Some(thread) }
    }

    /// Each kind of nonsense was given at least once.
    pub fn all_told(&self) -> Result<(), String> {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked >= ANSWERS.len() { Ok(()) } else { Err(format!("alerts were asked for {asked} times")) }
    }
}

impl Drop for Nonsense {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// One request, one answer. Who breaks off has not been answered.
fn answer(mut client: TcpStream, asked: &AtomicUsize) {
    client.set_nonblocking(false).and_then(|()| client.set_read_timeout(Some(Duration::from_secs(2)))).expect("a socket");
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut chunk) {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let alerts = request.starts_with(b"GET /api/v1/alerts");
    let (status, body) = ANSWERS[asked.load(Ordering::Relaxed) % ANSWERS.len()];
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    if client.write_all(head.as_bytes()).and_then(|()| client.write_all(body.as_bytes())).is_ok() && alerts {
        asked.fetch_add(1, Ordering::Relaxed);
    }
}
