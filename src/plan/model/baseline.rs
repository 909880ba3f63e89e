//! What was well when a run was claimed. What is bad later, and was not then, has got worse in the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::member::Means;
use crate::failure::Cause;

/// Bytes of it. Of all annotations of an object Kubernetes takes 256 KiB; half of that has room for 15 000 workloads.
pub const MOST_BYTES: usize = 128 << 10;
/// Hexadecimal digits of each workload: enough that of thousands none is taken for another.
const DIGITS: usize = 8;

/// As an annotation of our namespace carries it. What is wrong has its name; of the workloads that were whole there are thousands, and each
/// is a hash of its name and size: one that is new since, or of another size, is not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Baseline {
    pub at: Timestamp,
    ill: BTreeSet<String>,
    /// All hashes, one after the other.
    whole: String,
    /// By node: how long the disk of its member of etcd took for its log and for its database (microseconds).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    disks: BTreeMap<String, [u64; 2]>,
}

impl Baseline {
    /// `ill`: the keys of what is wrong; `whole`: those of the workloads that have all their pods.
    pub fn new(at: Timestamp, ill: impl IntoIterator<Item = String>, whole: impl IntoIterator<Item = String>) -> Self {
        let hashes: BTreeSet<String> = whole.into_iter().map(|key| hash(&key)).collect();
        Baseline { at, ill: ill.into_iter().collect(), whole: hashes.into_iter().collect(), disks: BTreeMap::new() }
    }

    /// With how fast the disks of etcd are.
    #[must_use]
    pub fn with_disks(mut self, disks: impl IntoIterator<Item = (String, Means)>) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.disks.extend(disks.into_iter().map(|(node, means)| (node, [micros(means.fsync), micros(means.commit)])));
        self
    }

    /// How fast the disk of a node's member of etcd was then; None: nobody could tell.
    pub fn disk(&self, node: &str) -> Option<Means> {
        let [fsync, commit] = self.disks.get(node)?.map(Duration::from_micros);
        Some(Means { fsync, commit })
    }

    /// None: it is not ours.
    pub fn read(text: &str) -> Option<Self> {
        let read: Baseline = serde_json::from_str(text).ok().filter(|_| text.len() <= MOST_BYTES)?;
        let hashes = read.whole.len().is_multiple_of(DIGITS) && read.whole.bytes().all(|byte| byte.is_ascii_hexdigit());
        hashes.then_some(read)
    }

    /// As the annotation carries it.
    ///
    /// # Errors
    /// A hold: so much is wrong, or there are so many workloads, that there is no room for it.
    pub fn write(&self) -> Result<String, Cause> {
        let text = serde_json::json!(self).to_string();
        if text.len() <= MOST_BYTES {
            return Ok(text);
        }
        let (ill, whole) = (self.ill.len(), self.whole.len() / DIGITS);
        Err(Cause::hold(format!(
            "what is well now cannot be recorded: {ill} things are wrong and {whole} workloads are whole, more than {} KiB hold",
            MOST_BYTES >> 10
        ))
        .detail(self.ill.iter().take(5).cloned()))
    }

    /// This was wrong then.
    pub fn was_ill(&self, key: &str) -> bool {
        self.ill.contains(key)
    }

    /// This workload was there, of that size and whole.
    pub fn was_whole(&self, key: &str) -> bool {
        let hash = hash(key);
        self.whole.as_bytes().chunks(DIGITS).any(|known| known == hash.as_bytes())
    }

    /// What was wrong then.
    pub fn ill(&self) -> impl Iterator<Item = &str> {
        self.ill.iter().map(String::as_str)
    }
}

fn hash(key: &str) -> String {
    Sha256::digest(key).iter().take(DIGITS / 2).fold(String::new(), |mut hex, byte| {
        // Into a String nothing fails.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys(prefix: &str, count: usize) -> impl Iterator<Item = String> {
        (0..count).map(move |number| format!("{prefix}/{number} 3"))
    }

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let disk = Means { fsync: Duration::from_micros(1_500), commit: Duration::from_millis(4) };
        let baseline = Baseline::new(Timestamp::UNIX_EPOCH, ["etcd k8s-master".to_owned()], keys("Deployment shop", 40))
            .with_disks([("k8s-master".to_owned(), disk)]);
        let read = Baseline::read(&baseline.write().unwrap()).unwrap();
        assert_eq!(read, baseline);
        assert_eq!((read.disk("k8s-master"), read.disk("k8s-master2")), (Some(disk), None));
        assert!(read.was_ill("etcd k8s-master") && !read.was_ill("etcd k8s-master2"));
        assert!(keys("Deployment shop", 40).all(|key| read.was_whole(&key)));
        // Another size, another name.
        assert!(!read.was_whole("Deployment shop/7 4") && !read.was_whole("Deployment shop/40 3"));
        for odd in [
            "",
            "{}",
            "true",
            r#"{"at":"soon","ill":[],"whole":""}"#,
            r#"{"at":"2026-11-22T12:00:00Z","ill":[],"whole":"0"}"#,
            r#"{"at":"2026-11-22T12:00:00Z","ill":[],"whole":"0badcafé"}"#,
            r#"{"at":"2026-11-22T12:00:00Z","ill":[],"whole":"","more":1}"#,
        ] {
            assert_eq!(Baseline::read(odd), None, "{odd}");
        }
    }

    /// 200 nodes and 3000 workloads fit many times; what does not fit is told, and never cut.
    #[test]
    fn a_large_cluster_fits_and_one_that_does_not_holds() {
        let large = Baseline::new(Timestamp::UNIX_EPOCH, keys("crash loops Deployment a-namespace", 300), keys("w", 3_000));
        assert!(large.write().unwrap().len() < MOST_BYTES / 2);
        let vast = Baseline::new(Timestamp::UNIX_EPOCH, [], keys("w", 20_000)).write().unwrap_err();
        assert_eq!(vast.class, crate::failure::Class::Hold);
        assert!(vast.what.contains("20000 workloads"), "{}", vast.what);
    }
}
