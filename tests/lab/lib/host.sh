# shellcheck shell=bash
# What the machine itself must have: Debian's programs, installed without starting any
# of their services, and Go. Changes no apt source.

# program:package
HOST_PROGRAMS=(
	debootstrap:debootstrap systemd-nspawn:systemd-container prometheus:prometheus
	promtool:prometheus prometheus-pushgateway:prometheus-pushgateway ip:iproute2
	gpg:gpg gpg-agent:gpg-agent dpkg-deb:dpkg curl:curl jq:jq openssl:openssl
	ssh:openssh-client ssh-keygen:openssh-client flock:util-linux unshare:util-linux
	ps:procps zstd:zstd
)

missing_packages() { # PROGRAM:PACKAGE…
	local entry
	for entry in "$@"; do
		command -v "${entry%%:*}" >/dev/null || [ -x "/usr/sbin/${entry%%:*}" ] || echo "${entry#*:}"
	done | sort -u
}

# Debian's packages start their services on installation; policy-rc.d forbids it.
install_packages() {
	local policy=/usr/sbin/policy-rc.d made=no log=$LAB_CACHE/tmp/apt.log status=0
	mkdir -p "$LAB_CACHE/tmp"
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		made=yes
	fi
	{
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update &&
			DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
	} >"$log" 2>&1 9>&- || status=$?
	[ $made = no ] || rm -f "$policy"
	if [ $status != 0 ]; then
		tail -n 20 "$log" >&2
		die "apt could not install $*; the whole output is in $log" "nothing else was changed" "apt-get install $*"
	fi
}

BALANCER_PROGRAM=haproxy:haproxy # needed where there are several control planes

host_ready() { # [PROGRAM:PACKAGE…]
	local missing
	command -v go >/dev/null ||
		die "Go is missing: the lab builds Kubernetes from source with it (1.26 or newer, on PATH)" "nothing was changed" "install Go, then $0 up"
	mapfile -t missing < <(missing_packages "${HOST_PROGRAMS[@]}" "$@")
	[ ${#missing[@]} = 0 ] || step "installed by apt: ${missing[*]}" install_packages "${missing[@]}"
}

# The Debian mirror that this machine itself uses, and its release.
debian_codename() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }
debian_mirror() {
	# shellcheck disable=SC2016 # the format is apt's
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $(debian_codename)" 'Component: main' | head -n 1
}
