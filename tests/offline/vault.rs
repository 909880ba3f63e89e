//! The client of Vault against a real one in dev mode: `tests/run vault`, where there is a `vault` on PATH.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use k8s_upgrade::adapters::RealWeb;
use k8s_upgrade::clients::Vault;
use k8s_upgrade::clients::vault::{Refusal, StoredSecret, Wrote};
use k8s_upgrade::failure::Class;
use k8s_upgrade::permit::{ChangeClass, Permit};
use k8s_upgrade::world::{Bounds, Web};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_secs(10);
const BOUNDS: Bounds = Bounds::new(SHORT, 1 << 20);
const ROOT: &str = "root-of-the-test";

struct Server {
    child: Child,
    base: String,
    web: Arc<RealWeb>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start() -> Server {
        let address = format!("127.0.0.1:{}", super::ports::free());
        let child = Command::new("vault")
            .args(["server", "-dev", "-dev-no-store-token", &format!("-dev-listen-address={address}")])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is no vault on PATH");
        let server = Server { child, base: format!("http://{address}"), web: Arc::new(RealWeb::default()) };
        for _ in 0..100 {
            let health = Request::get(format!("{}/v1/sys/health", server.base)).body(Bytes::new()).unwrap();
            if server.web.send(health, BOUNDS).await.is_ok_and(|answer| answer.status() == 200) {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("vault does not come up");
    }

    fn client(&self, token: &str) -> Vault {
        self.client_of("secret", token)
    }

    fn client_of(&self, mount: &str, token: &str) -> Vault {
        Vault::new(&self.base, mount, "k8s-upgrade", token, self.web.clone()).unwrap()
    }

    /// A request of the administrator's, and the status of its answer.
    async fn asks(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.base));
        let request = request.header("X-Vault-Token", ROOT).header("Content-Type", kind);
        let answer = self.web.send(request.body(Bytes::from(body.to_string())).unwrap(), BOUNDS).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    /// The same, which must succeed.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.asks(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// A token that may do this with the secret; its policy is no other token's.
    async fn token(&self, capabilities: &[&str]) -> String {
        let policy = format!("path \"secret/data/k8s-upgrade\" {{ capabilities = {} }}", json!(capabilities));
        let name = capabilities.join("-");
        self.ask(Method::PUT, &format!("sys/policies/acl/{name}"), json!({ "policy": policy })).await;
        let made = self.ask(Method::POST, "auth/token/create", json!({ "policies": [name] })).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn write(vault: &Vault, kept: &StoredSecret, fields: Value) -> Result<Wrote, Refusal> {
    let permit = Permit { class: ChangeClass::Settle, step: "test".into() };
    permit.scope(vault.write(kept, &fields, SHORT)).await
}

#[test]
#[ignore = "needs a vault on PATH: tests/run vault"]
fn a_real_vault_answers_as_is_taken_for_granted() {
    runtime().block_on(async {
        let server = Server::start().await;
        let vault = server.client(&server.token(&["read", "create", "update", "patch"]).await);
        let holds = async |version: u64, data: Option<Value>| {
            let kept = vault.read(SHORT).await.unwrap();
            assert_eq!((kept.version, kept.data.as_ref().map(|data| json!(data))), (version, data));
            // To ask writes nothing, whatever is there.
            vault.may_write(&kept, SHORT).await.unwrap();
            assert!(vault.read(SHORT).await.unwrap() == kept);
            kept
        };
        let none = holds(0, None).await;
        assert_eq!(write(&vault, &none, json!({ "a": "1", "b": "2" })).await.unwrap(), Wrote::Version(1));
        assert_eq!(write(&vault, &none, json!({ "a": "3" })).await.unwrap(), Wrote::Stale);
        let first = holds(1, Some(json!({ "a": "1", "b": "2" }))).await;
        assert_eq!(write(&vault, &first, json!({ "a": "4" })).await.unwrap(), Wrote::Version(2));
        assert_eq!(write(&vault, &first, json!({ "a": "5" })).await.unwrap(), Wrote::Stale);
        holds(2, Some(json!({ "a": "4", "b": "2" }))).await;

        let reader = server.client(&server.token(&["read"]).await);
        let kept = reader.read(SHORT).await.unwrap();
        assert_eq!(reader.may_write(&kept, SHORT).await.unwrap_err().class, Class::Refused);
        let refusal = write(&reader, &kept, json!({ "a": "6" })).await.unwrap_err();
        assert!(refusal.definite && refusal.cause.class == Class::Refused, "{refusal:?}");
        assert_eq!(server.client("nobody").read(SHORT).await.err().unwrap().class, Class::Refused);

        server.ask(Method::DELETE, "secret/data/k8s-upgrade", Value::Null).await;
        let deleted = holds(2, None).await;
        assert_eq!(write(&vault, &deleted, json!({ "a": "7" })).await.unwrap(), Wrote::Version(3));
        holds(3, Some(json!({ "a": "7" }))).await;
    });
}

/// A mount of version 1 takes a version for a field like others: the write that only asks would stand there.
#[test]
#[ignore = "needs a vault on PATH: tests/run vault"]
fn a_real_vault_tells_its_versions_apart() {
    runtime().block_on(async {
        let server = Server::start().await;
        for (mount, body) in [
            ("old", json!({ "type": "kv" })),
            ("explicit", json!({ "type": "kv", "options": { "version": "1" } })),
            ("pki", json!({ "type": "pki" })),
        ] {
            server.ask(Method::POST, &format!("sys/mounts/{mount}"), body).await;
            let vault = server.client_of(mount, ROOT);
            let cause = vault.read(SHORT).await.err().unwrap();
            assert!(cause.class == Class::Refused && cause.what.contains("and not KV version 2"), "{mount}: {cause:?}");
            let none = StoredSecret { version: 0, data: None };
            assert_eq!(vault.may_write(&none, SHORT).await.unwrap_err(), cause, "{mount}");
            assert_eq!(server.asks(Method::GET, &format!("{mount}/data/k8s-upgrade"), Value::Null).await.0, 404, "{mount}");
        }
        // What would have happened.
        let probe = json!({ "options": { "cas": i32::MAX }, "data": {} });
        assert_eq!(server.asks(Method::PATCH, "old/data/k8s-upgrade", probe.clone()).await.0, 405);
        assert_eq!(server.asks(Method::POST, "old/data/k8s-upgrade", probe.clone()).await.0, 204);
        assert_eq!(server.ask(Method::GET, "old/data/k8s-upgrade", Value::Null).await["data"], probe);

        let cause = server.client_of("secret/team", ROOT).read(SHORT).await.err().unwrap();
        assert_eq!(
            cause.next,
            ["k8s-upgrade --set vault-mount=secret --set vault-path=team/k8s-upgrade rotate-key"],
            "{cause:?}"
        );
        let cause = server.client_of("nowhere", ROOT).read(SHORT).await.err().unwrap();
        assert!(cause.detail.iter().any(|line| line.contains("there is no such mount")), "{cause:?}");
        // A right on the secret is enough to be told of its mount.
        let token = server.token(&["read", "create"]).await;
        server.client(&token).is_kv2(SHORT).await.unwrap();
        assert_eq!(server.client_of("old", &token).is_kv2(SHORT).await.unwrap_err().class, Class::Refused);
    });
}

/// Each way to write has a capability of its own, and Vault says which one the token lacks.
#[test]
#[ignore = "needs a vault on PATH: tests/run vault"]
fn a_real_vault_says_what_is_missing() {
    runtime().block_on(async {
        let server = Server::start().await;
        let lacks = async |given: &[&str], missing: &str| {
            let vault = server.client(&server.token(given).await);
            let kept = server.client(ROOT).read(SHORT).await.unwrap();
            for cause in [
                vault.may_write(&kept, SHORT).await.unwrap_err(),
                write(&vault, &kept, json!({ "a": "1" })).await.unwrap_err().cause,
            ] {
                let says = format!("on secret/data/k8s-upgrade: its policy lacks {missing}");
                assert!(cause.class == Class::Refused && cause.detail.iter().any(|line| line.contains(&says)), "{cause:?}");
            }
        };
        let fits = async |given: &[&str]| {
            let kept = server.client(ROOT).read(SHORT).await.unwrap();
            let vault = server.client(&server.token(given).await);
            vault.may_write(&kept, SHORT).await.unwrap();
            write(&vault, &kept, json!({ "a": "1" })).await.unwrap();
        };
        lacks(&["read", "update", "patch"], "create").await;
        fits(&["create"]).await;
        lacks(&["read", "create", "update"], "patch").await;
        fits(&["patch"]).await;
        server.ask(Method::DELETE, "secret/data/k8s-upgrade", Value::Null).await;
        lacks(&["read", "create", "patch"], "update").await;
        fits(&["update"]).await;

        let deaf = server.client(&server.token(&["create"]).await);
        let cause = deaf.read(SHORT).await.err().unwrap();
        assert!(cause.detail.iter().any(|line| line.contains("may do create on")), "{cause:?}");
        let cause = server.client("hvs.nobody").read(SHORT).await.err().unwrap();
        assert!(cause.next[0].command.starts_with("vault login"), "{cause:?}");
        // Deleted after it was read: a patch finds nothing.
        let kept = server.client(ROOT).read(SHORT).await.unwrap();
        server.ask(Method::DELETE, "secret/data/k8s-upgrade", Value::Null).await;
        let refusal = write(&server.client(ROOT), &kept, json!({ "a": "1" })).await.unwrap_err();
        assert!(refusal.definite && refusal.cause.next[0].command.starts_with("vault kv undelete "), "{refusal:?}");
    });
}
