"""The file that the shim and faults.py share: which calls shall fail, what happened (struct state of shim.c)."""
import mmap
import os
import struct
import subprocess

MODES = {"off": 0, "count": 1, "at": 2, "sites": 3, "every": 4}


class State:
    """What the shim reads and writes."""

    HEAD = struct.Struct("=IIQQIIIIII64s")
    TARGET = 48  # where it begins
    SITES = 16384
    LOG = HEAD.size + SITES * 8
    LOG_BYTES = 4 << 20

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(self.LOG + self.LOG_BYTES)
        os.chmod(path, 0o666)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.begin = 0  # of what is logged since set()
        self.past = []  # of what was logged before forget()

    def set(self, mode, kind=0, at=0, target="", width=1):
        """From now on; sites that were seen stay seen. width: that many calls in a row."""
        self.map[self.TARGET:self.HEAD.size] = target.encode().ljust(64, b"\0")
        self.map[40:44] = struct.pack("=I", width)
        self.map[16:28] = struct.pack("=QI", 0, 0)
        self.map[8:16] = struct.pack("=Q", at)
        self.begin = len(self.lines())
        self.map[0:8] = struct.pack("=II", MODES[mode], kind)

    def stop(self):
        """Nothing fails any more; what was counted stays."""
        self.map[0:4] = struct.pack("=I", MODES["off"])

    def forget(self):
        """What was logged, and the sites that were seen."""
        self.past += self.lines()
        self.map[28:40] = bytes(12)
        self.begin = 0
        self.map[self.HEAD.size:self.LOG] = bytes(self.SITES * 8)

    def head(self):
        return self.HEAD.unpack(self.map[:self.HEAD.size])

    @property
    def sites(self):
        return self.head()[6]

    @property
    def calls(self):
        return self.head()[3]

    @property
    def failed(self):
        return self.head()[4]

    def lines(self):
        return self.map[self.LOG:self.LOG + min(self.head()[5], self.LOG_BYTES)].decode(errors="replace").splitlines()

    def recent(self):
        return self.lines()[self.begin:]


def readable(lines, files):
    """The shim's lines with functions for addresses. files: which file is which module."""
    wanted = {}
    for line in lines:
        for frame in line.split()[3:]:
            module, _, at = frame.partition("+")
            wanted.setdefault(module, set()).add(at)
    names = {}
    for module, addresses in wanted.items():
        if module not in files:
            continue
        addresses = sorted(addresses)
        result = subprocess.run(["addr2line", "-f", "-s", "-e", files[module]], input="\n".join("0x" + a for a in addresses),
                                capture_output=True, text=True, check=False).stdout.splitlines()
        for at, function, place in zip(addresses, result[0::2], result[1::2]):
            names[f"{module}+{at}"] = f"{function} ({place.split(' ')[0]})"
    text = []
    for line in lines:
        call, error, site, *frames = line.split()
        try:
            error = os.strerror(int(error, 16)) if int(error, 16) else "-"
        except ValueError:
            pass
        chain = [names.get(f, f.partition("+")[0]) for f in frames]
        short = []
        for frame in chain:
            if frame in ("main", "libc.so.6", "program", "_start (??:?)") or frame.startswith("main ("):
                continue
            if frame.split(" ")[0] in ("dispatch_batch", "loop_run", "loop_turn", "serve", "do_memp_malloc_pool", "mem_malloc"):
                continue
            if not short or short[-1] != frame:
                short.append(frame)
        text.append(f"{call}: {error}: " + " < ".join(short[:7]))
    return text
