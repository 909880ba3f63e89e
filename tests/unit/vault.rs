//! The client of Vault against a real one in dev mode: `tests/run vault`, where there is a `vault` on PATH.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use k8s_upgrade::adapters::RealWeb;
use k8s_upgrade::clients::Vault;
use k8s_upgrade::clients::vault::{Kept, Refusal, Wrote};
use k8s_upgrade::failure::Class;
use k8s_upgrade::permit::{ChangeClass, Permit};
use k8s_upgrade::world::Web;
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_secs(10);
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
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("vault")
            .args(["server", "-dev", "-dev-no-store-token", &format!("-dev-listen-address={address}")])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is no vault on PATH");
        let server = Server { child, base: format!("http://{address}"), web: Arc::new(RealWeb::new()) };
        for _ in 0..100 {
            let health = Request::get(format!("{}/v1/sys/health", server.base)).body(Bytes::new()).unwrap();
            if server.web.send(health, SHORT).await.is_ok_and(|answer| answer.status() == 200) {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("vault does not come up");
    }

    fn client(&self, token: &str) -> Vault {
        Vault::new(&self.base, "secret", "k8s-upgrade", token, self.web.clone()).unwrap()
    }

    /// A request of the administrator's.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.base)).header("X-Vault-Token", ROOT);
        let answer = self.web.send(request.body(Bytes::from(body.to_string())).unwrap(), SHORT).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    /// A token that may do this with the secret.
    async fn token(&self, capabilities: &[&str]) -> String {
        let policy = format!("path \"secret/data/k8s-upgrade\" {{ capabilities = {} }}", json!(capabilities));
        self.ask(Method::PUT, "sys/policies/acl/test", json!({ "policy": policy })).await;
        let made = self.ask(Method::POST, "auth/token/create", json!({ "policies": ["test"] })).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}

async fn write(vault: &Vault, kept: &Kept, fields: Value) -> Result<Wrote, Refusal> {
    let permit = Permit { class: ChangeClass::Settle, step: "test".into() };
    permit.scope(vault.write(kept, &fields, SHORT)).await
}

#[test]
#[ignore = "needs a vault on PATH: tests/run vault"]
fn a_real_vault_answers_as_is_taken_for_granted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
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
