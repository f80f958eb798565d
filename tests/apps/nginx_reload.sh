#!/bin/bash
# nginx with 4 workers on the stack, reloaded again and again under 100 clients: no request fails, and neither the service
# nor nginx keeps anything of the workers that went.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

mkdir "$WORK/www"
echo hello >"$WORK/www/small"
random_file "$WORK/www/middle" 100000
cat >"$WORK/nginx.conf" <<END
daemon off;
worker_processes 4;
pid $WORK/nginx.pid;
error_log stderr;
user root;
events { worker_connections 512; }
http {
    access_log off;
    sendfile on;
    server {
        listen $STACK:80 backlog=511;
        root $WORK/www;
    }
    server {
        listen $STACK:81 backlog=511 reuseport;
        root $WORK/www;
    }
}
END
background nginx on_stack nginx -c "$WORK/nginx.conf" -e stderr
nginx=$BACKGROUND_PID
wait_for_port $STACK 80
wait_for_port $STACK 81

workers() {
    ps -o pid= --ppid "$nginx" | sort
}
descriptors() {
    find "/proc/$1/fd" -mindepth 1 | wc -l
}
# reload: and wait until the old workers have gone
reload() {
    local worker old
    old=$(workers)
    kill -HUP "$nginx"
    for worker in $old; do
        wait_for_exit "$worker" 20 || fail "the old worker $worker stays"
    done
}
reload
nginx_before=$(descriptors "$nginx")
service_before=0
[ -z "$DAEMON_PID" ] || service_before=$(descriptors "$DAEMON_PID")

background load wrk -t 1 -c 50 -d 8 -H 'Connection: close' http://$STACK/small
load=$BACKGROUND_PID
background load_large wrk -t 1 -c 50 -d 8 -H 'Connection: close' http://$STACK/middle
load_large=$BACKGROUND_PID
reloads=0
while kill -0 $load 2>/dev/null; do
    reload
    reloads=$((reloads + 1))
done
wait $load || fail "wrk failed"
wait $load_large || fail "wrk failed"
[ $reloads -ge 5 ] || fail "only $reloads reloads in this time"
grep -h 'Requests/sec' "$WORK/load.log" "$WORK/load_large.log"
if grep -e 'Socket errors' -e 'Non-2xx' "$WORK/load.log" "$WORK/load_large.log"; then
    fail "wrk met errors"
fi
note "ok: $reloads reloads under 100 clients"
check_equal "with a listening socket for each worker" "$(curl -sS http://$STACK:81/small)" hello

check_equal "the master's descriptors" "$(descriptors "$nginx")" "$nginx_before"
if [ -n "$DAEMON_PID" ]; then
    # The last connections end when their worker has, and that is only seen by the service in its own time.
    as_before() { [ "$(descriptors "$DAEMON_PID")" -le "$service_before" ]; }
    wait_until "the service has more than the $service_before descriptors that it had" as_before
    note "ok: the service's descriptors"
fi
stop "$nginx"
check_memory_below 65536
