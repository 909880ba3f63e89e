# NAME CONTENT: a file for people, root's alone.
[[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$ ]] || refused "not a plain file name: ${1:0:60}"
install -d -m 0700 "$state"
printf '%s' "$2" | write_durably "$state/$1" 0600
echo "card ${state#"$root"}/$1"
