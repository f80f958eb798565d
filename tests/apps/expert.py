"""What a capture says against the stack's TCP: expert.py CAPTURE clean|lossy ADDRESS...

tshark's expert analysis, and rules of RFC 9293, 7323 and 2018 that it does not know, over all that comes from the stack's
ADDRESSes. On a clean path the stack leaves nothing out, and sends hardly anything twice. Prints a summary; exit status 1 when there was an error.
"""

import collections
import re
import subprocess
import sys

FIELDS = [
    "frame.number", "ip.src", "ipv6.src", "tcp.stream", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw",
    "tcp.window_size_value", "tcp.len", "tcp.options.sack_le", "tcp.options.sack_re", "tcp.options.timestamp.tsval",
    "tcp.options.wscale.shift", "tcp.options.mss_val", "_ws.expert.message",
]
FIN, SYN, RST, ACK = 1, 2, 4, 16
# From the stack, anywhere; and on a clean path.
ALWAYS_WRONG = r"ACKed segment that wasn't captured|Bogus (TCP|IP)|Short segment|[Oo]ption length|nonzero while|NOP in a row"
WRONG_IF_CLEAN = r"Previous segment"
# On a clean path, too, what waits for a processor may be sent again in vain; but only so often.
AGAIN = r"retransmission|Out-Of-Order"
AGAIN_MAX = 0.05  # of all segments
# All else only says what happens: handshakes, full windows, resets that programs asked for.
MAX_SHOWN = 10


def behind(a, b):
    """By how much the sequence number a is beyond b; negative: before."""
    return (a - b + 2**31) % 2**32 - 2**31


class Side:
    """What one side of a connection has shown."""

    def __init__(self):
        self.sent = None  # sequence number behind all that it sent
        self.ack = None
        self.edge = None  # end of the window that it announced
        self.scale = 0
        self.offered_scale = None
        self.stamp = None
        self.fin = None
        self.mss = None


class Capture:
    """The connections of a capture, and what is wrong with them."""

    def __init__(self, stack, clean):
        self.stack = stack
        self.clean = clean
        self.sides = collections.defaultdict(lambda: (Side(), Side()))  # the stack's, the other's
        self.errors = []
        self.notes = collections.Counter()
        self.frames = 0
        self.again = 0

    def complain(self, frame, stream, what):
        """The stack did something wrong."""
        self.errors.append(f"frame {frame} (stream {stream}): {what}")

    def add(self, row):
        """Look at one segment."""
        frame, v4, v6, stream, flags, seq, ack, window, length, left, right, stamp, scale, mss, expert = row
        stream, flags, seq, ack, window, length = int(stream), int(flags, 16), int(seq), int(ack), int(window), int(length)
        ours = (v4 or v6) in self.stack
        side, other = self.sides[stream] if ours else self.sides[stream][::-1]
        if flags & (SYN | ACK) == SYN:  # perhaps one more with the same ports
            if side.sent is not None and behind(seq, side.sent) not in (-1, 0):
                side.__init__()
                other.__init__()
        if ours:
            self.frames += 1
            for message in filter(None, expert.split(";")):
                if re.search(ALWAYS_WRONG, message) or (self.clean and re.search(WRONG_IF_CLEAN, message)):
                    self.complain(frame, stream, message)
                self.again += bool(re.search(AGAIN, message))
                self.notes[re.sub(r"\d+", "N", message)] += 1
            if not flags & RST:
                self.check(frame, stream, side, other, flags, seq, ack, window, length,
                           list(zip(left.split(";"), right.split(";"))) if left else [], stamp)
        if flags & RST:
            return
        if flags & SYN:
            side.offered_scale = int(scale) if scale else None
            side.mss = int(mss) if mss else None
            if flags & ACK:
                both = side.offered_scale is not None and other.offered_scale is not None
                side.scale = side.offered_scale if both else 0
                other.scale = other.offered_scale if both else 0
        end = (seq + length + bool(flags & SYN) + bool(flags & FIN)) % 2**32
        if side.sent is None or behind(end, side.sent) > 0:
            side.sent = end
        if flags & FIN:
            side.fin = end
        if flags & ACK:
            if side.ack is None or behind(ack, side.ack) > 0:
                side.ack = ack
            edge = (ack + (window << (0 if flags & SYN else side.scale))) % 2**32
            if side.edge is None or behind(edge, side.edge) > 0:
                side.edge = edge
        if stamp:
            side.stamp = int(stamp)

    def check(self, frame, stream, side, other, flags, seq, ack, window, length, sacks, stamp):
        """A segment of the stack's against what was said before."""
        end = (seq + length) % 2**32
        if not flags & SYN and side.sent is None:
            return  # the capture began later
        if not flags & (SYN | ACK):
            self.complain(frame, stream, "neither SYN nor ACK")
        if length > 0 and side.fin is not None and behind(end, side.fin) >= 0:
            self.complain(frame, stream, "data behind its FIN")
        if self.clean and not flags & SYN and behind(seq, side.sent) > 0:
            self.complain(frame, stream, f"{behind(seq, side.sent)} bytes were left out")
        if length > 0 and other.edge is not None and behind(end, other.edge) > (1 if length == 1 else 0):
            self.complain(frame, stream, f"data {behind(end, other.edge)} bytes beyond the peer's window")
        if flags & ACK:
            if other.sent is not None and behind(ack, other.sent) > 0:
                self.complain(frame, stream, "acknowledges what was not sent")
            if side.ack is not None and behind(ack, side.ack) < 0:
                self.complain(frame, stream, "acknowledges less than before")
            edge = ack + (window << (0 if flags & SYN else side.scale))
            if side.edge is not None and behind(edge % 2**32, side.edge) < -(1 << side.scale):
                self.complain(frame, stream, f"its window shrinks by {-behind(edge % 2**32, side.edge)} bytes")
        for number, (left, right) in enumerate((int(a), int(b)) for a, b in sacks):
            if behind(right, left) <= 0:
                self.complain(frame, stream, "SACK block upside down")
            elif other.sent is not None and behind(right, other.sent) > 0:
                self.complain(frame, stream, "SACKs what was not sent")
            elif number > 0 and behind(left, ack) <= 0:
                self.complain(frame, stream, "SACK block that is acknowledged")
        if stamp and side.stamp is not None and behind(int(stamp), side.stamp) < 0:
            self.complain(frame, stream, "its timestamps go back")
        if not stamp and side.stamp is not None and other.stamp is not None:
            self.complain(frame, stream, "lacks its timestamp")


def main():
    """Analyse one capture."""
    path, kind, *stack = sys.argv[1:]
    command = ["tshark", "-r", path, "-Y", "tcp", "-n", "-T", "fields", "-E", "separator=|", "-E", "aggregator=;",
               "-o", "tcp.relative_sequence_numbers:FALSE", "-o", "tcp.check_checksum:FALSE", "-o", "ip.check_checksum:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"]
    # Only the headers were captured: nothing above TCP can be read.
    command += ["--disable-protocol", "http", "--disable-protocol", "resp", "--disable-protocol", "data"]
    for field in FIELDS:
        command += ["-e", field]
    capture = Capture(stack, kind == "clean")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tshark:
        for line in tshark.stdout:
            capture.add(line.rstrip("\n").split("|", len(FIELDS) - 1))
    if tshark.returncode != 0 or capture.frames == 0:
        sys.exit(f"tshark: exit status {tshark.returncode}, {capture.frames} segments of the stack's")
    if capture.clean and capture.again > 10 + AGAIN_MAX * capture.frames:
        capture.errors.append(f"{capture.again} segments were sent again, or out of order")
    print(f"{len(capture.sides)} connections, {capture.frames} segments from the stack, {len(capture.errors)} errors")
    for message, count in capture.notes.most_common():
        print(f"    {count:6} {message}")
    for error in capture.errors[:MAX_SHOWN]:
        print("ERROR:", error)
    sys.exit(bool(capture.errors))


main()
