# FROM SECONDS: prints the log from that byte on as it grows, until the work ends or the time is over; then the offset and the state.
offset=$1 limit=$2
numbers "$offset" "$limit"
log=$work/log

log_size() { if [[ -e $log ]]; then stat -c %s "$log"; else echo 0; fi; }

# For eyes: without colours, tabs as blanks, and nothing else that a terminal would obey.
plain() { LC_ALL=C sed $'s/\e\\[[0-9;]*[A-Za-z]//g; s/\t/    /g' | LC_ALL=C tr '\001-\010\013\014\016-\037\177' '?'; }

# Prints whole lines; the start of a line that is still being written stays for the next look, unless it is the end.
print_new() {
    local size chunk
    size=$(log_size)
    numbers "$size"
    if ((size < offset)); then offset=0; fi
    ((size > offset)) || return 0
    chunk=$(dd if="$log" bs=64K iflag=skip_bytes,count_bytes skip="$offset" count="$((size - offset))" status=none | tr '\000\r' '?\n' && printf x)
    chunk=${chunk%x}
    if [[ $1 == more ]]; then
        [[ $chunk == *$'\n'* ]] || return 0
        chunk=${chunk%$'\n'*}$'\n'
    fi
    offset=$((offset + ${#chunk}))
    printf '%s\n' "${chunk%$'\n'}" | plain | sed 's/^/| /'
}

end=$((SECONDS + limit))
while :; do
    # The state first: once it has ended, its log is whole.
    now=$(work_state)
    if [[ $now != running* ]]; then
        print_new end
        break
    fi
    print_new more
    ((SECONDS < end)) || break
    sleep 1
done
echo "offset $offset"
echo "work $now"
case $now in
failed* | killed* | interrupted*) if [[ -e $log ]]; then tail -n 60 "$log" | tr '\000\r' '?\n' | plain | sed 's/^/last /'; fi ;;
esac
