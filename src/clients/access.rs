//! What a service wants of whoever asks it: credentials, a tenant, a certificate authority of its own. The credentials are in no message and in
//! no Debug, and go to no other host.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request};

use crate::words::{Certificates, Tenant, bearer_token, user_and_password};

/// Who asks. It has no Debug.
#[derive(Clone)]
pub struct Credentials {
    header: HeaderValue,
    /// What no message may repeat.
    secrets: Arc<[String]>,
    kind: &'static str,
}

impl Credentials {
    /// A bearer token.
    ///
    /// # Errors
    /// What is wrong with it; never the token.
    pub fn token(text: &str) -> Result<Self, String> {
        let token = bearer_token(text)?;
        Self::new(format!("Bearer {token}"), vec![token.to_owned()], "the token")
    }

    /// Basic authentication.
    ///
    /// # Errors
    /// What is wrong with the name or the password; never these.
    pub fn basic(user: &str, password: &str) -> Result<Self, String> {
        let (user, password) = user_and_password(user, password)?;
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self::new(format!("Basic {encoded}"), vec![encoded, password.to_owned()], "the name and password")
    }

    fn new(header: String, secrets: Vec<String>, kind: &'static str) -> Result<Self, String> {
        let mut header = HeaderValue::from_str(&header).map_err(|_| "it cannot stand in a header".to_owned())?;
        // With it a request is sent to this address and to no other.
        header.set_sensitive(true);
        Ok(Credentials { header, secrets: secrets.into(), kind })
    }
}

/// With what a service is asked. It has no Debug: it may hold a secret.
#[derive(Clone, Default)]
pub struct Access {
    pub credentials: Option<Credentials>,
    pub tenant: Option<Tenant>,
    pub roots: Option<Certificates>,
}

impl Access {
    /// How messages call the credentials; None: there are none.
    pub(super) fn kind(&self) -> Option<&'static str> {
        self.credentials.as_ref().map(|credentials| credentials.kind)
    }

    /// Adds to a request what goes with it: by `proxied`, the API server's proxy, no credentials, for it takes them for those of a user of its own.
    pub(super) fn apply(&self, request: &mut Request<Bytes>, proxied: bool) -> Result<(), String> {
        if let Some(tenant) = &self.tenant {
            let (name, value) = tenant.header();
            let name: HeaderName = name.parse().map_err(|_| format!("{name} is no header"))?;
            let value = HeaderValue::from_str(value).map_err(|_| "the tenant cannot stand in a header".to_owned())?;
            request.headers_mut().insert(name, value);
        }
        if proxied {
            return Ok(());
        }
        if let Some(Credentials { header, .. }) = &self.credentials {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
        }
        if let Some(roots) = &self.roots {
            request.extensions_mut().insert(roots.clone());
        }
        Ok(())
    }

    /// A text of the other side, which may have repeated what it was sent.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let secrets = self.credentials.iter().flat_map(|credentials| credentials.secrets.iter());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent(access: &Access, proxied: bool) -> Request<Bytes> {
        let mut request = Request::get("https://there/").body(Bytes::new()).unwrap();
        access.apply(&mut request, proxied).unwrap();
        request
    }

    #[test]
    fn credentials_are_marked_sensitive_and_shown_nowhere() {
        for (credentials, header) in [
            (Credentials::token("hunter2\n"), "Bearer hunter2"),
            (Credentials::basic("ann\n", "hunter2\n"), "Basic YW5uOmh1bnRlcjI="),
        ] {
            let access = Access { credentials: credentials.ok(), ..Access::default() };
            let request = sent(&access, false);
            assert_eq!(request.headers()[AUTHORIZATION], header);
            assert!(request.headers()[AUTHORIZATION].is_sensitive() && !format!("{request:?}").contains(header));
            let echo = format!("no such user: {header}, hunter2");
            assert!(!access.without_secrets(&echo).contains("hunter2") && !access.without_secrets(&echo).contains("YW5u"));
            // The API server would take them for its own.
            assert!(!sent(&access, true).headers().contains_key(AUTHORIZATION));
        }
    }

    #[test]
    fn the_tenant_goes_everywhere_and_the_authorities_where_there_is_tls() {
        let roots: Certificates = include_str!("../../tests/offline/tls/ca.pem").parse().unwrap();
        let access = Access { tenant: Some("team-a".parse().unwrap()), roots: Some(roots.clone()), credentials: None };
        for proxied in [false, true] {
            let request = sent(&access, proxied);
            assert_eq!(request.headers()["X-Scope-OrgID"], "team-a");
            assert_eq!(request.extensions().get::<Certificates>(), Some(&roots).filter(|_| !proxied));
        }
    }
}
