# shellcheck shell=bash
# From booted nodes to a kubeadm cluster: packages by apt, init, join, what the lab adds.
# Each step looks first whether it is done, so that an interrupted `up` goes on.

KUBEADM_FLAGS=(--ignore-preflight-errors=SystemVerification) # kubeadm dislikes cgroups v1

lab_kubectl() { KUBECONFIG=$LAB_STATE/kubeconfig "$LAB_STATE/bin/kubectl" "$@"; }

# packages of the version asked for, held, by the node's own apt
node_packages() { # NAME
	local version
	version=$(<"$LAB_STATE/version")-$PACKAGE_REVISION
	node_root "$1" <<-SCRIPT
		if [ -e /var/lib/lab-packages ]; then exit 0; fi
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q -o DPkg::Lock::Timeout=60 update
		apt-get -q -y -o DPkg::Lock::Timeout=60 install kubeadm=$version kubelet=$version kubectl=$version
		apt-mark hold kubeadm kubelet kubectl
		systemctl enable kubelet
		touch /var/lib/lab-packages
	SCRIPT
}

# the parts of kubeadm's configuration that init fixes for the whole cluster
kubeadm_config() { # VERSION TOKEN
	local of_several='' endpoint=''
	if has_balancer; then
		of_several="certificateKey: '$(<"$LAB_STATE/certificate-key")'"
		endpoint="controlPlaneEndpoint: $(cluster_endpoint)"
	fi
	cat <<-YAML
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: InitConfiguration
		bootstrapTokens:
		  - token: "$2"
		    ttl: "0s"
		localAPIEndpoint:
		  advertiseAddress: $(node_ip k8s-master)
		$of_several
		nodeRegistration:
		  name: k8s-master
		  kubeletExtraArgs:
		    - {name: node-ip, value: $(node_ip k8s-master)}
		---
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: ClusterConfiguration
		kubernetesVersion: v$1
		$endpoint
		apiServer:
		  extraArgs:
		    - {name: audit-policy-file, value: /etc/lab-audit-policy.yaml}
		    - {name: audit-log-path, value: /var/log/kubernetes/audit/audit.log}
		    - {name: audit-log-maxsize, value: "4000"}
		  extraVolumes:
		    - {name: audit-policy, hostPath: /etc/lab-audit-policy.yaml, mountPath: /etc/lab-audit-policy.yaml, readOnly: true, pathType: File}
		    - {name: audit-log, hostPath: /var/log/kubernetes/audit, mountPath: /var/log/kubernetes/audit, pathType: DirectoryOrCreate}
		---
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		# a container on cgroups v1, on a disk that others fill too
		failCgroupV1: false
		failSwapOn: false
		cgroupDriver: cgroupfs
		enforceNodeAllocatable: []
		localStorageCapacityIsolation: false
		evictionHard: {nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%"}
		# no registry: an image that is gone cannot be pulled again
		imageGCHighThresholdPercent: 100
		---
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		clusterCIDR: $POD_CIDR
		# these settings of the kernel are not a container's to change
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	YAML
}

cluster_init() {
	local dir flags=("${KUBEADM_FLAGS[@]}")
	dir=$(node_dir k8s-master)
	[ ! -e "$dir/joined" ] || return 0
	! has_balancer || flags+=(--upload-certs)
	node_audit_policy k8s-master
	kubeadm_config "$(<"$LAB_STATE/version")" "$(<"$LAB_STATE/token")" | node_ssh k8s-master sudo -n tee /root/kubeadm.yaml >/dev/null
	node_root k8s-master >"$LAB_STATE/logs/init.log" 2>&1 <<-SCRIPT ||
		if [ -e /etc/kubernetes/admin.conf ]; then kubeadm reset --force; rm -rf /etc/kubernetes/manifests/*; fi
		kubeadm init --config /root/kubeadm.yaml ${flags[*]}
	SCRIPT
		die "kubeadm init failed; its output is $LAB_STATE/logs/init.log" "k8s-master runs, without a cluster" "$LAB_SELF up to try again, or $LAB_SELF down"
	touch "$dir/joined"
}

# its API server will not start without it
node_audit_policy() { node_ssh "$1" sudo -n tee /etc/lab-audit-policy.yaml <"$LAB_LIB/../files/cluster/audit-policy.yaml" >/dev/null; }

cluster_kubeconfig() {
	node_ssh k8s-master sudo -n cat /etc/kubernetes/admin.conf >"$LAB_STATE/kubeconfig.new" </dev/null
	chmod 600 "$LAB_STATE/kubeconfig.new"
	mv "$LAB_STATE/kubeconfig.new" "$LAB_STATE/kubeconfig"
	node_ssh k8s-master sudo -n cat /etc/kubernetes/pki/ca.crt </dev/null |
		openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1 >"$LAB_STATE/ca-hash"
}

node_join() { # NAME
	local dir log=$LAB_STATE/logs/join-$1.log control_plane=''
	dir=$(node_dir "$1")
	[ ! -e "$dir/joined" ] || return 0
	if is_control_plane "$1"; then
		node_audit_policy "$1"
		control_plane="controlPlane: {certificateKey: '$(<"$LAB_STATE/certificate-key")', localAPIEndpoint: {advertiseAddress: $(node_ip "$1")}}"
	fi
	node_root "$1" >"$log" 2>&1 <<-SCRIPT ||
		if [ -e /etc/kubernetes/kubelet.conf ]; then kubeadm reset --force; fi
		cat >/root/kubeadm.yaml <<YAML
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: JoinConfiguration
		discovery:
		  bootstrapToken:
		    apiServerEndpoint: $(cluster_endpoint)
		    token: "$(<"$LAB_STATE/token")"
		    caCertHashes: ["sha256:$(<"$LAB_STATE/ca-hash")"]
		$control_plane
		nodeRegistration:
		  name: $1
		  kubeletExtraArgs:
		    - {name: node-ip, value: $(node_ip "$1")}
		YAML
		kubeadm join --config /root/kubeadm.yaml ${KUBEADM_FLAGS[*]}
	SCRIPT
		die "kubeadm join of $1 failed; its output is $log" "$1 runs outside the cluster" "$LAB_SELF up to try again, or $LAB_SELF down"
	touch "$dir/joined"
}

# One after the other: etcd takes one new member at a time.
control_planes_join() { # NAME…
	local name
	for name in "$@"; do node_join "$name"; done
}

# what Prometheus needs to scrape, and the backup
cluster_additions() {
	lab_kubectl apply -f "$LAB_LIB/../files/cluster/manifests.yaml" >/dev/null
	wait_for 20 "the token of Prometheus" prometheus_token
}
prometheus_token() {
	lab_kubectl -n monitoring get secret prometheus-token -o 'jsonpath={.data.token}' | base64 -d >"$LAB_STATE/prometheus/token.new"
	[ -s "$LAB_STATE/prometheus/token.new" ] && mv "$LAB_STATE/prometheus/token.new" "$LAB_STATE/prometheus/token"
}

cluster_ready() {
	lab_kubectl wait --for=condition=Ready nodes --all --timeout=120s >/dev/null ||
		die "not every node got Ready in 120 s" "the cluster runs" "$LAB_SELF kubectl get nodes; $LAB_SELF logs NODE"
	lab_kubectl -n kube-system wait --for=condition=Available deployment/coredns --timeout=120s >/dev/null ||
		die "CoreDNS did not get Available in 120 s" "the cluster runs" "$LAB_SELF kubectl -n kube-system get pods -o wide"
}
