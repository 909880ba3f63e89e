//! What is done to nodes.

pub mod addons;
pub mod asking;
pub mod canary;
pub mod certificates;
pub mod cordon;
pub mod drain;
pub mod drainable;
pub mod etcd;
mod evictions;
pub mod forecast;
pub mod gates;
pub mod give_up;
pub mod hooks;
pub mod inspect;
pub mod losses;
pub mod own_image;
pub mod prepare;
pub mod regression;
pub mod removed_apis;
pub mod rollback;
pub mod runtime;
pub mod sources;
mod stuck;
mod surge;
pub mod trial;
pub mod upgrade;
pub mod window;
