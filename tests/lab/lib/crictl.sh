# shellcheck shell=bash
# The program of cri-tools. Packages of the lab bring none, as newer ones of upstream need not: so what a node does without it is
# what the lab shows, and with it where a test wants it.

crictl_key() { hash_of "$(go version)" "$(hash_files "$LAB_LIB/../src/cri-tools"/* "$LAB_LIB/build.sh")"; }
crictl_program() { artefact_path crictl "$(crictl_key)"; }
build_crictl() { go_build "$1" "$LAB_LIB/../src/cri-tools" "-s -w" sigs.k8s.io/cri-tools/cmd/crictl; }

command_crictl() { # NODE…
	local name
	for name in "$@"; do known_node "$name"; done
	step "crictl" artefact crictl "$(crictl_key)" build_crictl
	step "crictl on $*" in_parallel crictl_install "$@"
}
crictl_install() { # by rename: whoever runs it meanwhile has a whole one
	node_ssh "$1" "sudo -n install -m 755 /dev/stdin /usr/local/bin/.crictl && sudo -n mv /usr/local/bin/.crictl /usr/local/bin/crictl" \
		<"$(crictl_program)/crictl" ||
		die "crictl could not be put on $1" "$1 has none, or the one that it had" "$LAB_SELF ssh $1"
}
