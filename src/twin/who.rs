//! Who makes a call to the world.

use std::fmt;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The program in a pod, with the rights of its ServiceAccount (namespace, name).
    Pod { name: String, uid: String, account: (String, String) },
    /// A person with a kubeconfig, outside the cluster.
    Operator(String),
    /// Whoever shows a token that nobody has issued.
    Stranger,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Pod { name, .. } => f.write_str(name),
            Who::Operator(name) => write!(f, "operator {name}"),
            Who::Stranger => f.write_str("a stranger"),
        }
    }
}
