#!/bin/bash
# snmpd, asked and set by snmpget and snmpwalk, each on the stack with the other on the kernel.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

cat >"$WORK/snmpd.conf" <<END
rocommunity public
rocommunity6 public
sysLocation the world
sysName tested
END
export SNMPCONFPATH=$WORK SNMP_PERSISTENT_DIR=$WORK/persistent MIBS=

# serve NAME ADDRESS ADDRESS6 [COMMAND-PREFIX]
serve() {
    local name=$1 address=$2 address6=$3
    shift 3
    background "$name" "$@" snmpd -f -Lo -C -c "$WORK/snmpd.conf" -p "$WORK/$name.pid" "udp:$address:161" "udp6:[$address6]:161"
    server=$BACKGROUND_PID
    wait_for_line "$name" 'NET-SNMP version'
}

# ask TRANSPORT-AND-ADDRESS [COMMAND-PREFIX]
ask() {
    local address=$1
    shift
    check_equal "get from $address" \
        "$("$@" snmpget -v2c -c public -Ovq -t 5 "$address" .1.3.6.1.2.1.1.6.0)" '"the world"'
    check_equal "walk of $address" \
        "$("$@" snmpbulkwalk -v2c -c public -On -t 5 "$address" .1.3.6.1.2.1.1 | grep -c '^\.1\.3\.6\.1\.2\.1\.1\.')" "$objects"
}
serve server_on_kernel $WORLD $WORLD6
objects=$(snmpbulkwalk -v2c -c public -On $WORLD .1.3.6.1.2.1.1 | wc -l)
ask udp:$WORLD on_stack
ask "udp6:[$WORLD6]" on_stack
stop "$server"
serve server_on_stack $STACK $STACK6 on_stack
ask udp:$STACK
ask "udp6:[$STACK6]"
