//! The registry of images as a node knows it, by TLS: what it gives are the lab's own images, from the control plane's store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::lab::Lab;
use super::process;

const NAME: &str = "registry.k8s.io";

pub struct Registry {
    /// On the bridge, where the lab's other services are.
    address: String,
    certificate: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it gives by name; by hash it gives all that is in the folder.
struct Shelf {
    /// `kube-proxy:v1.36.3`: media type, and hash of the manifest.
    tags: BTreeMap<String, (String, String)>,
    blobs: PathBuf,
}

impl Registry {
    pub fn start(lab: &Lab) -> Registry {
        let url = lab.env("LAB_PACKAGES_URL");
        let address = url.strip_prefix("http://").and_then(|rest| rest.split(':').next()).expect("an http URL").to_owned();
        let (key, certificate) = (lab.scratch("registry.key"), lab.scratch("registry.crt"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &format!("/CN={NAME}")]);
        openssl.args(["-addext", &format!("subjectAltName=DNS:{NAME}"), "-keyout"]).arg(&key).arg("-out").arg(&certificate);
        process::run(&mut openssl, "", Duration::from_secs(30)).good();

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_file(&certificate).expect("a certificate")];
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(&key).expect("a key"))
            .expect("they fit");
        let listener =
            TcpListener::bind((address.as_str(), 443)).unwrap_or_else(|error| panic!("cannot listen on {address}:443: {error}"));
        listener.set_nonblocking(true).expect("a listener that does not block");
        let (stop, shelf, config) = (Arc::new(AtomicBool::new(false)), Arc::new(Shelf::of(lab)), Arc::new(config));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((client, _)) => {
                            let (shelf, config) = (shelf.clone(), config.clone());
                            // Who breaks off has not been answered.
                            std::thread::spawn(move || shelf.answer(client, config).ok());
                        }
                        Err(_) => std::thread::sleep(Duration::from_millis(20)),
                    }
                }
            }
        });
        let certificate = std::fs::read_to_string(certificate).expect("a certificate");
        Registry { address, certificate, stop, thread: Some(thread) }
    }

    /// A script by which a node finds it, and trusts it.
    pub fn introduction(&self) -> String {
        format!(
            "echo '{}' >/etc/ssl/certs/lab-registry.pem\n\
             grep -q ' {NAME}$' /etc/hosts || echo '{} {NAME}' >>/etc/hosts",
            self.certificate, self.address
        )
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shelf {
    fn of(lab: &Lab) -> Shelf {
        let listed = lab.on("k8s-master", "sudo -n ctr -n k8s.io images ls");
        let image = |line: &str| {
            let mut words = line.split_whitespace();
            let tag = words.next()?.strip_prefix(NAME)?.strip_prefix('/')?.to_owned();
            Some((tag, (words.next()?.to_owned(), words.next()?.to_owned())))
        };
        let store = "nodes/k8s-master/containerd/io.containerd.content.v1.content/blobs/sha256";
        Shelf { tags: listed.lines().filter_map(image).collect(), blobs: Path::new(lab.env("LAB_DIR")).join(store) }
    }

    /// One request, one answer.
    fn answer(&self, client: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, client);
        let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                read => request.extend_from_slice(&chunk[..read]),
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match self.find(path) {
            Some((media, hash, mut file)) => {
                let length = file.metadata()?.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nDocker-Content-Digest: {hash}\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n"
                )?;
                if method == "GET" {
                    std::io::copy(&mut file, &mut stream)?;
                }
            }
            None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?,
        }
        stream.conn.send_close_notify();
        stream.flush()
    }

    /// `/v2/IMAGE/manifests/TAG`, `/v2/IMAGE/manifests/sha256:HASH` or `/v2/IMAGE/blobs/sha256:HASH`.
    fn find(&self, path: &str) -> Option<(String, String, File)> {
        let (rest, wanted) = path.split('?').next()?.strip_prefix("/v2/")?.rsplit_once('/')?;
        let (image, _) = rest.rsplit_once('/')?;
        let (media, hash) = if wanted.starts_with("sha256:") {
            let named = self.tags.values().find(|(_, hash)| hash == wanted);
            (named.map_or("application/octet-stream", |(media, _)| media).to_owned(), wanted.to_owned())
        } else {
            self.tags.get(&format!("{image}:{wanted}"))?.clone()
        };
        let file = File::open(self.blobs.join(hash.strip_prefix("sha256:")?)).ok()?;
        Some((media, hash, file))
    }
}
