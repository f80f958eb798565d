#!/bin/bash
# Java's HTTP server and client, each on the stack with the other on the kernel.
# time: 90
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# Java makes its directory for shared figures in /tmp, whatever TMPDIR says.
export JAVA_TOOL_OPTIONS="-XX:-UsePerfData -Xshare:auto -XX:TieredStopAtLevel=1"
java=(/usr/lib/jvm/*17*/bin/java)
javac=(/usr/lib/jvm/*17*/bin/javac)
"${javac[0]}" -d "$WORK" "$TOP/tests/apps/HttpServer.java" 2>"$WORK/javac.log" || fail "javac"
program=("${java[0]}" -cp "$WORK" HttpServer)

expect() {
    printf '%s\n' "address $1" 'large 20000000' 'post 5000000' 'many 100' 'refused: Connection refused'
}

background server_on_stack on_stack "${program[@]}" $STACK 8000
server=$BACKGROUND_PID
wait_for_line server_on_stack "serving on $STACK"
check_equal "client on the kernel, server on the stack" "$("${program[@]}" fetch http://$STACK:8000/ 2>"$WORK/client.log")" \
    "$(expect $WORLD)"
check_equal "curl, server on the stack" "$(curl -sS http://$STACK:8000/)" $WORLD
check_equal "50 of curl's transfers at once" \
    "$(curl -sS --parallel --parallel-max 50 -o /dev/null --stderr "$WORK/curl.log" -w '%{size_download}\n' "http://$STACK:8000/100000?[1-50]" | grep -c -x 100000)" 50
stop "$server"

background server_on_kernel "${program[@]}" $WORLD 8000
wait_for_line server_on_kernel "serving on $WORLD"
check_equal "client on the stack, server on the kernel" \
    "$(on_stack "${program[@]}" fetch http://$WORLD:8000/ 2>"$WORK/client.log")" "$(expect $STACK)"
check_memory_below 65536
