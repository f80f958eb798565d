#!/bin/bash
# docs/sidecar: containers that share nothing but the control socket's directory with the service. There is no engine here; what one would do with
# the compose file is done by hand: mount, process, network, IPC and host name namespaces, a root directory, a user, no capability.
# time: 120
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
make -s -C "$TOP" install-files B="$BUILD" PREFIX=/usr DESTDIR="$WORK/package" >/dev/null
mkdir -p "$WORK/volume"
chmod 711 "$WORK"
chgrp 2000 "$WORK/volume"
chmod 2777 "$WORK/volume" # the image's user sidestack owns it; here the service is nobody

$PYTHON -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' <"$TOP/docs/sidecar/compose.yaml" >"$WORK/compose"
$PYTHON -c 'import sys, yaml; yaml.safe_load(sys.stdin)' <"$TOP/docs/sidecar/pod.yaml"
# dockerfile WORD: what the last line with it says
dockerfile() {
    sed -n "s/^$1 //p" "$TOP/docs/sidecar/Dockerfile" | tail -n 1
}
# of SERVICE FILTER
of() {
    jq -r ".services.$1$2" "$WORK/compose"
}
# What is in the container before its program.
# shellcheck disable=SC2016 # for its shell
INSIDE='set -e
root=$1 package=$2 volume=$3 mode=$4
shift 4
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/root"
cp -a "$package/." "$root/upper"
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/root"
root=$root/root
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in "null 1 3" "zero 1 5" "urandom 1 9"; do mknod -m 666 "$root/dev/${device%% *}" c ${device#* }; done
mkdir "$root/run/sidestack"
mount --bind "$volume" "$root/run/sidestack"
[ "$mode" = rw ] || mount -o remount,bind,ro "$root/run/sidestack"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec "$@"'
# container NAME MODE USER GROUPS COMMAND...: in the background, as user and group USER; its process is NAME's
container() {
    local name=$1 mode=$2 user=$3 groups=$4 limits=(--inh-caps=-all --bounding-set=-all --no-new-privs)
    shift 4
    mkdir -p "$WORK/roots/$name"
    ip netns add "$name" 2>/dev/null || true
    background "$name" nsenter --net="/run/netns/$name" unshare --mount --pid --ipc --uts --fork --kill-child \
        bash -c "$INSIDE" bash "$WORK/roots/$name" "$WORK/package" "$WORK/volume" "$mode" \
        setpriv --reuid "$user" --regid "$user" --groups "$groups" "${limits[@]}" "$@"
}
# in_container NAME COMMAND...: a program more in it, as somebody in the group
in_container() {
    as_group 2000 "$@"
}
# as_group GROUP NAME COMMAND...
as_group() {
    local pid group=$1
    shift
    pid=$(pgrep -P "${PID_OF[$1]}")
    nsenter -t "$pid" --mount --pid --net --ipc --uts --root --wd=/ -- \
        setpriv --reuid 1001 --regid 1001 --groups "$group" --inh-caps=-all --bounding-set=-all --no-new-privs "${@:2}"
}

# as_service COMMAND...: in the sidecar, as its user
as_service() {
    nsenter -t "$(pgrep -P "${PID_OF[stack]}")" --mount --pid --net --ipc --uts --root --wd=/ -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# The world: what the sidecar's own network leads to.
ip netns add stack
ip link add to-stack type veth peer name eth0 netns stack
ip address add 192.168.77.1/24 dev to-stack
ip link set to-stack up
ip -n stack address add 192.168.77.2/24 dev eth0
ip -n stack link set eth0 up
ip -n stack link set lo up
ip -n stack route add default via 192.168.77.1
mkdir "$WORK/www"
random_file "$WORK/www/large" 8M
background world $PYTHON -u -m http.server -d "$WORK/www" -b 192.168.77.1 8000
wait_for_line world 'Serving HTTP'

mapfile -t entry < <(dockerfile ENTRYPOINT | jq -r '.[]')
mapfile -t arguments < <(of stack '.command[]')
container stack rw 65534 65534 env -i PATH=/usr/bin:/bin "$(dockerfile ENV)" "${entry[@]}" "${arguments[@]}" \
    --rule 'reject user=1003 role=connect error=EHOSTDOWN'
mapfile -t health < <(of stack '.healthcheck.test[1:][]')
healthy() {
    pgrep -P "${PID_OF[stack]}" >/dev/null && in_container stack env "$(dockerfile ENV)" "${health[@]}" >"$WORK/health.log" 2>&1
}
wait_until "the sidecar is not healthy" healthy
note "ok: the sidecar is healthy"
check_equal "its socket" "$(stat -c '%g %a' "$WORK/volume/default.sock")" "2000 660"

mapfile -t environment < <(of server '.environment | to_entries[] | .key + "=" + .value')
clean=(env -i)
environment+=(PATH=/usr/bin:/bin)
for name in server client; do
    mapfile -t arguments < <(of $name '.command[]')
    directory=$(of $name '.working_dir // "/"')
    user=$(of $name .user)
    container $name ro "${user%:*}" "$(of $name '.group_add[0]')" "${clean[@]}" -C "$directory" "${environment[@]}" "${arguments[@]}"
done
wait_for_exit "${PID_OF[client]}" 60 || fail "the client does not end"
grep -q 'Regents of the University' "$WORK/client.log" || fail "the client got nothing"
note "ok: one container reached another one on the stack's loopback"
check_equal "from the world, through the sidecar's port" \
    "$(curl -sS --max-time 20 http://192.168.77.2:8080/common-licenses/BSD | sha256)" "$(sha256 /usr/share/common-licenses/BSD)"

# Out to the world, and what takes more than a descriptor: addresses, options, a descriptor that was inherited by exec, workers.
check_equal "out to the world" "$(in_container server "${clean[@]}" "${environment[@]}" curl -sS --max-time 30 http://192.168.77.1:8000/large | sha256)" \
    "$(sha256 "$WORK/www/large")"
cat >"$WORK/volume/inherit.py" <<'PROGRAM'
import os, socket, subprocess, sys
if len(sys.argv) > 1:
    s = socket.socket(fileno=int(sys.argv[1]))
    print(s.family.name, s.getpeername()[0], s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), flush=True)
    s.sendall(b"x")
    sys.exit()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
accepted, _ = listener.accept()
os.set_inheritable(client.fileno(), True)
subprocess.run([sys.executable, __file__, str(client.fileno())], close_fds=False, check=True)
print(accepted.recv(1).decode(), client.getpeername() == listener.getsockname())
left, right = socket.socketpair()
socket.send_fds(left, [b"x"], [accepted.fileno()])
_, fds, _, _ = socket.recv_fds(right, 1, 1)
print(socket.socket(fileno=fds[0]).getpeername() == client.getsockname())
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(b"datagram", receiver.getsockname())
print(receiver.recvfrom(100)[1] == ("127.0.0.1", sender.getsockname()[1]))
print(socket.gethostbyname("localhost"), [name for _, name in socket.if_nameindex()])
PROGRAM
check_equal "descriptors" "$(in_container server "${clean[@]}" "${environment[@]}" $PYTHON /run/sidestack/inherit.py | paste -s -d ' ')" \
    "AF_INET 127.0.0.1 1 x True True True 127.0.0.1 ['lo', 'eth0']"

check_equal "descriptors, in a user namespace of its own" \
    "$(in_container server unshare --user --map-root-user "${clean[@]}" "${environment[@]}" $PYTHON /run/sidestack/inherit.py | paste -s -d ' ')" \
    "AF_INET 127.0.0.1 1 x True True True 127.0.0.1 ['lo', 'eth0']"
check_equal "who is not in the group" \
    "$(as_group 2001 server "${clean[@]}" "${environment[@]}" curl -sS http://127.0.0.1:8000/ 2>&1 | sed -n 's/.*\(Permission denied\).*/\1/p')" \
    "Permission denied"
check_equal "the tools in the sidecar" "$(as_service env -i "$(dockerfile ENV)" sidestack ss -ltn | awk '/LISTEN/ { print $4 }')" "0.0.0.0:8000"


# Who asks: the processes' numbers mean nothing to the service, their users do, also of one that became another since it connected.
cat >"$WORK/volume/become.py" <<'PROGRAM'
import errno, os, socket
socket.socket().close()
os.setuid(1003)
print(errno.errorcode[socket.socket().connect_ex(("127.0.0.1", 8000))])
PROGRAM
check_equal "a rule about a user" "$(nsenter -t "$(pgrep -P "${PID_OF[server]}")" --mount --pid --net --ipc --uts --root --wd=/ -- \
    "${clean[@]}" "${environment[@]}" $PYTHON /run/sidestack/become.py)" EHOSTDOWN

# unshare does not end by itself when it is asked to, nor does the server, as process 1; the service does.
kill -KILL "$(pgrep -P "${PID_OF[server]}")"
pkill -P "${PID_OF[stack]}"
wait_for_exit "${PID_OF[stack]}" 10 || fail "the service does not end"
wait_for_line stack 'info: stopped'
