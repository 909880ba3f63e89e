//! No circle of files: of one that stands in such a circle nothing is understood before all of it is.

use std::collections::{BTreeMap, BTreeSet};

use super::reading::{Use, module, tokens, uses, without_tests};

/// The circles that are there, and why each may be. One that is gone has to go from here, too.
const ALLOWED: &[(&[&str], &str)] = &[(
    &["twin::control", "twin::hosts", "twin::state", "twin::web"],
    "the twin's kernel: the state calls them when their timers are due, and they act on all of the state",
)];

#[test]
fn no_files_use_each_other_in_a_circle() {
    let house = House::of(&super::files());
    let complaints = complaints(&house, ALLOWED);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// A glob would bring in names that are not read here. One of what stands in the same file brings in nothing that is not counted.
#[test]
fn no_file_uses_a_glob_but_in_tests() {
    let House { globs, .. } = House::of(&super::files());
    assert!(globs.is_empty(), "{}", globs.join("\n"));
}

#[test]
fn a_made_up_glob_is_caught() {
    let own = "mod inner { use super::*; } #[cfg(test)] mod tests { use crate::p::b::*; }";
    let files = [("p/mod.rs", "pub use b::*;"), ("p/a.rs", "use super::*;"), ("p/b.rs", own)];
    let House { globs, .. } = House::of(&files.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert_eq!(globs, ["src/p/mod.rs:1: p::b::*", "src/p/a.rs:1: p::*"]);
}

/// The checker must catch what it is for.
#[test]
fn a_made_up_circle_is_caught() {
    let found = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        House::of(&files).circles().iter().map(|circle| circle.join(" ")).collect::<Vec<_>>()
    };
    let circles: [(&[(&str, &str)], &str); 10] = [
        (&[("a.rs", "use crate::b;"), ("b.rs", "fn f() { crate::a::x() }")], "a b"),
        (&[("p/a.rs", "use super::b::X;"), ("p/b.rs", "fn f() -> super::a::Y {}"), ("p/mod.rs", "")], "p::a p::b"),
        (&[("p/a.rs", "use super::{c, b::{X}};"), ("p/b.rs", "use super::c;"), ("p/c.rs", "use crate::p::a;")], "p::a p::b p::c"),
        (
            &[("p/a/mod.rs", "use super::b;"), ("p/b.rs", "use super::a::in_it::X;"), ("p/a/in_it.rs", "use super::super::b;")],
            "p::a::in_it p::b",
        ),
        // By the path of a module of its own.
        (&[("p/mod.rs", "mod a; fn f() { a::g() }"), ("p/a.rs", "use crate::q;"), ("q.rs", "use crate::p::a::g;")], "p::a q"),
        (&[("p/mod.rs", "use self::a::X; use crate::q;"), ("p/a.rs", ""), ("q.rs", "use crate::p;")], "p q"),
        // Through a name that another file passes on, whatever it calls it.
        (&[("p/mod.rs", "pub use a::{X as Y};"), ("p/a.rs", "use crate::q;"), ("q.rs", "use crate::p::Y;")], "p::a q"),
        (
            &[("p/mod.rs", "pub use crate::p::a::f;"), ("p/a.rs", "use crate::q;"), ("q.rs", "use crate::p; fn g() { p::f() }")],
            "p::a q",
        ),
        (&[("p/mod.rs", "use super::q::Z;"), ("p/a.rs", "use super::Z;"), ("q.rs", "use crate::p::a;")], "p::a q"),
        (&[("a.rs", "mod inner { use super::super::b; }"), ("b.rs", "use crate::a;")], "a b"),
    ];
    for (files, wanted) in circles {
        assert_eq!(found(files), [wanted], "{files:?}");
    }
    let none: [&[(&str, &str)]; 8] = [
        &[("a.rs", "use crate::b;"), ("b.rs", "// crate::a\nconst S: &str = \"crate::a\"; use std::fs;")],
        // A room's mod.rs has its files, and they may use what stands in it.
        &[("p/mod.rs", "mod a; pub use a::X; fn f() { a::g() } struct Y;"), ("p/a.rs", "use super::Y;")],
        &[
            ("a.rs", "use crate::b; #[cfg(test)] mod tests { use super::*; }"),
            ("b.rs", "#[cfg(test)] mod tests { use crate::a; }"),
        ],
        &[
            ("a.rs", "use crate::b;"),
            ("b.rs", "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;"),
            ("b_tests.rs", "use crate::a;"),
        ],
        &[("a.rs", "use crate::b;"), ("b/mod.rs", "#[cfg(test)] mod tests;"), ("b/tests/mod.rs", "use crate::a;")],
        &[("p/a.rs", "use super::b::X;"), ("p/b.rs", "pub(in crate::p::a) fn f() {}")],
        &[("p/mod.rs", "pub use a::X; pub use b::Y;"), ("p/a.rs", "use super::Y;"), ("p/b.rs", "")],
        &[("lib.rs", "pub use a::X;"), ("a.rs", "use crate::b;"), ("b.rs", ""), ("main.rs", "use house::a;")],
    ];
    for files in none {
        assert_eq!(found(files), Vec::<String>::new(), "{files:?}");
    }
}

#[test]
fn the_list_of_allowed_circles_is_exact() {
    let files = [("a.rs", "use crate::b;"), ("b.rs", "\nuse crate::a;")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let house = House::of(&files);
    assert_eq!(complaints(&house, &[(&["a", "b"], "why")]), Vec::<String>::new());
    assert_eq!(complaints(&house, &[]), ["a circle of files: a b\n  a -> b (src/a.rs:1)\n  b -> a (src/b.rs:2)"]);
    let gone = complaints(&house, &[(&["a", "b"], "why"), (&["c", "d"], "why")]);
    assert_eq!(gone, ["there is no such circle of files any more: c d"]);
    let smaller = complaints(&house, &[(&["a", "b", "c"], "why")]);
    assert_eq!(smaller.len(), 2, "{smaller:?}");
}

/// What is wrong: a circle that nobody has allowed, an allowed one that is gone.
fn complaints(house: &House, allowed: &[(&[&str], &str)]) -> Vec<String> {
    let circles = house.circles();
    let new = circles.iter().filter(|circle| !allowed.iter().any(|(known, _)| *known == **circle));
    let gone = allowed.iter().filter(|(known, _)| !circles.iter().any(|circle| *known == *circle));
    let told = |circle: &Vec<String>| {
        let arrows = circle.iter().flat_map(|from| house.arrows[from].iter().map(move |(to, place)| (from, to, place)));
        let within = arrows.filter(|(_, to, _)| circle.contains(to));
        let lines: Vec<String> = within.map(|(from, to, place)| format!("\n  {from} -> {to} ({place})")).collect();
        format!("a circle of files: {}{}", circle.join(" "), lines.concat())
    };
    let gone = gone.map(|(known, _)| format!("there is no such circle of files any more: {}", known.join(" ")));
    new.map(told).chain(gone).collect()
}

/// Which file uses which, each named as the module that it is.
struct House {
    /// With the place of the first use.
    arrows: BTreeMap<String, BTreeMap<String, String>>,
    /// What is used as a glob, and where.
    globs: Vec<String>,
}

impl House {
    fn of(files: &[(String, String)]) -> House {
        let of_tests = |module: &[String]| module.iter().any(|name| name == "tests");
        let files = files.iter().map(|(file, text)| (file, module(file), text));
        let files = files.filter(|(file, module, _)| *file != "main.rs" && !of_tests(module));
        let modules: BTreeMap<Vec<String>, (&String, Vec<Use>)> =
            files.map(|(file, module, text)| (module, (file, uses(file, &without_tests(&tokens(text)))))).collect();
        let names = Names::of(&modules);
        let (mut arrows, mut globs) = (BTreeMap::new(), Vec::new());
        for (here, (file, uses)) in &modules {
            let mut out = BTreeMap::new();
            for (path, line) in uses.iter().filter_map(|used| Some((names.path_of(here, used)?, used.line))) {
                let glob = path.last().is_some_and(|last| last == "*").then(|| format!("src/{file}:{line}: {}", path.join("::")));
                let to = names.home(path);
                globs.extend(glob.filter(|_| to != *here));
                // What a module has below itself is its own.
                if !to.starts_with(here) {
                    out.entry(to.join("::")).or_insert_with(|| format!("src/{file}:{line}"));
                }
            }
            arrows.insert(here.join("::"), out);
        }
        House { arrows, globs }
    }

    /// Those that lead to each other, by name.
    fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> = self.arrows.keys().map(|from| (from, self.reached(from))).collect();
        let circle = |of: &String| {
            let others = reached[of].iter().filter(|to| reached[*to].contains(of));
            others.map(|to| (*to).clone()).collect::<Vec<String>>()
        };
        let all: BTreeSet<Vec<String>> = self.arrows.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
        all.into_iter().collect()
    }

    /// All that something leads to, itself only by a circle.
    fn reached<'a>(&'a self, from: &'a String) -> BTreeSet<&'a String> {
        let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(at) = left.pop() {
            left.extend(self.arrows.get(at).into_iter().flat_map(BTreeMap::keys).filter(|to| reached.insert(*to)));
        }
        reached
    }
}

/// What names stand for: modules, and what a module's `use` brings in and passes on. So a `pub use` hides nothing.
struct Names(BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>);

impl Names {
    fn of(modules: &BTreeMap<Vec<String>, (&String, Vec<Use>)>) -> Names {
        let mut names = Names(modules.keys().map(|module| (module.clone(), BTreeMap::new())).collect());
        for (here, (_, uses)) in modules {
            let named = uses.iter().filter(|used| used.path.last().is_none_or(|last| last != "*"));
            let named = named.filter_map(|used| Some((used.known_as.clone()?, names.path_of(here, used)?)));
            // A module within a file brings in what stands in that file.
            let of_others = named.filter(|(_, path)| path[..path.len() - 1] != **here).collect();
            names.0.insert(here.clone(), of_others);
        }
        names
    }

    /// The path of something that is used in the module `here`; None: it is nobody's here.
    fn path_of(&self, here: &[String], used: &Use) -> Option<Vec<String>> {
        let below = [here, &used.path[..1]].concat();
        match (used.rooted, self.0.get(here)?.get(&used.path[0])) {
            (true, _) => Some(used.path.clone()),
            (false, _) if self.0.contains_key(&below) => Some([here, &used.path].concat()),
            (false, Some(known)) => Some([known, &used.path[1..]].concat()),
            (false, None) => None,
        }
    }

    /// The module in which it stands, wherever it is passed on.
    fn home(&self, mut path: Vec<String>) -> Vec<String> {
        // Names that are passed on in a circle do not compile: the bound is for what is misread.
        for _ in 0..8 {
            let of_module = (0..=path.len()).rev().find(|end| self.0.contains_key(&path[..*end])).unwrap_or_default();
            let (module, rest) = path.split_at(of_module);
            let known = rest.first().and_then(|name| self.0.get(module)?.get(name));
            match known {
                Some(known) => path = [known, &rest[1..]].concat(),
                None => return module.to_vec(),
            }
        }
        panic!("{} leads to itself", path.join("::"))
    }
}
