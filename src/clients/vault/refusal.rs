//! What a refusal of Vault's means to a person: what is missing where, and what to type.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{StoredSecret, Vault};
use crate::failure::Cause;
use crate::words::command;

/// What all of a rotation needs: the last three are three ways to write.
const NEEDED: [&str; 4] = ["read", "patch", "create", "update"];

/// What Vault has refused.
#[derive(Clone, Copy)]
pub(super) enum Doing<'a> {
    Read,
    /// Over that which was read.
    Write(&'a StoredSecret),
}

impl Doing<'_> {
    fn word(self) -> &'static str {
        match self {
            Doing::Read => "reading",
            Doing::Write(_) => "writing",
        }
    }

    /// The capability that a policy must give for it.
    fn capability(self) -> &'static str {
        match self {
            Doing::Read => "read",
            Doing::Write(StoredSecret { data: Some(_), .. }) => "patch",
            Doing::Write(StoredSecret { version: 0, .. }) => "create",
            // Its last version was deleted: there is something to update still.
            Doing::Write(_) => "update",
        }
    }
}

impl Vault {
    /// Only Vault's own list of errors is repeated: a body may hold what it was sent.
    pub(super) fn said(&self, answer: &Response<Bytes>) -> Vec<String> {
        let body = serde_json::from_slice::<Value>(answer.body()).unwrap_or_default();
        let errors = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
        errors.map(|line| line.trim().replace(&*self.token, "…")).collect()
    }

    /// Why an answer is none of those that were hoped for.
    pub(super) async fn refused(&self, doing: Doing<'_>, answer: &Response<Bytes>, deadline: Duration) -> Cause {
        let status = answer.status();
        let what = format!("{} {}: Vault answers {status}", doing.word(), self.place());
        let said = self.said(answer);
        match status.as_u16() {
            403 => {
                let may = self.capabilities(deadline).await;
                self.denied(Cause::refused(what), doing.capability(), &said, may)
            }
            300..=399 => Cause::refused(what).detail([format!(
                "it sends us on to {}: the token is sent nowhere but to vault-address, so name that there",
                elsewhere(answer)
            )]),
            404 => self.gone(Cause::refused(what).detail(said), doing),
            429 | 472 | 473 | 500..=599 => Cause::unreachable(what).detail(said),
            _ => Cause::step(what).detail(said),
        }
    }

    /// What the token may do with the secret, as Vault says: a question that persists nothing. None: it does not say.
    async fn capabilities(&self, deadline: Duration) -> Option<Vec<String>> {
        let path = self.data();
        let body = json!({ "paths": [path] }).to_string();
        let answer = self.send(Method::POST, "sys/capabilities-self", Some(body), deadline).await.ok()?;
        let answer = Some(answer).filter(|answer| answer.status() == StatusCode::OK)?;
        let told: Value = serde_json::from_slice(answer.body()).ok()?;
        Some(told["data"][&path].as_array()?.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
    }

    fn denied(&self, cause: Cause, needs: &str, said: &[String], may: Option<Vec<String>>) -> Cause {
        let path = self.data();
        let cause = cause.detail(said.iter().flat_map(|text| text.lines()).map(str::trim));
        let needed = format!("rotate-key needs: path \"{path}\" {{ capabilities = [\"{}\"] }}", NEEDED.join("\", \""));
        let policy = "vault policy write POLICY FILE      # a policy of this token: vault token lookup";
        match may {
            Some(may) if may.iter().any(|word| word == needs || word == "root") => cause
                .detail([format!("the token's policy allows {needs} on {path}: something else forbids it, such as a quota or a policy of Sentinel's")])
                .next("vault token lookup"),
            Some(may) => {
                let may = may.iter().map(String::as_str).filter(|word| *word != "deny").collect::<Vec<_>>().join(", ");
                let may = if may.is_empty() { "nothing".to_owned() } else { may };
                cause.detail([format!("the token may do {may} on {path}: its policy lacks {needs}"), needed]).next(policy)
            }
            None if said.iter().any(|line| line.contains("invalid token")) => {
                cause.detail(["Vault does not know the token, or it has expired"]).next(self.login())
            }
            None => cause
                .detail([format!("the token is unknown, has expired, or its policy lacks {needs} on {path}"), needed])
                .next("vault token lookup"),
        }
    }

    /// The command that gets a new token.
    pub(super) fn login(&self) -> String {
        command!("vault login -address={}", self.base)
    }

    /// It was there when it was read.
    fn gone(&self, cause: Cause, doing: Doing<'_>) -> Cause {
        let Doing::Write(StoredSecret { version, data: Some(_) }) = doing else { return cause };
        cause.detail(["somebody has deleted the secret, or its last version, since it was read"]).next(command!(
            "vault kv undelete -mount={} -versions={} {}      # brings it back, with all of its fields",
            self.mount,
            version,
            self.path
        ))
    }
}

/// Scheme, host and port that an answer sends us on to.
fn elsewhere(answer: &Response<Bytes>) -> String {
    let to = answer.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok()?.parse::<http::Uri>().ok());
    let place = to.and_then(|to| Some(format!("{}://{}", to.scheme_str()?, to.authority()?)));
    place.unwrap_or_else(|| "another address".to_owned())
}
