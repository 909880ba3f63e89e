# Which deprecated APIs somebody has called since this control plane's API server started, as its metrics count them: no other line leaves the node.
admin=$root/etc/kubernetes/admin.conf
pki=$root/etc/kubernetes/pki
most_bytes=$((256 << 20))
most_lines=1000

unasked() {
    echo "unasked $1"
    exit 0
}
[[ -f $api_manifest ]] || unasked 'there is no manifest of an API server on this node'
address=$(api_address) || unasked 'its manifest names no address that can be asked'

metrics() {
    if command -v kubectl >/dev/null && [[ -f $admin ]]; then
        NO_PROXY='*' no_proxy='*' timeout --foreground 30 kubectl --kubeconfig "$admin" --server "$address" get --raw /metrics
    elif command -v curl >/dev/null; then
        # What this API server shows to kubelets is an administrator's certificate, too.
        curl -sS --fail --noproxy '*' --max-time 30 --cacert "$pki/ca.crt" --cert "$pki/apiserver-kubelet-client.crt" \
            --key "$pki/apiserver-kubelet-client.key" "$address/metrics"
    else
        echo 'neither kubectl nor curl is there to ask with' >&2
        return 1
    fi
}
wanted() {
    awk -v most="$most_lines" '
        index($0, "process_start_time_seconds ") == 1 { print "started " $2 }
        index($0, "apiserver_requested_deprecated_apis{") == 1 && ++lines <= most { print "called " substr($0, 36) }
        END { if (lines > most) print "over" }'
}

# Who has written objects through what goes with a release that is known, by the fields that they manage; whichever version of the objects is
# asked for shows that. For so many APIs, and so many writers of each.
most_apis=3 most_writers=10
writers() {
    local line group version resource asked=0 template
    command -v kubectl >/dev/null && [[ -f $admin ]] || return 0
    while read -r line; do
        [[ $line =~ ^called\ \{group=\"([a-z0-9.-]*)\",removed_release=\"[0-9]+\.[0-9]+\",resource=\"([a-z0-9]+)\",subresource=\"[a-z]*\",version=\"([a-z0-9]+)\"\}\ 1$ ]] ||
            continue
        group=${BASH_REMATCH[1]} resource=${BASH_REMATCH[2]} version=${BASH_REMATCH[3]}
        ((asked++ < most_apis)) || break
        template="{{range .items}}{{\$of := .metadata}}{{range \$of.managedFields}}{{if eq .apiVersion \"${group:+$group/}$version\"}}"
        template+='{{with $of.namespace}}{{.}}/{{end}}{{$of.name}} {{.manager}}{{"\n"}}{{end}}{{end}}{{end}}'
        NO_PROXY='*' no_proxy='*' timeout --foreground 8 kubectl --kubeconfig "$admin" --server "$address" get "$resource${group:+.$group}" \
            --all-namespaces --show-managed-fields -o go-template="$template" 2>/dev/null | head -c "$most_bytes" |
            awk -v api="${group:+$group/}$version/$resource" '
                { object = $1; $1 = ""; by = substr($0, 2, 128); if (!count[by]++) first[by] = object }
                END { for (by in count) print "wrote", api, count[by], first[by], by }' | sort -k 3,3nr -k 5 | head -n "$most_writers" || true
    done <<<"$1"
}

notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
# Cut at the limit, the answer fails: whoever writes it is told so.
if found=$(metrics 2>"$notes" | head -c "$most_bytes" | wanted); then
    [[ $found != *$'\nover' ]] || unasked "it has counted more than $most_lines deprecated APIs"
    printf '%s\n' "$found"
    writers "$found"
    echo asked
else
    why=$(tail -n 1 "$notes")
    unasked "its metrics cannot be read: ${why:0:300}"
fi
