# The flags of the node's kubelet, and where they are set.

# WORD…: adds them to flags, each flag with its value as one word.
add_flags() {
    local word flag=
    for word; do
        if [[ $word == -* && ($word != -[0-9]* || -z $flag || $flag == *=*) ]]; then
            if [[ -n $flag ]]; then flags+=("$flag"); fi
            flag=$word
        elif [[ -n $flag && $flag != *=* ]]; then
            flag+="=$word"
        fi
    done
    if [[ -n $flag ]]; then flags+=("$flag"); fi
}

# The files whose variables the unit of the packages puts into the command line.
kubelet_variables() {
    local file
    for file in "$root/var/lib/kubelet/kubeadm-flags.env" "$root/etc/default/kubelet" "$root/etc/sysconfig/kubelet"; do
        if [[ -f $file ]]; then echo "$file"; fi
    done
}

# Sets flags to those that it runs with now, and those that the next start would take from files; each once.
kubelet_flags() {
    local pid=0 running=() file line lines words known word
    flags=()
    if command -v systemctl >/dev/null; then pid=$(systemctl show kubelet -p MainPID --value); fi
    if [[ $pid =~ ^[1-9][0-9]*$ && -r $root/proc/$pid/cmdline ]]; then
        mapfile -d '' -t running <"$root/proc/$pid/cmdline"
        add_flags "${running[@]:1}"
    fi
    while IFS= read -r file; do
        if [[ -z $file ]]; then continue; fi
        lines=$(sed -nE 's/^[[:space:]]*KUBELET_(KUBEADM_ARGS|EXTRA_ARGS)=//p' "$file")
        while IFS= read -r line; do
            read -r -a words <<<"${line//[\"\']/}"
            add_flags "${words[@]}"
        done <<<"$lines"
    done <<<"$(kubelet_variables)"
    words=("${flags[@]}")
    flags=()
    for word in "${words[@]}"; do
        known=$(printf '%s\n' "${flags[@]}")
        grep -qxF -- "$word" <<<"$known" || flags+=("$word")
    done
}

# What sets flags: the unit's own files, and those that they read.
flag_files() {
    local folder file files=()
    for folder in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system; do
        for file in "$root$folder/kubelet.service" "$root$folder"/kubelet.service.d/*.conf; do
            if [[ -f $file ]]; then files+=("$file"); fi
        done
    done
    {
        kubelet_variables
        if ((${#files[@]} > 0)); then
            printf '%s\n' "${files[@]}"
            sed -nE 's/^EnvironmentFile=-?(\/[^*?]*)$/\1/p' "${files[@]}" | while IFS= read -r file; do
                if [[ -f $root$file ]]; then echo "$root$file"; fi
            done
        fi
    } | sort -u
}

# FLAG: a line NUMBER FILE for each place that sets it.
flag_lines() {
    local file number
    while IFS= read -r file; do
        if [[ -z $file ]]; then continue; fi
        number=$(awk -v flag="$1" '
            /^[[:space:]]*[#;]/ { next }
            {
                rest = " " $0 " "
                while ((at = index(rest, flag)) > 0) {
                    if (substr(rest, at - 1, 1) !~ /[A-Za-z0-9-]/ && substr(rest, at + length(flag), 1) !~ /[A-Za-z0-9-]/) { print NR; exit }
                    rest = substr(rest, at + length(flag))
                }
            }' "$file")
        if [[ -n $number ]]; then echo "$number ${file#"$root"}"; fi
    done <<<"$(flag_files)"
}
