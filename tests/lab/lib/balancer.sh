# shellcheck shell=bash
# In front of several control planes: Debian's haproxy on the bridge's address, which is the cluster's endpoint. It asks each API server
# whether it is ready: one that only tried to connect would keep sending clients, and hold their watches, where nobody answers.

control_planes() { cat "$LAB_STATE/control-planes" 2>/dev/null || echo 1; }
has_balancer() { [ "$(control_planes)" -gt 1 ]; }

# where the cluster is reached
cluster_endpoint() { if has_balancer; then echo "$HOST_IP:6443"; else echo "$(node_ip k8s-master):6443"; fi; }

balancer_config() { # NODE…: those that it sends to
	local name
	mkdir -p "$LAB_STATE/balancer"
	{
		cat <<-'CONFIG'
			defaults
				mode tcp
				balance roundrobin
				retries 2
				option redispatch
				timeout connect 2s
				timeout client 1h
				timeout server 1h
				option httpchk GET /readyz
				default-server check check-ssl verify none inter 1s fall 2 rise 3 on-marked-down shutdown-sessions
			listen kubernetes
		CONFIG
		printf '\tbind %s\n' "$(cluster_endpoint)"
		for name in "$@"; do printf '\tserver %s %s:6443\n' "$name" "$(node_ip "$name")"; done
	} >"$LAB_STATE/balancer/haproxy.cfg"
}
# something listens; whether an API server is behind it, is not asked
balancer_answers() { (exec 3<>"/dev/tcp/$HOST_IP/6443") 2>/dev/null; }

balancer_to() { # NODE…
	local name
	has_balancer || die "this lab has one control plane and no balancer" "nothing was changed" "$LAB_SELF up --control-planes 3"
	[ $# -gt 0 ] || die "to takes the control planes that the balancer sends to" "nothing was changed" "$LAB_SELF status"
	for name in "$@"; do
		known_node "$name"
		is_control_plane "$name" || die "$name is no control plane" "nothing was changed" "$LAB_SELF status"
	done
	balancer_config "$@"
	service_stop balancer
	service_start balancer
}
