//! The web adapter against a real TLS server whose authority nobody knows but who was told of it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use k8s_upgrade::adapters::RealWeb;
use k8s_upgrade::clients::{Access, Credentials, Endpoint, Prometheus};
use k8s_upgrade::failure::Class;
use k8s_upgrade::words::Certificates;
use k8s_upgrade::world::{Bounds, Web};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

const DEADLINE: Duration = Duration::from_secs(10);

fn openssl(folder: &Path, line: &str) {
    let made = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().expect("there is no openssl on PATH");
    assert!(made.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority, as PEM, and a server that it vouches for.
struct Authority {
    pem: String,
    base: String,
    /// Heads of the requests that it has read.
    seen: Arc<Mutex<Vec<String>>>,
}

/// Answers all alike.
fn serve(answer: String) -> Authority {
    let folder = tempfile::tempdir().unwrap();
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder.path(), &format!("req -x509 {curve} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"));
    let of_server = "-CA ca.pem -CAkey ca.key -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    openssl(folder.path(), &format!("req -x509 {curve} -days 2 -subj /CN=server {of_server} -keyout key.pem -out cert.pem"));
    let read = |file: &str| std::fs::read(folder.path().join(file)).unwrap();
    let certificate = CertificateDer::from_pem_slice(&read("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let mut buffer = vec![0; 65536];
            // Who does not trust us hangs up before there is a request.
            let Ok(count) = stream.read(&mut buffer) else { continue };
            log.lock().unwrap().push(String::from_utf8_lossy(&buffer[..count]).to_ascii_lowercase());
            drop(stream.write_all(answer.as_bytes()));
            stream.conn.send_close_notify();
            drop(stream.flush());
        }
    });
    Authority { pem: String::from_utf8(read("ca.pem")).unwrap(), base, seen }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn prometheus(base: &str, roots: Option<&str>) -> Prometheus {
    let access = Access {
        credentials: Some(Credentials::token("hunter2").unwrap()),
        tenant: Some("team-a".parse().unwrap()),
        roots: roots.map(|pem| pem.parse().unwrap()),
    };
    Prometheus::new(Endpoint::Url { base: base.to_owned(), web: Arc::new(RealWeb::default()), access })
}

const ALERTS: &str = r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"Watchdog"},"state":"firing"}]}}"#;

#[test]
fn an_authority_of_ones_own_vouches_where_it_is_named() {
    let (ours, others) = (serve(ok(ALERTS)), serve(ok(ALERTS)));
    let both = format!("{}{}", others.pem, ours.pem);
    for pem in [&ours.pem, &both] {
        let alerts = run(prometheus(&ours.base, Some(pem)).look(DEADLINE)).unwrap();
        assert_eq!(alerts[0].name, "Watchdog");
    }
    let request = ours.seen.lock().unwrap().pop().unwrap();
    assert!(request.contains("authorization: bearer hunter2\r\n") && request.contains("x-scope-orgid: team-a\r\n"), "{request}");
    ours.seen.lock().unwrap().clear();
    // Neither the usual authorities nor another one: and then nothing is sent.
    for roots in [None, Some(others.pem.as_str())] {
        let cause = run(prometheus(&ours.base, roots).look(DEADLINE)).unwrap_err();
        assert!(cause.class == Class::Unreachable && cause.what.contains("certificate"), "{cause:?}");
        assert!(!format!("{cause:?}").contains("hunter2"));
    }
    assert!(ours.seen.lock().unwrap().is_empty());
}

/// The usual authorities vouch no more: whoever has a certificate of one of these is not the one that was meant.
#[test]
fn an_authority_that_is_named_is_the_only_one() {
    let ours = serve(ok(ALERTS));
    let roots: Certificates = ours.pem.parse().unwrap();
    let mut request = Request::get(format!("{}/x", serve(ok("")).base)).body(Bytes::new()).unwrap();
    request.extensions_mut().insert(roots);
    assert!(run(RealWeb::default().send(request, Bounds::new(DEADLINE, 1 << 20))).is_err());
}

/// Whoever answers with a way to somewhere else does not get the token sent there.
#[test]
fn a_token_is_not_sent_on() {
    let other = serve(ok(ALERTS));
    let sends_on = serve(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {}/api/v1/alerts\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        other.base
    ));
    let both = format!("{}{}", other.pem, sends_on.pem);
    let cause = run(prometheus(&sends_on.base, Some(&both)).look(DEADLINE)).unwrap_err();
    assert!(cause.class == Class::Unreachable && cause.what.contains("307"), "{cause:?}");
    assert!(other.seen.lock().unwrap().is_empty() && sends_on.seen.lock().unwrap().len() == 1);
}
