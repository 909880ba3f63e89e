//! Names, as the machine resolves them: in a pod the C library asks the nameserver of its resolv.conf, as every other program there does.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::world::Resolver;

/// Any port: names alone are asked for.
const PORT: u16 = 443;

/// The resolver of the C library.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, deadline: Duration) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match tokio::time::timeout(deadline, tokio::net::lookup_host((name, PORT))).await {
                Ok(Ok(mut addresses)) => addresses.next().map(drop).ok_or_else(|| "it has no address".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} s", deadline.as_secs())),
            }
        })
    }
}
