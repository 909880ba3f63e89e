//! How texts are put for whoever called: by the name that they typed, in the signs that their locale has.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::report::{Called, Wording};
use crate::world::Env;

/// What the command line and the environment say of it.
pub fn wording(argv: &[OsString], env: &Env) -> Wording {
    let commands =
        || Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).chain(["help".to_owned()]).collect();
    let name = argv.first().and_then(|program| plugin(program));
    Wording { name: name.map(|name| Called { name: name.into(), commands: commands() }), ascii: is_ascii_alone(env) }
}

/// What is typed for a plugin of kubectl: `kubectl upgrade` for the file `kubectl-upgrade`. A hyphen of the command is an underscore there.
fn plugin(program: &OsStr) -> Option<String> {
    let words = Path::new(program).file_name()?.to_str()?.strip_prefix("kubectl-")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let typed = words.replace('-', " ").replace('_', "-");
    (words.chars().all(plain) && !typed.split(' ').any(str::is_empty)).then(|| ["kubectl", &typed].join(" "))
}

/// The first of these that says anything names the locale. Where none does, as in a pod, nobody has said what the screen can show: the log is
/// read elsewhere.
fn is_ascii_alone(env: &Env) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.get(name).filter(|locale| !locale.is_empty()));
    said.is_some_and(|locale| !["utf-8", "utf8"].iter().any(|unicode| locale.to_lowercase().contains(unicode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_s_file_says_what_is_typed() {
        for (program, typed) in [
            ("kubectl-upgrade", Some("kubectl upgrade")),
            ("/usr/local/bin/kubectl-upgrade", Some("kubectl upgrade")),
            ("kubectl-k8s_upgrade", Some("kubectl k8s-upgrade")),
            ("kubectl-cluster-upgrade", Some("kubectl cluster upgrade")),
            ("kubectl_upgrade", None),
            ("kubectl", None),
            ("kubectl-", None),
            ("kubectl-a--b", None),
            ("kubectl-$(reboot)", None),
            ("k8s-upgrade", None),
        ] {
            assert_eq!(plugin(program.as_ref()).as_deref(), typed, "{program}");
        }
    }

    #[test]
    fn the_first_variable_that_says_anything_names_the_locale() {
        for (env, ascii) in [
            (&[][..], false),
            (&[("LANG", "C.UTF-8")], false),
            (&[("LANG", "de_DE.utf8")], false),
            (&[("LANG", "C")], true),
            (&[("LANG", "de_DE.ISO-8859-1")], true),
            (&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")], true),
            (&[("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], false),
            (&[("LC_ALL", ""), ("LANG", "C.UTF-8")], false),
        ] {
            let env: Env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(is_ascii_alone(&env), ascii, "{env:?}");
        }
    }
}
