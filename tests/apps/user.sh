#!/bin/bash
# The whole thing without root: a user's service on a device that root gave to the user, found by its default name.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0

# Programs and files where nobody (65534) may read them; /run is this test's own.
cp "$BUILD/sidestackd" "$BUILD/sidestack" "$BUILD/libintercept.so" /run
mkdir /run/nobody
chown 65534:65534 /run/nobody
chmod 755 /run
# Everyone may open this device on a machine with udev, but not on each machine that tests are run on.
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
ip tuntap add dev user0 mode tap user nobody
ip address add 10.78.0.1/24 dev user0
ip link set user0 up
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all
    env -C / HOME=/ XDG_RUNTIME_DIR=/run/nobody)

background service "${nobody[@]}" /run/sidestackd --netif tap:user0 --address 10.78.0.2/24 --gateway 10.78.0.1
service=$BACKGROUND_PID
wait_for_line service 'started'
check_equal "whose process the service is" "$(ps -o uid= -p "$service" | tr -d ' ')" 65534
check_equal "the control socket" "$(stat -c '%u %F' /run/nobody/sidestack/default.sock)" "65534 socket"

random_file /run/nobody/data 5M
background server "${nobody[@]}" /run/sidestack run -- $PYTHON -u -m http.server -d /run/nobody 8000
wait_for_line server 'Serving HTTP'
check_equal "a user's server" "$(curl -sS http://10.78.0.2:8000/data | sha256)" "$(sha256 /run/nobody/data)"
background world $PYTHON -u -m http.server -d /run/nobody -b 10.78.0.1 8000
wait_for_line world 'Serving HTTP'
check_equal "a user's client" \
    "$(in_p "${nobody[@]}" /run/sidestack run -- curl -sS http://10.78.0.1:8000/data | sha256)" "$(sha256 /run/nobody/data)"
stop "$service"
