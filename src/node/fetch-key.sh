# The key of another repository, fetched aside and proved before anything is believed that it signs.

# URL FILE: its Release.key into the file; prints what the server answered. The proxy is this download's alone.
download_key() {
    local proxy schemes='=https' largest=65536
    # A redirect never leads from https to something that others may read and change.
    if [[ $1 == http://* ]]; then schemes='=http,https'; fi
    # As the package manager goes there. Not as an argument, for it may hold a password.
    proxy=$(packages_proxy "$1")
    case $proxy in
    '') ;;
    DIRECT) export no_proxy='*' ;;
    *) export http_proxy=$proxy https_proxy=$proxy ;;
    esac
    # A key has a few KiB. The limit of the file holds where the server does not say how much comes.
    ulimit -f $((largest / 1024))
    curl -fsSL --proto "$schemes" --proto-redir "$schemes" --max-redirs 5 --max-filesize "$largest" \
        --retry 3 --connect-timeout 10 --max-time 60 -o "$2" -w '%{http_code}' "$1/Release.key"
}

# URL MINOR FILE KEYRING [FINGERPRINT…]: fetches the key of that minor's repository there, by way of the file, into the keyring, and sets new_keys
# to whose it is. A key that is not among those in force is believed only where its FINGERPRINT is acknowledged.
fetch_key() {
    local url=$1 minor=$2 armored=$3 keyring=$4
    local strangers stranger file status=0 code offered_keys former_keys known sources key acknowledged former
    shift 4
    # What it is put into, a line of a package source, ends at a blank and at a bracket.
    [[ $url =~ ^https?://[]A-Za-z0-9._~:/%[-]+$ ]] || refused "not a URL of packages: ${url:0:60}"
    command -v curl >/dev/null || refused "curl is missing on this node ($packages_installer curl)"
    command -v gpg >/dev/null || refused "gpg is missing on this node ($packages_installer gnupg)"
    strangers=$(packages_strangers) || failed "what offers kubeadm on this node is not known: its package manager cannot say"
    if [[ -n $strangers ]]; then
        read -r stranger file <<<"$strangers"
        refused "another source of this node offers kubeadm, and would be left beside $url: $stranger ($file)." \
            "Take it out, or have packages-url in the settings name that repository"
    fi
    code=$(download_key "$url" "$armored") || status=$?
    case $status in
    0) ;;
    22)
        case $code in
        429 | 5*) unreachable "the repository is out of service: $url/Release.key answers $code" ;;
        *) refused "the repository has no v$minor: $url/Release.key answers $code" ;;
        esac
        ;;
    # Too large as the server says, or as it came: curl then dies of SIGXFSZ, or of what it could not write.
    23 | 63 | 153) refused "what $url/Release.key gives is no OpenPGP key: it has more than 65536 bytes" ;;
    1) refused "$url/Release.key leads away from https" ;;
    *) unreachable "the repository cannot be reached: $url/Release.key (curl exit $status)" ;;
    esac
    gpg --batch --yes --dearmor -o "$keyring" <"$armored" || refused "what $url/Release.key gives is no OpenPGP key"

    new_keys=$(keys_of "$keyring")
    offered_keys=$(cut -d ' ' -f 1 <<<"$new_keys")
    [[ $offered_keys =~ ^[0-9A-F]{40,64}($'\n'[0-9A-F]{40,64})*$ ]] || refused "what $url/Release.key gives is no OpenPGP key"
    former_keys=$(keys_in_force)
    known=$(cut -d ' ' -f 1 <<<"$former_keys")
    sources=$(packages_sources)
    while IFS= read -r key; do
        say "the repository's key is $key"
        if grep -qxF -- "$key" <<<"$known"; then continue; fi
        for acknowledged; do
            if [[ $acknowledged == "$key" ]]; then continue 2; fi
        done
        # With no repository in force there is nothing that could have changed.
        if [[ -z $sources ]]; then continue; fi
        former=$(described "$former_keys")
        refused "the repository's key has changed: $url/Release.key is of $(described "$(grep -F -- "$key " <<<"$new_keys")"), and the one in force on this node of ${former:-a keyring that cannot be read}." \
            "Ask whoever runs the repository; if that is right, have this line in the settings and run it again: package-keys: [$key]"
    done <<<"$offered_keys"
}

# WHY: how a refresh ends where the key just fetched proves its repository no more.
unfit_key() {
    local way=
    # A key that is prolonged is given only by minors that are still published.
    case $1 in *EXPKEYSIG*) way=". Where v$minor is published no more, that is not done: then serve a mirror of it whose Release.key is that of a newer minor, \
which is the same key prolonged, and name it by packages-url in the settings (package-keys does not help: $packages_manager believes no key that has ended)" ;; esac
    refused "$1. What $url/Release.key gives is $(described "$new_keys"): whoever runs the repository has to prolong it$way"
}
