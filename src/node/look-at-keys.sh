# USER [BASE64…]: how many keys there are, how many are marked ours, which of these are among them and among those marked; and what sshd
# reads besides that file, or instead.
user=$1
shift
find_keys "$user"
keys=$(count)
marked=$(lines | awk -v mark="$mark" '{ sub(/\r$/, "") } !/^[ \t]*#/ && $NF == mark { n++ } END { print n + 0 }')
ours=$(lines | awk -v mark="$mark" -v asked="$*" '
    BEGIN { n = split(asked, list, " "); for (i = 1; i <= n; i++) wanted[list[i]] = 1 }
    { sub(/\r$/, "") }
    !/^[ \t]*#/ && $NF == mark { for (i = 1; i <= NF; i++) if ($i in wanted) print "ours " $i }')
echo "keys $keys"
echo "marked $marked"
for key; do
    if has_key "$key"; then echo "has $key"; fi
done
echo "$ours"

# In sshd's own words; where it gives none, its default.
sshd=$(command -v sshd) || sshd=/usr/sbin/sshd
said=$("$sshd" -T -C "user=$user,host=localhost,addr=127.0.0.1" 2>/dev/null) ||
    said='authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2'
named=$(awk '$1 == "authorizedkeysfile" { sub(/^[^ ]+ */, ""); print; exit }' <<<"$said")
asks=$(awk '$1 == "authorizedkeyscommand" && $2 != "none" { print $2; exit }' <<<"$said")
if [[ -n $asks ]]; then echo "asks $asks"; fi
counts=no
read -ra names <<<"$named"
for name in "${names[@]}"; do
    # As sshd_config(5) has them; a path that is not absolute begins at the home.
    path=${name//\%\%/$'\n'}
    path=${path//\%h/"${home#"$root"}"} path=${path//\%u/"$user"} path=${path//\%U/"${owner%:*}"}
    path=${path//$'\n'/%}
    if [[ $path != /* ]]; then path=${home#"$root"}/$path; fi
    if [[ $root$path == "$home/.ssh/authorized_keys" || $root$path -ef $file ]]; then
        counts=yes
        continue
    fi
    for key; do
        if has_key "$key" "$root$path"; then echo "elsewhere $key $path"; fi
    done
done
if [[ $counts == no ]]; then echo "unread $named"; fi
