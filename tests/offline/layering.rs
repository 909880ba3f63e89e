//! Who may call whom, held to the table at the top of `src/lib.rs`: that table is the rule, this reads and enforces it. A room whose `mod.rs`
//! has such a table is held to that in the same way: it has floors.

mod circles;
mod packages;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use reading::{Use, module, tokens, uses};

/// Ends of paths that decisions must not touch: whoever decides gets `now` and facts as arguments.
const IMPURE: [&str; 13] = [
    "async",
    "await",
    "tokio",
    "futures",
    "kube",
    "reqwest",
    "tracing",
    "std::env",
    "std::fs",
    "std::thread",
    "SystemTime",
    "Instant",
    "Timestamp::now",
];
/// What reads or writes the process's environment. `env!` is settled at compile time and no concern of ours.
const ENVIRONMENT: [&str; 6] = ["env::var", "env::vars", "env::var_os", "env::vars_os", "env::set_var", "env::remove_var"];

#[test]
fn rooms_use_only_what_the_tables_allow() {
    let files = files();
    let tables = tables(&files);
    let found: Vec<String> = files.iter().flat_map(|(name, text)| violations(&tables, name, text)).collect();
    assert!(found.is_empty(), "see the table in src/lib.rs, or in the mod.rs of the room:\n{}", found.join("\n"));
}

#[test]
fn each_table_names_every_room_and_no_other() {
    let files = files();
    for table in tables(&files) {
        let rooms: BTreeSet<String> = files.iter().filter_map(|(name, _)| table.room(&module(name)).map(str::to_owned)).collect();
        assert_eq!(table.rows.keys().cloned().collect::<BTreeSet<_>>(), rooms, "the table of {}", table.name());
    }
}

/// A circle would have no bottom. Takes away the rooms that use none of those left, until nothing is left.
#[test]
fn dependencies_point_down() {
    for Table { rows: mut left, .. } in tables(&files()) {
        while !left.is_empty() {
            let (upper, lowest): (BTreeMap<_, _>, BTreeMap<_, _>) = left
                .iter()
                .map(|(room, uses)| (room.clone(), uses.clone()))
                .partition(|(_, uses)| uses.iter().any(|used| left.contains_key(used.split("::").next().unwrap())));
            assert!(!lowest.is_empty(), "these use each other in a circle: {:?}", left.keys());
            left = upper;
        }
    }
}

/// The checker must catch what it is for.
#[test]
fn a_made_up_violation_is_caught() {
    let table = Table::parse(
        Vec::new(),
        "//! | [`plan`] | … | names |\n//! | [`names`] | … | nothing |\n//! | [`run`] | … | plan::version, names |\n//! | [`settings`] | … | names |",
    );
    let check = |file, text| violations(std::slice::from_ref(&table), file, text);
    for (file, text, wanted) in [
        ("plan/a.rs", "use crate::run::Services;", "src/plan/a.rs:1: uses run::Services"),
        ("plan/a.rs", "\nfn f() -> crate::run::Services {}", "src/plan/a.rs:2: uses run::Services"),
        ("plan/a.rs", "use crate::{names, run::{self, Services}};", "src/plan/a.rs:1: uses run"),
        ("plan/a.rs", "use super::super::run;", "src/plan/a.rs:1: uses run"),
        ("plan/mod.rs", "use super::run;", "src/plan/mod.rs:1: uses run"),
        ("plan/a.rs", "mod tests { use super::super::super::run; }", "src/plan/a.rs:1: uses run"),
        ("plan/a_tests.rs", "use super::super::super::run;", "src/plan/a_tests.rs:1: uses run"),
        ("names.rs", "fn f() { super::plan::x() }", "src/names.rs:1: uses plan::x"),
        ("names.rs", "use crate::*;", "src/names.rs:1: uses *"),
        ("run/a.rs", "use crate::plan::order;", "src/run/a.rs:1: uses plan::order"),
        ("run/a.rs", "use crate::elsewhere;", "src/run/a.rs:1: uses elsewhere"),
        ("plan/a.rs", "async fn f() {}", "src/plan/a.rs:1: async: plan decides"),
        ("plan/a.rs", "let x = f().await;", "src/plan/a.rs:1: await: plan decides"),
        ("plan/a.rs", "use jiff::{Timestamp};\nlet now = Timestamp::now();", "src/plan/a.rs:2: Timestamp::now: plan decides"),
        ("plan/a.rs", "use std::{env, time::Instant};", "src/plan/a.rs:1: std::env: plan decides"),
        ("plan/a.rs", "fn f(client: &kube::Client) {}", "src/plan/a.rs:1: kube: plan decides"),
        ("run/a.rs", "let home = std::env::var(\"HOME\");", "src/run/a.rs:1: std::env::var: the environment"),
        ("run/a.rs", "use std::env::{self, vars};", "src/run/a.rs:1: std::env::vars: the environment"),
        ("run/a.rs", "fn f() -> anyhow::Result<()> {}", "src/run/a.rs:1: anyhow: only main.rs"),
        ("run/a.rs", "anyhow!(\"no\")", "src/run/a.rs:1: anyhow: only main.rs"),
    ] {
        let found = check(file, text);
        assert!(found.iter().any(|line| line.starts_with(wanted)), "{text:?} should give {wanted:?}, gave {found:?}");
    }
    for (file, text) in [
        ("plan/a.rs", "use crate::names::X; use super::order::Y; fn f<'a>(kube: &'a str) -> char { '\"' }"),
        ("plan/a.rs", "// crate::run\n/* crate::run /* nested */ async */ const S: &str = \"crate::run \\\" .await\";"),
        ("plan/a.rs", "const S: &str = r#\"crate::run \" tokio\"#; mod tests { use super::super::names; }"),
        ("plan/a.rs", "pub(crate) fn f() { let s = 'x'; g('\\'', s) }"),
        ("run/a.rs", "use crate::plan::version::{Version, parse}; async fn f() { tokio::time::sleep(d).await }"),
        ("run/a.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\"); fn f() { std::env::split_paths(p) }"),
        ("plan/a_tests.rs", "use super::super::order;"),
        ("settings.rs", "std::env::vars()"),
        ("main.rs", "use k8s_upgrade::run; fn main() -> anyhow::Result<()> { std::env::vars() }"),
        ("lib.rs", "use crate::run::Services;"),
    ] {
        assert_eq!(check(file, text), Vec::<String>::new(), "{text:?} is no violation");
    }
}

/// A room with a table of its own: its floors are held to it, whichever way they name each other.
#[test]
fn a_made_up_violation_of_floors_is_caught() {
    let map =
        "//! | [`plan`] | … | nothing |\n//! | [`run`] | … | plan |\n//! | [`a`] | … | nothing |\n//! | [`b`] | … | nothing |";
    let floors = "//! | [`model`] | … | nothing |\n//! | [`gates`] | … | model |\n//! | [`decide`] | … | model, gates::Gate |";
    let files =
        [("lib.rs", map), ("plan/mod.rs", floors), ("plan/decide/mod.rs", "//! | name | of a column |"), ("run/mod.rs", "")];
    let tables = tables(&files.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert_eq!(tables.iter().map(Table::name).collect::<Vec<_>>(), ["src", "src/plan"]);
    for (file, text, wanted) in [
        ("plan/model.rs", "use super::gates;", "src/plan/model.rs:1: uses plan::gates, and plan::model may not"),
        (
            "plan/model/a.rs",
            "use super::super::gates::Gate;",
            "src/plan/model/a.rs:1: uses plan::gates::Gate, and plan::model may not",
        ),
        ("plan/model/mod.rs", "use crate::plan::{model::X, gates::Gate};", "src/plan/model/mod.rs:1: uses plan::gates::Gate"),
        (
            "plan/gates.rs",
            "\nfn f() { super::decide::now() }",
            "src/plan/gates.rs:2: uses plan::decide::now, and plan::gates may not",
        ),
        ("plan/gates_tests.rs", "use super::super::decide;", "src/plan/gates_tests.rs:1: uses plan::decide"),
        ("plan/decide/a.rs", "use crate::plan::gates::open;", "src/plan/decide/a.rs:1: uses plan::gates::open"),
        ("plan/decide/a.rs", "use super::super::Whatever;", "src/plan/decide/a.rs:1: uses plan::Whatever"),
        ("plan/decide/a.rs", "use crate::plan;", "src/plan/decide/a.rs:1: uses plan, and plan::decide may not"),
        ("plan/decide/a.rs", "use crate::run::Ctx;", "src/plan/decide/a.rs:1: uses run::Ctx, and plan may not"),
        ("plan/decide/a.rs", "mod tests { use super::super::super::gates::*; }", "src/plan/decide/a.rs:1: uses plan::gates::*"),
    ] {
        let found = violations(&tables, file, text);
        assert!(found.iter().any(|line| line.starts_with(wanted)), "{text:?} should give {wanted:?}, gave {found:?}");
    }
    for (file, text) in [
        ("plan/mod.rs", "mod decide; pub use decide::Decision; use gates::Gate;"),
        ("plan/tests.rs", "use super::decide::*;"),
        ("plan/decide/a.rs", "use crate::plan::model::X; use super::super::gates::Gate; use super::b::Y; use self::c::Z;"),
        (
            "plan/gates.rs",
            "use super::model::X; mod tests { use super::*; use crate::plan::gates; } pub(in crate::plan) fn f() {}",
        ),
        ("run/a.rs", "use crate::plan::gates::open;"),
    ] {
        assert_eq!(violations(&tables, file, text), Vec::<String>::new(), "{text:?} is no violation");
    }
}

// --- the rule --------------------------------------------------------------------------------------

/// Who may use what of the rooms in `within`, as a module: the whole house, or one room that has floors.
struct Table {
    within: Vec<String>,
    /// Room → what it may use besides itself: rooms, or paths in them.
    rows: BTreeMap<String, Vec<String>>,
}

/// The house's, and that of each room that has one.
fn tables(files: &[(String, String)]) -> Vec<Table> {
    let named = |name: &str| name == "lib.rs" || name.ends_with("/mod.rs");
    let all = files.iter().filter(|(name, _)| named(name)).map(|(name, text)| Table::parse(module(name), text));
    let all: Vec<Table> = all.filter(|table| !table.rows.is_empty()).collect();
    assert!(all.iter().any(|table| table.within.is_empty() && table.rows.len() > 3), "the table in src/lib.rs cannot be read");
    all
}

impl Table {
    fn parse(within: Vec<String>, text: &str) -> Table {
        let cells =
            |line: &str| Some(line.strip_prefix("//! |")?.split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>());
        let row = |cells: Vec<String>| match cells.as_slice() {
            [room, _, uses, _] => {
                let room = room.strip_prefix("[`")?.strip_suffix("`]")?;
                let uses = uses.split(", ").filter(|used| *used != "nothing").map(str::to_owned).collect();
                Some((room.to_owned(), uses))
            }
            _ => None,
        };
        Table { within, rows: text.lines().filter_map(cells).filter_map(row).collect() }
    }

    fn name(&self) -> String {
        [&["src".to_owned()], self.within.as_slice()].concat().join("/")
    }

    /// The room of this table that a module is in; what tests a room as a whole stands above its floors, as its `mod.rs` does.
    fn room<'a>(&self, module: &'a [String]) -> Option<&'a str> {
        let room = module.strip_prefix(self.within.as_slice())?.first()?;
        (room != "tests").then_some(room)
    }

    fn allows(&self, room: &str, path: &[String]) -> bool {
        // A path that leads elsewhere is none of this table's.
        let Some(path) = path.strip_prefix(self.within.as_slice()) else { return true };
        let within = |allowed: &String| {
            allowed
                .split("::")
                .zip(path.iter().map(Some).chain(std::iter::repeat(None)))
                .all(|(a, p)| Some(a) == p.map(String::as_str))
        };
        path.first().is_some_and(|first| first == room) || self.rows.get(room).is_some_and(|uses| uses.iter().any(within))
    }
}

/// What `file` (relative to src) does against the tables and the purity of plan, as `file:line: what`.
fn violations(tables: &[Table], file: &str, text: &str) -> Vec<String> {
    let here = module(file);
    let Some(house) = here.first() else { return Vec::new() };
    let mut found = Vec::new();
    for Use { line, path, rooted, .. } in uses(file, &tokens(text)) {
        let whole = path.join("::");
        let mut say = |what: String| found.push(format!("src/{file}:{line}: {what}"));
        if rooted {
            for table in tables {
                if let Some(room) = table.room(&here).filter(|room| !table.allows(room, &path)) {
                    let room = [table.within.as_slice(), &[room.to_owned()]].concat().join("::");
                    say(format!("uses {whole}, and {room} may not"));
                }
            }
            continue;
        }
        let names = |banned: &&&str| format!("::{whole}::").contains(&format!("::{banned}::"));
        if house == "plan"
            && let Some(banned) = IMPURE.iter().find(names)
        {
            say(format!("{banned}: plan decides; it neither waits nor looks"));
        }
        if house != "settings" && ENVIRONMENT.iter().any(|banned| names(&banned)) {
            say(format!("{whole}: the environment is read in main.rs and settings.rs"));
        }
        if path[0] == "anyhow" {
            say("anyhow: only main.rs, at the edge".to_owned());
        }
    }
    found
}

// --- the files -------------------------------------------------------------------------------------

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below src: its path from there, and its text.
fn files() -> Vec<(String, String)> {
    let (mut folders, mut found) = (vec![source()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push((path.strip_prefix(source()).unwrap().display().to_string(), read(&path)));
            }
        }
    }
    found.sort();
    found
}
