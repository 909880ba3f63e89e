//! What a package manager has to give.

use crate::words::word;

/// One package manager. Its shell functions are called by the scripts of `node` and by `common.sh`; they run as root, after `prelude.sh`, under
/// `set -euo pipefail`, and end a script by `hold`, `refused`, `unreachable` or `failed` where they cannot go on. None of them asks anything
/// of a person, and none takes another version of a package than the one that is named.
///
/// | function or variable | what it is |
/// |---|---|
/// | `packages_manager` | how people call it |
/// | `packages_format` | the last part of a repository's URL at `pkgs.k8s.io`: `deb`, `rpm` |
/// | `packages_installer` | what a person types before the name of a package that is missing |
/// | `packages_cache` | the folder to which it downloads: [`PackageManager::cache`] |
/// | `packages_here` | whether it is on this node |
/// | `packages_list NAME…` | a line `NAME LETTERS VERSION` for each of these that is there, however badly. Letters ([`crate::words::Letters`]): `i`, or `h` where it is held; then `i` where it is installed whole, and anything else where it is not |
/// | `packages_state NAME` | `LETTERS VERSION` of a package that is installed, however badly; else nothing |
/// | `packages_held` | the names of the held packages, one a line |
/// | `packages_hold NAME…` | keeps all others from upgrading these |
/// | `packages_broken` | what it finds half installed, for people; nothing where all is well |
/// | `packages_finish` | finishes what was cut, as far as that needs no download |
/// | `packages_wait` | until nobody else holds its locks; says by `waits` whom it waits for, and holds after a bounded time |
/// | `packages_available NAME` | the versions that its lists offer, newest first |
/// | `packages_download NAME=VERSION…` | fetches these and what they need into its cache; may drop holds |
/// | `packages_aside FOLDER SOURCE` | from here on refreshes, versions and downloads are of that source alone, and all that they write lies in the folder, which only root may read |
/// | `packages_download_into FOLDER NAME=VERSION…` | fetches the files of these alone into the folder |
/// | `packages_archive NAME VERSION [FOLDER]` | the path of the file that was downloaded, into the cache or that folder |
/// | `packages_unpack FILE FOLDER PATH` | takes one file out of it, into the folder |
/// | `packages_install [--reinstall] NAME=VERSION…` | installs these; configuration that was changed by hand stays; may drop holds; removes nothing |
/// | `packages_allow_downgrades` | from here on, `packages_install` may go back |
/// | `packages_pattern` | how the settings write the URL of a repository, `{minor}` in it for its minor version; empty where a script does not know it |
/// | `packages_sources` | the files of its sources that point at a Kubernetes repository: upstream's layout, however a mirror writes its colons, or `packages_pattern` |
/// | `packages_strangers` | a line `URL FILE` for each other source that offers kubeadm; the file is `-` where it cannot be told |
/// | `packages_proxy URL` | the proxy that it takes to that URL: a URL, `DIRECT`, or nothing where it has no setting |
/// | `packages_minors` | a line `MINOR URL FILE` for each entry of such a source; the URL as `packages_pattern` would write it, and without a password |
/// | `packages_refresh FILE [UNFIT]` | the lists of that source, and fails where they stay the former ones; where that is for its key, which has ended or is another than the repository's, by the function UNFIT, which gets the reason |
/// | `packages_refresh_all` | the lists of every source |
///
/// For a new repository, in [`PackageManager::repository`]:
///
/// | function or variable | what it is |
/// |---|---|
/// | `packages_key`, `packages_source` | the files of the repository's key and of its source, once in force |
/// | `packages_new_key`, `packages_new_source` | where they lie before, on the same filesystems, where nothing reads them unless it is told to |
/// | `packages_keyrings` | the files of the keys that are trusted for a Kubernetes repository now |
/// | `packages_propose URL KEY SOURCE` | writes a source of it to that file, which trusts that key alone |
/// | `packages_proposed NAME` | as `packages_available`, of the new source alone |
/// | `packages_adopt URL` | puts both in force, and takes out every other entry for a Kubernetes repository |
#[derive(Clone, Copy, Debug)]
pub struct PackageManager {
    /// As people call it.
    pub name: &'static str,
    /// The last part of a repository's URL in upstream's layout.
    pub format: &'static str,
    /// Its shell functions.
    pub functions: &'static str,
    /// Those for a new repository.
    pub repository: &'static str,
    /// The folder to which it downloads.
    pub cache: &'static str,
    /// What a person types, as root, to see what is half installed.
    pub audit: &'static str,
    /// The same to finish that.
    pub finish: &'static str,
    /// A package and its version, as its commands take them.
    pub exact: fn(name: &str, version: &str) -> String,
    /// What a person types, as root, to let others upgrade held packages again; the names are words of the shell.
    pub release: fn(names: &str) -> String,
    /// What a person types, as root, to bring held packages back to former versions. Both arguments are words of the shell: names, and packages
    /// as [`PackageManager::words`] gives them.
    pub go_back: fn(names: &str, packages: &str) -> Vec<String>,
}

impl PackageManager {
    /// Packages `NAME=VERSION` as its commands take them, as words of the shell.
    pub fn words(&self, packages: &[impl ToString]) -> String {
        let exact = |package: String| match package.split_once('=') {
            Some((name, version)) => word(&(self.exact)(name, version)),
            None => word(&package),
        };
        packages.iter().map(|package| exact(package.to_string())).collect::<Vec<_>>().join(" ")
    }
}
