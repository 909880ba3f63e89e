//! Where a node's packages come from, in every layout and format that people have: what is known, what is a stranger, and what is left of each
//! once the repository of another minor version is put in force.

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{Inspect, NodeState, Refresh, Refreshed, Repository};

use k8s_upgrade::packages::IN_USE;

use super::bench::{Node, release, word};

const LIST: &str = "etc/apt/sources.list.d/kubernetes.list";
const UPSTREAM: &str = "https://repo.test";
/// Of an Artifactory or a Nexus, where every minor version is a repository of its own.
const NEXUS: &str = "https://nexus.test/repository/kubernetes-v{minor}/apt";

/// A source of a node at 1.35.
struct Layout {
    setting: &'static str,
    /// Below /etc/apt.
    file: &'static str,
    text: &'static str,
    /// What is known of it: minor version and URL.
    known: &'static [(&'static str, &'static str)],
    /// What is left of the file once v1.36 is in force; empty: it is gone.
    rest: &'static str,
}

const LAYOUTS: &[Layout] = &[
    Layout {
        setting: UPSTREAM,
        file: "sources.list.d/k.list",
        text: "deb [signed-by=/etc/apt/keyrings/k.gpg] https://repo.test/core:/stable:/v1.35/deb/ /\n",
        known: &[("1.35", "https://repo.test/core:/stable:/v1.35/deb")],
        rest: "",
    },
    // Colons as a proxy of repositories writes them, options with blanks, no slash at the end, a comment behind.
    Layout {
        setting: UPSTREAM,
        file: "sources.list.d/k.list",
        text: "  deb [ arch=amd64 signed-by=/etc/apt/keyrings/k.gpg ]  https://repo.test/core%3A/stable%3a/v1.35/deb /  # v1.34\n",
        known: &[("1.35", "https://repo.test/core:/stable:/v1.35/deb")],
        rest: "",
    },
    Layout {
        setting: UPSTREAM,
        file: "sources.list.d/k.list",
        text: "deb [arch=amd64] https://repo.test/core/stable/v1.35/deb ./\n",
        known: &[("1.35", "https://repo.test/core/stable/v1.35/deb")],
        rest: "",
    },
    // The folder in the place of the suite.
    Layout {
        setting: UPSTREAM,
        file: "sources.list.d/k.list",
        text: "deb https://art.test/artifactory/k8s core:/stable:/v1.35/deb/\n",
        known: &[("1.35", "https://art.test/artifactory/k8s/core:/stable:/v1.35/deb")],
        rest: "",
    },
    // Several in one file, among others, and comments that name one.
    Layout {
        setting: UPSTREAM,
        file: "sources.list",
        text: "deb http://debian.test/debian bookworm main # not https://repo.test/core:/stable:/v1.31/deb/\n\
               # deb https://repo.test/core:/stable:/v1.33/deb/ /\n\
               deb https://repo.test/core:/stable:/v1.34/deb/ /\n\
               deb https://cri.test/addons:/cri-o:/stable:/v1.35/deb/ /\n\
               deb-src https://repo.test/core:/stable:/v1.35/deb/ /\n",
        known: &[("1.34", "https://repo.test/core:/stable:/v1.34/deb"), ("1.35", "https://repo.test/core:/stable:/v1.35/deb")],
        rest: "deb http://debian.test/debian bookworm main # not https://repo.test/core:/stable:/v1.31/deb/\n\
               # deb https://repo.test/core:/stable:/v1.33/deb/ /\n\
               deb https://cri.test/addons:/cri-o:/stable:/v1.35/deb/ /\n",
    },
    Layout {
        setting: UPSTREAM,
        file: "sources.list.d/k.sources",
        text: "Types: deb\nURIs: https://repo.test/core%3A/stable%3A/v1.35/deb/\nSuites: /\nSigned-By: /etc/apt/keyrings/k.gpg\n",
        known: &[("1.35", "https://repo.test/core:/stable:/v1.35/deb")],
        rest: "",
    },
    // Names in any case, several URIs, a comment within, one that is switched off, and a key that stands there itself.
    Layout {
        setting: UPSTREAM,
        file: "sources.list.d/k.sources",
        text: "Types: deb\nURIs: http://debian.test/debian\nSuites: bookworm\nComponents: main\n\n\
               # Kubernetes\ntypes: deb\n#uris: https://repo.test/core:/stable:/v1.31/deb/\nuris: https://repo.test/core:/stable:/v1.35/deb/\n \
               https://two.test/core:/stable:/v1.35/deb/\nsuites: ./\nsigned-by:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n /abc\n\n\
               Types: deb\nEnabled: no\nURIs: https://repo.test/core:/stable:/v1.32/deb/\nSuites: /\n",
        known: &[("1.35", "https://repo.test/core:/stable:/v1.35/deb"), ("1.35", "https://two.test/core:/stable:/v1.35/deb")],
        rest: "Types: deb\nURIs: http://debian.test/debian\nSuites: bookworm\nComponents: main\n\n\n\
               Types: deb\nEnabled: no\nURIs: https://repo.test/core:/stable:/v1.32/deb/\nSuites: /\n",
    },
    // The settings' own layout; a password is not repeated; what only begins alike is another.
    Layout {
        setting: NEXUS,
        file: "sources.list.d/k.list",
        text: "deb [signed-by=/etc/apt/keyrings/k.gpg] https://me:s3cret@nexus.test/repository/kubernetes-v1.35/apt /\n\
               deb https://nexus.test/repository/kubernetes-v1.35/apt-tools /\n",
        known: &[("1.35", "https://nexus.test/repository/kubernetes-v1.35/apt")],
        rest: "deb https://nexus.test/repository/kubernetes-v1.35/apt-tools /\n",
    },
    Layout {
        setting: NEXUS,
        file: "sources.list.d/k.sources",
        text: "Types: deb\nURIs: https://nexus.test/repository/\nSuites: kubernetes-v1.35/apt/\n",
        known: &[("1.35", "https://nexus.test/repository/kubernetes-v1.35/apt")],
        rest: "",
    },
    // What is a pattern to grep or awk is none here; and the minor version is the same wherever it stands.
    Layout {
        setting: "https://m.test/a.c/{minor}/k8s-{minor}",
        file: "sources.list.d/k.list",
        text: "deb https://m.test/abc/1.35/k8s-1.35 /\ndeb https://m.test/a.c/1.35/k8s-1.34 /\ndeb https://m.test/a.c/1.35/k8s-1.35 /\n",
        known: &[("1.35", "https://m.test/a.c/1.35/k8s-1.35")],
        rest: "deb https://m.test/abc/1.35/k8s-1.35 /\ndeb https://m.test/a.c/1.35/k8s-1.34 /\n",
    },
];

/// A node whose only source of Kubernetes is that.
fn node(file: &str, text: &str) -> Node {
    let node = Node::new();
    node.source("v1.35");
    std::fs::remove_file(node.root_path(LIST)).unwrap();
    node.root(&format!("etc/apt/{file}"), text);
    node.root("etc/apt/keyrings/k.gpg", "key of v1.35\n");
    node
}

fn inspect(node: &Node, setting: &str) -> NodeState {
    node.run(&Inspect { packages: Some(word(setting)) }).unwrap()
}

fn sources(state: &NodeState) -> Vec<(&str, &str)> {
    state.sources.iter().map(|source| (&*source.minor, &*source.url)).collect()
}

#[test]
fn every_layout_is_known_and_leaves_one_entry() {
    for Layout { setting, file, text, known, rest } in LAYOUTS {
        let node = node(file, text);
        let state = inspect(&node, setting);
        assert_eq!(sources(&state), *known, "{text}");
        assert!(state.sources.iter().all(|source| *source.file == *format!("/etc/apt/{file}")), "{state:?}");
        assert_eq!(state.keys.is_empty(), !text.contains("=/etc/apt/keyrings/k.gpg") && !text.contains("By: /etc"), "{text}");
        let acknowledged = vec![word("DE15B14486CD377B9E876E1A234654DA9A296436")];
        node.run(&Repository { packages: word(setting), target: release("1.36.3"), keys: acknowledged }).unwrap();
        let left = std::fs::read_to_string(node.root_path(&format!("etc/apt/{file}"))).unwrap_or_default();
        assert_eq!(left.trim_end(), rest.trim_end(), "{text}");
        let url = IN_USE.repository_of(&word(setting), "1.36");
        assert_eq!(sources(&inspect(&node, setting)), [("1.36", url.as_str())], "{text}");
        assert_eq!(node.run(&Refresh { packages: Some(word(setting)) }).unwrap(), Refreshed::Done);
    }
}

/// apt takes a percent sign in a list for the beginning of one character.
#[test]
fn a_colon_that_is_written_as_percent_reaches_the_server_so() {
    let node = node("sources.list.d/k.list", "deb https://m.test/core:/stable:/v1.35/deb/ /\n");
    let setting = "https://m.test/core%3A/stable%3A/v{minor}/deb";
    let acknowledged = vec![word("DE15B14486CD377B9E876E1A234654DA9A296436")];
    node.run(&Repository { packages: word(setting), target: release("1.36.3"), keys: acknowledged }).unwrap();
    assert!(node.read_root(LIST).ends_with(" https://m.test/core%253A/stable%253A/v1.36/deb/ /\n"), "{}", node.read_root(LIST));
    assert!(node.calls().iter().any(|call| call.ends_with(" https://m.test/core%3A/stable%3A/v1.36/deb/Release.key")));
    assert_eq!(sources(&inspect(&node, setting)), [("1.36", "https://m.test/core:/stable:/v1.36/deb")]);
}

/// As apt-cache writes it: what it comes from, by file and URL, before anything is changed.
#[test]
fn a_stranger_is_named_with_its_file() {
    for (file, text, madison, url) in [
        (
            "sources.list.d/n.list",
            "deb [trusted=yes] https://me:s3cret@n.test/k8s-1.35 ./\n",
            "https://n.test/k8s-1.35 ./ Packages",
            "https://n.test/k8s-1.35",
        ),
        (
            "sources.list.d/n.list",
            "deb https://n.test/k8s-1.35/ /\n",
            "https://n.test/k8s-1.35  Packages",
            "https://n.test/k8s-1.35",
        ),
        ("sources.list.d/n.sources", "Types: deb\nURIs: file:/srv\nSuites: k8s/\n", "file:/srv k8s/ Packages", "file:/srv/k8s"),
        (
            "sources.list",
            "deb https://n.test/apt stable main\n",
            "https://n.test/apt stable/main amd64 Packages",
            "https://n.test/apt",
        ),
    ] {
        let node = node(file, text);
        node.state("strangers", &format!("   kubeadm | 1.35.4-1.1 | {madison}\n   kubeadm | 1.35.2-1.1 | {madison}\n"));
        let state = inspect(&node, NEXUS);
        let strangers: Vec<_> = state.strangers.iter().map(|s| (s.url.as_str(), s.file.as_deref())).collect();
        assert_eq!((sources(&state), strangers), (vec![], vec![(url, Some(&*format!("/etc/apt/{file}")))]), "{text}");
        let cause = node.run(&Repository { packages: word(NEXUS), target: release("1.36.3"), keys: Vec::new() }).unwrap_err();
        assert!(cause.class == Class::Refused && cause.what.contains(&format!("{url} (/etc/apt/{file})")), "{cause}");
        assert_eq!(node.read_root(&format!("etc/apt/{file}")), text, "nothing was changed");
    }
}

/// A patch release comes from there: its list is read anew, and a key that has ended is told with where it stands.
#[test]
fn where_nothing_is_known_the_list_of_the_stranger_is_refreshed() {
    let node = node("sources.list.d/n.list", "deb [signed-by=/etc/apt/keyrings/k.gpg] https://n.test/k8s-1.35 ./\n");
    let refresh = Refresh { packages: Some(word(UPSTREAM)) };
    assert_eq!(node.run(&refresh).unwrap_err().class, Class::Refused, "nothing offers kubeadm");
    node.state("strangers", "   kubeadm | 1.35.4-1.1 | https://n.test/k8s-1.35 ./ Packages\n");
    assert_eq!(node.run(&refresh).unwrap(), Refreshed::Done);
    let update = node.calls().into_iter().rfind(|call| call.contains(" update ")).unwrap();
    assert!(update.contains("sources.list.d/n.list"), "{update}");
    node.root("etc/apt/keyrings/k.gpg", "key of another\n");
    let Refreshed::KeyUnfit { of, .. } = node.run(&refresh).unwrap() else { panic!("apt believes any key") };
    assert_eq!(of, ["https://n.test/k8s-1.35"]);
}

/// Where the lists cannot be read, nobody knows what is there: a look goes on, and a change does not.
#[test]
fn a_cache_that_cannot_be_read_says_nothing() {
    let node = node("sources.list.d/k.list", "deb https://repo.test/core:/stable:/v1.35/deb/ /\n");
    node.without(&["apt-cache"]);
    assert_eq!((sources(&inspect(&node, UPSTREAM)).len(), inspect(&node, UPSTREAM).strangers.len()), (1, 0));
    let cause = node.run(&Repository { packages: word(UPSTREAM), target: release("1.36.3"), keys: Vec::new() }).unwrap_err();
    assert!(cause.class == Class::Step && cause.what.contains("what offers kubeadm on this node is not known"), "{cause:?}");
}
