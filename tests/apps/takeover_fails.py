"""For takeover_fails.sh: a new service that does not get to the end. takeover_fails.py CONTROL_SOCKET STEP

asked      asks, and ends before anything came
received   ends when all came
ready      says READY and ends
commit     gets COMMIT and ends without TAKEN
garbage    answers with something else
out_of_turn  says TAKEN at once
twice      while one is at it, another one asks
stopped    gets everything and is silent: the running one waits for as long as it does
"""
import array
import os
import socket
import struct
import sys

MAGIC, VERSION, TAKEOVER = 0x7373746B, int(os.environ["PROTOCOL_VERSION"]), int(os.environ["PROTOCOL_TAKEOVER"])
SIZE = int(os.environ["PROTOCOL_SIZE"])
STEP_MAGIC = 0x6B61746F
DESCRIPTORS, STATE, READY, COMMIT, TAKEN = range(1, 6)


def ask(path):
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(path)
    control.send(struct.pack("IHH", MAGIC, VERSION, TAKEOVER).ljust(SIZE, b"\0"))
    reply, ancillary, _, _ = control.recvmsg(SIZE, 1024)
    result = struct.unpack("i", reply[8:12])[0]
    if not ancillary:
        return control, result, None
    return control, result, socket.socket(fileno=array.array("i", ancillary[0][2])[0])


def step(channel, number):
    channel.send(struct.pack("IIQ", STEP_MAGIC, number, 0))


def receive(channel):
    message, ancillary, _, _ = channel.recvmsg(16, 4096)
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data[:len(data) // 4 * 4])
    return struct.unpack("IIQ", message)[1] if message else None, list(fds)


def receive_all(channel):
    count = 0
    while True:
        number, fds = receive(channel)
        if number == STATE:
            size = os.fstat(fds[0]).st_size
            print("descriptors", count, "bytes", size, flush=True)
            return
        count += len(fds)


def main():
    path, what = sys.argv[1], sys.argv[2]
    _, result, channel = ask(path)
    if result != 0:
        print("refused", result)
        return
    if what == "asked":
        return
    if what == "garbage":
        channel.send(b"what?")
        receive_all(channel)
        return
    if what == "out_of_turn":
        step(channel, TAKEN)
        receive_all(channel)
        channel.recv(1)
        return
    receive_all(channel)
    if what == "received":
        return
    if what == "stopped":
        print("end" if channel.recv(16) == b"" else "something", flush=True)
        return
    step(channel, READY)
    if what == "ready":
        return
    number, _ = receive(channel)
    print("step", number, flush=True)


main()
