# shellcheck shell=bash
# The apt repository: .debs of kubeadm, kubelet and kubectl in upstream's flat layout
# (core:/stable:/v1.N/deb/), one signing key for each minor, and which versions its
# indexes list at the moment.

# --- packages, once into the cache ----------------------------------------------
programs_of() { echo "${KUBE_REPACKED[$1]:-$1}"; } # the version that was built
debs_key() { hash_of "$(kube_key "$(programs_of "$1")")" "$PACKAGE_REVISION" "$(hash_files "$LAB_LIB/packages.sh" "$LAB_LIB"/../files/packages/*)"; }
debs() { artefact_path "debs-$1" "$(debs_key "$1")"; }
packages_build() { artefact "debs-$1" "$(debs_key "$1")" build_debs "$1"; }

build_debs() { # OUT VERSION
	local out=$1 version=$2 tree=$1/tree files=$LAB_LIB/../files/packages
	mkdir -p "$out/amd64"

	program "$tree" kubeadm "$version"
	build_deb "$out" kubeadm "$version" "Depends: kubelet (>= 1.19.0), kubectl (>= 1.19.0), cri-tools (>= 1.30.0)"

	program "$tree" kubectl "$version"
	maintainer_scripts "$tree"
	build_deb "$out" kubectl "$version" ""

	program "$tree" kubelet "$version"
	install -D -m 644 "$files/kubelet.service" "$tree/usr/lib/systemd/system/kubelet.service"
	install -D -m 644 "$files/10-kubeadm.conf" "$tree/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
	install -d -m 755 "$tree/etc/kubernetes/manifests"
	maintainer_scripts "$tree"
	build_deb "$out" kubelet "$version" "Depends: iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux"

	# only names: the CNI plugins are Debian's, and crictl is the tests' to put on a node
	mkdir -p "$tree"
	build_deb "$out" kubernetes-cni 1.8.0 ""
	mkdir -p "$tree"
	build_deb "$out" cri-tools "${version%.*}.0" ""
}

program() { # TREE NAME VERSION
	local file=$1/usr/bin/$2 built
	built=$(programs_of "$3")
	install -D -m 755 "$(kube_programs "$built")/$2" "$file"
	# at the same length, so that nothing in it moves
	[ "$built" = "$3" ] || LC_ALL=C sed -i "s/v${built//./\\.}/v$3/g" "$file"
}

maintainer_scripts() { # TREE
	local name
	for name in preinst postinst; do install -D -m 755 "$LAB_LIB/../files/packages/maintainer-script" "$1/DEBIAN/$name"; done
}

# build_deb OUT NAME VERSION FIELDS: packs OUT/tree, adds its index entry to OUT/index, removes the tree
build_deb() {
	local out=$1 name=$2 version=$3-$PACKAGE_REVISION fields=$4 file
	file=amd64/${name}_${version}_amd64.deb
	mkdir -p "$out/tree/DEBIAN"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: lab <root@localhost>\n' "$name" "$version"
		printf 'Section: admin\nPriority: optional\n'
		[ -z "$fields" ] || printf '%s\n' "$fields"
		printf 'Description: %s of the lab\n' "$name"
	} >"$out/tree/DEBIAN/control"
	# the same bytes each time: two patches of a minor bring the same stubs
	SOURCE_DATE_EPOCH=1 dpkg-deb --root-owner-group -Zzstd -z1 --build "$out/tree" "$out/$file"
	{
		cat "$out/tree/DEBIAN/control"
		printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$out/$file")" "$(sha256sum <"$out/$file" | cut -d' ' -f1)"
	} >>"$out/index"
	rm -rf "$out/tree"
}

# --- the repository of a running lab ------------------------------------------------
repository() { echo "$LAB_STATE/packages/root"; }
repository_of() { echo "$(repository)/core:/stable:/v$1/deb"; }
lab_gpg() { gpg --homedir "$LAB_STATE/packages/gpg" --batch --quiet --no-tty --pinentry-mode loopback --passphrase '' "$@"; }

signing_key() { # USER-ID: makes it if it is not there
	lab_gpg --list-secret-keys "$1" >/dev/null 2>&1 || lab_gpg --quick-generate-key "$1" rsa2048 sign never
}

# publish VERSION…: from now on the indexes list exactly these
publish() {
	local version minor packages=$LAB_STATE/packages minors=() folder
	[ $# -gt 0 ] || die "publish needs the versions that the indexes shall list" "nothing was changed" "$0 publish ${KUBE_VERSIONS[*]}"
	for version in "$@"; do
		[[ " ${PACKAGE_VERSIONS[*]} " == *" $version "* ]] || die "the lab has no packages of $version; it has ${PACKAGE_VERSIONS[*]}" "nothing was changed" "$0 publish ${KUBE_VERSIONS[*]}"
		[ -z "${KUBE_REPACKED[$version]:-}" ] || packages_build "$version"
		[ -d "$(debs "$version")" ] || die "the packages of $version are not built" "nothing was changed" "$0 prefetch"
		minors+=("${version%.*}")
	done
	install -d -m 700 "$packages" "$packages/gpg"
	chmod 755 "$packages"
	signing_key "lab: some other key"
	for minor in $(printf '%s\n' "${KUBE_VERSIONS[@]%.*}" | sort -u); do
		folder=$(repository_of "$minor")
		if [[ " ${minors[*]} " != *" $minor "* ]]; then
			rm -rf "$folder"
			continue
		fi
		signing_key "lab: Kubernetes $minor"
		mkdir -p "$folder/amd64" "$folder/badkey"
		: >"$folder/Packages.new"
		for version in "$@"; do
			[ "${version%.*}" = "$minor" ] || continue
			cat "$(debs "$version")/index" >>"$folder/Packages.new"
			ln -sf "$(debs "$version")"/amd64/*.deb "$folder/amd64/"
		done
		publish_index "$folder" "$minor"
	done
	gpgconf --homedir "$packages/gpg" --kill all
	printf '%s\n' "$@" >"$packages/published"
}

publish_index() { # FOLDER MINOR: from Packages.new; each file is replaced at once
	local folder=$1 minor=$2 file
	# two patches of one minor share their stubs
	awk -v RS= '!seen[$0]++ { print $0 "\n" }' "$folder/Packages.new" >"$folder/Packages"
	rm "$folder/Packages.new"
	gzip -9n <"$folder/Packages" >"$folder/Packages.gz"
	{
		printf 'Origin: lab\nLabel: Kubernetes v%s\nArchive: deb\nDate: %s\n' "$minor" "$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')"
		printf 'Architectures: amd64\nDescription: Kubernetes v%s of the lab\nSHA256:\n' "$minor"
		for file in Packages Packages.gz; do
			printf ' %s %s %s\n' "$(sha256sum <"$folder/$file" | cut -d' ' -f1)" "$(stat -c %s "$folder/$file")" "$file"
		done
	} >"$folder/Release"
	lab_gpg --armor --export "lab: Kubernetes $minor" >"$folder/Release.key"
	sign "$folder" "$folder" "lab: Kubernetes $minor"
	sign "$folder" "$folder/badkey" "lab: some other key"
}

sign() { # FOLDER OUT KEY
	lab_gpg --yes --local-user "$3" --clearsign --output "$2/InRelease" "$1/Release"
	lab_gpg --yes --local-user "$3" --armor --detach-sign --output "$2/Release.gpg" "$1/Release"
}
