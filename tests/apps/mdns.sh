#!/bin/bash
# Services that find each other by multicast DNS: one on the stack, one on the kernel.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

cat >"$WORK/speak.py" <<'END'
"""speak NAME ADDRESS OTHER: tell the link of a service, and of another that is found, until SIGTERM."""
import signal
import socket
import sys
import zeroconf

name, address, other = sys.argv[1:]
KIND = "_sidestack._tcp.local."
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def changed(zeroconf, service_type, name, state_change):
    info = zeroconf.get_service_info(service_type, name, 5000)
    if info is not None and name.startswith(other + "."):
        print("found", name, *info.parsed_addresses(), info.port, info.properties.get(b"from").decode(), flush=True)


speaker = zeroconf.Zeroconf(interfaces=[address], ip_version=zeroconf.IPVersion.V4Only)
speaker.register_service(zeroconf.ServiceInfo(KIND, f"{name}.{KIND}", 4000 + len(name), properties={"from": name},
                                              addresses=[socket.inet_aton(address)], server=f"{name}.local."))
print("registered", flush=True)
browser = zeroconf.ServiceBrowser(speaker, KIND, handlers=[changed])
signal.sigwait([signal.SIGTERM])
speaker.close()
END
background kernel $PYTHON "$WORK/speak.py" world $WORLD stack
background stack on_stack $PYTHON "$WORK/speak.py" stack $STACK world
wait_for_line kernel '^found'
wait_for_line stack '^found'
check_equal "found from the kernel" "$(grep '^found' "$WORK/kernel.log")" \
    "found stack._sidestack._tcp.local. $STACK 4005 stack"
check_equal "found from the stack" "$(grep '^found' "$WORK/stack.log")" \
    "found world._sidestack._tcp.local. $WORLD 4005 world"
stop "${PID_OF[stack]}"
stop "${PID_OF[kernel]}"
