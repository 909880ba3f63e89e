# USER KEEP STRAYS [BASE64…]: takes these keys' lines out, and with STRAYS (yes or no) every line marked ours but KEEP's. Whatever happens,
# KEEP (if it is not empty) stays: where it is missing, nothing is removed.
user=$1 keep=$2 strays=$3
shift 3
find_keys "$user"
lock_keys
if [[ -n $keep ]] && ! has_key "$keep"; then refused "the key that shall stay does not stand in $file: nothing was removed"; fi
kept() {
    lines | awk -v keep="$keep" -v strays="$strays" -v mark="$mark" -v gone="$*" '
        BEGIN { n = split(gone, list, " "); for (i = 1; i <= n; i++) old[list[i]] = 1 }
        /^[ \t]*#/ { print; next }
        {
            line = $0
            sub(/\r$/, "")
            out = strays == "yes" && $NF == mark
            for (i = 1; i <= NF; i++) if ($i in old) out = 1
            if (keep != "") for (i = 1; i <= NF; i++) if ($i == keep) out = 0
            if (!out) print line
        }'
}
before=$(count)
after=$(kept "$@" | awk '!/^[ \t]*(#|$)/ { n++ } END { print n + 0 }')
numbers "$before" "$after"
if ((after < before)); then
    kept "$@" | stage_keys
    put_keys
fi
left=$(count)
numbers "$left"
echo "removed $((before - after)) $left"
