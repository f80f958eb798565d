#!/bin/bash
# nginx under wrk, an ssh session, a file through ssh, redis: a new service takes over five times, and none of them notices.
# time: 120
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0 # the kernel's stack is not replaced

ssh_configuration
nginx_configuration 8080
random_file "$WORK/www/file" 20000
random_file "$WORK/large" 150000000
want=$(sha256 "$WORK/large")
background nginx on_stack nginx -e stderr -c "$WORK/nginx.conf"
background sshd on_stack /usr/sbin/sshd -D -e -f "$WORK/sshd_config" -o "ListenAddress=$STACK:2222"
background redis on_stack redis-server --port 6379 --bind $STACK --save '' --protected-mode no --dir "$WORK"
wait_for_line sshd 'Server listening'
wait_for_line redis 'Ready to accept'
wait_for_port $STACK 8080

mkfifo "$WORK/to-session" "$WORK/from-session"
exec {to}<>"$WORK/to-session" {from}<>"$WORK/from-session"
"${SSH[@]}" $STACK cat <&"$to" >&"$from" 2>"$WORK/session.log" &
PIDS+=($!)
# say WORD: it comes back through the session
say() {
    local answer
    echo "$1" >&"$to"
    IFS= read -r -t 20 answer <&"$from" || fail "the ssh session does not answer: $1"
    [ "$answer" = "$1" ] || fail "the ssh session answers '$answer' to '$1'"
}
say begin
background wrk wrk -t 2 -c 20 -d 10 http://$STACK:8080/file
background wrk_close wrk -t 1 -c 8 -d 10 -H 'Connection: close' http://$STACK:8080/file
background redis_benchmark redis-benchmark -h $STACK -n 60000 -t get,set -c 20 --csv
"${SSH[@]}" $STACK "cat '$WORK/large'" 2>"$WORK/file.log" | sha256sum >"$WORK/got" &
file=$!

for i in 1 2 3 4 5; do
    flow 20000000
    take_over
    say "session $i"
done

for name in wrk wrk_close; do
    wait_for_line $name '^Requests/sec'
    note "$name: $(grep -E 'requests in|Socket errors|Non-2xx' "$WORK/$name.log" | tr -s ' ' | tr '\n' ';')"
    check_equal "errors that $name met" "$(grep -c -E 'Socket errors|Non-2xx' "$WORK/$name.log" || true)" 0
done
wait "${PID_OF[redis_benchmark]}" || fail "redis-benchmark failed"
check_equal "commands that redis-benchmark has figures of" "$(grep -c '^"[SG]ET"' "$WORK/redis_benchmark.log")" 2
wait $file
check_equal "150 MB through ssh" "$(cut -d ' ' -f 1 "$WORK/got")" "$want"
say end
check_equal "takeovers" "$(grep -c 'info: took over from process' "$WORK/sidestackd.log")" 5
