//! The manual: a page of the program and of each of its commands, generated from the command line's own types; one of the settings, from
//! their table; and those that are written by hand under `man/`, into which the program writes what it knows itself, between two marks.

use clap::CommandFactory;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::cli::Cli;
use crate::failure::Cause;
use crate::names::{self, EventReason};
use crate::plan::decide::gates::Gate;
use crate::plan::model::webhook::NoticeKind;
use crate::settings::SUBJECTS;

/// Pages that are written by hand.
const BY_HAND: [(&str, &str); 3] = [
    ("k8s-upgrade-settings.5", include_str!("../../man/k8s-upgrade-settings.5")),
    ("k8s-upgrade-operations.7", include_str!("../../man/k8s-upgrade-operations.7")),
    ("k8s-upgrade-metrics.7", include_str!("../../man/k8s-upgrade-metrics.7")),
];
/// Around what the program writes into them.
const FROM: &str = ".\\\" generated: ";
const TO: &str = ".\\\" end";

/// Settings of Teams, Discord and ntfy.
const EXAMPLES: &str = include_str!("../../docs/webhooks.yaml");

/// Name and text of each manual page.
///
/// # Errors
/// A bug: a page cannot be written.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>, Cause> {
    // Of `help` there is no page.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let (name, mut text) = page(names::PROGRAM.to_owned(), root.clone())?;
    text.extend(part(&see_also()).bytes());
    let mut pages = vec![(name, text)];
    for sub in root.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{}-{}", names::PROGRAM, sub.get_name());
        pages.push(page(name, sub.clone())?);
    }
    for (name, text) in BY_HAND {
        pages.push((name.to_owned(), filled(name, text)?.into_bytes()));
    }
    Ok(pages)
}

fn page(name: String, command: clap::Command) -> Result<(String, Vec<u8>), Cause> {
    let mut text = Vec::new();
    let cannot = |error| Cause::bug(format!("the manual page {name} cannot be written: {error}"));
    clap_mangen::Man::new(command).render(&mut text).map_err(cannot)?;
    Ok((format!("{name}.1"), text))
}

/// From the program's page to those that no command has.
fn see_also() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let pages = BY_HAND.map(|(name, _)| name.rsplit_once('.').unwrap_or((name, "")));
    let named = pages.iter().enumerate().flat_map(|(at, (name, section))| {
        let between = if at + 1 < pages.len() { ", " } else { "" };
        [bold(*name), roman(format!("({section}){between}"))]
    });
    roff.text(named.collect::<Vec<_>>());
    roff
}

/// The page with what the program writes into it, in the place of what stood there.
fn filled(name: &str, page: &str) -> Result<String, Cause> {
    let mut text = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        text += line;
        text.push('\n');
        let Some(what) = line.strip_prefix(FROM) else { continue };
        let block = match what {
            "gates" => gates(),
            "events" => events(),
            "webhooks" => webhooks(),
            "settings" => settings()?,
            other => return Err(Cause::bug(format!("{name} wants {other} written into it, which nobody knows"))),
        };
        text += &part(&block);
        if !lines.any(|line| line == TO) {
            return Err(Cause::bug(format!("{name} does not say where {what} ends")));
        }
        text += TO;
        text.push('\n');
    }
    Ok(text)
}

/// Without the lines that stand once, at the head of a page.
fn part(block: &Roff) -> String {
    block.render().split_off(Roff::new().render().len())
}

/// A text whose words between backticks are typed as they stand.
fn prose(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// Every gate, from their table.
fn gates() -> Roff {
    let mut roff = Roff::new();
    for row in Gate::ALL.iter().map(|gate| gate.row()) {
        let asked: Vec<&str> = row.asked.iter().map(|occasion| occasion.words()).collect();
        roff.control("TP", []);
        roff.text([bold(row.id), roman(format!(" ({})", asked.join(", ")))]);
        roff.text([
            roman(format!("{} Why: {}. Where it is closed: ", row.question, row.explanation)),
            bold(row.command),
            roman(format!(": {}", row.purpose)),
        ]);
    }
    roff
}

/// The reasons of Kubernetes Events, from their table.
fn events() -> Roff {
    let mut roff = Roff::new();
    for reason in EventReason::ALL {
        roff.control("TP", []);
        roff.text([bold(reason.word()), roman(format!(" ({})", reason.kind()))]);
        roff.text([roman(reason.what())]);
    }
    roff
}

/// Kinds of messages, and examples of services that many have.
fn webhooks() -> Roff {
    let mut roff = Roff::new();
    let kinds = NoticeKind::ALL.map(|kind| kind.to_string()).join(", ");
    roff.control("PP", []);
    roff.text([roman(format!("Kinds: {kinds}."))]);
    roff.control("PP", []);
    roff.control("nf", []);
    for line in EXAMPLES.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

/// Every setting, by subject, from their table.
fn settings() -> Result<Roff, Cause> {
    let mut roff = Roff::new();
    for subject in SUBJECTS {
        roff.control("SH", [subject.title]);
        for row in subject.rows {
            roff.control("TP", []);
            roff.text([bold(row.key)]);
            roff.text(prose(row.text));
            roff.control("br", []);
            roff.text(prose(&format!("Value: {}; default: {}; since {}", row.of()?, row.default()?, row.since)));
            roff.control("br", []);
            let example = format!("{}: {}", row.key, row.example);
            if example.contains('\n') {
                roff.text([roman("Example:")]);
                roff.control("nf", []);
                example.lines().for_each(|line| _ = roff.text([roman(line)]));
                roff.control("fi", []);
            } else {
                roff.text([roman("Example: "), bold(example)]);
            }
        }
    }
    Ok(roff)
}
