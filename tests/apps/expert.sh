#!/bin/bash
# What the benchmark's loads look like on the wire: tshark's expert analysis, and more rules, find no error of the stack's.
# time: 180
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# The captures are of headers only, on the kernel's end of the wire, where the stack's frames are whole. Each is analysed while the next loads run.
names=()
analyses=() # process ids

capture_begin() {
    background tcpdump tcpdump -i stack0 -s 128 -B 65536 --immediate-mode -U -w "$WORK/capture.${#names[@]}" tcp
    tcpdump=$BACKGROUND_PID
    wait_for_line tcpdump 'listening on'
}

# capture_end NAME clean|lossy
capture_end() {
    local number=${#names[@]} dropped
    stop "$tcpdump"
    wait_for_line tcpdump 'dropped by kernel'
    dropped=$(sed -n 's/ packets dropped by kernel//p' "$WORK/tcpdump.log")
    [ "$dropped" = 0 ] || fail "$1: tcpdump missed $dropped packets"
    nice -n 19 "$PYTHON" "$TOP/tests/apps/expert.py" "$WORK/capture.$number" "$2" $STACK $STACK6 >"$WORK/expert.$number" 2>&1 &
    names+=("$1")
    analyses+=($!)
}

# All of them must have found nothing.
analyses_end() {
    local number
    for number in "${!names[@]}"; do
        wait "${analyses[number]}" || {
            mkdir -p "$TOP/build/logs"
            cp "$WORK/capture.$number" "$TOP/build/logs/expert.pcap"
            cat "$WORK/expert.$number"
            fail "${names[number]}: the stack was found wrong; the capture is build/logs/expert.pcap"
        }
        note "ok: ${names[number]}: $(head -n 1 "$WORK/expert.$number")"
        sed 1d "$WORK/expert.$number"
    done
}

background world "$TOP/build/bench/traffic" serve
wait_for_line world '^[0-9]'
port=$(head -n 1 "$WORK/world.log")
background server on_stack "$TOP/build/bench/traffic" serve
wait_for_line server '^[0-9]'
stack_port=$(head -n 1 "$WORK/server.log")

# traffic NAME clean|lossy KIND STREAMS MS [BYTES]: from the stack to the world, and from the world to the stack
traffic() {
    capture_begin
    on_stack "$TOP/build/bench/traffic" "$3" $WORLD "$port" "${@:4}" >"$WORK/out"
    "$TOP/build/bench/traffic" "$3" $STACK "$stack_port" "${@:4}" >"$WORK/out"
    capture_end "$1" "$2"
}
traffic "one stream sending" clean upload 1 200
traffic "one stream receiving" clean download 1 200
traffic "one stream both ways" clean both 1 200
traffic "eight streams sending" clean upload 8 200
traffic "eight streams receiving" clean download 8 200
traffic "eight streams both ways" clean both 8 200
traffic "round trips" clean echo 1 200
traffic "round trips of 1 KiB" clean echo 1 200 1024
traffic "round trips beside a stream" clean echo-busy 1 150
traffic "connections" clean connect 4 150

capture_begin
for kind in upload download echo; do
    on_stack "$TOP/build/bench/traffic" $kind $WORLD6 "$port" 1 100 >"$WORK/out"
    "$TOP/build/bench/traffic" $kind $STACK6 "$stack_port" 1 100 >"$WORK/out"
done
capture_end "IPv6" clean

nginx_configuration $STACK:80
random_file "$WORK/www/file" 20K
random_file "$WORK/www/large" 1M
background nginx on_stack nginx -c "$WORK/nginx.conf" -e stderr
wait_for_port $STACK 80
capture_begin
wrk -t 1 -c 16 -d 1 -H 'Connection: close' http://$STACK/file >"$WORK/out"
wrk -t 1 -c 16 -d 1 http://$STACK/file >"$WORK/out"
curl -sf -o "$WORK/out" http://$STACK/large http://$STACK/large
capture_end nginx clean

background redis on_stack redis-server --save '' --appendonly no --port 6379 --protected-mode no --dir "$WORK" --bind $STACK
wait_for_port $STACK 6379
capture_begin
redis-benchmark -h $STACK -p 6379 -n 2000 -t set,get,lrange_100 --csv >"$WORK/out"
redis-benchmark -h $STACK -p 6379 -n 2000 -t get -P 16 --csv >"$WORK/out"
capture_end redis clean

"$BUILD/sidestack" impair --socket "$WORK/control" \
    delay=2ms,loss=1%,in:reorder=2%,in:duplicate=0.5%,in:corrupt=0.1%,seed=3 >"$WORK/out"
traffic "a bad path, sending" lossy upload 2 300
traffic "a bad path, receiving" lossy download 2 300
traffic "a bad path, round trips" lossy echo 1 500
"$BUILD/sidestack" impair --socket "$WORK/control" rate=20mbit,queue=20,delay=5ms >"$WORK/out"
traffic "a narrow path, sending" lossy upload 2 300
traffic "a narrow path, receiving" lossy download 2 300
analyses_end
