#!/bin/bash
# Names: libc's functions say what they say on the kernel, with the same name server, hosts, nsswitch.conf and resolv.conf; and neither the
# program nor the service opens an Internet socket of the kernel's for it.
# time: 240
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
names_files
lib_begin
[ "$MODE" = stack ] || exit 0
gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread -o "$WORK/names" "$TOP/tests/apps/names.c"
names_server

# The same on the kernel: K like the stack's side, KW like W.
ip netns add K
ip netns add KW
ip -n K link add stack0 index 2 type veth peer name to-k netns KW
for namespace in K KW; do
    ip -n $namespace link set lo up
done
ip -n K address add $STACK/24 dev stack0
ip -n K address add $STACK6/64 dev stack0 nodad
ip -n KW address add $WORLD/24 dev to-k
ip -n KW address add $WORLD6/64 dev to-k nodad
ip -n K link set stack0 up
ip -n KW link set to-k up
ip -n K route add default via $WORLD
ip -n K -6 route add default via $WORLD6
background kernel_server nsenter --net=/run/netns/KW $PYTHON "$TOP/tests/apps/names_server.py" $WORLD $WORLD6
wait_for_line kernel_server ready

for part in ${NAMES_PARTS:-addrinfo services hosts nameinfo dns async threads failures}; do
    timeout 100 nsenter --net=/run/netns/K "$WORK/names" "$part" >"$WORK/$part.kernel" 2>&1 || fail "$part on the kernel: $?"
    on_stack timeout 100 strace -f -qq -o "$WORK/$part.strace" -e trace=socket "$WORK/names" "$part" >"$WORK/$part.stack" 2>&1 ||
        fail "$part on the stack: $?"
    [ "$(wc -l <"$WORK/$part.kernel")" -gt 5 ] || fail "$part says too little"
    if ! diff "$WORK/$part.kernel" "$WORK/$part.stack" >"$WORK/$part.diff"; then
        head -n 60 "$WORK/$part.diff"
        fail "$part: < the kernel's, > the stack's"
    fi
    if grep -E 'AF_INET|AF_NETLINK' "$WORK/$part.strace" | head -n 3; then
        fail "$part: a socket of the kernel's"
    fi
    note "ok: $part: $(wc -l <"$WORK/$part.kernel") answers are the kernel's"
done
