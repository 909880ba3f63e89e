# shellcheck shell=bash
# Programs, built by Go from the module proxy: Kubernetes (each version of it), etcd,
# CoreDNS, and the lab's own small ones. All static.

go_build() { # OUT SOURCE-FOLDER LDFLAGS PACKAGE…
	local out=$1 folder=$2 ldflags=$3
	shift 3
	# the other users of this machine come first
	(cd "$folder" && CGO_ENABLED=0 nice -n 5 go build -trimpath -buildvcs=false -o "$out/" -ldflags "$ldflags" "$@")
}

kube_source() { echo "$LAB_LIB/../src/kubernetes-${KUBE_SOURCE[$1]%.*}"; }
kube_key() {
	local source
	source=$(kube_source "$1")
	hash_of "$1" "$(go version)" "$(hash_files "$source"/* "$LAB_LIB/build.sh")"
}
kube_programs() { artefact_path "kubernetes-$1" "$(kube_key "$1")"; }
build_kube() { # OUT VERSION
	local major minor stamp stamps='-s -w' programs
	IFS=. read -r major minor _ <<<"$2"
	mapfile -t programs < <(sed -n 's/^\t_ "\(.*\)"$/\1/p' "$(kube_source "$2")/tools.go")
	# what programs say that they are, and what their clients say to the API server
	for stamp in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		stamps+=" -X $stamp.gitVersion=v$2 -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean -X $stamp.gitCommit=lab"
	done
	go_build "$1" "$(kube_source "$2")" "$stamps" "${programs[@]}"
}

etcd_key() { hash_of "$1" "$(go version)" "$(hash_files "$LAB_LIB/../src/etcd-$1"/* "$LAB_LIB/build.sh")"; }
etcd_programs() { artefact_path "etcd-$1" "$(etcd_key "$1")"; }
build_etcd() { # OUT VERSION
	local base=go.etcd.io/etcd
	go_build "$1" "$LAB_LIB/../src/etcd-$2" "-s -w" $base/server/v3 $base/etcdctl/v3 $base/etcdutl/v3
	mv "$1/server" "$1/etcd"
}

coredns_key() { hash_of "$(go version)" "$(hash_files "$LAB_LIB/../src/coredns"/* "$LAB_LIB/build.sh")"; }
coredns_programs() { artefact_path coredns "$(coredns_key)"; }
build_coredns() { go_build "$1" "$LAB_LIB/../src/coredns" "-s -w" .; }

own_key() { hash_of "$(go version)" "$(hash_files "$LAB_LIB/../cmd/go.mod" "$LAB_LIB"/../cmd/*/main.go "$LAB_LIB/build.sh")"; }
own_programs() { artefact_path own-programs "$(own_key)"; }
build_own() { go_build "$1" "$LAB_LIB/../cmd" "-s -w" ./...; }

# Everything into the cache. The file system comes over the network while Go compiles.
prefetch() {
	local version rootfs status=0
	set -m
	step "Debian file system of the nodes" rootfs_build &
	rootfs=$!
	CHILDREN=("$rootfs")
	set +m
	step "the lab's own programs" artefact own-programs "$(own_key)" build_own
	for version in "${KUBE_VERSIONS[@]}"; do
		step "Kubernetes $version" artefact "kubernetes-$version" "$(kube_key "$version")" build_kube "$version"
	done
	for version in "${ETCD_VERSIONS[@]}"; do
		step "etcd $version" artefact "etcd-$version" "$(etcd_key "$version")" build_etcd "$version"
	done
	step "CoreDNS" artefact coredns "$(coredns_key)" build_coredns
	wait "$rootfs" || status=$?
	CHILDREN=()
	[ $status = 0 ] || exit $status
	for version in "${KUBE_VERSIONS[@]}"; do
		step "packages of $version" packages_build "$version"
	done
	step "images" images_build
}
