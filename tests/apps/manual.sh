#!/bin/bash
# What README.md, docs/using.md, docs/rules.md, docs/wires.md and the man pages say, done word by word by a user without root. The packages and the
# units are tried by checks/deb.sh, docs/recipes.md by recipes.sh.
# time: 120
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
# shellcheck source=../docs.sh
. "$TOP/tests/docs.sh"

# alice, her home and her programs; root's part is done here.
cp /etc/passwd "$WORK/passwd"
echo 'alice:x:12345:12345::/home/alice:/bin/bash' >>"$WORK/passwd"
mount --bind "$WORK/passwd" /etc/passwd
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
mkdir -p /run/alice /run/bin "$WORK/www"
chmod 755 /run
cp "$BUILD"/sidestack{,d,-capture,-top,-metrics} "$BUILD/libintercept.so" /run/bin
chown 12345:12345 /run/alice
reader_open setpriv --reuid=12345 --regid=12345 --clear-groups --inh-caps=-all --bounding-set=-all \
    env -i -C /run/alice HOME=/run/alice XDG_RUNTIME_DIR=/run/alice PATH=/run/bin:/usr/bin:/bin USER=alice bash
echo "hello from the machine" >"$WORK/www/index.html"
web() {
    background "web-$1" $PYTHON -u -m http.server -d "$WORK/www" -b "$1" 80
    wait_for_port "$1" 80
}
curls='sidestack run -- curl http://10.1.0.1/'

# What a reader has running ends before the next page.
clear_desk() {
    # shellcheck disable=SC2016 # for the reader's shell
    reader_do 'kill $(jobs -p) 2>/dev/null; wait'
    for pid in "${!PID_OF[@]}"; do
        [[ $pid != web-* ]] || { stop "${PID_OF[$pid]}"; unset "PID_OF[$pid]"; }
    done
    for device in side0 side1; do ip link del $device 2>/dev/null || true; done
}

docs_open README.md
pass_over 'a real descriptor' "a picture"
pass_over 'make demo' "it takes minutes; its parts are the other tests"
pass_over 'make deb' "checks/deb.sh"
pass_over 'knows libc' "a list of folders"
do_block 'ip tuntap add dev side0'
web 10.1.0.1
reader_block 'sidestackd --netif tap:side0'
reader_wait default
reader_block 'sidestack ss -tan'
check_step "curl on the stack" 'hello from the machine'
check_step "the list of sockets" '^State.*Peer Address:Port'
check_equal "whom the machine saw" "$(awk '/"GET/ { print $1 }' "$WORK/web-10.1.0.1.log")" 10.1.0.2
docs_done
clear_desk

docs_open docs/using.md
do_block 'dev side0 mode tap user alice'
web 10.1.0.1
reader_block '--gateway 10.1.0.1 &'
reader_wait default
reader_block 'run -- python3 -m http.server &'
check_step "a program" 'hello from the machine'
wait_for_port 10.1.0.2 8000
reader_block 'sidestack ss -tanp'
check_step "ss" '^LISTEN .*8000 .*"python3",pid='
check_step "netif" 'inet 10.1.0.2/24 static'
check_step "stats" TcpActiveOpens
reader_block 'SIDESTACK_TRACE=1'
check_step "a trace" 'connect(.*10.1.0.1'
reader_block 'sidestack impair delay=20ms'
check_step "impaired, and not" '^none$'
reader_block 'kill %?side0'
check_equal "the settings" "$(sed -n 's/^netif = //p' /run/alice/stack.conf)" tap:side0
reader_block 'sidestackd --config stack.conf &'
reader_wait default
reader_block 'kill -HUP'
reader_do "$curls"
check_step "with the settings of a file" 'hello from the machine'
do_block 'ip tuntap add dev side1'
web 10.2.0.1
reader_block 'sidestackd --name lab'
reader_wait lab
reader_block 'sidestack run --stack lab'
check_step "on another stack" 'hello from the machine'
check_step "two stacks" '^lab  *running  *side1 .*10.2.0.2/24'
pass_over 'systemctl' "checks/deb.sh"
docs_done
clear_desk

# ---- the man pages ----
docs_open docs/man/sidestackd.8
do_block 'ip tuntap add dev side0'
web 10.1.0.1
reader_block 'gateway 10.1.0.1 &'
reader_wait default
reader_block 'sidestack run -- curl'
check_step "sidestackd.8" 'hello from the machine'
reader_block 'check >stack.conf'
reader_block 'sidestackd --config stack.conf &'
reader_wait default
docs_done

ip tuntap add dev side1 mode tap user alice
ip address add 10.2.0.1/24 dev side1
ip link set side1 up
web 10.2.0.1
reader_do 'sidestackd --name lab --netif tap:side1 --address 10.2.0.2/24 --gateway 10.2.0.1 &'
reader_wait lab
docs_open docs/man/libintercept.7
reader_block 'curl http://10.1.0.1/' 's|/usr/lib/sidestack|/run/bin|'
check_step "libintercept.7" 'hello from the machine'
reader_block 'SIDESTACK_NAME=lab' 's|/usr/lib/sidestack|/run/bin|'
check_step "by the name" 'hello from the machine'
check_equal "on the stack of that name" "$(awk '/"GET/ { print $1 }' "$WORK/web-10.2.0.1.log" | tail -n 1)" 10.2.0.2
docs_done

docs_open docs/man/sidestack.1
reader_block 'sidestack list'
check_step "sidestack.1" 'hello from the machine'
check_step "list" '^lab .*running'
reader_block 'sidestack impair none'
reader_block 'sidestack stats 0.5 2'
check_step "top" '^PROGRAM .*STATE'
reader_block 'sidestack capture -c 5'
reader_do 'until [ -s curl.pcapng ]; do read -r -t 0.05 <> <(:) || :; done'
reader_block 'curl -o page'
reader_do 'wait %?capture'
[ "$(tcpdump -n -r /run/alice/curl.pcapng 2>/dev/null | wc -l)" = 5 ] || fail "$(cat "$WORK/reader.log")"
random_file "$WORK/www/large" 4M
reader_do 'sidestack run -- curl -sS --limit-rate 1K -o large http://10.1.0.1/large &'
reader_do 'until [ -s large ]; do read -r -t 0.05 <> <(:) || :; done'
reader_block 'sidestack kill prog curl'
check_step "kill" '^tcp ESTAB 10.1.0.2:[0-9]* 10.1.0.1:80'
docs_done
clear_desk

docs_open docs/man/sidestack.conf.5
cat "$(block 'name = web')" "$(block 'rule = host program=ssh')" "$(block 'a satellite')" >/run/alice/web.conf
ip tuntap add dev web0 mode tap user alice
ip address add 10.1.0.1/24 dev web0
ip link set web0 up
web 10.1.0.1
reader_do 'sidestackd --config web.conf --check'
reader_do 'sidestackd --config web.conf &'
reader_wait web
reader_do 'sidestack run --stack web -- curl -sS -w "%{time_connect}\n" http://10.1.0.1/'
check_step "sidestack.conf.5: over the satellite" '^\(0.[5-9]\|[1-9]\)'
reader_do 'sidestack rules --name web test ssh connect 192.0.2.1:22'
check_step "and its rule" '^host: web.conf:10: host program=ssh port=22'
docs_done
clear_desk

# ---- rules, tools, wires ----
docs_open docs/rules.md
{
    for ((i = 1; i < 11; i++)); do echo "# line $i"; done
    cat "$(block 'rule = blackhole address=198')"
} >/run/alice/rules.conf
ip tuntap add dev side0 mode tap user alice
ip address add 10.1.0.1/24 dev side0
ip link set side0 up
web 10.1.0.1
reader_do 'sidestackd --config rules.conf --netif tap:side0 --address 10.1.0.2/24 --gateway 10.1.0.1 &'
reader_wait default
want=$(block 'rules test ssh connect')
reader_do "$(sed -n 's/^\$ //p' "$want")"
check_equal "what a rule would do" "$(sed 's|rules.conf:12|/etc/sidestack/sidestack.conf:12|; s/  */ /g' "$WORK/step")" "$(grep -v '^\$' "$want")"
docs_done

# Of what the tools print, the first line after each command is the same up to numbers and blanks.
docs_open docs/tools.md
shape() {
    sed 's/[0-9a-f:.]*[0-9][0-9a-f:.]*/N/g; s/  */ /g; s/ $//'
}
pass_over 'counters of all layers: once' "a list"
pass_over 'wireshark -k' "capture.sh"
pass_over 'packets transmitted' "the end of ping's output"
pass_over 'metrics --listen' "tools.sh"
pass_over 'sidestack kill prog' "tools.sh"
for words in 'ss -tanp' 'sidestack stats 1' '# sidestack netif' 'ping -c 3' '# sidestack rules test'; do
    page=$(block "$words")
    reader_do "timeout 2 $(sed -n '1s/^# //p' "$page" | sed 's/10.77.0.1/10.1.0.1/') || [ \$? = 124 ]"
    check_equal "$words" "$(head -n 1 "$WORK/step" | shape)" "$(sed -n 2p "$page" | shape)"
done
docs_done
clear_desk

docs_open docs/wires.md
web 127.0.0.1
reader_block 'vde:slirp'
reader_wait default
reader_block 'http://example.org' 's|example.org|10.0.2.2|'
check_step "slirp" 'hello from the machine'
docs_done
clear_desk
