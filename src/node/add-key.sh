# USER TYPE BASE64 [OLD…]: the key's line, at the end; options of an old key's line (from="…") hold for the new one, too.
user=$1 type=$2 key=$3
shift 3
find_keys "$user"
lock_keys
if has_key "$key"; then
    keys=$(count)
    echo "present $keys"
    exit 0
fi
# BASE64: what stands before that key in its line, after the word "line"; nothing where there is no such line. Its status is no answer, so
# that it can stand outside of a condition: there a reader that was killed ends the script.
before_key() {
    lines | awk -v key="$1" '
        { sub(/\r$/, "") }
        /^[ \t]*#/ || found { next }
        { for (i = 2; i <= NF; i++) if ($i == key) {
            before = substr($0, 1, index($0, key) - 1)
            sub(/[^ \t]+[ \t]+$/, "", before); sub(/^[ \t]+/, "", before)
            printf "line%s", before; found = 1; break } }'
}
options=''
for old; do
    line=$(before_key "$old")
    # The first that stands there decides, also one without any.
    if [[ -n $line ]]; then
        options=${line#line}
        break
    fi
done
# awk ends the last line where it has no end: the new one must not be glued to it.
{ lines | awk 1; printf '%s%s %s %s\n' "$options" "$type" "$key" "$mark"; } | stage_keys
put_keys
has_key "$key" || failed "the new key does not stand in $file"
keys=$(count)
echo "added $keys"
