# shellcheck shell=bash
# The bridge that the nodes hang on, with the host's address on it and routes to
# the nodes' pods. Nothing else of the machine's network is touched, and nothing is routed
# beyond the machine.

network_up() {
	if ! ip link show "$BRIDGE" >/dev/null 2>&1; then
		if [ -n "$(ip -4 route show to exact 10.77.0.0/24)" ]; then
			die "10.77.0.0/24 is in use on this machine: $(ip -4 route show to exact 10.77.0.0/24)" "no network was made" "free it, then the same command again"
		fi
		touch "$LAB_STATE/bridge"
		ip link add "$BRIDGE" type bridge
	fi
	[ -e "$LAB_STATE/bridge" ] || die "a bridge $BRIDGE is there that this lab did not make" "nothing was changed" "ip link show $BRIDGE"
	ip address replace "$HOST_IP/24" dev "$BRIDGE"
	ip link set "$BRIDGE" up
}
network_route() { # NODE
	ip route replace "10.244.$(node_number "$1").0/24" via "$(node_ip "$1")" dev "$BRIDGE"
}
# its addresses and routes go with it
network_down() {
	[ -e "$LAB_STATE/bridge" ] || return 0
	no_link "$BRIDGE" || ip link delete "$BRIDGE"
	rm -f "$LAB_STATE/bridge"
}
