//! A command line that is not whole yet: what the word that is being typed may become, as the command line's own types say.

use std::any::TypeId;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command, ValueHint};

use crate::words::{KubeconfigName, Namespace, NodeName, NodeOrPool, RunId};

/// Something that may be typed, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub word: String,
    pub help: String,
}

impl Offer {
    /// A word, and what it is for.
    pub fn new(word: impl Into<String>, help: impl Into<String>) -> Self {
        Offer { word: word.into(), help: help.into() }
    }
}

/// What is wanted where the type alone does not say which words there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Context,
    Cluster,
    User,
    Node,
    NodeOrPool,
    Namespace,
    Run,
    Injection,
    Scenario,
    Setting,
    File,
}

/// What is to stand in the place of the last word.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    /// What stands in the same word before it: `--context=`.
    pub before: String,
    /// As far as it was typed.
    pub begun: String,
    pub offers: Vec<Offer>,
    pub kind: Option<Kind>,
}

/// What the last of these words may become, behind the program's name; `root` is built.
pub fn wanted(root: &Command, words: &[String]) -> Wanted {
    let (begun, whole) = words.split_last().map_or(("", words), |(begun, whole)| (begun.as_str(), whole));
    let mut place = Place { command: root, value_of: None, positional: 0, only_values: false };
    whole.iter().for_each(|word| place.pass(word));
    place.wanted(begun)
}

/// Where on the command line the next word stands.
struct Place<'a> {
    command: &'a Command,
    /// An option that waits for its value.
    value_of: Option<&'a Arg>,
    positional: usize,
    /// `--` was passed.
    only_values: bool,
}

impl<'a> Place<'a> {
    fn pass(&mut self, word: &str) {
        if self.value_of.take().is_some() {
            return;
        }
        if self.only_values {
            self.positional += 1;
        } else if word == "--" {
            self.only_values = true;
        } else if let Some(long) = word.strip_prefix("--") {
            self.value_of = self.long(long).filter(|option| takes_value(option));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            self.value_of = self.last_of(letters);
        } else if let Some(command) = self.command.find_subcommand(word) {
            (self.command, self.positional) = (command, 0);
        } else {
            self.positional += 1;
        }
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| arg.get_long_and_visible_aliases().is_some_and(|known| known.contains(&name)))
    }

    /// The last of several letters, where it waits for its value; the first that takes one takes the rest of the word.
    fn last_of(&self, letters: &str) -> Option<&'a Arg> {
        let short = |letter| {
            self.command
                .get_arguments()
                .find(|arg| arg.get_short_and_visible_aliases().is_some_and(|known| known.contains(&letter)))
        };
        let (at, option) =
            letters.char_indices().find_map(|(at, letter)| Some((at, short(letter).filter(|arg| takes_value(arg))?)))?;
        (letters[at..].chars().count() == 1).then_some(option)
    }

    fn wanted(&self, begun: &str) -> Wanted {
        let words = |offers| Wanted { before: String::new(), begun: begun.to_owned(), offers, kind: None };
        if let Some(option) = self.value_of {
            return value(option, "", begun);
        }
        if !self.only_values && begun.starts_with('-') {
            let given = begun.strip_prefix("--").and_then(|word| word.split_once('='));
            return match given.and_then(|(name, begun)| Some((self.long(name)?, name, begun))) {
                Some((option, name, begun)) => value(option, &format!("--{name}="), begun),
                None => words(self.options().collect()),
            };
        }
        let mut commands = self.command.get_subcommands().filter(|command| !command.is_hide_set()).peekable();
        if commands.peek().is_some() {
            return words(commands.map(|command| Offer::new(command.get_name(), first_line(command.get_about()))).collect());
        }
        // The last may be given again and again.
        let last = || self.command.get_positionals().last().filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        let argument = self.command.get_positionals().nth(self.positional).or_else(last);
        argument.map_or(words(Vec::new()), |argument| value(argument, "", begun))
    }

    fn options(&self) -> impl Iterator<Item = Offer> {
        let shown = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        shown.filter_map(|arg| Some(Offer::new(format!("--{}", arg.get_long()?), first_line(arg.get_help()))))
    }
}

fn value(arg: &Arg, before: &str, begun: &str) -> Wanted {
    let possible = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    let offer = |value: PossibleValue| Offer::new(value.get_name(), first_line(value.get_help()));
    let offers = if takes_value(arg) { possible.map(offer).collect() } else { Vec::new() };
    Wanted { before: before.to_owned(), begun: begun.to_owned(), offers, kind: kind(arg) }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.takes_values())
}

fn kind(arg: &Arg) -> Option<Kind> {
    let of = arg.get_value_parser().type_id();
    match arg.get_id().as_str() {
        "context" => Some(Kind::Context),
        "cluster" if of == TypeId::of::<KubeconfigName>() => Some(Kind::Cluster),
        "user" if of == TypeId::of::<KubeconfigName>() => Some(Kind::User),
        "inject" => Some(Kind::Injection),
        "scenario" => Some(Kind::Scenario),
        "set" => Some(Kind::Setting),
        _ if of == TypeId::of::<NodeName>() => Some(Kind::Node),
        _ if of == TypeId::of::<NodeOrPool>() => Some(Kind::NodeOrPool),
        _ if of == TypeId::of::<Namespace>() => Some(Kind::Namespace),
        _ if of == TypeId::of::<RunId>() => Some(Kind::Run),
        _ if [ValueHint::AnyPath, ValueHint::FilePath].contains(&arg.get_value_hint()) => Some(Kind::File),
        _ => None,
    }
}

fn first_line(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).and_then(|help| help.lines().next().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn of(line: &str) -> Wanted {
        let mut root = Cli::command();
        root.build();
        wanted(&root, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn words(line: &str) -> Vec<String> {
        of(line).offers.into_iter().map(|offer| offer.word).collect()
    }

    #[test]
    fn the_place_of_the_last_word_says_what_it_may_become() {
        for (line, kind) in [
            ("drain ", Some(Kind::Node)),
            ("drain k8s", Some(Kind::Node)),
            ("drain k8s-node4 ", None),
            ("drain -- ", Some(Kind::Node)),
            ("skip-phase worker ", Some(Kind::Node)),
            ("skip-phase worker k8s-node4 ", None),
            ("pause ", Some(Kind::NodeOrPool)),
            ("unpause k8s-node4 pool/gpu ", Some(Kind::NodeOrPool)),
            ("start --only ", Some(Kind::Node)),
            ("start --only=", Some(Kind::Node)),
            ("--context ", Some(Kind::Context)),
            ("status --cluster ", Some(Kind::Cluster)),
            ("status --user ", Some(Kind::User)),
            ("status -n ", Some(Kind::Namespace)),
            ("status -qn ", Some(Kind::Namespace)),
            ("status -nfoo ", None),
            ("report ", Some(Kind::Run)),
            ("rehearse --inject kill@", Some(Kind::Injection)),
            ("rehearse --scenario ", Some(Kind::Scenario)),
            ("--set ", Some(Kind::Setting)),
            ("--config ", Some(Kind::File)),
            ("man ", Some(Kind::File)),
            ("halt --reason ", None),
        ] {
            assert_eq!(of(line).kind, kind, "{line:?}");
        }
        assert_eq!((of("start --only=k8s").before, of("start --only=k8s").begun), ("--only=".to_owned(), "k8s".to_owned()));
    }

    #[test]
    fn what_the_types_know_is_offered() {
        assert!(words("sta").contains(&"status".to_owned()) && !words("").contains(&"complete".to_owned()));
        assert!(words("status --").contains(&"--watch".to_owned()) && words("status --").contains(&"--context".to_owned()));
        assert_eq!(words("skip-phase "), ["preflight", "master", "worker", "postflight"]);
        assert!(words("--context lab status -o ").contains(&"json".to_owned()));
        assert!(words("help st").contains(&"status".to_owned()));
        // Whose value is not begun there is nothing to say of.
        assert!(words("halt --reason ").is_empty());
        assert_eq!(words("nonsense --nonsense "), words(""));
    }
}
