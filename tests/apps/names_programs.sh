#!/bin/bash
# Programs on the stack reach servers on the kernel by name: those that ask libc, and those that ask name servers themselves.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
names_files
lib_begin
names_server
[ "$MODE" = stack ] || note "on the kernel, for comparison"
mkdir "$WORK/www"
echo welcome >"$WORK/www/page"
for address in $WORLD $WORLD6; do
    background "web-$address" $PYTHON -u -m http.server -d "$WORK/www" -b "$address" 8000
    wait_for_line "web-$address" 'Serving HTTP'
done

check_equal "curl" "$(on_stack curl -sS http://one.test:8000/page)" welcome
check_equal "curl -4 and -6" "$(on_stack curl -sS -4 -w '%{remote_ip}' -o /dev/null http://dual.test:8000/page)
$(on_stack curl -sS -6 -w '%{remote_ip}' -o /dev/null http://dual.test:8000/page)" "$WORLD
$WORLD6"
check_equal "curl of an unknown host" "$(on_stack curl -sS http://nosuch.test/ 2>&1 || true)" \
    "curl: (6) Could not resolve host: nosuch.test"
check_equal "wget" "$(on_stack wget -qO- http://alias.test:8000/page)" welcome
check_equal "getent hosts" "$(on_stack getent hosts one.test | tr -s ' ')" "$WORLD one.test"
check_equal "getent hosts of an address" "$(on_stack getent hosts $WORLD | tr -s ' ')" "$WORLD one.test"
check_equal "getent ahosts" "$(on_stack getent ahosts dual.test | tr -s ' ')" "$WORLD6 STREAM dual.test
$WORLD6 DGRAM 
$WORLD6 RAW 
$WORLD STREAM 
$WORLD DGRAM 
$WORLD RAW "
check_equal "python" "$(on_stack $PYTHON -c 'import socket
print(socket.getaddrinfo("dual.test", 80, type=socket.SOCK_STREAM)[0][4][0], socket.gethostbyname_ex("alias.test"))
print(socket.gethostbyaddr("'$WORLD'")[0], socket.getfqdn("'$WORLD6'"), socket.getnameinfo(("'$WORLD'", 80), 0))
s = socket.create_connection(("one.test", 8000)); print(s.getpeername()[0])')" \
    "$WORLD6 ('Dual.TEST', ['alias.test', 'middle.test'], ['$WORLD'])
one.test six.test ('one.test', 'http')
$WORLD"
check_equal "perl" "$(on_stack perl -MSocket -e 'print inet_ntoa(scalar gethostbyname("one.test"))')" $WORLD
cat >"$WORK/names.js" <<'END'
const dns = require('dns'), http = require('http');
const show = (...words) => console.log(words.map((word) => JSON.stringify(word)).join(' '));
(async () => {
    show('lookup', await dns.promises.lookup('one.test'), (await dns.promises.lookup('dual.test', {all: true})).length);
    show('resolve', await dns.promises.resolve4('one.test'), await dns.promises.resolve6('dual.test'));
    show('reverse', (await dns.promises.reverse(process.argv[2])).sort());
    show('text', await dns.promises.resolveTxt('text.test'), (await dns.promises.resolve4('big.test')).length);
    show('error', await dns.promises.lookup('nosuch.test').catch((error) => error.code),
        await dns.promises.resolve4('nosuch.test').catch((error) => error.code));
    http.get('http://one.test:8000/page', (response) => response.on('data', (data) => show('page', String(data))));
})();
END
check_equal "node" "$(on_stack node "$WORK/names.js" $WORLD)" '"lookup" {"address":"10.77.0.1","family":4} 2
"resolve" ["10.77.0.1"] ["fd77::1"]
"reverse" ["also.test","one.test"]
"text" [["hello","world"]] 200
"error" "ENOTFOUND" "ENOTFOUND"
"page" "welcome\n"'
# Java does IPv6 only where /proc/net/if_inet6, which is the kernel's, has an address.
cat >"$WORK/Names.java" <<'END'
import java.net.*;
class Names {
    public static void main(String[] names) throws Exception {
        System.out.println(InetAddress.getByName("one.test").getHostAddress());
        System.out.println(InetAddress.getByName(names[0]).getCanonicalHostName());
        System.out.print(new String(new URL("http://one.test:8000/page").openStream().readAllBytes()));
    }
}
END
export JAVA_TOOL_OPTIONS="-XX:-UsePerfData -Xshare:auto -XX:TieredStopAtLevel=1"
java=(/usr/lib/jvm/*17*/bin/java)
check_equal "java" "$(on_stack "${java[0]}" "$WORK/Names.java" $WORLD 2>"$WORK/java.log")" "$WORLD
one.test
welcome"
check_equal "dig" "$(on_stack dig +short one.test) $(on_stack dig +short big.test | wc -l) $(on_stack dig +short -x $WORLD | sort | head -n 1)" \
    "$WORLD 200 also.test."
check_equal "drill" "$(on_stack drill text.test TXT | grep -c '"hello"')" 1

ssh_configuration
background sshd /usr/sbin/sshd -D -e -f "$WORK/sshd_config" -o "ListenAddress=$WORLD:2222"
wait_for_line sshd 'Server listening'
check_equal "ssh" "$(on_stack "${SSH[@]}" one.test echo here)" here
git init -q --bare "$WORK/git"
background git git daemon --listen=$WORLD --port=9418 --base-path="$WORK" --export-all --verbose
wait_for_port $WORLD 9418
on_stack git ls-remote git://one.test/git || fail "git"
note "ok: git"
