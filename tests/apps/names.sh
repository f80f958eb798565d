#!/bin/bash
# Names: libc's functions say what they say on the kernel, with the same name server, hosts, nsswitch.conf and resolv.conf; and neither the
# program nor the service opens an Internet socket of the kernel's for it.
# time: 240
# asan: both
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

# compare WHAT PART [NAME=VALUE]...: on the kernel and on the stack.
compare() {
    local what=$1 part=$2
    shift 2
    timeout 100 nsenter --net=/run/netns/K env "$@" "$WORK/names" "$part" >"$WORK/$what.kernel" 2>&1 &
    local pid=$!
    on_stack timeout 100 strace -f -qq -o "$WORK/strace" -e trace=socket env "$@" "$WORK/names" "$part" >"$WORK/$what.stack" 2>&1 ||
        fail "$what on the stack: $?"
    wait $pid || fail "$what on the kernel: $?"
    [ "$(wc -l <"$WORK/$what.kernel")" -gt 5 ] || fail "$what says too little"
    if ! diff "$WORK/$what.kernel" "$WORK/$what.stack" >"$WORK/diff"; then
        head -n 60 "$WORK/diff"
        fail "$what: < the kernel's, > the stack's"
    fi
    if grep -E 'AF_INET|AF_NETLINK' "$WORK/strace" | head -n 3; then
        fail "$what: a socket of the kernel's"
    fi
    note "ok: $what: $(wc -l <"$WORK/$what.kernel") answers are the kernel's"
}

# The order of a name's addresses, by several /etc/gai.conf.
touch "$WORK/etc/gai.conf"
mount --bind "$WORK/etc/gai.conf" /etc/gai.conf
number=0
for lines in 'precedence ::ffff:0:0/96 100' \
    'label ::1/128 0\nlabel ::/0 1\nlabel 2002::/16 2\nlabel fd88::/16 7 # ours\nlabel ::ffff:0:0/96 4\n\nlabel 2001::/32' \
    'scopev4 ::ffff:10.77.0.0/112 2\nscopev4 192.0.2.0/24 5\nscopev4 nonsense/8 5\nscopev4 10.0.0.0/8x 2' \
    '  precedence\tfd77::9/128 90\nprecedence ::1/128 50\nprecedence fd88::/8 80\nprecedence ::/0 40x\nreload no'; do
    printf '%b\n' "$lines" >"$WORK/etc/gai.conf"
    number=$((number + 1))
    compare "gai.conf-$number" order
done
: >"$WORK/etc/gai.conf"

for part in ${NAMES_PARTS:-addrinfo services hosts nameinfo dns async threads failures}; do
    compare "$part" "$part"
done
[ -z "${NAMES_PARTS:-}" ] || exit 0

# Each of these is set, and the files are changed under a service that runs.
compare LOCALDOMAIN few LOCALDOMAIN='search2.test nowhere.test'
compare ndots few RES_OPTIONS='ndots:2 timeout:1 attempts:1'
echo 'aliased one.test' >"$WORK/aliases"
compare HOSTALIASES few HOSTALIASES="$WORK/aliases"
number=0
for hosts in 'dns files' 'files' 'dns [NOTFOUND=return] files' 'dns [!UNAVAIL=return] files' 'files [NOTFOUND=return] dns' \
    'files dns [TRYAGAIN=return]'; do
    echo "hosts: $hosts" >"$WORK/etc/nsswitch.conf"
    number=$((number + 1))
    compare "nsswitch-$number" few
done
echo 'passwd: files' >"$WORK/etc/nsswitch.conf"
compare no-hosts few
echo 'hosts: files dns' >"$WORK/etc/nsswitch.conf"
echo '10.88.8.8 one.test nosuch.test' >"$WORK/etc/hosts"
compare hosts-changed few
printf 'nameserver 10.77.0.99\nnameserver %s\nsearch test\noptions timeout:1 attempts:1 ndots:3\n' $WORLD6 >"$WORK/etc/resolv.conf"
compare resolv-changed few
printf 'nameserver 10.77.0.99\n' >"$WORK/etc/resolv.conf"
printf 'options timeout:1 attempts:1\n' >>"$WORK/etc/resolv.conf"
compare no-server two
