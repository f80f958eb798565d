#!/bin/bash
# The Debian package: lintian is content, and in a scratch root, under a systemd of its own, it is installed, serves
# programs, is reloaded and removed, and leaves nothing behind.
# time: 300
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${SIDESTACK_ISOLATED:-}" ]; then
    exec scripts/isolate 300 "$0"
fi
trap 'echo "FAILED: deb.sh line $LINENO: $BASH_COMMAND" >&2' ERR
WORK=$(mktemp -d)
ROOT=$WORK/root
CGROUP=sidestack-test-$$
PID=

finish() {
    local status=$? tries=0
    [ $status -eq 0 ] || tail -n 40 "$WORK"/*.log "$ROOT/run/sidestackd.log" 2>/dev/null || true
    if [ -n "$PID" ]; then
        kill -KILL "$PID" 2>/dev/null || true
        wait "$PID" 2>/dev/null || true
    fi
    # What was in the groups may still be ending.
    until [ ! -d "$WORK/cgroup/$CGROUP" ] || [ $((tries += 1)) -gt 50 ]; do
        echo $$ >"$WORK/cgroup/cgroup.procs" || true
        find "$WORK/cgroup/$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        read -r -t 0.1 <> <(:) || true
    done
    mountpoint -q "$WORK/tmpfs" && umount -R -l "$ROOT" "$WORK/tmpfs"
    umount "$WORK/cgroup" || true
    rm -rf "$WORK"
    exit $status
}
trap finish EXIT
check_equal() {
    [ "$2" = "$3" ] || {
        echo "FAILED: $1: got '$2', wanted '$3'" >&2
        exit 1
    }
    echo "ok: $1"
}

package=$(scripts/deb/build build "$(make -s print-VERSION)")
lintian --allow-root --fail-on error,warning,info "$package"
echo "ok: $package, which lintian likes"

# The scratch root is this machine's with a layer on top. Its processes have a control group, a network and numbers of
# their own.
mkdir "$WORK/tmpfs" "$WORK/cgroup" "$ROOT"
mount -t tmpfs tmpfs "$WORK/tmpfs"
mkdir "$WORK/tmpfs/upper" "$WORK/tmpfs/work"
mount -t overlay -o "lowerdir=/,upperdir=$WORK/tmpfs/upper,workdir=$WORK/tmpfs/work" overlay "$ROOT"
mount -t cgroup2 cgroup2 "$WORK/cgroup"
mkdir "$WORK/cgroup/$CGROUP"
mount -t sysfs sysfs "$ROOT/sys"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev" # not the machine's, in which systemd makes what it misses
mount -t tmpfs tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
mkdir "$ROOT/dev/net"
while read -r device numbers; do
    # shellcheck disable=SC2086 # two numbers
    mknod -m 666 "$ROOT/dev/$device" c $numbers
done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
net/tun 10 200
END
ln -s /proc/self/fd "$ROOT/dev/fd"
cp "$package" "$ROOT/var/cache/sidestack.deb"
cat >"$ROOT/run/begin.target" <<END
[Unit]
DefaultDependencies=no
END
for unit in sidestackd.service sidestackd@.service; do # there is no journal
    mkdir -p "$ROOT/run/systemd/system/$unit.d"
    printf '[Service]\nStandardError=append:/run/sidestackd.log\n' >"$ROOT/run/systemd/system/$unit.d/log.conf"
done
mv "$ROOT/run/begin.target" "$ROOT/run/systemd/system"
rm -f "$ROOT/var/lib/man-db/auto-update" # it takes long, and is none of ours
# This machine may have the package, and a policy that forbids to start services.
chroot "$ROOT" dpkg --purge sidestack >/dev/null 2>&1 || true
printf '#!/bin/sh\nexit 0\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
cat >"$WORK/init" <<END
echo \$\$ >"$WORK/cgroup/$CGROUP/cgroup.procs"
exec unshare --cgroup --mount --pid --fork --kill-child --ipc --uts bash -c 'mount -t proc proc "$ROOT/proc"
    mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
    exec env container=sidestack chroot "$ROOT" /lib/systemd/systemd --system --unit=begin.target --show-status=no --log-target=null'
END
bash "$WORK/init" >"$WORK/init.log" 2>&1 </dev/null &
PID=$!

# inside COMMAND...: in the scratch root
inside() {
    nsenter -t "$INIT" --mount --pid --cgroup --ipc --uts --root --wd timeout 60 "$@" </dev/null
}
deadline=$((SECONDS + 120))
until INIT=$(pgrep -f -x '/lib/systemd/systemd --system --unit=begin.target.*') && inside systemctl is-active -q begin.target 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || exit 1
    read -r -t 0.1 <> <(:) || true
done
echo "ok: systemd runs"
find "$WORK/tmpfs/upper" -not -type d | sort >"$WORK/before"

inside dpkg -i /var/cache/sidestack.deb >"$WORK/dpkg.log" 2>&1
check_equal "where programs find it" "$(inside stat -c '%U %G %a %F' /run/sidestack/default.sock)" "root sidestack 660 socket"
check_equal "after the installation" "$(inside systemctl is-active sidestackd.socket sidestackd.service || true)" "active
inactive"
inside systemd-analyze verify /lib/systemd/system/sidestackd{,@}.{service,socket} 2>&1 | grep -i sidestack && exit 1
exposure=$(inside systemd-analyze security --no-pager sidestackd.service | sed -n 's/.*Overall exposure level.*: \([0-9]*\).*/\1/p')
[ "$exposure" -le 3 ]
echo "ok: the units; systemd-analyze security gives $exposure of 10"

# A user in the group; the service begins with the first program.
user() {
    inside setpriv --reuid=65534 --regid=65534 --groups="$(inside getent group sidestack | cut -d : -f 3)" --inh-caps=-all "$@"
}
printf '%s\n' 'netif = tap:deb0' 'address = 10.79.0.2/24' >"$ROOT/etc/sidestack/default.conf"
ip link show deb0 >/dev/null 2>&1 && exit 1
cat >"$ROOT/tmp/say.py" <<'END'
import socket, sys
with socket.create_connection((sys.argv[1], 8000), timeout=20) as connection:
    print(connection.getsockname()[0], connection.makefile().readline().strip())
END
user /usr/bin/sidestack run -- /usr/bin/python3 -c 'import socket; socket.socket()'
check_equal "a program starts it" "$(inside systemctl is-active sidestackd.service)" active
check_equal "whose process it is" "$(inside ps -o user= -C sidestackd)" sidestack
ip address add 10.79.0.1/24 dev deb0
/usr/bin/python3 -c 'import socket
listener = socket.create_server(("", 8000))
while True:
    listener.accept()[0].sendall(b"hello\n")' &
server=$!
deadline=$((SECONDS + 60))
until (exec 3<>/dev/tcp/10.79.0.1/8000) 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || exit 1
    read -r -t 0.05 <> <(:) || true
done
check_equal "a program on it" "$(user /usr/bin/sidestack run -- /usr/bin/python3 /tmp/say.py 10.79.0.1)" "10.79.0.2 hello"
check_equal "not for others" "$(inside setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
    /usr/bin/sidestack run true 2>&1 || true)" \
    "sidestack run: no service (is sidestackd running?): /run/sidestack/default.sock: Permission denied"

# A reload: a bad file fails and changes nothing.
service=$(inside systemctl show -P MainPID sidestackd.service)
echo 'dns = nowhere' >>"$ROOT/etc/sidestack/default.conf"
inside systemctl reload sidestackd.service 2>/dev/null && exit 1
sed -i 's/nowhere/10.79.0.1/' "$ROOT/etc/sidestack/default.conf"
inside systemctl reload sidestackd.service
check_equal "after two reloads" "$(inside systemctl show -P MainPID,ActiveState sidestackd.service | paste -s -d ' ')" "$service active"

# A second stack, from the template.
printf '%s\n' 'netif = tap:deb1' 'address = 10.80.0.2/24' >"$ROOT/etc/sidestack/blue.conf"
inside systemctl start sidestackd@blue.socket
user /usr/bin/sidestack run --name blue -- /usr/bin/python3 -c 'import socket; socket.socket()'
ip address add 10.80.0.1/24 dev deb1
check_equal "on the stack blue" "$(user /usr/bin/sidestack run --name blue -- /usr/bin/python3 /tmp/say.py 10.80.0.1)" \
    "10.80.0.2 hello"
rm "$ROOT/etc/sidestack/blue.conf"

# Wires of VDE under the unit's restrictions: slirp, and a switch whose directory is where Debian's are.
printf '%s\n' 'netif = vde:slirp://' 'dhcp = on' >"$ROOT/etc/sidestack/slirp.conf"
inside systemctl start sidestackd@slirp.socket
check_equal "through slirp" "$(user /usr/bin/sidestack run --name slirp -- /usr/bin/python3 /tmp/say.py 10.0.2.2)" "10.0.2.15 hello"
inside bash -c 'mkdir /run/vde2; chown sidestack /run/vde2; setpriv --reuid=sidestack --clear-groups vde_switch -d -s /run/vde2/switch.ctl -m 0660'
printf '%s\n' 'netif = vde:/run/vde2/switch.ctl' 'address = 10.81.0.2/24' >"$ROOT/etc/sidestack/switch.conf"
printf '%s\n' 'netif = vde:/run/vde2/switch.ctl' 'address = 10.81.0.1/24' >"$ROOT/etc/sidestack/other.conf"
inside systemctl start sidestackd@switch.socket sidestackd@other.socket
user /usr/bin/sidestack run --name other -- /usr/bin/python3 -c 'import socket
listener = socket.create_server(("", 8000))
print("ready", flush=True)
listener.accept()[0].sendall(b"hello\n")' >"$WORK/other.log" 2>&1 &
until grep -q ready "$WORK/other.log"; do
    [ $SECONDS -lt 250 ] || exit 1
    read -r -t 0.05 <> <(:) || true
done
check_equal "through a switch" "$(user /usr/bin/sidestack run --name switch -- /usr/bin/python3 /tmp/say.py 10.81.0.1)" "10.81.0.2 hello"
rm "$ROOT/etc/sidestack"/{slirp,switch,other}.conf

# The same version again is an upgrade: the service runs on.
inside dpkg -i /var/cache/sidestack.deb >>"$WORK/dpkg.log" 2>&1
check_equal "after an upgrade" "$(inside systemctl show -P MainPID sidestackd.service)" "$service"

inside dpkg --remove sidestack >>"$WORK/dpkg.log" 2>&1
check_equal "after the removal" "$(inside pgrep -c sidestackd || true)" 0
check_equal "sockets" "$(inside find /run/sidestack -type s)" ""
inside dpkg --purge sidestack >>"$WORK/dpkg.log" 2>&1
# Debian keeps users of packages. The rest is dpkg's and systemd's own record, and what programs of other packages wrote.
find "$WORK/tmpfs/upper" -not -type d | sort | comm -13 "$WORK/before" - | sed "s|$WORK/tmpfs/upper||" |
    grep -v -E '^/etc/(passwd|group|shadow|gshadow)-?$|^/var/lib/dpkg/|^/var/log/|^/var/cache/|__pycache__|/etc/\.pwd\.lock|^/etc/mtab$' \
    >"$WORK/left" || true
check_equal "what is left" "$(cat "$WORK/left")" ""
kill $server
