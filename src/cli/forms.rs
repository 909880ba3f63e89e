//! The forms in which progress and data are written.

use clap::{Args, ValueEnum};

/// How progress is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Text,
    Json,
}

/// How data are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Notation {
    Text,
    Json,
    /// What JSON says, as YAML
    Yaml,
}

/// Who asks for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    /// The program kubectl_complete-upgrade, which kubectl asks about its plugin
    Kubectl,
}

/// How a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    Text,
    Markdown,
    /// A page for a browser, with a picture of the run over time; one file, which fetches nothing
    Html,
    /// That picture alone
    Svg,
    Json,
    /// What JSON says, as YAML
    Yaml,
}

/// How a plan is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sheet {
    Text,
    /// For whoever has to approve the change
    Markdown,
    Json,
    /// What JSON says, as YAML
    Yaml,
}

impl From<Page> for Notation {
    fn from(page: Page) -> Self {
        match page {
            Page::Json => Notation::Json,
            Page::Yaml => Notation::Yaml,
            Page::Text | Page::Markdown | Page::Html | Page::Svg => Notation::Text,
        }
    }
}

impl From<Sheet> for Notation {
    fn from(sheet: Sheet) -> Self {
        match sheet {
            Sheet::Json => Notation::Json,
            Sheet::Yaml => Notation::Yaml,
            Sheet::Text | Sheet::Markdown => Notation::Text,
        }
    }
}

/// For commands that print data.
#[derive(Clone, Copy, Debug, Args)]
pub struct Data {
    /// Form of the data on stdout
    #[arg(short, long, value_enum, default_value_t = Notation::Text)]
    pub output: Notation,
}
