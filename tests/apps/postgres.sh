#!/bin/bash
# PostgreSQL on the stack (a process for each connection, another user than the service's) with pgbench on the kernel, and
# the other way round.
# time: 90
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)
# The server wants to be nobody's root. What it needs is in /run, which is the test's own, as this user can't see the work
# directory; and the service's owner lets the user's group use the service.
postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups env -C /run)
if [ "$MODE" = stack ]; then
    cp "$LIBRARY" /run/libintercept.so
    touch /run/control
    mount --bind "$WORK/control" /run/control
    chgrp postgres /run/control
    STACK_ENVIRONMENT+=(SIDESTACK_SOCKET=/run/control LD_PRELOAD="$PRELOAD${PRELOAD:+ }/run/libintercept.so")
fi
install -d -o postgres -g postgres /run/data /run/sockets
"${postgres[@]}" "$programs/initdb" -D /run/data -A trust -E UTF8 --no-locale -N >"$WORK/initdb.log" 2>&1 ||
    fail "initdb"
echo "host all all 0.0.0.0/0 trust" >>/run/data/pg_hba.conf
export PGUSER=postgres PGDATABASE=postgres
random_stream 6000000 | base64 -w 100 >"$WORK/lines"
lines=$(sha256 "$WORK/lines")

# serve NAME ADDRESS [on_stack]: sets server
serve() {
    local name=$1 address=$2
    shift 2
    background "$name" "$@" "${postgres[@]}" "$programs/postgres" -D /run/data -c "listen_addresses=$address" \
        -c unix_socket_directories=/run/sockets -c fsync=off -c max_connections=40 -c log_connections=off
    server=$BACKGROUND_PID
    wait_for_line "$name" 'ready to accept connections'
}

# session ADDRESS CLIENT [COMMAND-PREFIX]: the client's own address is CLIENT
session() {
    local address=$1 client=$2 query tps
    shift 2
    local psql=("$@" "$programs/psql" -X -q -A -t -h "$address")
    check_equal "addresses, as the server at $address sees them" \
        "$("${psql[@]}" -c "select host(inet_client_addr()) || ' ' || host(inet_server_addr())")" "$client $address"
    "${psql[@]}" -c 'drop table if exists lines' -c 'create table lines (line text)' 2>/dev/null
    "${psql[@]}" -c '\copy lines from pstdin' <"$WORK/lines"
    check_equal "8 MB there and back" "$("${psql[@]}" -c '\copy lines to pstdout' | sha256)" "$lines"
    "$@" "$programs/pgbench" -q -i -s 1 -h "$address" >"$WORK/pgbench.log" 2>&1 || fail "pgbench -i"
    # Kept connections, and one for each transaction.
    for options in "-c 8 -j 2 -T 3" "-c 4 -j 2 -T 2 -C"; do
        # shellcheck disable=SC2086 # several options
        "$@" "$programs/pgbench" -n $options -h "$address" >"$WORK/pgbench.log" 2>&1 || fail "pgbench $options"
        tps=$(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$WORK/pgbench.log")
        check_equal "pgbench $options, $tps transactions a second, failed" \
            "$(sed -n 's/^number of failed transactions: \([0-9]*\) .*/\1/p' "$WORK/pgbench.log")" 0
    done
    # Asking for the end of a query goes over a connection of its own.
    background query "${psql[@]}" -c 'select pg_sleep(60)'
    query=$BACKGROUND_PID
    until [ "$("${psql[@]}" -c "select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'")" = 1 ]; do
        kill -0 "$query" || fail "the query ended early"
    done
    kill -INT "$query"
    wait_for_exit "$query" 10 || fail "a query was not cancelled"
    check_equal "a cancelled query" "$(grep -c 'canceling statement due to user request' "$WORK/query.log")" 1
}

serve server_on_stack $STACK on_stack
session $STACK $WORLD
stop "$server"
serve server_on_kernel $WORLD env
session $WORLD $STACK on_stack
stop "$server"
check_memory_below 65536
