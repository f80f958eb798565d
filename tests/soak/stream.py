#!/usr/bin/python3
"""stream - streams of known bytes, whose two ends keep a ledger that outlives them.

    stream.py serve ADDRESS PORT DIRECTORY
    stream.py up|down|both ADDRESS PORT DIRECTORY NAME SECONDS WRITE_SIZE PAUSE_MS

A connection is called NAME. Each end has a file in DIRECTORY, NAME.client and NAME.server, into which it writes how far it got before
it does anything else: also an end that is killed has said what the kernel took from it. up: the client alone sends; down: the server
alone; both: both. Each byte depends on its place and on NAME, so that one that is lost, doubled, changed or of another connection shows.
"""
import mmap
import os
import random
import socket
import struct
import sys
import threading
import time
import zlib

PATTERN = random.Random(1).randbytes(1 << 20)
DOUBLE = PATTERN + PATTERN
HEADER = 64

RUNNING, END, BROKEN, WRONG = range(4)  # how a direction came to its end
FIELDS = ("sent", "received", "send_state", "receive_state", "receive_errno")


class Ledger:
    """What one end did."""

    def __init__(self, path):
        with open(path, "wb+") as file:
            file.truncate(8 * len(FIELDS))
            self.map = mmap.mmap(file.fileno(), 8 * len(FIELDS))

    def note(self, field, value):
        struct.pack_into("<Q", self.map, 8 * FIELDS.index(field), value)


def read_ledger(path):
    """Return: {field: number}; all 0 when there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read().ljust(8 * len(FIELDS), b"\0")
    except FileNotFoundError:
        data = bytes(8 * len(FIELDS))
    return dict(zip(FIELDS, struct.unpack(f"<{len(FIELDS)}Q", data)))


def piece(start, at, size):
    at = (start + at) % len(PATTERN)
    return DOUBLE[at:at + size]


def send(connection, ledger, start, seconds, size, pause):
    at, end = 0, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            data = memoryview(piece(start, at, size))
            while data:
                n = connection.send(data)
                at += n
                ledger.note("sent", at)
                data = data[n:]
            if pause:
                time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        ledger.note("send_state", END)
    except OSError:
        ledger.note("send_state", BROKEN)


def receive(connection, ledger, start):
    at = 0
    try:
        while True:
            data = connection.recv(1 << 16)
            if not data:
                ledger.note("receive_state", END)
                return
            if data != piece(start, at, len(data)):
                ledger.note("receive_state", WRONG)
                return
            at += len(data)
            ledger.note("received", at)
    except OSError as error:
        ledger.note("receive_errno", error.errno or 1)
        ledger.note("receive_state", BROKEN)


def run(connection, ledger, name, sends, receives, rest):
    """One end. Directions have places of their own in the pattern. Return when both have come to their end."""
    seconds, size, pause = float(rest[0]), int(rest[1]), float(rest[2]) / 1000
    start = zlib.crc32(name.encode()) % len(PATTERN)
    threads = []
    if sends is not None:
        threads.append(threading.Thread(target=send, args=(connection, ledger, start + sends, seconds, size, pause)))
    if receives is not None:
        threads.append(threading.Thread(target=receive, args=(connection, ledger, start + receives)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


UP, DOWN = 0, 4711  # where in the pattern


def serve(address, port, directory):
    listener = socket.create_server((address, port), backlog=200)
    print("ready", flush=True)

    def one(connection):
        with connection:
            try:
                header = connection.recv(HEADER, socket.MSG_WAITALL)
            except OSError:
                return
            if len(header) < HEADER:
                return
            mode, name, *rest = header.decode().split()
            ledger = Ledger(os.path.join(directory, name + ".server"))
            run(connection, ledger, name, DOWN if mode != "up" else None, UP if mode != "down" else None, rest)
            if mode == "down":  # until the client has it all, and says so by its end
                try:
                    connection.recv(1)
                except OSError:
                    pass

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def client(mode, address, port, directory, name, *rest):
    ledger = Ledger(os.path.join(directory, name + ".client"))
    connection = socket.create_connection((address, port))
    connection.sendall(f"{mode} {name} {' '.join(rest)}".encode().ljust(HEADER))
    run(connection, ledger, name, UP if mode != "down" else None, DOWN if mode != "up" else None, rest)
    if mode == "up":
        connection.recv(1)  # the server closes when it has it all


def main():
    mode, address, port, directory, *rest = sys.argv[1:]
    if mode == "serve":
        serve(address, int(port), directory)
    else:
        client(mode, address, int(port), directory, *rest)


if __name__ == "__main__":
    main()
