//! A defect of this program ends it as any failure does: exit 1, what, in which state, and what to type.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::poll_fn;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use k8s_upgrade::permit::Gate;
use k8s_upgrade::world::{Env, Files, KubeConnection, KubeSource, KubeTarget, World};
use k8s_upgrade::{Panics, adapters};
use kube::client::Body;

use crate::support::program::program_in;

/// An API server at whose first answer the program goes down.
struct Mine;

impl KubeSource for Mine {
    fn connect<'a>(&'a self, _: &'a KubeTarget, _: Gate) -> BoxFuture<'a, Result<KubeConnection, String>> {
        let answer = |_: Request<Body>| {
            let body = poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> { panic!("mined") });
            std::future::ready(Ok::<_, std::io::Error>(Response::new(StreamBody::new(body))))
        };
        let client = kube::Client::new(tower::service_fn(answer), "default");
        Box::pin(std::future::ready(Ok(KubeConnection { client, in_cluster: false, place: "nowhere".to_owned() })))
    }
}

/// A disk at whose first file the program goes down: before it can tell anything.
struct Torn;

impl Files for Torn {
    fn read(&self, path: &Path, _: usize) -> std::io::Result<Vec<u8>> {
        panic!("torn: {}", path.display())
    }
    fn write(&self, path: &Path, _: &[u8], _: u32) -> std::io::Result<()> {
        panic!("torn: {}", path.display())
    }
    fn make_folder(&self, path: &Path) -> std::io::Result<()> {
        panic!("torn: {}", path.display())
    }
    fn is_file(&self, path: &Path) -> std::io::Result<bool> {
        panic!("torn: {}", path.display())
    }
}

fn mined() -> World {
    World { kube: Arc::new(Mine), ..adapters::world(&Env::new()) }
}

fn torn() -> World {
    World { files: Arc::new(Torn), ..adapters::world(&Env::new()) }
}

#[test]
fn a_panic_is_a_failure_in_three_parts() {
    for (world, args, what) in [
        (&mined as &dyn Fn() -> World, &["status"][..], "mined"),
        (&torn, &["--config", "/etc/k8s-upgrade.yaml", "status"], "torn: /etc/k8s-upgrade.yaml"),
    ] {
        let ran = program_in(Some(world), args, &[]);
        ran.is(1)
            .says(&format!("this program has a defect: {what}\n  State: "))
            .says("\n  Next:  ")
            .says("report this text to ")
            .says("-vv");
        assert!(!ran.stderr.contains("panicked at"), "{}", ran.stderr);
        let ran = program_in(Some(world), &[args, &["--log-format", "json"]].concat(), &[]);
        ran.is(1).says(what);
    }
    let ran = program_in(Some(&mined), &["halt", "--yes", "-o", "json"], &[]);
    let account: serde_json::Value = serde_json::from_str(&ran.is(1).stdout).unwrap();
    assert_eq!((&account["outcome"], &account["failure"]["exitCode"]), (&"bug".into(), &1.into()), "{account:#}");
}

/// The hook belongs to the whole process, so a child is asked: nothing of the runtime's own is printed, and no backtrace.
#[test]
fn nothing_is_printed_before_it_is_caught() {
    const ASKED: &str = "K8S_UPGRADE_TEST_PANICS";
    if std::env::var_os(ASKED).is_some() {
        let _panics = Panics::listen();
        let caught = std::panic::catch_unwind(|| panic!("unheard"));
        assert!(caught.is_err());
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "panics::nothing_is_printed_before_it_is_caught", "--nocapture"]).env(ASKED, "1");
    let ran = child.env("RUST_BACKTRACE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success() && said.contains("1 passed") && !said.contains("unheard"), "{said}");
}
