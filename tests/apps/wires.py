"""Start sidestackd on a descriptor of some kind that leads to the interface stack0 of this namespace.

    wires.py KIND ADDRESS/LENGTH SIDESTACKD OPTION...

KIND: tap, tap-plain, packet, seqpacket, dgram, stream. SIGUSR1: close what is on the other side. Ends with the daemon.
"""
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000
FRAME_MAX = 65536 + 14


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def open_tap(flags):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"stack0", IFF_TAP | IFF_NO_PI | flags))
    return fd


def open_packet():
    ip("link", "add", "stack0", "type", "veth", "peer", "name", "stack0p")
    ip("link", "set", "stack0p", "promisc", "on", "up")
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    packet.bind(("stack0p", 0))
    return packet.detach()


class Relay:
    """Between the device and our end of a pair."""

    def __init__(self, kind):
        self.tap = open_tap(0)
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, {
            "seqpacket": socket.SOCK_SEQPACKET, "dgram": socket.SOCK_DGRAM, "stream": socket.SOCK_STREAM}[kind])
        self.is_stream = kind == "stream"
        self.buffer = b""

    def to_stack(self):
        frame = os.read(self.tap, FRAME_MAX)
        if self.is_stream:
            frame = struct.pack("!I", len(frame)) + frame
        try:
            self.ours.sendall(frame)
        except OSError:
            pass

    def from_stack(self):
        data = self.ours.recv(FRAME_MAX)
        if not self.is_stream:
            os.write(self.tap, data)
            return
        self.buffer += data
        while len(self.buffer) >= 4:
            length, = struct.unpack("!I", self.buffer[:4])
            if len(self.buffer) < 4 + length:
                break
            os.write(self.tap, self.buffer[4:4 + length])
            self.buffer = self.buffer[4 + length:]


kind, address, *command = sys.argv[1:]
relay = None
if kind == "tap":
    fd = open_tap(IFF_VNET_HDR)
elif kind == "tap-plain":
    fd = open_tap(0)
elif kind == "packet":
    fd = open_packet()
else:
    relay = Relay(kind)
    fd = relay.theirs.fileno()
ip("address", "add", address, "dev", "stack0")
ip("link", "set", "stack0", "up")
if kind == "packet":  # what has no checksum yet is complete only on its way out of the machine
    subprocess.run(["ethtool", "-K", "stack0", "tx", "on"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
closing = False
reader, writer = os.pipe()
os.set_inheritable(fd, True)
daemon = subprocess.Popen([*command, "--netif", f"fd:{fd}"], pass_fds=[fd, 3])
os.close(3)
signal.signal(signal.SIGTERM, lambda *_: daemon.terminate())
signal.signal(signal.SIGUSR1, lambda *_: os.write(writer, b"x"))
if relay is None:
    os.close(fd)
else:
    relay.theirs.close()
watched = [reader] + ([relay.tap, relay.ours] if relay else [])
while daemon.poll() is None:
    for ready in select.select(watched, [], [], 0.2)[0]:
        if ready == reader:
            os.read(reader, 1)
            if relay:
                watched = [reader]
                relay.ours.close()
        elif ready == relay.tap:
            relay.to_stack()
        else:
            try:
                relay.from_stack()
            except OSError:
                watched = [reader]
sys.exit(daemon.returncode)
