# Completions of k8s-upgrade for bash: the program itself is asked, which knows the cluster, too.

_k8s_upgrade() {
	local IFS=$' \t' line=${COMP_LINE:0:COMP_POINT} offer typed=() offers=()
	read -ra typed <<<"$line"
	[[ $line == *[[:blank:]] ]] && typed+=("")
	# For bash a word ends at = : and @, too. It replaces only what stands behind the last of them, which is $2.
	local before=${typed[-1]%"$2"}
	mapfile -t offers < <("$1" complete -- "${typed[@]:1}" 2>/dev/null)
	COMPREPLY=()
	for offer in "${offers[@]}"; do
		if [[ $offer == :files ]]; then
			compopt -o filenames 2>/dev/null
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2")
		else
			offer=${offer%%$'\t'*}
			COMPREPLY+=("${offer#"$before"}")
		fi
	done
	# What ends so is not whole yet.
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=@] ]] && compopt -o nospace 2>/dev/null
	return 0
}

complete -F _k8s_upgrade k8s-upgrade
