//! `plan -o json`.

use super::document::Document;
use crate::plan::view::plan::Plan;

impl Document for Plan {
    const NAME: &'static str = "plan";
}
