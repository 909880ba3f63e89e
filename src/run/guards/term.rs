//! What a Lease says: of what it is, who holds it, and until when.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use crate::names;
use crate::names::Mark;
use crate::plan::model::lease::Driver;
use crate::plan::model::named::subdomain;
use crate::plan::model::progress::Progress;

/// Of a node, or None: of whoever works by hand.
#[derive(Clone, Debug)]
pub struct LeaseName(pub Option<String>);

/// The name of a node's Lease.
pub fn of_node(node: &str) -> String {
    subdomain(names::LEASE_PREFIX, node)
}

impl LeaseName {
    /// A node's.
    pub fn node(node: &str) -> Self {
        LeaseName(Some(node.to_owned()))
    }

    /// Two nodes never share a name.
    pub fn name(&self) -> String {
        self.0.as_deref().map_or(names::LEASE_BY_HAND.to_owned(), of_node)
    }

    /// Where steps are told.
    pub fn place(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// For messages.
    pub fn words(&self) -> &'static str {
        if self.0.is_some() { "the node's Lease" } else { "the Lease of work by hand" }
    }
}

/// For how long it is its holder's once it was renewed.
pub fn lasts(spec: &LeaseSpec) -> Duration {
    Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0))
}

/// Who holds the Lease of work by hand, if it is that; whether they live is another question.
pub fn driver(lease: &Lease, prefix: &str) -> Option<Driver> {
    (lease.metadata.name.as_deref() == Some(names::LEASE_BY_HAND)).then(|| holder(lease, prefix))?
}

/// Who holds a Lease, whatever it is of.
pub fn holder(lease: &Lease, prefix: &str) -> Option<Driver> {
    let (holder, renewed, until) = term(lease)?;
    let marks = lease.metadata.annotations.as_ref();
    let mark = |mark: Mark| marks.and_then(|marks| marks.get(&mark.key(prefix)));
    let by = mark(Mark::Driver).cloned().unwrap_or_else(|| holder.clone());
    let progress = mark(Mark::Progress).map(|text| Progress::read(text));
    Some(Driver { by, holder, renewed, until, progress })
}

/// Who holds a Lease, when they renewed it, and when it is anybody's.
pub fn term(lease: &Lease) -> Option<(String, Timestamp, Timestamp)> {
    let spec = lease.spec.as_ref()?;
    let renewed = spec.renew_time.as_ref()?.0;
    let until = renewed.checked_add(SignedDuration::from_secs(spec.lease_duration_seconds?.into())).ok()?;
    Some((spec.holder_identity.clone()?, renewed, until))
}
