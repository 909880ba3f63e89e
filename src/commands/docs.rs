//! `completions`: scripts that ask the program; and `man`: generated from the command line's own types.

use std::path::Path;

use clap::CommandFactory;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{Cli, Shell};
use crate::failure::{Cause, Outcome};
use crate::names::{self, EventReason};
use crate::plan::decide::gates::Gate;
use crate::plan::model::webhook::NoticeKind;
use crate::report::Out;
use crate::world::World;

/// The completions of one shell: they ask this program.
fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../completions/k8s-upgrade.bash"),
        Shell::Zsh => include_str!("../../completions/_k8s-upgrade"),
        Shell::Fish => include_str!("../../completions/k8s-upgrade.fish"),
        Shell::Kubectl => include_str!("../../completions/kubectl_complete-upgrade"),
    }
}

/// Name and text of each manual page: the program's and one a subcommand.
pub fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    // Of `help` there is no page.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let (name, mut text) = page(names::PROGRAM.to_owned(), root.clone())?;
    gates().to_writer(&mut text)?;
    events().to_writer(&mut text)?;
    webhooks().to_writer(&mut text)?;
    let mut pages = vec![(name, text)];
    for sub in root.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{}-{}", names::PROGRAM, sub.get_name());
        pages.push(page(name.clone(), sub.clone())?);
    }
    Ok(pages)
}

/// The section on gates, from their table.
fn gates() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["GATES"]);
    roff.text([roman(
        "What is asked before a run goes on. Where the answer is not yes, it holds or refuses, and says how to go on.",
    )]);
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

/// The section on Kubernetes Events, from the table of their reasons.
fn events() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EVENTS"]);
    roff.text([roman(format!(
        "What happens is told as Kubernetes Events reported by {}: on the Jobs in their namespace, and on the nodes, where kubectl describe \
         node shows them (setting events). Their reasons:",
        names::EVENT_CONTROLLER
    ))]);
    for reason in EventReason::ALL {
        roff.control("TP", []);
        roff.text([bold(reason.word()), roman(format!(" ({})", reason.kind()))]);
        roff.text([roman(reason.what())]);
    }
    roff
}

/// The section on webhooks: examples of services that many have.
fn webhooks() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["WEBHOOKS"]);
    let kinds = NoticeKind::ALL.map(|kind| kind.to_string()).join(", ");
    roff.text([roman(format!(
        "Who is told beside Slack (setting webhooks). Words in braces are filled in: text, cluster, kind, place, target, time; in JSON, \
         within strings alone. Kinds: {kinds}. A hold's reminders are of the kind held."
    ))]);
    roff.control("nf", []);
    for line in EXAMPLES.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

/// Settings of Teams, Discord and ntfy.
const EXAMPLES: &str = include_str!("../../docs/webhooks.yaml");

fn page(name: String, command: clap::Command) -> std::io::Result<(String, Vec<u8>)> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok((format!("{name}.1"), text))
}

/// Writes the completions of a shell to stdout.
pub fn completions(stdout: &Out, shell: Shell) -> Result<Outcome, Cause> {
    super::install::write_out(stdout, script(shell).as_bytes())?;
    Ok(Outcome::Done)
}

/// Writes one page a command into the folder.
pub fn man(world: &World, folder: &Path) -> Result<Outcome, Cause> {
    let cannot = |error: std::io::Error| Cause::usage(format!("cannot write manual pages into {}: {error}", folder.display()));
    world.files.make_folder(folder).map_err(cannot)?;
    for (name, text) in pages().map_err(cannot)? {
        world.files.write(&folder.join(name), &text, 0o644).map_err(cannot)?;
    }
    Ok(Outcome::Done)
}
