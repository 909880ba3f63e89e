//! What the container runtime has, by its own word: a Node's status names fifty images at most.

use std::time::Duration;

use super::{Operation, RUNTIME, garbled, results, token};
use crate::failure::Cause;
use crate::words::{ImageName, ImageTag};

/// The images of a name, from whatever registry, each as often as it has tags and digests.
///
/// # Errors
/// Refused: nothing on the node can ask the runtime. Unreachable: it gives no answer.
#[derive(Clone, Debug)]
pub struct ImagesThere {
    /// The last part of an image's name, without its tag: `k8s-upgrade`.
    pub name: ImageTag,
}

impl Operation for ImagesThere {
    const NAME: &'static str = "images";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = Vec<ImageName>;

    fn script(&self) -> &'static str {
        include_str!("images.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[RUNTIME]
    }
    fn args(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<Vec<ImageName>, Cause> {
        results(stdout)
            .map(|(key, rest)| match key {
                "image" => token(Self::NAME, rest),
                _ => Err(garbled(Self::NAME, key)),
            })
            .collect()
    }
}
