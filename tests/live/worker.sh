# shellcheck shell=bash disable=SC2016 # dollars in single quotes are perl's
# What a worker of the lab does as a machine of the suite (worker.rs): bash functions, as root on the node.
unit=k8s-upgrade-work.service
kept=/root/suite # how it is when it is begun with
now=/run/suite
: "${packages:=}" # where the lab's packages are: set by worker.rs

# Keeps how it is, once, and builds the gate at which the unit waits until it is let to its end. The gate is bash's own file of
# environment, so that the unit's script is the program's to the letter.
keep() {
	[ ! -e "$kept/kept.tar" ] || return 0
	mkdir -p "$kept" "$now" "/run/systemd/system/$unit.d"
	cp -a /usr/bin/kubeadm /usr/bin/kubelet /usr/bin/kubectl "$kept/"
	tar -C / -cf "$kept/kept.tar" var/lib/dpkg var/lib/apt etc/apt etc/kubernetes \
		var/lib/kubelet/config.yaml var/lib/kubelet/kubeadm-flags.env
	cat >"$now/gate" <<-GATE
		unset BASH_ENV
		while [ -e $now/shut ]; do sleep 0.1; done
		if [ -e $now/no-time ]; then sleep() { :; }; fi
	GATE
	printf '[Service]\nEnvironment=BASH_ENV=%s\n' "$now/gate" >"/run/systemd/system/$unit.d/suite.conf"
	systemctl daemon-reload
}

# As it was kept. A program is put back only where it is another one, and the kubelet is restarted only then.
put_back() { # IMAGE…: it has none of these
	local name folder
	for name in "$unit" suite-lock.service; do
		systemctl kill -s KILL "$name" 2>/dev/null || true
		systemctl stop "$name" 2>/dev/null || true
		systemctl reset-failed "$name" 2>/dev/null || true
	done
	for folder in /var/cache/apt /var/lib/k8s-upgrade; do
		while mountpoint -q "$folder"; do umount "$folder"; done
	done
	forget_images "$@"
	rm -rf /var/lib/k8s-upgrade /backup /var/lib/dpkg /var/lib/apt /etc/apt /etc/kubernetes/tmp \
		/var/cache/apt/*.bin /var/cache/apt/archives/*.deb "$kept/kubelet.conf" "$now/no-time"
	tar -C / -xf "$kept/kept.tar"
	for name in kubeadm kubelet kubectl; do
		if ! cmp -s "$kept/$name" "/usr/bin/$name"; then
			cp -a "$kept/$name" "/usr/bin/$name.new"
			mv "/usr/bin/$name.new" "/usr/bin/$name"
		fi
	done
	if ! [ "/proc/$(systemctl show -p MainPID --value kubelet)/exe" -ef /usr/bin/kubelet ]; then
		systemctl daemon-reload
		systemctl restart kubelet
	fi
	touch "$now/shut"
}

# Their bytes, too, where no other name is left for them; what runs of them goes on.
forget_images() { # NAME…
	local unnamed id
	ctr -n k8s.io images rm "$@" >/dev/null 2>&1 || true
	unnamed=$(ctr -n k8s.io images ls |
		awk '/^sha256:/ { of[$1] = $3; next } { named[$3] } END { for (id in of) if (!(of[id] in named)) print id }')
	for id in $unnamed; do ctr -n k8s.io images rm --sync "$id" >/dev/null; done
}

# Until the unit has ended. What kept kubeadm from its work is there again, and the next unit waits again.
let_end() {
	local state='' tries
	rm "$now/shut"
	for ((tries = 0; tries < 1500; tries++)); do
		state=$(systemctl show -p SubState --value "$unit")
		if [[ $state == exited || $state == failed ]]; then break; fi
		sleep 0.1
	done
	if [ -e "$kept/kubelet.conf" ]; then mv "$kept/kubelet.conf" /etc/kubernetes/; fi
	touch "$now/shut"
	[[ $state == exited || $state == failed ]]
}

# The lock is the kernel's, as apt and dpkg take it. It is never given up, so the unit need not sleep while it waits for it.
take_lock() {
	cat >"$now/lock" <<-'PERL'
		use Fcntl;
		open(my $lock, "+>>", "/var/lib/dpkg/lock-frontend") or die $!;
		my $whole = pack("ssx4qqi", F_WRLCK, 0, 0, 0, 0);
		fcntl($lock, F_SETLK, $whole) or die $!;
		open(my $told, ">", $ARGV[0]) or die $!;
		sleep 300;
	PERL
	systemd-run --quiet --unit=suite-lock -p RuntimeMaxSec=300 perl "$now/lock" "$now/no-time"
	until [ -e "$now/no-time" ]; do
		systemctl is-active --quiet suite-lock
		sleep 0.1
	done
}

# A small file system where packages are kept, the folder that is looked at first, and one for what is ours. Half a MiB below the full number,
# which df rounds up: what apt keeps beside the packages may grow a little.
fill() { # MIB
	mkdir -p /var/lib/k8s-upgrade
	mount -t tmpfs -o "size=$(($1 * 1024 - 512))k,mode=0700" suite /var/lib/k8s-upgrade
	local beside
	beside=$(du -sk --exclude=archives /var/cache/apt | cut -f 1)
	cp -a /var/cache/apt/*.bin "$now/"
	mount -t tmpfs -o "size=$(($1 * 1024 - 512 + beside))k" suite /var/cache/apt
	mv "$now"/*.bin /var/cache/apt/
	mkdir -p /var/cache/apt/archives/partial
}

fetched() { # NAME VERSION: the path of its package
	local file=$now/$1_$2.deb minor=${2%.*-*}
	[ -e "$file" ] || curl -fsSL -o "$file" "$packages/core:/stable:/v$minor/deb/amd64/$1_$2_amd64.deb"
	echo "$file"
}
whole_and_held() { # NAME VERSION
	local package
	package=$(fetched "$1" "$2")
	dpkg -i "$package"
	apt-mark hold "$1"
}
unpacked() { # NAME VERSION
	local package
	package=$(fetched "$1" "$2")
	dpkg --unpack "$package"
}
# dpkg's own words for a package, as it writes them before it goes on; its hold is gone, as after apt.
half_configured() { # NAME VERSION
	unpacked "$1" "$2"
	NAME=$1 perl -00 -i -pe 's/^Status: .*$/Status: install ok half-configured/m if /^Package: $ENV{NAME}$/m' /var/lib/dpkg/status
}
half_installed() { # NAME VERSION: the one that it was to replace
	NAME=$1 VERSION=$2 perl -00 -i -pe 'if (/^Package: $ENV{NAME}$/m) {
		s/^Status: .*$/Status: install reinstreq half-installed/m;
		s/^Config-Version: .*\n//m;
		s/^Version: .*$/Version: $ENV{VERSION}\nConfig-Version: $ENV{VERSION}/m;
	}' /var/lib/dpkg/status
}

kubeadm_fails() { mv /etc/kubernetes/kubelet.conf "$kept/"; } # it cannot ask the API server anything
write_file() { # PATH BYTES
	mkdir -p "${1%/*}"
	head -c "$2" /dev/zero >"$1"
}
