#!/bin/bash
# A limit on memory by cgroup, and max-memory below it: under load the service makes senders wait, keeps to its bound, is not ended by the kernel, and gives
# back what it took. The same in the other direction, with programs that don't read.
# time: 40
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0 # these are faults of the service

DAEMON_OPTIONS=(--max-memory 16M)
lib_begin
GROUP=/sys/fs/cgroup/memory/sidestack-$$-$RANDOM
leave_group() {
    local status=$?
    echo "$DAEMON_PID" >/sys/fs/cgroup/memory/cgroup.procs 2>/dev/null || true
    rmdir "$GROUP" || true
    set +e
    trap - ERR
    (exit $status)
    lib_end
}
if mkdir "$GROUP" 2>/dev/null && [ -e "$GROUP/memory.limit_in_bytes" ]; then
    trap leave_group EXIT
    echo "$DAEMON_PID" >"$GROUP/cgroup.procs"
    echo 96M >"$GROUP/memory.limit_in_bytes"
else
    note "NO MEMORY CGROUP on this machine: RLIMIT_DATA instead"
    GROUP=
    data=$(awk '$1 == "VmData:" { print $2 * 1024 }' "/proc/$DAEMON_PID/status")
    prlimit --pid "$DAEMON_PID" --data=$((data + 80 * 1024 * 1024)):
fi

# What all of the service may have, in KiB: max-memory, a quarter of it (stack/memory.c), and what it takes itself.
at_rest=$(daemon_memory)
at_most=$((at_rest + 5 * 16 * 1024 / 4 + 4096))
# check_memory WHEN
check_memory() {
    local has
    has=$(daemon_memory)
    note "the service has $has KiB $1; at rest $at_rest"
    [ "$has" -le $at_most ] || fail "the service has $has KiB $1, more than $at_most"
}
has_given_back() {
    [ "$(daemon_memory)" -lt $((at_rest + 8192)) ] # records of connections that ended, pages of its program
}

count=600 least=$((96 * 1024 * 1024))
mkfifo "$WORK/go" "$WORK/end"
exec {go}<>"$WORK/go" {end}<>"$WORK/end"
background server bash -c "$PYTHON '$TOP/tests/apps/memory_limit.py' serve $WORLD 7000 $count <'$WORK/go'"
wait_for_line server listening
background client bash -c "env ${STACK_ENVIRONMENT[*]@Q} nsenter --net=/run/netns/P $PYTHON '$TOP/tests/apps/memory_limit.py' fill $WORLD 7000 $count $least <'$WORK/end'"
wait_for_line client written
written=$(awk '$1 == "written" { print $2 }' "$WORK/client.log")
note "$written bytes written that nobody reads"
check_memory "with $count connections that write"
[ -z "$GROUP" ] || note "at most $(cat "$GROUP/memory.max_usage_in_bytes") bytes in the group; kernel: $(cat "$GROUP/memory.kmem.max_usage_in_bytes")"
[ "$written" -ge $least ] || fail "only $written bytes: that is no load"
kill -0 "$DAEMON_PID" || fail "the service died"
[ -z "$GROUP" ] || check_equal "how often the kernel ended one" "$(awk '$1 == "oom_kill" { print $2 }' "$GROUP/memory.oom_control")" 0
echo >&"$go"
echo >&"$end"
wait_for_line server '^read'
check_equal "what was read" "$(awk '$1 == "read" { print $2 }' "$WORK/server.log")" "$written"
[ -z "$GROUP" ] || check_equal "how often the kernel ended one, at the end" "$(awk '$1 == "oom_kill" { print $2 }' "$GROUP/memory.oom_control")" 0
wait_until "the service keeps $(daemon_memory) KiB" has_given_back

# The kernel's memory behind these descriptors may be more than the group may have, and is not the service's.
if [ -n "$GROUP" ]; then
    echo "$DAEMON_PID" >/sys/fs/cgroup/memory/cgroup.procs
fi
count=100 least=$((24 * 1024 * 1024))
background reader bash -c "env ${STACK_ENVIRONMENT[*]@Q} nsenter --net=/run/netns/P $PYTHON '$TOP/tests/apps/memory_limit.py' serve $STACK 7001 $count <'$WORK/go'"
wait_for_line reader listening
background writer bash -c "$PYTHON '$TOP/tests/apps/memory_limit.py' fill $STACK 7001 $count $least <'$WORK/end'"
wait_for_line writer written
written=$(awk '$1 == "written" { print $2 }' "$WORK/writer.log")
note "$written bytes written that no program reads"
[ "$written" -ge $least ] || fail "only $written bytes: that is no load"
check_memory "with $count connections that don't read"
echo >&"$go"
echo >&"$end"
wait_for_line reader '^read'
check_equal "what the programs read" "$(awk '$1 == "read" { print $2 }' "$WORK/reader.log")" "$written"
wait_until "the service keeps $(daemon_memory) KiB" has_given_back
