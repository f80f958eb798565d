#!/bin/bash
# Apache on the stack, prefork (processes share one listening socket, and gave up root) with mod_status: ab, large files by
# sendfile, graceful restarts under load. Its threaded and event-driven forms as well.
# time: 90
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# /run is the test's own, and open to www-data, as the work directory is not.
www=/run/www
mkdir -m 755 $www
random_file $www/large 32M
echo hello >$www/small
chmod 644 $www/*
want=$(sha256 $www/large)

# write_configuration MPM
write_configuration() {
    cat >"$WORK/apache.conf" <<END
LoadModule mpm_$1_module /usr/lib/apache2/modules/mod_mpm_$1.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
ServerRoot $WORK
ServerName $STACK
PidFile $WORK/apache.pid
DefaultRuntimeDir $WORK
ErrorLog $WORK/error.log
LogLevel warn
Listen $STACK:80
User www-data
Group www-data
<IfModule mpm_prefork_module>
    StartServers 36
    MinSpareServers 4
    MaxSpareServers 40
</IfModule>
EnableSendfile on
EnableMMAP off
DocumentRoot $www
GracefulShutdownTimeout 10
ExtendedStatus on
<Location /status>
    SetHandler server-status
</Location>
END
}

# status_of KEY: a line of mod_status
status_of() {
    curl -sS "http://$STACK/status?auto" | sed -n "s/^$1: //p"
}

# Requests without keep-alive, and with: none may fail.
# load WHAT AB-OPTION...
load() {
    local what=$1
    shift
    ab -q -s 20 "$@" http://$STACK/small >"$WORK/ab.log" || fail "ab failed, $what"
    grep -e 'Requests per second' "$WORK/ab.log"
    check_equal "failed requests, $what" "$(sed -n 's/^Failed requests: *//p' "$WORK/ab.log")" 0
}

# serve MPM
serve() {
    local mpm=$1 apache generation deadline
    write_configuration "$mpm"
    # Apache ends its whole process group, hence setsid.
    background "apache_$mpm" on_stack setsid apache2 -D FOREGROUND -f "$WORK/apache.conf"
    apache=$BACKGROUND_PID
    wait_for_port $STACK 80
    check_equal "$mpm, as mod_status has it" "$(status_of ServerMPM)" "$mpm"
    check_equal "$mpm, small" "$(curl -sS http://$STACK/small)" hello
    check_equal "$mpm, large by sendfile" "$(curl -sS http://$STACK/large | sha256)" "$want"
    load "$mpm" -n 3000 -c 32
    if [ "$mpm" = event ]; then # it closes kept connections when its threads are busy, which ab takes for a failure
        load "$mpm, again" -n 4000 -c 32
    else
        load "$mpm, kept connections" -k -n 4000 -c 32
    fi
    # mod_status counts what the processes of this generation did, and knows its clients by address.
    # A process counts a request after it has answered it.
    all_counted() { [ "$(status_of 'Total Accesses')" -ge 7000 ]; }
    wait_until "mod_status counted too few accesses" all_counted
    curl -sS http://$STACK/status >"$WORK/status.html"
    grep -q "$WORLD" "$WORK/status.html" || fail "mod_status does not know its client's address"

    generation=$(status_of ParentServerConfigGeneration)
    background reload ab -q -s 20 -n 3000 -c 8 http://$STACK/small
    for _ in 1 2; do
        generation=$((generation + 1))
        kill -USR1 "$apache"
        until [ "$(status_of ParentServerConfigGeneration)" -ge $generation ]; do
            kill -0 "$apache" || fail "$mpm died on a graceful restart"
        done
    done
    wait "$BACKGROUND_PID" || fail "ab failed, $mpm, during graceful restarts"
    note "ok: $mpm, two graceful restarts under load"
    check_equal "$mpm, large by sendfile, after them" "$(curl -sS http://$STACK/large | sha256)" "$want"
    stop "$apache"
    check_equal "$mpm, refused when it is gone" "$(curl -s http://$STACK/ || echo $?)" 7
    if grep -v -e ':notice\]' "$WORK/error.log"; then
        fail "$mpm complained"
    fi
    rm "$WORK/error.log"
}
serve prefork
serve worker
serve event
check_memory_below 65536
