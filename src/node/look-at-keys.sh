# USER [BASE64…]: how many keys there are, how many are marked ours, and which of these are among them.
find_keys "$1"
shift
keys=$(count)
marked=$(lines | awk -v mark="$mark" '{ sub(/\r$/, "") } !/^[ \t]*#/ && $NF == mark { n++ } END { print n + 0 }')
echo "keys $keys"
echo "marked $marked"
for key; do
    if has_key "$key"; then echo "has $key"; fi
done
