//! What people are shown and told, as data that `report` writes out.

pub mod adopt;
pub mod check;
pub mod cut;
pub mod estimate;
pub mod health;
pub mod news;
pub mod offer;
pub mod paused;
pub mod plan;
pub mod screen;
pub mod status;
pub mod still_held;
pub mod story;
pub mod timeline;
