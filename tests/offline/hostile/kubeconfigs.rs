//! Kubeconfigs that are none, and plugins that never answer.

use std::path::Path;
use std::time::Duration;

use k8s_upgrade::adapters::{Proxies, RealKube};
use k8s_upgrade::permit::Gate;
use k8s_upgrade::world::{Env, KubeConnection, KubeSource, KubeTarget};

use super::{ends, run};

const GOOD_CLUSTER: &str = "{server: 'https://10.0.0.1:6443'}";

fn connect(folder: &Path, cluster: &str, user: &str, env: &[(&str, &str)]) -> Result<KubeConnection, String> {
    let file = folder.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {cluster}}}]\n\
         users: [{{name: u, user: {user}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let env: Env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let kube = RealKube::new(&env, Proxies::new(&env)).patience(Duration::from_millis(700));
    let target = KubeTarget { kubeconfig: Some(file), ..KubeTarget::default() };
    run(ends(cluster, async { kube.connect(&target, Gate).await }))
}

#[test]
fn what_no_request_can_carry_is_refused_and_no_secret_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "SECRET\nx\n").unwrap();
    for (cluster, user) in [
        (GOOD_CLUSTER, r#"{token: "SECRET\nx"}"#),
        (GOOD_CLUSTER, r#"{token: "SECRET\0"}"#),
        (GOOD_CLUSTER, "{tokenFile: token}"),
        (GOOD_CLUSTER, "{tokenFile: absent}"),
        (GOOD_CLUSTER, r#"{as: "a\nb"}"#),
        (GOOD_CLUSTER, "{client-certificate-data: '!', client-key-data: '!'}"),
        (GOOD_CLUSTER, "{client-certificate-data: QQ==}"),
        (GOOD_CLUSTER, "{client-certificate: /dev/zero, client-key: /dev/zero}"),
        (GOOD_CLUSTER, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /nonexistent/plugin}}"),
        (GOOD_CLUSTER, "{exec: {apiVersion: client.authentication.k8s.io/v1}}"),
        (GOOD_CLUSTER, "{exec: {command: sh, args: [-c, 'echo SECRET; exit 3'], env: [{name: A, value: SECRET}]}}"),
        (GOOD_CLUSTER, "{exec: {command: echo, args: [SECRET]}}"),
        (GOOD_CLUSTER, r#"{exec: {command: printf, args: ['{"status":{"token":"SECRET\\nx"}}']}}"#),
        (GOOD_CLUSTER, "{auth-provider: {name: other, config: {}}}"),
        ("{}", "{}"),
        ("{server: ''}", "{}"),
        ("{server: '10.0.0.1:6443'}", "{}"),
        ("{server: 'ftp://me:SECRET@10.0.0.1'}", "{}"),
        ("{server: 'https://'}", "{}"),
        ("{server: 'https:///x'}", "{}"),
        ("{server: 'https://me:SECRET@'}", "{}"),
        (r#"{server: "https://10.0.0.1\n"}"#, "{}"),
        ("{server: 'https://10.0.0.1', certificate-authority-data: '!'}", "{}"),
        ("{server: 'https://10.0.0.1', certificate-authority-data: QQ==}", "{}"),
        ("{server: 'https://10.0.0.1', certificate-authority: absent}", "{}"),
        ("{server: 'https://10.0.0.1', proxy-url: 'ftp://me:SECRET@x'}", "{}"),
    ] {
        let why = connect(folder.path(), cluster, user, &[]).err().unwrap_or_else(|| panic!("{cluster} {user} was taken"));
        assert!(!why.contains("SECRET"), "{cluster} {user}: {why}");
        assert!(why.contains("context c") || why.contains("plugin"), "{cluster} {user}: {why}");
    }
}

#[test]
fn a_plugin_that_never_answers_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ['5'], interactiveMode: Never}}";
    let why = connect(folder.path(), GOOD_CLUSTER, user, &[]).err().unwrap();
    assert_eq!(why, "the credential plugin sleep of https://10.0.0.1:6443 (context c) did not answer within 700ms");
}

#[test]
fn a_password_in_a_url_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let connection = connect(folder.path(), "{server: 'https://me:SECRET@10.0.0.1:6443/base'}", "{}", &[]).unwrap();
    assert_eq!(connection.place, "https://10.0.0.1:6443 (context c)");
}

#[test]
fn proxies_are_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let with = |env: &[(&str, &str)]| connect(folder.path(), GOOD_CLUSTER, "{}", env).map(drop);
    for proxy in ["http://p:1", "https://p:1", "socks5://p:1", "p:1", "http://me:SECRET@p:1"] {
        with(&[("HTTPS_PROXY", proxy)]).unwrap();
        with(&[("https_proxy", proxy), ("NO_PROXY", "10.0.0.0/8, ,x")]).unwrap();
    }
    let why = with(&[("HTTPS_PROXY", "ftp://me:SECRET@p")]).unwrap_err();
    assert!(why.contains("HTTPS_PROXY") && !why.contains("SECRET"), "{why}");
}
