# KEYRING: a line FINGERPRINT END for each primary key there. END: the second from which on nothing that it signs is believed; `-` where it has
# none. Nothing for what is no keyring. gpg writes into its home even while it only reads: it gets one of its own.
keys_of() {
    local home
    command -v gpg >/dev/null || return 0
    # A full disk keeps nobody from looking at the rest.
    home=$(mktemp -d 2>/dev/null) || return 0
    { gpg --homedir "$home" --batch --show-keys --with-colons "$1" 2>/dev/null || true; } | awk -F : '
        $1 == "pub" { end = $7 ~ /^[0-9]+$/ ? $7 : "-"; primary = 1 }
        $1 == "fpr" && primary { print $10, end; primary = 0 }'
    rm -rf -- "$home"
}

# The same, of the keyrings by which a Kubernetes repository is proved now.
keys_in_force() {
    local keyring keyrings
    keyrings=$(packages_keyrings)
    while IFS= read -r keyring; do
        if [[ $keyring == /* && -f $root$keyring ]]; then keys_of "$root$keyring"; fi
    done <<<"$keyrings"
}

# KEYS, as above: as people read them.
described() {
    local key end text=
    while read -r key end; do
        case $end in
        '') continue ;;
        -) ;;
        *)
            numbers "$end"
            key+=" (its end: $(date -u -d "@$end" +%F))"
            ;;
        esac
        text+="${text:+, }$key"
    done <<<"$1"
    printf '%s\n' "$text"
}
