#!/bin/bash
# Name servers and domains from the service's options, over IPv6; the service's own sockets; a service that dies, or is not there.
# time: 90
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
names_files
echo 'nameserver 10.77.0.99' >/etc/resolv.conf # nobody; still the same file
DAEMON_OPTIONS=(--dns "$WORLD6" --dns "$WORLD" --search nowhere.test --search search2.test)
if [ "$BUILD" = "$TOP/build" ] && [ -z "$DAEMON_WRAPPER" ]; then
    DAEMON_WRAPPER="strace -D -qq -o $WORK/service.strace -e trace=socket,connect,openat,sendto"
fi
lib_begin
names_server

check_equal "the servers of --dns" "$(on_stack getent hosts one.test | tr -s ' ')" "$WORLD one.test"
check_equal "the domains of --search" "$(on_stack getent hosts short | tr -s ' ')" "10.77.0.22 short.search2.test"
check_equal "an answer of 62 KB" "$(on_stack getent ahostsv4 huge.test | grep -c STREAM)" 2500
if [ -e "$WORK/service.strace" ]; then
    [ "$(grep -c openat "$WORK/service.strace")" -gt 3 ] || fail "strace saw nothing"
    # One for the device's settings, before the service is ready; none after.
    check_equal "the service's Internet sockets" "$(grep -cE 'socket\((AF_INET|AF_INET6|AF_NETLINK)' "$WORK/service.strace" || true)" \
        "$(sed '/resolv.conf/,$d' "$WORK/service.strace" | grep -cE 'socket\((AF_INET|AF_INET6|AF_NETLINK)' || true)"
    check_equal "the files that it reads for a lookup, but for when its programs began" \
        "$(sed -n '/resolv.conf/,$s/.*openat([^"]*"\([^"]*\)".*/\1/p' "$WORK/service.strace" | grep -v '^/proc/[0-9]*/stat$' | sort -u | tr '\n' ' ')" \
        '/dev/urandom /etc/resolv.conf '
fi

# Many lookups at once: all are answered, or refused in order.
check_equal "300 lookups at once" "$(on_stack $PYTHON -c '
import socket, threading
results = []
def ask(n):
    try:
        results.append(socket.getaddrinfo("slow.test", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror as error:
        results.append(error.errno)
threads = [threading.Thread(target=ask, args=(n,)) for n in range(300)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(results), set(results) <= {"10.77.0.1", socket.EAI_AGAIN}, results.count("10.77.0.1") >= 256)')" "300 True True"

# A program that has used up its descriptors can look up names no more than without us; nothing hangs or crashes.
check_equal "no descriptor left" "$(on_stack $PYTHON -c '
import os, resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
socket.getaddrinfo("one.test", 80)
fds = []
try:
    while True: fds.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
try: print(socket.getaddrinfo("dual.test", 80, socket.AF_INET6, socket.SOCK_STREAM)[0][4][0])
except socket.gaierror as error: print(error.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM))
os.close(fds[0]); os.close(fds[1])
print(socket.getaddrinfo("one.test", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])' | tail -n 1)" $WORLD

background waiting on_stack $PYTHON -c '
import socket, time
start = time.monotonic()
print("asking", flush=True)
try: socket.getaddrinfo("silent.test", 80)
except socket.gaierror as error: print(error.errno == socket.EAI_AGAIN, time.monotonic() - start < 4, flush=True)'
program=$BACKGROUND_PID
wait_for_line names_server silent.test
kill -KILL "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
wait_for_exit "$program" 10 || fail "a lookup hangs without a service"
check_equal "a lookup when the service dies" "$(tail -n 1 "$WORK/waiting.log")" "True True"
check_equal "a lookup without a service" \
    "$(on_stack $PYTHON -c '
import socket
try: socket.getaddrinfo("one.test", 80)
except socket.gaierror as error: print(error.errno == socket.EAI_AGAIN)
print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0], socket.getaddrinfo("10.1.2.3", 80)[0][4][0])' 2>/dev/null)" \
    "True
127.0.0.1 10.1.2.3"
