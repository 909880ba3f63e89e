//! What kind of engine a mount is. KV v2 alone has versions to write under: an older one would take a write whatever its version says.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;

use super::Vault;
use crate::failure::Cause;
use crate::words::command;

/// As Vault describes a mount.
#[derive(Deserialize)]
struct Mount {
    /// With a slash at its end.
    path: String,
    /// `kv`
    r#type: String,
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    version: Option<String>,
}

impl Vault {
    /// Fails unless the mount that the settings name is one of KV v2. Whoever has any right below a mount may ask that.
    pub async fn is_kv2(&self, deadline: Duration) -> Result<(), Cause> {
        #[derive(Deserialize)]
        struct Answer {
            data: Mount,
        }
        let path = format!("sys/internal/ui/mounts/{}", self.mount);
        let answer = self.send(Method::GET, &path, None, deadline).await.map_err(|refusal| refusal.cause)?;
        let (status, said) = (answer.status(), self.said(&answer));
        let what = format!("asking what the mount {} of Vault at {} is: Vault answers {status}", self.mount, self.base);
        match status {
            StatusCode::OK => match serde_json::from_slice::<Answer>(answer.body()) {
                Ok(Answer { data }) => self.fits(&data),
                Err(_) => Err(Cause::step(format!("{what}, and not as Vault does"))),
            },
            StatusCode::FORBIDDEN if said.iter().any(|line| line.contains("preflight capability check")) => {
                let why = format!("there is no such mount, or no policy of the token allows anything below {}/", self.mount);
                let list = "vault secrets list      # the mounts: --set vault-mount=MOUNT";
                Err(Cause::refused(what).detail([why]).next(list))
            }
            StatusCode::FORBIDDEN => {
                let said = said.iter().flat_map(|text| text.lines()).map(str::trim);
                let why = "Vault does not know the token, or it has expired";
                Err(Cause::refused(what).detail(said).detail([why]).next(self.login()))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(Cause::unreachable(what).detail(said)),
            _ if status.is_server_error() || matches!(status.as_u16(), 472 | 473) => Err(Cause::unreachable(what).detail(said)),
            _ => Err(Cause::refused(what)
                .detail(said)
                .detail(["unless it is known to be KV v2, nothing is written: is something between us and Vault?"])),
        }
    }

    fn fits(&self, mount: &Mount) -> Result<(), Cause> {
        let named = mount.path.trim_end_matches('/');
        if let Some(rest) = self.mount.strip_prefix(named).and_then(|rest| rest.strip_prefix('/')) {
            let why =
                format!("Vault at {}: {} is no mount; {named} is one, and {rest} belongs to the path", self.base, self.mount);
            return Err(Cause::usage(why).next(command!(
                "k8s-upgrade --set vault-mount={} --set vault-path={}/{} rotate-key",
                named,
                rest,
                self.path
            )));
        }
        let version = mount.options.as_ref().and_then(|options| options.version.as_deref());
        let kind = match (mount.r#type.as_str(), version) {
            ("kv", Some("2")) => return Ok(()),
            ("kv" | "generic", _) => "KV version 1".to_owned(),
            (other, _) => format!("a {other} engine"),
        };
        let what = format!("the mount {named} of Vault at {} is {kind}, and not KV version 2", self.base);
        Err(Cause::refused(what)
            .detail(["without versions nobody can tell whether somebody else has written meanwhile, so nothing is written there"])
            .next("vault secrets list -detailed      # Options of such a mount: map[version:2]")
            .next("k8s-upgrade --set vault-mount=MOUNT rotate-key"))
    }
}
