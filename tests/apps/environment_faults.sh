#!/bin/bash
# What may run out around the service: the disk for its capture, descriptors, memory. It says so, refuses what it must, and goes on when there is some again.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0 # these are faults of the service
WORK_FULL=$WORK/full
mkdir "$WORK_FULL"
mount -t tmpfs -o size=256k none "$WORK_FULL"
DAEMON_OPTIONS=(--pcap "$WORK_FULL/frames.pcap")
lib_begin

random_file "$WORK/file" 2000000
want=$(sha256 "$WORK/file")
background server $PYTHON -m http.server --bind $WORLD --directory "$WORK" 8000
wait_for_port $WORLD 8000
download() {
    check_equal "$1" "$(on_stack curl -sS --max-time 30 "http://$WORLD:8000/file" | sha256)" "$want"
}

download 'a download that the disk has no room to record'
wait_for_line sidestackd 'recording ends here'
check_equal 'how often it says so' "$(grep -c 'recording ends here' "$WORK/sidestackd.log")" 1

# many COUNT: a program that wants so many sockets; how many it got, and why no more
cat >"$WORK/many.py" <<'END'
import errno, socket, sys
kept = []
try:
    for _ in range(int(sys.argv[1])):
        s = socket.socket()
        kept.append(s)
except OSError as error:
    print("refused", errno.errorcode[error.errno])
else:
    print("all")
END
open_files=$(find "/proc/$DAEMON_PID/fd" -mindepth 1 | wc -l)
prlimit --pid "$DAEMON_PID" --nofile=$((open_files + 20)):
got=$(on_stack $PYTHON "$WORK/many.py" 200)
case $got in
"refused "*) note "ok: without descriptors: $got" ;;
*) fail "without descriptors: $got" ;;
esac
download 'a download with the few descriptors that are left'
prlimit --pid "$DAEMON_PID" --nofile=4096:
check_equal 'with descriptors again' "$(on_stack $PYTHON "$WORK/many.py" 200)" all

size=$(awk '$1 == "VmSize:" { print $2 * 1024 }' "/proc/$DAEMON_PID/status")
prlimit --pid "$DAEMON_PID" --as="$size:"
got=$(on_stack $PYTHON "$WORK/many.py" 3000)
note "without memory: $got"
on_stack timeout 5 curl -sS --max-time 4 "http://$WORLD:8000/file" >"$WORK/got" 2>"$WORK/curl.log" || note "a download without memory: $(cat "$WORK/curl.log")"
kill -0 "$DAEMON_PID" || fail "the service died"
prlimit --pid "$DAEMON_PID" --as=unlimited:
download 'with memory again'
umount -l "$WORK_FULL"
