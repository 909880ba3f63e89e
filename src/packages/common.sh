# What every package manager's functions are put to use by. What begins with packages_ is the package manager's own (manager.rs).

installed() { [[ -n $(packages_state "$1") ]]; }

# PACKAGE VERSION: installed, configured, and of that version, whatever its revision.
at_version() {
    local letters version
    read -r letters version <<<"$(packages_state "$1")"
    [[ $letters == [hi]i && ($version == "$2" || $version == "$2"-*) ]]
}

# PACKAGE VERSION: the exact revision that the lists offer; nothing if they do not.
offered() { packages_available "$1" | awk -v exact="$2" -v start="$2-" '!done && ($0 "" == exact || index($0, start) == 1) { print; done = 1 }'; }

revision() {
    local found
    found=$(offered "$1" "$2")
    [[ -n $found ]] || refused "the repository of this node does not offer $1 $2"
    printf '%s\n' "$found"
}

# Those of the three packages that kubeadm wants held and that are here.
kubernetes_packages() {
    local package
    for package in kubeadm kubelet kubectl; do
        if installed "$package"; then echo "$package"; fi
    done
}

# An installation may drop a hold, and a crash leaves it dropped: put them back, whoever lost them.
hold_kubernetes() {
    local held packages package missing=()
    held=$(packages_held)
    packages=$(kubernetes_packages)
    for package in $packages; do
        grep -qxF -- "$package" <<<"$held" || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || packages_hold "${missing[@]}"
}

# PATH MIB: room on the filesystem of a folder.
need_space() {
    local free
    mkdir -p -- "$root$1"
    free=$(df -BM --output=avail "$root$1" | sed -n '2{s/[^0-9]//g;p}')
    numbers "$free" "$2"
    ((free >= $2)) || refused "the disk is full: $1 has $free MiB free, $2 MiB are needed"
}

# [--reinstall] PACKAGE=REVISION…: exactly these.
install_exact() {
    need_space "$packages_cache" 300
    need_space /usr 300
    say "installing $*"
    packages_install "$@"
}

# VERSION PACKAGE…: mends what a crash left half done. The named packages may be brought to VERSION; any other only to the version
# that is on record for it.
repair() {
    local version=$1 audit packages package now letters recorded wanted mend=()
    shift
    audit=$(packages_broken)
    [[ -n $audit ]] || return 0
    say "an earlier installation was cut: repairing"
    packages_finish
    # What was cut while unpacking stays half installed and blocks all else until it is installed anew.
    packages=$(kubernetes_packages)
    for package in $packages; do
        now=$(packages_state "$package")
        read -r letters recorded <<<"$now"
        if [[ $letters == [hi]i ]]; then continue; fi
        if [[ " $* " == *" $package "* ]]; then wanted=$(revision "$package" "$version"); else wanted=$(offered "$package" "$recorded"); fi
        [[ -n $wanted ]] || refused "$package is half installed ($letters $recorded) and the repository no longer offers that version"
        mend+=("$package=$wanted")
    done
    ((${#mend[@]} == 0)) || install_exact --reinstall "${mend[@]}"
}
