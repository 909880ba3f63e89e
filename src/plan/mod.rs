//! Decisions, as pure functions of what is ([`model::facts`]) and what is wanted ([`model::policy`]). No async, no clock, no client, no
//! settings, no tracing in here: `now` is an argument, and every gate's input is an [`model::answer::Answer`].
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`model`] | what is, what is wanted, what was done, and what others print, as values: the words in which all else is put | nothing |
//! | [`trust`] | whether it is the machine that was meant that answers by SSH, and with which key it is asked | model |
//! | [`decide`] | what is done next, where, whether it may be done now, and what of people's changes it would lose | model |
//! | [`manifests`] | the objects that we have the cluster make, and what its API server lets us do with them | model, decide |
//! | [`rescue`] | when little answers: what hosts say by themselves, and the way back of a node | model |
//! | [`view`] | what people are shown and told, as data that `report` writes out | model, decide, manifests, rescue |

pub mod decide;
pub mod manifests;
pub mod model;
pub mod rescue;
pub mod trust;
pub mod view;
