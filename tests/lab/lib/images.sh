# shellcheck shell=bash
# Container images, without a registry: each is one layer of static programs. All
# are imported once into a containerd store in the cache; a node gets a copy of that
# store by hard links, which takes a second and hardly any disk.

images_key() {
	hash_of "$(rootfs_key)" "$(own_key)" "$(coredns_key)" "$(hash_files "$LAB_LIB/images.sh")" \
		"$(for v in "${KUBE_VERSIONS[@]}"; do kube_key "$v"; done)" "$(for v in "${ETCD_VERSIONS[@]}"; do etcd_key "$v"; done)"
}
images() { artefact_path images "$(images_key)"; }
images_build() { artefact images "$(images_key)" build_images; }

# image_archive FILE TREE ENTRYPOINT(JSON) TAG…: TREE as a one-layer archive
image_archive() {
	local file=$1 tree=$2 entrypoint=$3 work id
	shift 3
	work=$(mktemp -d "$(dirname "$file")/image.XXXXXX")
	tar -C "$tree" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@0 -cf "$work/layer.tar" .
	id=$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
	jq -cn --arg id "sha256:$id" --argjson entrypoint "$entrypoint" '{architecture: "amd64", os: "linux",
		config: {Env: ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"], Entrypoint: $entrypoint},
		rootfs: {type: "layers", diff_ids: [$id]}, history: [{created_by: "lab"}]}' >"$work/config.json"
	jq -cn '[{Config: "config.json", RepoTags: $ARGS.positional, Layers: ["layer.tar"]}]' --args "$@" >"$work/manifest.json"
	tar -C "$work" -cf "$file" manifest.json config.json layer.tar
	rm -rf "$work"
}

# tag NAME VERSION: as kubeadm of that version wants it, e.g. registry.k8s.io/etcd:3.6.8-0
tag() { "$(kube_programs "$2")/kubeadm" config images list --kubernetes-version "$2" 2>/dev/null | grep "/$1:" || { echo "kubeadm $2 names no image $1" >&2; return 1; }; }
# the same for each version, without doubles
tags() {
	local version
	for version in "${KUBE_VERSIONS[@]}"; do tag "$1" "$version"; done | sort -u
}

# with_libraries ROOT TREE FILE…: programs of the rootfs with the libraries that they load
with_libraries() {
	local root=$1 tree=$2 file
	shift 2
	for file in "$@" $(chroot "$root" ldd "$@" | grep -o '/[^ :]*' | sort -u); do
		case $file in
		*.so*) ;;
		*) [ -x "$root$file" ] || continue ;;
		esac
		mkdir -p "$tree$(dirname "$file")"
		[ -e "$tree$file" ] || cp -L "$root$file" "$tree$file"
	done
}

# the tools that kube-proxy calls; every xtables module, with libm that one of them needs
proxy_tree() { # TREE
	local tree=$1 root modules
	root=$(rootfs)
	modules=$(chroot "$root" sh -c 'echo /usr/lib/*/xtables')
	mkdir -p "$tree/usr/sbin" "$tree$modules" "$tree/tmp" "$tree/run"
	cp -a "$root$modules/." "$tree$modules/"
	# shellcheck disable=SC2046 # a list of paths without spaces
	with_libraries "$root" "$tree" /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack \
		$(chroot "$root" sh -c "echo $modules/libxt_statistic.so $modules/libxt_set.so")
	local name
	for name in iptables ip6tables; do
		ln -sf xtables-nft-multi "$tree/usr/sbin/$name"
		ln -sf xtables-nft-multi "$tree/usr/sbin/$name-save"
		ln -sf xtables-nft-multi "$tree/usr/sbin/$name-restore"
	done
	mkdir -p "$tree/etc"
	cp "$root/etc/protocols" "$root/etc/services" "$tree/etc/" 2>/dev/null || true
}

archives() { # FOLDER: every image as an archive
	local out=$1 version name etcd own list
	own=$(own_programs)
	tree() { # FILE…: a fresh tree with these programs at /usr/local/bin
		rm -rf "$out/tree"
		mkdir -p "$out/tree/usr/local/bin"
		cp "$@" "$out/tree/usr/local/bin/"
	}
	for version in "${KUBE_VERSIONS[@]}"; do
		for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
			tree "$(kube_programs "$version")/$name"
			[ $name != kube-proxy ] || proxy_tree "$out/tree"
			image_archive "$out/$name-$version.tar" "$out/tree" "[\"/usr/local/bin/$name\"]" "$(tag $name "$version")"
		done
	done
	for name in $(tags etcd); do
		etcd=${name##*:}
		tree "$(etcd_programs "${etcd%-*}")"/{etcd,etcdctl,etcdutl}
		image_archive "$out/etcd-$etcd.tar" "$out/tree" '[]' "$name"
	done
	tree "$(coredns_programs)/coredns"
	mapfile -t list < <(tags coredns)
	image_archive "$out/coredns.tar" "$out/tree" '["/usr/local/bin/coredns"]' "${list[@]}"
	tree "$own/pause"
	mapfile -t list < <(tags pause)
	image_archive "$out/pause.tar" "$out/tree" '["/usr/local/bin/pause"]' "${list[@]}"
	tree "$own/web"
	image_archive "$out/web.tar" "$out/tree" '["/usr/local/bin/web"]' "$WEB_IMAGE"
	tree "$own/backup"
	cp "$(etcd_programs "${ETCD_VERSIONS[-1]}")"/{etcdctl,etcdutl} "$out/tree/"
	image_archive "$out/backup.tar" "$out/tree" '["/usr/local/bin/backup"]' "$BACKUP_IMAGE"
	rm -rf "$out/tree"
}

build_images() { # OUT: a containerd store that holds them all
	mkdir -p "$1/archives" "$1/store"
	archives "$1/archives"
	# containerd of the rootfs, in a mount namespace that goes with it
	unshare --mount --pid --fork --kill-child "$LAB_SELF" __call import_archives "$(rootfs)" "$1"
	rm -rf "$1/archives"
}

import_archives() { # ROOTFS FOLDER
	local root=$1 folder=$2 mnt=$2/mnt file
	mkdir -p "$mnt" "$folder/upper" "$folder/work"
	mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" "$mnt"
	mount -t proc proc "$mnt/proc"
	mount --rbind /dev "$mnt/dev"
	mkdir -p "$mnt/var/lib/containerd" "$mnt/archives"
	mount --bind "$folder/store" "$mnt/var/lib/containerd"
	mount --bind "$folder/archives" "$mnt/archives"
	mount -t tmpfs tmpfs "$mnt/run"
	chroot "$mnt" containerd &
	wait_for 30 "containerd to answer" chroot "$mnt" ctr version
	for file in "$folder"/archives/*.tar; do
		chroot "$mnt" ctr -n k8s.io images import "/archives/$(basename "$file")"
	done
	chroot "$mnt" ctr -n k8s.io images list -q
	kill -TERM "$!"
	wait "$!" || true
	umount -R "$mnt"
	rm -rf "$mnt" "$folder/upper" "$folder/work"
}

# node_images NODE-FOLDER: the node's own containerd store, as the cache has it.
# Layers and blobs are never written to, so they are shared; the databases are not.
node_images() {
	local store
	store=$(images)/store
	rm -rf "$1/containerd.new" "$1/containerd"
	cp -al "$store" "$1/containerd.new" 2>/dev/null || {
		rm -rf "$1/containerd.new"
		cp -a "$store" "$1/containerd.new"
	}
	(cd "$store" && find . -name '*.db') | while read -r db; do
		cp -a --remove-destination "$store/$db" "$1/containerd.new/$db"
	done
	mv "$1/containerd.new" "$1/containerd"
}
