#!/bin/bash
# Programs that list the interfaces see the stack's, not the machine's.
# time: 60
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0

check_equal "hostname -I" "$(on_stack hostname -I)" "$STACK $STACK6 "
check_equal "python's if_nameindex" "$(on_stack $PYTHON -c 'import socket; print(socket.if_nameindex())')" \
    "[(1, 'lo'), (2, 'stack0')]"
mac=$(on_stack ifconfig stack0 | sed -n 's/.*ether \([0-9a-f:]*\) .*/\1/p')
[ -n "$mac" ] || fail "ifconfig shows no Ethernet address"
check_equal "ifconfig" "$(on_stack ifconfig stack0 | grep -o 'inet .*' | tr -s ' ')" \
    "inet $STACK netmask 255.255.255.0 broadcast ${STACK%.*}.255"
check_equal "ifconfig changes nothing" "$( (on_stack ifconfig stack0 10.77.0.9 || true) 2>&1 | head -n 1)" \
    "SIOCSIFADDR: Operation not permitted"
cat >"$WORK/list.js" <<'END'
const all = require('os').networkInterfaces();
for (const name in all)
    for (const it of all[name])
        if (it.family === 'IPv4')
            console.log(name, it.cidr, it.mac, it.internal);
END
check_equal "node's networkInterfaces" "$(on_stack node "$WORK/list.js")" "lo 127.0.0.1/8 00:00:00:00:00:00 true
stack0 $STACK/24 $mac false"
