//! APIs that a newer Kubernetes no longer serves, called on a real API server.

use std::time::Duration;

use super::lab::{COMMAND, Lab};

/// Deprecated long ago, and still served: told, and no reason to hold anything.
pub fn deprecated(lab: &Lab, config: &str) {
    lab.phase("somebody calls an API that is deprecated");
    lab.kubectl(&["get", "componentstatuses"]);
    let looked = lab.typed(config, &["preflight", "--target", "1.36.3", "--dry-run"], COMMAND);
    for words in ["gate removed APIs: pass", "still served by 1.36: ", "v1/componentstatuses"] {
        assert!(looked.stderr.contains(words) || looked.stdout.contains(words), "{words}: {}\n{}", looked.stdout, looked.stderr);
    }
}

/// 1.36 serves it only where a flag of its API server says so, and 1.37 no longer does.
pub fn removed(lab: &Lab, config: &str) {
    lab.phase("somebody calls an API that 1.37 no longer serves");
    let (manifest, kept) = ("/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/kube-apiserver.yaml");
    let serve = "s|^    - --secure-port=|    - --runtime-config=networking.k8s.io/v1beta1=true\\n&|";
    lab.on(
        "k8s-master",
        &format!("sudo -n bash -c \"cp {manifest} {kept} && sed '{serve}' {kept} >{kept}.new && cp {kept}.new {manifest}\""),
    );
    let old = "/apis/networking.k8s.io/v1beta1/ipaddresses";
    lab.until(Duration::from_secs(180), "the API server to serve it", || {
        lab.try_kubectl(&["get", "--raw", old]).map(drop).ok_or_else(|| "it does not".to_owned())
    });
    let address = lab.scratch("address.yaml");
    let object = "{apiVersion: networking.k8s.io/v1beta1, kind: IPAddress, metadata: {name: 10.96.77.77, \
                  labels: {ipaddress.kubernetes.io/managed-by: a-test, ipaddress.kubernetes.io/ip-family: IPv4}}, \
                  spec: {parentRef: {group: \"\", resource: services, namespace: default, name: kubernetes}}}\n";
    std::fs::write(&address, object).expect("a scratch file is written");
    lab.kubectl(&["create", "--field-manager=old-operator", "-f", &address.display().to_string()]);
    let looked = lab.typed(config, &["preflight", "--target", "1.37.0", "--dry-run"], COMMAND);
    lab.kubectl(&["delete", "ipaddresses.networking.k8s.io", "10.96.77.77", "--ignore-not-found"]);
    assert_eq!(looked.code, Some(4), "{}", looked.stderr);
    for words in [
        "networking.k8s.io/v1beta1/ipaddresses: not served from 1.37 on, and called at k8s-master since its start at ",
        "old-operator has written 10.96.77.77 through this version",
        "removed-apis-ignore: [networking.k8s.io/v1beta1/ipaddresses]",
    ] {
        assert!(looked.stderr.contains(words), "{words}: {}", looked.stderr);
    }
    lab.on("k8s-master", &format!("sudo -n cp {kept} {manifest}"));
    lab.until(Duration::from_secs(180), "the API server as it was", || {
        match lab.try_kubectl(&["get", "--raw", "/apis/networking.k8s.io"]) {
            Some(group) if !group.contains("v1beta1") => Ok(()),
            _ => Err("it still serves it, or nothing".to_owned()),
        }
    });
}
