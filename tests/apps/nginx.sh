#!/bin/bash
# nginx on the stack (a master, workers, sendfile, a reload under load), curl and wrk on the kernel.
# time: 90
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

nginx_configuration "$STACK:80 backlog=511"
random_file "$WORK/www/large" 64M
echo hello >"$WORK/www/small"
want=$(sha256 "$WORK/www/large")
background nginx on_stack nginx -c "$WORK/nginx.conf" -e stderr
nginx=$BACKGROUND_PID
wait_for_port $STACK 80

fetch_and_compare() {
    check_equal "small, $1" "$(curl -sS http://$STACK/small)" hello
    check_equal "large by sendfile, $1" "$(curl -sS http://$STACK/large | sha256)" "$want"
}
fetch_and_compare "at first"
check_equal "upload" "$(curl -sS -o /dev/null -w '%{http_code}' -T "$WORK/www/large" http://$STACK/put/copy)" 201
check_equal "what was uploaded" "$(sha256 "$WORK/www/put/copy")" "$want"
check_equal "a client's address as nginx sees it" \
    "$(curl -sS -o /dev/null -w '%{local_ip} %{remote_ip}' http://$STACK/small)" "$WORLD $STACK"

# no_errors NAME: what wrk printed into NAME.log
no_errors() {
    wait "$2" || fail "wrk failed"
    grep 'Requests/sec' "$WORK/$1.log"
    if grep -e 'Socket errors' -e 'Non-2xx' "$WORK/$1.log"; then
        fail "$1: wrk met errors"
    fi
    note "ok: $1"
}

background load wrk -t 2 -c 64 -d 5 http://$STACK/small
no_errors load "$BACKGROUND_PID"

# Reload under load: new workers, old ones finish what they have and go. A connection that an old worker kept open may be
# closed at any moment, which wrk counts as a read error, so this load opens a connection for each request.
workers() {
    ps -o pid= --ppid "$nginx" | sort
}
before=$(workers)
background reload wrk -t 2 -c 32 -d 5 -H 'Connection: close' http://$STACK/small
load=$BACKGROUND_PID
for _ in 1 2; do
    kill -HUP "$nginx"
    for worker in $(workers); do
        case $before in
        *$worker*) wait_for_exit "$worker" 20 || fail "the old worker $worker stays" ;;
        esac
    done
    before=$(workers)
done
no_errors reload "$load"
fetch_and_compare "after two reloads"

stop "$nginx"
check_equal "refused when nginx is gone" "$(curl -s http://$STACK/ || echo $?)" 7
check_memory_below 65536
