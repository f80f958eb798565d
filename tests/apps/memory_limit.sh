#!/bin/bash
# A limit on memory by cgroup, and max-memory below it: under load the service makes senders wait, and is not ended by the kernel.
# time: 20
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

count=600
mkfifo "$WORK/go" "$WORK/end"
exec {go}<>"$WORK/go" {end}<>"$WORK/end"
background server bash -c "$PYTHON '$TOP/tests/apps/memory_limit.py' serve $WORLD 7000 $count <'$WORK/go'"
wait_for_line server listening
background client bash -c "env ${STACK_ENVIRONMENT[*]@Q} nsenter --net=/run/netns/P $PYTHON '$TOP/tests/apps/memory_limit.py' fill $WORLD 7000 $count <'$WORK/end'"
wait_for_line client written
written=$(awk '$1 == "written" { print $2 }' "$WORK/client.log")
note "$written bytes written that nobody reads; the service has $(daemon_memory) KiB"
[ -z "$GROUP" ] || note "at most $(cat "$GROUP/memory.max_usage_in_bytes") bytes in the group; kernel: $(cat "$GROUP/memory.kmem.max_usage_in_bytes")"
[ "$written" -gt $((96 * 1024 * 1024)) ] || fail "only $written bytes: that is no load"
kill -0 "$DAEMON_PID" || fail "the service died"
[ -z "$GROUP" ] || check_equal "how often the kernel ended one" "$(awk '$1 == "oom_kill" { print $2 }' "$GROUP/memory.oom_control")" 0
echo >&"$go"
echo >&"$end"
wait_for_line server '^read'
check_equal "what was read" "$(awk '$1 == "read" { print $2 }' "$WORK/server.log")" "$written"
[ -z "$GROUP" ] || check_equal "how often the kernel ended one, at the end" "$(awk '$1 == "oom_kill" { print $2 }' "$GROUP/memory.oom_control")" 0
