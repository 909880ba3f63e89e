//! Words from outside the program. What is stored, leaves a node or becomes an argument is a *token* with a strict parser; what is only
//! shown is *text* and goes through the one sanitiser; what a person is to paste is *quoted* for the shell.

mod address;
mod certificates;
mod credentials;
mod given;
mod place;
mod shell;
mod text;
mod texts;
mod token;

pub(crate) use address::as_text;
pub use address::{Address, ObjectPath, Url, is_of_cluster, is_open};
pub use certificates::Certificates;
pub use credentials::{bearer_token, user_and_password};
pub use given::{
    AddonName, AnnotationPrefix, ClusterName, HostAddress, ImageRef, KubeconfigName, Label, LossId, Namespace, NodeOrPool,
    ObjectName, PageUrl, PoolName, Reason, Subject, Tenant, VaultPath, WebhookName,
};
pub use place::place;
pub(crate) use shell::command;
pub use shell::{filled, quoted, ssh, word};
pub use text::{LONGEST, block, json, line};
pub(crate) use texts::texts;
pub use texts::{Texts, shown};
pub use token::{
    ApiResource, BootId, ExactPackage, Fingerprint, Flag, HostPath, ImageName, ImageTag, KeyBase64, KeyType, Keyword,
    KubeadmCheck, Letters, Login, MachineId, MemberId, Minor, NodeName, NotAToken, PackageName, PackagesUrl, PatchName, Revision,
    RunId, SourceUrl, Stamp,
};
