#!/bin/bash
# SIGHUP with other addresses, one reload after the other, and the tools, while streams of known bytes flow both ways: none is lost on addresses that
# stay, nor on one that goes and comes back. New addresses carry streams at once.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
RELOADS=12
conf=$WORK/stack.conf
# settings ADDRESS...: those that stay, and these
settings() {
    printf '%s\n' "address = $STACK/24" "address = $STACK6/64" "gateway = $WORLD" "gateway = $WORLD6" "${@/#/address = }" >"$conf"
}
settings 10.77.0.9/24
lib_begin
stop_daemon
mkfifo "$WORK/ready"
env "${SANITIZER_OPTIONS[@]}" "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 --config "$conf" --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
DAEMON_PID=$!
PID_OF[sidestackd]=$DAEMON_PID
IFS= read -r -N 1 -t "$HANG" _ <"$WORK/ready" || fail "sidestackd did not start"

program=("$PYTHON" "$TOP/tests/apps/takeover.py")
background world "${program[@]}" serve $WORLD 7000
background world6 "${program[@]}" serve $WORLD6 7000
background inside on_stack "${program[@]}" serve 0.0.0.0 7000
background inside6 on_stack "${program[@]}" serve :: 7001
for name in world world6 inside inside6; do
    wait_for_line $name ready
done
SECONDS_LONG=6
background out on_stack "${program[@]}" stream $WORLD 7000 $SECONDS_LONG 65536
background out_small on_stack "${program[@]}" stream $WORLD 7000 $SECONDS_LONG 100
background out6 on_stack "${program[@]}" stream $WORLD6 7000 $SECONDS_LONG 65536
background in "${program[@]}" stream $STACK 7000 $SECONDS_LONG 65536
background in6 "${program[@]}" stream $STACK6 7001 $SECONDS_LONG 65536
background local on_stack "${program[@]}" stream 127.0.0.1 7000 $SECONDS_LONG 5000
background in_and_out "${program[@]}" stream 10.77.0.9 7000 $SECONDS_LONG 65536
streams=(out out_small out6 in in6 local in_and_out)
for name in "${streams[@]}"; do
    wait_for_line "$name" flows
done

for ((i = 1; i <= RELOADS; i++)); do
    more=()
    [ $((i % 2)) = 1 ] || more=("10.77.0.9/$((24 + i % 4))")
    settings "10.77.0.$((100 + i))/$((24 + i % 2 * 4))" "10.85.$i.2/24" "fd85:$i::2/64" "${more[@]}"
    kill -HUP "$DAEMON_PID"
    wait_until "no reload" has_lines "$WORK/sidestackd.log" 'info: reloaded' "$i"
    "${program[@]}" stream "10.77.0.$((100 + i))" 7000 0 1 >"$WORK/new.log" 2>&1 || fail "a new address: $(cat "$WORK/new.log")"
    "$BUILD/sidestack" netif --socket "$WORK/control" >"$WORK/netif.log"
    grep -q "10.85.$i.2" "$WORK/netif.log" || fail "the tool does not show the address"
    "$BUILD/sidestack" impair --socket "$WORK/control" "$([ $((i % 2)) = 0 ] && echo none || echo delay=1ms)" >"$WORK/impair.log"
    flow 1000000
done

for name in "${streams[@]}"; do
    wait_for_line "$name" '^done'
    grep '^done' "$WORK/$name.log" | while read -r _ sent received; do
        note "ok: $name: $sent bytes sent and $received received, each where it belongs"
    done
done
check_equal "reloads" "$(grep -c 'info: reloaded' "$WORK/sidestackd.log")" $RELOADS
check_equal "failures of servers" "$(cat "$WORK"/{world,world6,inside,inside6}.log | grep -c '^failed' || true)" 0
