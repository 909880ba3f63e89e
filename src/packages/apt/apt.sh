# Packages by apt and dpkg: the functions and variables that manager.rs describes. Exact versions only; never -f install: it takes the
# newest there is. Only a rollback allows a downgrade.
packages_manager=apt
packages_format=deb
packages_cache=/var/cache/apt
packages_installer='apt-get install'
lock_wait=300
downgrades=()
# The URL of a repository as the settings write it, {minor} in it for its minor version; scripts that know it set it.
packages_pattern=
aside=()

packages_here() { command -v dpkg-query >/dev/null; }

apt_get() {
    apt-get -q -y --no-remove -o DPkg::Lock::Timeout="$lock_wait" -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "${aside[@]}" "$@"
}

# WHAT OUTPUT [UNFIT]: ends with the class that the output of apt or dpkg gives. Where the key in force has ended, or is another than the
# repository's, UNFIT is called in the place of refused.
apt_failed() {
    local what=$1 output=$2 unfit=${3:-refused} line unmet sign
    line=$(grep -E '^(E:|W:|dpkg: error)' <<<"$output" | grep -v 'Some index files' | tail -n 1 | sed -E 's|^[EW]: *||' || true)
    case $output in
    *'No space left on device'* | *'enough free space'*) refused "$what: the disk is full" ;;
    *NO_PUBKEY* | *EXPKEYSIG* | *BADSIG* | *REVKEYSIG* | *'is not signed'* | *'cannot be authenticated'*)
        # apt's last line does not say why.
        sign=$(grep -oE -m 1 '(NO_PUBKEY|EXPKEYSIG|BADSIG|REVKEYSIG) [0-9A-F]+' <<<"$output" || true)
        sign=${sign%%$'\n'*}
        case $sign in NO_PUBKEY* | EXPKEYSIG*) ;; *) unfit=refused ;; esac
        "$unfit" "$what: the repository's signature does not fit the key: ${sign:-$line}"
        ;;
    *'get lock'* | *'acquire the dpkg frontend lock'* | *'was locked by another process'*)
        hold "$what: $(lock_holder "$output") has held the lock for $lock_wait s"
        ;;
    *'is not valid yet'*) hold "$what: the repository is newer than this node's clock: $line" ;;
    *' changed its '*' value from '*)
        line=$(grep -m 1 ' changed its ' <<<"$output")
        refused "$what: the repository is another than before (if that is right: apt-get update --allow-releaseinfo-change): ${line#[EWN]: }"
        ;;
    *'unmet dependencies'* | *'you have held broken packages'*)
        unmet=$(grep -E -m 1 ' : (Pre)?Depends: ' <<<"$output" || true)
        read -r unmet <<<"$unmet"
        refused "$what: what it needs cannot be installed, for it is held or not offered: ${unmet:-$line}"
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

# NAME…: those of them that are here, however badly: the name, dpkg's letters and the version.
packages_list() {
    local known name_letters name letters version
    # 1: dpkg knows one of them not, an answer.
    known=$(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\t${Version}\n' "$@" 2>/dev/null) || [[ $? == 1 ]]
    while IFS=$'\t' read -r name_letters version; do
        read -r name letters <<<"$name_letters"
        # What was removed and has left its configuration is not there.
        if [[ $letters == ?[nc]* ]]; then continue; fi
        if [[ -n $version ]]; then echo "$name ${letters// /} $version"; fi
    done <<<"$known"
}

# PACKAGE: dpkg's letters and the version; nothing for a package that is not there.
packages_state() {
    local shown
    # 1: dpkg knows no such package, an answer.
    shown=$(dpkg-query -W -f='${db:Status-Abbrev}\t${Version}\n' "$1" 2>/dev/null) || [[ $? == 1 ]]
    local letters=${shown%%$'\t'*}
    case $letters in
    '' | ?[nc]*) ;;
    *) printf '%s %s\n' "${letters// /}" "${shown#*$'\t'}" ;;
    esac
}

# PACKAGE [OPTION…]: its versions in the lists, newest first.
packages_available() { apt-cache madison "${aside[@]}" "${@:2}" "$1" | awk -F '[ |]+' 'NF > 2 { print ($1 == "" ? $3 : $2) }'; }

packages_held() { apt-mark showhold; }
packages_hold() { apt-mark hold "$@" >&2; }

packages_broken() { dpkg --audit; }
packages_finish() { run_apt "dpkg --configure -a" dpkg --force-confold --configure -a; }

packages_allow_downgrades() { downgrades=(--allow-downgrades); }
# The holds of these are dropped.
packages_install() { run_apt "installing $*" apt_get install --allow-change-held-packages "${downgrades[@]}" "$@"; }
# Holds may be dropped here, too.
packages_download() { run_apt "downloading $*" apt_get install --download-only --allow-change-held-packages "$@"; }

# FOLDER SOURCE: from here on only that source counts, and lists, caches and locks lie in the folder. The sandbox of apt could not read there.
packages_aside() {
    mkdir -p "$1/lists/partial" "$1/archives/partial"
    aside=(-o APT::Sandbox::User=root -o Dir::State="$1" -o Dir::State::lists="$1/lists" -o Dir::State::status="$root/var/lib/dpkg/status"
        -o Dir::Cache="$1" -o Dir::Cache::archives="$1/archives" -o Dir::Etc::sourcelist="$2" -o Dir::Etc::sourceparts=-)
}
# FOLDER PACKAGE=REVISION…: the files of these alone.
packages_download_into() {
    local folder=$1
    shift
    (cd -- "$folder" && run_apt "downloading $*" apt_get download "$@")
}

# PACKAGE REVISION [FOLDER]: the file that was downloaded.
packages_archive() {
    local folder=${3:-$root$packages_cache/archives} archives
    archives=("$folder/$1_${2//:/%3a}"_*.deb)
    [[ -f ${archives[0]} ]] || failed "apt downloaded no package $1 $2 into ${folder#"$root"}"
    echo "${archives[0]}"
}
# ARCHIVE FOLDER PATH: that file of it, unpacked.
packages_unpack() { dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" "$3"; }

# Until nobody else holds dpkg's locks, and says whom it waits for: apt would wait in silence. What else apt-get check finds wrong is
# repaired later.
packages_wait() {
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

# [yes] [FILE]: a line MINOR FROM TO KEYRINGS URL for each place that a file of sources names, in stanzas where it says yes, with the lines
# of the entry. MINOR is that of the Kubernetes repository there, - for any other place: what is one is decided here and nowhere else. It is
# upstream's layout, however a mirror writes its colons, or packages_pattern. KEYRINGS: - where it names none.
apt_places() {
    local stanzas=$1
    shift
    awk -v pattern="$packages_pattern" -v stanzas="$stanzas" '
        function minor_of(url, flat,    rest, parts, count, i, minor) {
            if (match(url "/", /\/core:?\/stable:?\/v[1-9][0-9]*\.[0-9]+\//)) {
                rest = substr(url "/", RSTART, RLENGTH - 1)
                sub(/.*\/v/, "", rest)
                return rest
            }
            # Compared as fixed text: nothing of it is a pattern here.
            count = split(decoded(pattern), parts, /[{]minor[}]/)
            if (!flat || count < 2 || index(url, parts[1]) != 1) return "-"
            rest = substr(url, length(parts[1]) + 1)
            if (!match(rest, /^[1-9][0-9]*\.[0-9]+/)) return "-"
            minor = substr(rest, 1, RLENGTH)
            rest = parts[1]
            for (i = 2; i <= count; i++) rest = rest minor parts[i]
            return rest == url ? minor : "-"
        }
        function decoded(url) { gsub(/%3[Aa]/, ":", url); sub(/\/+$/, "", url); return url }
        # What may be a password is not repeated. The index of a suite that ends in a slash lies there, flat.
        function tell(uri, suite, from, to, keyrings,    flat) {
            if (match(uri, /^[^\/]*:\/\/[^\/]*@/)) uri = substr(uri, 1, index(uri, "://") + 2) substr(uri, RLENGTH + 1)
            uri = decoded(uri)
            if (uri == "") return
            flat = suite ~ /\/$/
            if (flat) {
                sub(/^[.]?\/+/, "", suite)
                if (suite != "") uri = decoded(uri "/" suite)
            }
            print minor_of(uri, flat), from, to, keyrings == "" ? "-" : keyrings, uri
        }
        function stanza(    uris, suites, words, i, j, n, m, keyrings) {
            if (from && tolower(text["enabled"]) !~ /^[ \t]*(no|false|without|off|disable|0)[ \t\r]*$/) {
                n = split(text["signed-by"], words)
                # It may be the key itself.
                for (i = 1; words[1] ~ /^\// && i <= n; i++) if (words[i] ~ /^\//) keyrings = keyrings (i == 1 ? "" : ",") words[i]
                n = split(text["uris"], uris)
                m = split(text["suites"], suites)
                for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) tell(uris[i], suites[j], from, to, keyrings)
            }
            split("", text)
            from = 0
        }
        { sub(/\r$/, "") }
        stanzas && /^$/ { stanza(); next }
        stanzas {
            if (!from) from = NR
            to = NR
            if (/^#/) next
            if (/^[ \t]/) { text[field] = text[field] " " $0; next }
            field = tolower(substr($0, 1, index($0, ":") - 1))
            text[field] = substr($0, index($0, ":") + 1)
            next
        }
        /^[ \t]*deb(-src)?[ \t]/ {
            options = keyrings = ""
            sub(/^[ \t]*deb(-src)?[ \t]+/, "")
            if (/^\[/) {
                options = substr($0, 2, index($0, "]") - 2)
                $0 = substr($0, index($0, "]") + 1)
            }
            sub(/#.*/, "")
            gsub(/"/, "")
            gsub(/"/, "", options)
            n = split(options, words)
            for (i = 1; i <= n; i++) if (tolower(words[i]) ~ /^signed-by=/) keyrings = substr(words[i], 11)
            # In such a line apt takes a percent sign as the beginning of one character.
            uri = $1
            gsub(/%25/, "%", uri)
            if (NF > 1) tell(uri, $2, NR, NR, keyrings)
        }
        END { if (stanzas) stanza() }' "$@"
}

# The same of all sources that are in force, with the FILE at the end.
apt_entries() {
    local file stanzas places place
    for file in "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*.list "$root"/etc/apt/sources.list.d/*.sources; do
        if [[ ! -f $file ]]; then continue; fi
        stanzas=
        if [[ $file == *.sources ]]; then stanzas=yes; fi
        places=$(apt_places "$stanzas" "$file") || return
        while IFS= read -r place; do
            if [[ -n $place ]]; then echo "$place ${file#"$root"}"; fi
        done <<<"$places"
    done
}

# A line MINOR URL FILE for each entry of a source that points at a Kubernetes repository.
packages_minors() {
    local entries minor url file
    entries=$(apt_entries) || return
    while read -r minor _ _ _ url file; do
        case $minor in
        '' | -) ;;
        *) echo "$minor $url $file" ;;
        esac
    done <<<"$entries"
}

# A line URL FILE for each source that offers kubeadm and is none of those. The FILE is - where no entry is found that would give that place.
packages_strangers() {
    local known offering entries minor url file found of
    # As apt-cache writes a place, it is a line of sources.list but for its options.
    known=$(apt-cache madison kubeadm) || return
    offering=$(awk -F '|' '
        NF > 2 { split($3, words, " "); print "deb", words[1], (words[2] ~ /\/$/ || words[3] != "" ? words[2] : "/") }' <<<"$known" |
        apt_places '' | sort -u -k 5) || return
    [[ -n $offering ]] || return 0
    entries=$(apt_entries) || return
    while read -r minor _ _ _ url; do
        if [[ $minor != - ]]; then continue; fi
        found=-
        while read -r _ _ _ _ of file; do
            if [[ $of == "$url" ]]; then found=$file; fi
        done <<<"$entries"
        echo "$url $found"
    done <<<"$offering"
}

# URL: the proxy that apt takes to it: a URL, DIRECT, or nothing where no setting of apt says.
packages_proxy() {
    local scheme=${1%%://*} host=${1#*://} key settings found=
    host=${host%%[:/]*}
    settings=$(apt-config dump --no-empty --format '%f %v%n' Acquire)
    for key in "$scheme::proxy::$host" "http::proxy::$host" "$scheme::proxy-auto-detect" "$scheme::proxyautodetect" \
        "$scheme::proxy" http::proxy; do
        found=$(awk -v key="acquire::$key" 'tolower($1) == key && NF == 2 { print $2 }' <<<"$settings")
        found=${found%%$'\n'*}
        # Its word is a program, which may have nothing to say.
        if [[ $key == *detect && -n $found ]]; then
            found=$("$found" "$1" 2>/dev/null) || found=
            read -r found <<<"$found" || true
        fi
        if [[ -n $found ]]; then break; fi
    done
    echo "$found"
}

# The source files that point at a Kubernetes repository, whatever their name or format.
packages_sources() {
    local minors file
    minors=$(packages_minors) || return
    while read -r _ _ file; do
        if [[ -n $file ]]; then echo "$root$file"; fi
    done <<<"$minors" | sort -u
}

# Of all sources.
packages_refresh_all() { run_apt "refreshing the package lists" apt_get update; }

# SOURCE [UNFIT]: refreshes what this one file names. DPkg::Lock::Timeout does not cover the lock of the lists: try again. Without
# Error-Mode=any, and in older apts even with it, a failed refresh ends with 0 and keeps the former index: read the text.
packages_refresh() {
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
        apt_failed "refreshing the list of the Kubernetes repository" "$output" "${2:-refused}"
    fi
}
