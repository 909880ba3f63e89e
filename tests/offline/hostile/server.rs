//! An HTTP server without manners.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What it does once it has read a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Silence,
    ClosesAtOnce,
    Garbage,
    /// A byte now and then.
    SlowHead,
    SlowBody,
    EndlessHead,
    /// Head after head that says that the answer is yet to come.
    EndlessInterim,
    EndlessBody,
    EndlessChunks,
    EndlessError,
    EndlessLine,
    ChunkWithoutASize,
    HugeLength,
    HalfAnAnswer,
    NotEvenText,
    OtherThanAsked,
    DeepJson,
    RedirectsInACircle,
    RedirectsNowhere,
    Escapes,
}

pub const ALL: [Manner; 20] = [
    Manner::Silence,
    Manner::ClosesAtOnce,
    Manner::Garbage,
    Manner::SlowHead,
    Manner::SlowBody,
    Manner::EndlessHead,
    Manner::EndlessInterim,
    Manner::EndlessBody,
    Manner::EndlessChunks,
    Manner::EndlessError,
    Manner::EndlessLine,
    Manner::ChunkWithoutASize,
    Manner::HugeLength,
    Manner::HalfAnAnswer,
    Manner::NotEvenText,
    Manner::OtherThanAsked,
    Manner::DeepJson,
    Manner::RedirectsInACircle,
    Manner::RedirectsNowhere,
    Manner::Escapes,
];

pub struct Server {
    /// `127.0.0.1:4711`
    pub address: String,
    /// Bytes that it could send so far.
    pub sent: Arc<AtomicUsize>,
}

pub fn serve(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let count = count.clone();
            std::thread::spawn(move || answer(manner, &socket, &count));
        }
    });
    Server { address, sent }
}

/// Until the client has gone.
fn answer(manner: Manner, mut socket: &TcpStream, count: &AtomicUsize) -> Option<()> {
    // A client that has gone away without a word is not written to for ever.
    socket.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    if socket.read(&mut [0; 65536]).ok()? == 0 {
        return None;
    }
    let mut send = |bytes: &[u8]| {
        socket.write_all(bytes).ok()?;
        count.fetch_add(bytes.len(), Ordering::Relaxed);
        Some(())
    };
    let endless = |send: &mut dyn FnMut(&[u8]) -> Option<()>, part: &[u8]| -> Option<()> {
        loop {
            send(part)?;
        }
    };
    let slow = |send: &mut dyn FnMut(&[u8]) -> Option<()>| -> Option<()> {
        loop {
            send(b"a")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let filler = vec![b'a'; 64 << 10];
    let lines = b"# TYPE a gauge\nPackage: kubeadm\n".repeat(2000);
    match manner {
        Manner::Silence => std::thread::sleep(Duration::from_secs(3)),
        Manner::ClosesAtOnce => {}
        Manner::Garbage => send(b"\x00\xff\x15\x03\x01 SMTP ready?\r\n\r\n")?,
        Manner::SlowHead => slow(&mut send)?,
        Manner::SlowBody => {
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            slow(&mut send)?;
        }
        Manner::EndlessHead => {
            send(b"HTTP/1.1 200 OK\r\n")?;
            endless(&mut send, &b"X-More: and more\r\n".repeat(1000))?;
        }
        Manner::EndlessInterim => endless(&mut send, &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000))?,
        Manner::EndlessBody => {
            send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            endless(&mut send, &lines)?;
        }
        Manner::EndlessChunks => {
            send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            endless(&mut send, &[b"10000\r\n", &filler[..], b"\r\n"].concat())?;
        }
        Manner::EndlessError => {
            send(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n")?;
            endless(&mut send, &filler)?;
        }
        Manner::EndlessLine => {
            send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":\"")?;
            endless(&mut send, &filler)?;
        }
        Manner::ChunkWithoutASize => {
            send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            endless(&mut send, &b"f".repeat(65536))?;
        }
        Manner::HugeLength => {
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551614\r\n\r\n")?;
            endless(&mut send, &filler)?;
        }
        Manner::HalfAnAnswer => send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":\"succ")?,
        Manner::NotEvenText => send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\xff\xfe\x00\xc3\x28\x80")?,
        Manner::OtherThanAsked => {
            let body = r#"{"status":"success","kind":7,"data":[[]],"items":"none","metadata":[]}"#;
            send(
                format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
            )?;
        }
        Manner::DeepJson => {
            let body = "[".repeat(100_000);
            send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        }
        Manner::RedirectsInACircle => {
            send(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        }
        Manner::RedirectsNowhere => {
            send(b"HTTP/1.1 302 Found\r\nLocation: \xff://\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        }
        Manner::Escapes => {
            let body = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{202e}Next: rm -rf /";
            send(format!("HTTP/1.1 500 \x1b[31mOops\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        }
    }
    Some(())
}
