# Packages by apt and dpkg. Exact versions only; never -f install: it takes the newest there is. Only a rollback allows a downgrade.
lock_wait=300
downgrades=()

apt_get() {
    apt-get -q -y --no-remove -o DPkg::Lock::Timeout="$lock_wait" -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@"
}

# WHAT OUTPUT: ends with the class that the output of apt or dpkg gives.
apt_failed() {
    local what=$1 output=$2 line
    line=$(grep -E '^(E:|W:|dpkg: error)' <<<"$output" | grep -v 'Some index files' | tail -n 1 | sed -E 's|^[EW]: *||' || true)
    case $output in
    *'No space left on device'* | *'enough free space'*) refused "$what: the disk is full" ;;
    *NO_PUBKEY* | *EXPKEYSIG* | *BADSIG* | *REVKEYSIG* | *'is not signed'* | *'cannot be authenticated'*)
        refused "$what: the repository's signature does not fit the key: $line"
        ;;
    *'get lock'* | *'acquire the dpkg frontend lock'* | *'was locked by another process'*)
        hold "$what: $(lock_holder "$output") has held the lock for $lock_wait s"
        ;;
    *'Unable to locate package'* | *"was not found"* | *'no installation candidate'*) refused "$what: ${line:-no such package}" ;;
    *'Packages were downgraded'*) refused "$what: this would be a downgrade" ;;
    *'need to be removed but remove is disabled'*) refused "$what: other packages would have to be removed" ;;
    *'Could not resolve'* | *'Failed to fetch'* | *'Could not connect'* | *'Connection failed'* | *'does not have a Release file'*)
        unreachable "$what: ${line:-the repository cannot be reached}"
        ;;
    *) failed "$what failed: ${line:-no reason given}" ;;
    esac
}

# OUTPUT of apt or dpkg that was refused a lock: who holds it, as they name the process and the kernel its command.
lock_holder() {
    local pid name command=
    read -r pid name < <(sed -nE '/(held by process|with pid) [0-9]+/{s/.*(held by process|with pid) ([0-9]+)( \(([^)]*)\))?.*/\2 \4/p;q}' <<<"$1") || true
    if [[ -z $pid ]]; then
        echo "another package manager"
        return
    fi
    # It may have ended since.
    command=$({ tr '\0' ' ' <"$root/proc/$pid/cmdline"; } 2>/dev/null) || true
    command=${command:-$name}
    command=${command% }
    echo "process $pid${command:+ (${command:0:100})}"
}

# WHAT COMMAND…: runs it, shows its output on stderr, and ends with the right class if it fails.
run_apt() {
    local what=$1 output
    shift
    if ! output=$("$@" 2>&1 | tee >(cat >&2)); then
        apt_failed "$what" "$output"
    fi
}

# PACKAGE: dpkg's letters and the version; nothing for a package that is not there.
package_state() {
    local shown
    # 1: dpkg knows no such package, an answer.
    shown=$(dpkg-query -W -f='${db:Status-Abbrev}\t${Version}\n' "$1" 2>/dev/null) || [[ $? == 1 ]]
    local letters=${shown%%$'\t'*}
    case $letters in
    '' | ?[nc]*) ;;
    *) printf '%s %s\n' "${letters// /}" "${shown#*$'\t'}" ;;
    esac
}
installed() { [[ -n $(package_state "$1") ]]; }

# PACKAGE VERSION: installed, configured, and of that version, whatever its revision.
at_version() {
    local letters version
    read -r letters version <<<"$(package_state "$1")"
    [[ $letters == [hi]i && ($version == "$2" || $version == "$2"-*) ]]
}

available() { apt-cache madison "$1" | awk -F '[ |]+' 'NF > 2 { print ($1 == "" ? $3 : $2) }'; }

# PACKAGE VERSION: the exact revision that the lists offer; nothing if they do not.
offered() { available "$1" | awk -v exact="$2" -v start="$2-" '!done && ($0 "" == exact || index($0, start) == 1) { print; done = 1 }'; }

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

# --allow-change-held-packages drops a hold, and a crash leaves it dropped: put them back, whoever lost them.
hold_kubernetes() {
    local held packages package missing=()
    held=$(apt-mark showhold)
    packages=$(kubernetes_packages)
    for package in $packages; do
        grep -qxF -- "$package" <<<"$held" || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || apt-mark hold "${missing[@]}" >&2
}

# Until nobody else holds dpkg's locks, and says whom it waits for: apt would wait in silence. What else apt-get check finds wrong is
# repaired later.
wait_for_locks() {
    local output holder told='' tries pause=2
    for ((tries = lock_wait / pause; ; tries--)); do
        if output=$(apt_get -o DPkg::Lock::Timeout=0 check 2>&1); then return 0; fi
        case $output in
        *'get lock'* | *'acquire the dpkg frontend lock'* | *'was locked by another process'*) ;;
        *) return 0 ;;
        esac
        if ((tries == 0)); then apt_failed "waiting for the package manager" "$output"; fi
        holder=$(lock_holder "$output")
        if [[ $holder != "$told" ]] || ((tries % 5 == 0)); then
            waits "$((tries * pause))" "dpkg's lock: $holder has it"
            told=$holder
        fi
        sleep "$pause"
    done
}

# PATH MIB: room on the filesystem of a folder.
need_space() {
    local free
    mkdir -p -- "$root$1"
    free=$(df -BM --output=avail "$root$1" | sed -n '2{s/[^0-9]//g;p}')
    numbers "$free" "$2"
    ((free >= $2)) || refused "the disk is full: $1 has $free MiB free, $2 MiB are needed"
}

# PACKAGE=REVISION…: exactly these, and the holds back.
install_exact() {
    need_space /var/cache/apt 300
    need_space /usr 300
    say "installing $*"
    run_apt "installing $*" apt_get install --allow-change-held-packages "${downgrades[@]}" "$@"
}

# VERSION PACKAGE…: mends what a crash left half done. The named packages may be brought to VERSION; any other only to the version
# that dpkg has on record for it.
repair() {
    local version=$1 audit packages package now letters recorded wanted mend=()
    shift
    audit=$(dpkg --audit)
    [[ -n $audit ]] || return 0
    say "an earlier installation was cut: repairing"
    run_apt "dpkg --configure -a" dpkg --force-confold --configure -a
    # What was cut while unpacking stays half installed (iHR) and blocks apt until it is installed anew.
    packages=$(kubernetes_packages)
    for package in $packages; do
        now=$(package_state "$package")
        read -r letters recorded <<<"$now"
        if [[ $letters == [hi]i ]]; then continue; fi
        if [[ " $* " == *" $package "* ]]; then wanted=$(revision "$package" "$version"); else wanted=$(offered "$package" "$recorded"); fi
        [[ -n $wanted ]] || refused "$package is half installed ($letters $recorded) and the repository no longer offers that version"
        mend+=("$package=$wanted")
    done
    ((${#mend[@]} == 0)) || install_exact --reinstall "${mend[@]}"
}

# The source files that point at a Kubernetes repository, whatever their name or format.
kubernetes_sources() {
    local file
    for file in "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*.list "$root"/etc/apt/sources.list.d/*.sources; do
        if [[ -f $file ]] && grep -qE '^[^#]*/core:/stable:/v[0-9]' "$file"; then echo "$file"; fi
    done
}

# LIST: refreshes what this one file names. DPkg::Lock::Timeout does not cover the lock of the lists: try again. Without
# Error-Mode=any, and in older apts even with it, a failed refresh ends with 0 and keeps the former index: read the text.
update_list() {
    local output status tries
    for ((tries = 1; ; tries++)); do
        status=0
        output=$(apt_get update -o APT::Update::Error-Mode=any -o APT::Get::List-Cleanup=0 \
            -o Dir::Etc::sourcelist="$1" -o Dir::Etc::sourceparts=- 2>&1) || status=$?
        if [[ $output != *'get lock'* && $output != *'Unable to lock'* ]] || ((tries == 24)); then break; fi
        waits "$(((24 - tries) * 5))" "the lock of apt's lists: $(lock_holder "$output") has it"
        sleep 5
    done
    printf '%s\n' "$output" >&2
    if ((status != 0)) || grep -qE '^(E:|Err:|W: (Failed to fetch|Some index files|An error occurred|GPG error))' <<<"$output"; then
        apt_failed "refreshing the list of the Kubernetes repository" "$output"
    fi
}
