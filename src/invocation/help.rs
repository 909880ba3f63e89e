//! The command line is read, and its help and its errors are told, for the screen that there is.

use clap::{CommandFactory, FromArgMatches};

use super::Invocation;
use crate::cli::Cli;
use crate::failure::Class;
use crate::names;
use crate::report::{self, Printed};

/// Help is no wider than this, however wide the screen is.
const HELP: usize = 100;

/// The command line, whose usage has the name that was typed.
pub fn parsed(invocation: &Invocation) -> Result<Cli, clap::Error> {
    let called = invocation.stdout.wording().name.as_ref().map_or(names::PROGRAM, |called| &called.name);
    let mut command = Cli::command().bin_name(called).mut_subcommands(with_whole_examples);
    if let Some(columns) = invocation.stdout.columns() {
        command = command.term_width(columns.min(HELP));
    }
    let mut matches = command.try_get_matches_from_mut(&invocation.argv)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// A blank at which clap breaks no line.
const GLUE: char = '\u{a0}';

/// Examples can be copied: a line of help ends before the comment at most.
fn with_whole_examples(command: clap::Command) -> clap::Command {
    let Some(help) = command.get_after_help().map(ToString::to_string) else { return command };
    let glued = |text: &str| text.replace(' ', &GLUE.to_string());
    let example = |line: &str| match line.split_once(" # ") {
        Some((typed, comment)) => {
            let gap = &typed[typed.trim_end().len()..];
            format!("  {}{gap} {}", glued(typed.trim()), glued(&format!("# {comment}")))
        }
        None => format!("  {}", glued(line.trim())),
    };
    let Some((before, examples)) = help.split_once("Examples:\n") else { return command };
    let examples = examples.lines().map(example).collect::<Vec<_>>().join("\n");
    command.after_help(format!("{before}Examples:\n{examples}"))
}

/// Help and version go to stdout and are no error; a wrong command line is usage.
pub fn usage(invocation: &Invocation, error: &clap::Error) -> u8 {
    if error.use_stderr() {
        report::put(&invocation.stderr, &Printed::lines(error.render().to_string().replace(GLUE, " ").lines()));
        return Class::Usage.code();
    }
    // Its own texts alone, in clap's colours.
    let help = error.render();
    let help = if invocation.stderr_is_terminal { help.ansi().to_string() } else { help.to_string() };
    report::put(&invocation.stdout, &Printed::own(help.replace(GLUE, " ")));
    0
}
