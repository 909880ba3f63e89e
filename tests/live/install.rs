//! Installs the program as a stranger would: its own image, its own manifests, its own rules, and a settings file.

use std::time::Duration;

use super::lab::{COMMAND, Lab, NAMESPACE};
use super::process::{self, Ended};

/// kubeadm dislikes cgroups v1, and may have no others.
pub const KUBEADM_FLAG: &str = "--ignore-preflight-errors=SystemVerification";

/// What every test of the lab sets; the waits are the test's own. Its services speak http, on this machine's own bridge.
fn settings(lab: &Lab, waits: &str) -> String {
    let (prometheus, pushgateway) = (lab.env("LAB_PROMETHEUS_URL"), lab.env("LAB_PUSHGATEWAY_URL"));
    format!("{}prometheus: {prometheus}\npushgateway: {pushgateway}\n{waits}", plain_settings(lab))
}

/// The same of a cluster that has no monitoring.
fn plain_settings(lab: &Lab) -> String {
    let (packages, keys) = (lab.env("LAB_PACKAGES_URL"), lab.env("LAB_PACKAGE_KEYS"));
    format!(
        "cluster-name: lab\npackages-url: {packages}\nplain-http: [packages-url, slack-webhook]\npackage-keys: [{keys}]\n\
         kubeadm-flags: [{KUBEADM_FLAG}]\nquiet: 0s\n"
    )
}

/// `waits`: lines of the settings file. Returns the path of the file, for commands from outside.
pub fn install(lab: &Lab, waits: &str) -> String {
    lab.phase("install");
    let path = |name: &str| lab.scratch(name).display().to_string();
    let (config, rules) = (path("config.yaml"), path("upgrade-gates.yaml"));
    std::fs::write(&config, settings(lab, waits)).expect("the settings are written");
    std::fs::write(&rules, lab.product(&["manifests", "--only", "rules"]).good()).expect("the rules are written");
    lab.tool(&["rules", &rules]);
    apply(lab, &config, |args| lab.product(args).good());
    lab.until(Duration::from_secs(60), "the alert Watchdog to fire", || {
        let seen = lab.query("ALERTS{alertname=\"Watchdog\",alertstate=\"firing\"}");
        if seen.is_empty() { Err("it is not to be seen".to_owned()) } else { Ok(()) }
    });
    config
}

/// The settings of a cluster that has neither Prometheus nor Pushgateway, in a file; `waits` as with [`install`].
pub fn plain_config(lab: &Lab, waits: &str) -> String {
    let config = lab.scratch("config.yaml").display().to_string();
    std::fs::write(&config, format!("{}{waits}", plain_settings(lab))).expect("the settings are written");
    config
}

/// The program under test, installed with these settings and nothing else.
pub fn install_alone(lab: &Lab, config: &str) {
    apply(lab, config, |args| lab.product(args).good());
}

/// The image and the manifests of a build. Returns the image's name.
fn apply(lab: &Lab, config: &str, build: impl Fn(&[&str]) -> String) -> String {
    let path = |name: &str| lab.scratch(name).display().to_string();
    let (archive, webhook) = (path("image.tar"), path("webhook"));
    std::fs::write(&webhook, lab.env("LAB_SLACK_URL")).expect("the webhook is written");
    let image = build(&["image", "-o", &archive]).trim().to_owned();
    lab.tool(&["image", &archive]);
    let key = lab.env("LAB_SSH_KEY");
    lab.apply(&build(&["--config", config, "manifests", "--image", &image, "--ssh-key", key, "--slack-webhook", &webhook]));
    image
}

/// Another build of the program is installed over this one, as whoever upgrades it does. Returns its image's name, and what it says of the run.
pub fn install_another_build(lab: &Lab, config: &str) -> (String, Ended) {
    let binary = lab.another_build();
    let image = apply(lab, config, |args| process::run(&mut lab.command_of(&binary, args), "", COMMAND).good());
    (image, process::run(&mut lab.command_of(&binary, &["--config", config, "status"]), "", COMMAND))
}

/// `kubectl create job --from=cronjob/k8s-version-check`, to its end.
pub fn detect(lab: &Lab, name: &str) {
    lab.kubectl(&["-n", NAMESPACE, "create", "job", "--from=cronjob/k8s-version-check", name]);
    lab.until(Duration::from_secs(120), &format!("detection {name} to end"), || ended(lab, name).and_then(complete));
}

fn complete(state: String) -> Result<(), String> {
    assert_eq!(state, "Complete", "the Job failed");
    Ok(())
}

/// Complete or Failed; an error while it is at work.
pub fn ended(lab: &Lab, job: &str) -> Result<String, String> {
    let path = "jsonpath={.status.conditions[?(@.status==\"True\")].type}";
    let types = lab
        .try_kubectl(&["-n", NAMESPACE, "get", "job", job, "--ignore-not-found", "-o", path])
        .ok_or("the API server does not answer")?;
    ["Complete", "Failed"]
        .into_iter()
        .find(|end| types.split_whitespace().any(|kind| kind == *end))
        .map(str::to_owned)
        .ok_or_else(|| format!("{job} is not there, or at work: {types}"))
}

/// Waits until a workload is all there.
pub fn rolled_out(lab: &Lab, what: &[&str]) {
    for one in what {
        lab.kubectl(&["-n", "shop", "rollout", "status", one, "--timeout=120s"]);
    }
}
