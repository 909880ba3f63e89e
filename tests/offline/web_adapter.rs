//! The web adapter against real loopback servers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use k8s_upgrade::adapters::RealWeb;
use k8s_upgrade::world::{Bounds, Web, WebError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const BOUNDS: Bounds = Bounds::new(Duration::from_secs(10), 1 << 20);

/// Answers each request by `answer(first line)`, a whole response or None for silence; returns the base URL and the requests seen.
async fn serve(answer: fn(&str) -> Option<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 65536];
            let count = socket.read(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let answer = answer(request.lines().next().unwrap_or_default());
            log.lock().unwrap().push(request);
            match answer {
                Some(text) => socket.write_all(text.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        }
    });
    (base, seen)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn get(url: String) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[test]
fn redirects_are_followed_and_any_status_is_an_answer() {
    run(async {
        let (base, _) = serve(|line| {
            Some(if line.starts_with("GET /begin") {
                "HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()
            } else {
                "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend".into()
            })
        })
        .await;
        let answer = RealWeb::default().send(get(format!("{base}/begin")), BOUNDS).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (418, &b"end"[..]));
    });
}

#[test]
fn an_endless_redirect_is_no_answer() {
    run(async {
        let (base, seen) =
            serve(|_| Some("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()))
                .await;
        let error = RealWeb::default().send(get(format!("{base}/again")), BOUNDS).await.unwrap_err();
        assert!(matches!(&error, WebError::Unreachable(_, why) if why.contains("redirect")), "{error}");
        assert!(seen.lock().unwrap().len() <= 12);
    });
}

#[test]
fn a_body_arrives_as_it_was_sent() {
    run(async {
        let (base, seen) = serve(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into())).await;
        let request = Request::post(format!("{base}/metrics/job/x")).body(Bytes::from_static(b"up 1\n")).unwrap();
        RealWeb::default().send(request, BOUNDS).await.unwrap();
        let seen = seen.lock().unwrap().concat();
        assert!(seen.starts_with("POST /metrics/job/x HTTP/1.1\r\n") && seen.ends_with("\r\n\r\nup 1\n"), "{seen}");
    });
}

#[test]
fn the_deadline_holds_for_a_server_that_is_silent() {
    run(async {
        let (base, _) = serve(|_| None).await;
        let begin = Instant::now();
        let error = RealWeb::default().send(get(base), Bounds::new(Duration::from_millis(300), 1024)).await.unwrap_err();
        assert!(matches!(error, WebError::Deadline(..)), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(2));
    });
}

#[test]
fn a_refused_connection_is_told_without_the_secret_path() {
    run(async {
        let free = format!("127.0.0.1:{}", super::ports::free());
        let error = RealWeb::default().send(get(format!("http://{free}/services/T0/SECRET")), BOUNDS).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, WebError::Unreachable(..)), "{text}");
        assert!(text.contains("refused") && text.contains(&free) && !text.contains("SECRET"), "{text}");
    });
}

/// reqwest takes the usual secret headers off a request that is sent on to another host, and knows nothing of Vault's.
#[test]
fn a_sensitive_header_is_not_sent_on() {
    run(async {
        let (other, seen_there) =
            serve(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into())).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut vec![0; 65536]).await.unwrap();
                let answer = format!(
                    "HTTP/1.1 307 Temporary Redirect\r\nLocation: {other}/v1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let request = |sensitive| {
            let mut token = http::HeaderValue::from_static("hvs.SECRET");
            token.set_sensitive(sensitive);
            Request::get(format!("{base}/v1")).header("X-Vault-Token", token).body(Bytes::new()).unwrap()
        };
        let web = RealWeb::default();
        assert_eq!(web.send(request(true), BOUNDS).await.unwrap().status().as_u16(), 307);
        assert!(seen_there.lock().unwrap().is_empty());
        // What is not marked is sent on, header and all: that is why it must be.
        assert_eq!(web.send(request(false), BOUNDS).await.unwrap().status().as_u16(), 200);
        assert!(seen_there.lock().unwrap().concat().contains("hvs.SECRET"));
    });
}
