//! `report`: the story of a run is data as it is.

use super::document::Document;
use crate::plan::view::story::Story;

impl Document for Story {
    const NAME: &'static str = "report";
}
