//! Words from outside the program. What is stored, leaves a node or becomes an argument is a *token* with a strict parser; what is only
//! shown is *text* and goes through the one sanitiser; what a person is to paste is *quoted* for the shell.

mod address;
mod given;
mod place;
mod shell;
mod text;
mod token;

pub use address::{Address, ObjectPath, Url, is_open};
pub use given::{
    AnnotationPrefix, ClusterName, ContextName, HostAddress, ImageRef, LossId, Namespace, ObjectName, Reason, VaultPath,
};
pub use place::place;
pub use shell::{quoted, word};
pub use text::{block, line};
pub use token::{
    BootId, ExactPackage, Fingerprint, Flag, HostPath, ImageName, KeyBase64, KeyType, Keyword, Letters, Login, MachineId, Minor,
    NodeName, NotAToken, PackageName, PackagesUrl, Revision, RunId, Stamp,
};
