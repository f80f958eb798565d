"""bottleneck - a host with both stacks, and a link that they share: who gets how much of it, how full is its queue, and who
goes on when after nothing passed for a while?

    program - kernel ----.
                          bridge - TAP --- tests/bench/impair --- TAP - kernel - peer
    program - sidestackd -'

All of it in the namespace "subject" but for the peer.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
from settings import BUILD, PREFIX, SUBJECT_ADDRESS, WORLD_ADDRESS, Setting, Sidestack, ip  # noqa: E402

TRAFFIC = os.path.join(BUILD, "bench", "traffic")
IMPAIR = os.path.join(BUILD, "bench", "impair")
KERNEL_ADDRESS = "10.99.0.3"


class Bottleneck(Setting):
    def __init__(self, log_path, ecn=False):
        super().__init__("bottleneck")
        self.environment["TRAFFIC_CONGESTION"] = "cubic"
        self.log_path = log_path
        self.ecn = ecn
        self.sidestack = self.carrier = self.server = None

    def open(self):
        self.world = self.add_namespace("world")
        self.subject = self.add_namespace("subject")
        self.prepare_world()
        if self.ecn:
            self.set_kernel(self.subject, "net.ipv4.tcp_ecn=1")
        for namespace, address in ((self.world, WORLD_ADDRESS), (self.subject, None)):
            ip("-n", namespace, "tuntap", "add", "dev", "wan0", "mode", "tap")
            ip("-n", namespace, "link", "set", "wan0", "up")
            if address is not None:
                ip("-n", namespace, "address", "add", f"{address}/{PREFIX}", "dev", "wan0")
        # The link waits for no processor: what it does late comes at once, and overflows queues that were never full.
        self.carrier = subprocess.Popen(["chrt", "--fifo", "1", IMPAIR, self.subject + ":wan0", self.world + ":wan0"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        ip("-n", self.subject, "link", "add", "br0", "type", "bridge")
        ip("-n", self.subject, "link", "set", "br0", "up")
        ip("-n", self.subject, "link", "set", "wan0", "master", "br0")
        self.sidestack = Sidestack(self.log_path, world=self.subject, arguments=("--tcp-ecn", "request") if self.ecn else ())
        self.sidestack.open()
        ip("-n", self.subject, "address", "flush", "dev", "tap0")
        ip("-n", self.subject, "address", "add", f"{KERNEL_ADDRESS}/{PREFIX}", "dev", "br0")
        ip("-n", self.subject, "link", "set", "tap0", "master", "br0")
        self.server = subprocess.Popen(self.enter(self.world, TRAFFIC, "serve"), stdout=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, env=self.environment, text=True)
        self.port = self.server.stdout.readline().strip()

    def ask(self, line):
        self.carrier.stdin.write(line + "\n")
        self.carrier.stdin.flush()
        return self.carrier.stdout.readline().strip()

    def count(self):
        return json.loads(self.ask("count"))["out"]

    def keep_neighbours(self):
        """An outage is to be one of the path, not of the link: the kernels don't ask for Ethernet addresses meanwhile."""
        for namespace, device, address, other, other_device in (
                (self.subject, "br0", WORLD_ADDRESS, self.world, "wan0"),
                (self.world, "wan0", KERNEL_ADDRESS, self.subject, "br0")):
            link = json.loads(subprocess.check_output(["ip", "-json", "-n", other, "link", "show", other_device]))[0]["address"]
            ip("-n", namespace, "neighbour", "replace", address, "lladdr", link, "nud", "permanent", "dev", device)
        finish(self.start("sidestack", "echo", 0.1))
        entry = json.loads(subprocess.check_output(["ip", "-json", "-n", self.world, "neighbour", "show", SUBJECT_ADDRESS]))[0]
        ip("-n", self.world, "neighbour", "replace", SUBJECT_ADDRESS, "lladdr", entry["lladdr"], "nud", "permanent", "dev", "wan0")

    def start(self, stack, kind, seconds):
        """stack: kernel or sidestack. Return: the process of the client."""
        command = self.enter(self.subject, TRAFFIC) if stack == "kernel" else \
            self.sidestack.enter(self.sidestack.subject, "env", *self.sidestack.preload, TRAFFIC)
        return subprocess.Popen([*command, kind, WORLD_ADDRESS, self.port, "1", str(int(seconds * 1000))],
                                stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=self.environment, text=True)

    def close(self):
        if self.server is not None:
            self.server.kill()
            self.server.wait()
        if self.sidestack is not None:
            self.sidestack.close()
        if self.carrier is not None:
            self.carrier.stdin.close()
            self.carrier.wait(10)
        super().close()


def finish(process):
    return json.loads(process.communicate(timeout=180)[0])


def rate(result):
    return result["bytes"] * 8 / result["seconds"] / 1e6


# 20 ms there and back; the queue is as long as the path. Acknowledgements waver by as much as a frame takes of the link: else who answers
# them at once always meets a full queue at the same point of its cycle, and it is chance who always loses (Floyd and Jacobson 1991).
LINK = "none,delay=10ms,rate=100mbit,queue=170,in:jitter=0.12ms"
SETTLE_S = 8  # what a flow makes of its slow start is another matter
ALONE_S = 14
ALONE_ROUNDS = 4
SPENT_S = 0.2  # of an outage: two round trips with a full queue, and tcpdump's start
MEGABYTE = 1000000
ANALYSE_S = 3
TOGETHER_S = 25  # two flows of CUBIC take some ten seconds to come together


def measure_alone(bottleneck, stack):
    """One flow, and a kernel's ping-pong beside it, once it has settled."""
    flow = bottleneck.start(stack, "upload", SETTLE_S + ALONE_S + 1)
    time.sleep(SETTLE_S)
    before = bottleneck.count()
    echo = finish(bottleneck.start("kernel", "echo", ALONE_S))
    after = bottleneck.count()
    result = finish(flow)
    return {"mbit_s": rate(result), "resent": result["resent"], "p99_ms": echo["p99_us"] / 1000,
            "queue_ms": (after["waited_us"] - before["waited_us"]) / (after["queued"] - before["queued"]) / 1000}


def measure_together(bottleneck, first, second):
    """Return: Mbit/s of each."""
    flows = [bottleneck.start(stack, "upload", TOGETHER_S) for stack in (first, second)]
    return [rate(finish(flow)) for flow in flows]


def measure_fairness(log_path, first, rounds):
    """A flow of each stack side by side, two of the kernel's, and in the first rounds each alone. Rounds are numbered from first. Return:
    a list of rounds."""
    bottleneck = Bottleneck(log_path)
    measured = []
    try:
        bottleneck.open()
        for number in range(first, first + rounds):
            bottleneck.ask(f"{LINK},seed={number + 1}")
            order = ("kernel", "sidestack") if number % 2 == 0 else ("sidestack", "kernel")
            measured.append({"together": dict(zip(order, measure_together(bottleneck, *order))),
                             "kernels": measure_together(bottleneck, "kernel", "kernel"),
                             "alone": {stack: measure_alone(bottleneck, stack) for stack in order if number < ALONE_ROUNDS}})
    finally:
        bottleneck.close()
    return measured


def bytes_arrived(bottleneck):
    """At the peer, by who sent them."""
    lines = subprocess.check_output(bottleneck.enter(bottleneck.world, "ss", "-Htin", "state", "established"), text=True).split("\n")
    arrived = {}
    for place, details in zip(lines[::2], lines[1::2]):
        found = re.search(r"bytes_received:(\d+)", details)
        address = place.split()[-1].rsplit(":", 1)[0].strip("[]").removeprefix("::ffff:")
        arrived["kernel" if address == KERNEL_ADDRESS else "sidestack"] = int(found.group(1)) if found else 0
    return arrived


def times_of_tries(text, begin, end):
    """text: what tcpdump said. Return: when each sent something between begin and end, in seconds after begin."""
    tries = {"kernel": [], "sidestack": []}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and begin < float(words[0]) < end:
            tries["kernel" if words[2].startswith(KERNEL_ADDRESS + ".") else "sidestack"].append(round(float(words[0]) - begin, 3))
    return tries


def measure_outage(log_path, seconds):
    """Both stacks send, and then nothing passes for so long. Return: how long after that each goes on, in seconds; when a megabyte more
    has arrived; and when each tried to send while nothing passed."""
    bottleneck = Bottleneck(log_path)
    gone_on, at_speed = {}, {}
    flows = []
    dump = None
    try:
        bottleneck.open()
        bottleneck.keep_neighbours()
        bottleneck.ask(f"{LINK},seed=1")
        flows = [bottleneck.start(stack, "upload", 600) for stack in ("kernel", "sidestack")]
        time.sleep(3)
        bottleneck.ask(f"{LINK},loss=100%,seed=1")
        begin = time.time()
        time.sleep(SPENT_S)  # what may be on its way is
        dump = subprocess.Popen(bottleneck.enter(bottleneck.subject, "tcpdump", "-n", "-tt", "-l", "-i", "wan0", "tcp and greater 200"),
                                stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        time.sleep(begin + seconds - time.time())
        dump.terminate()
        before = bytes_arrived(bottleneck)
        bottleneck.ask(f"{LINK},seed=1")
        end = time.monotonic()
        tries = times_of_tries(dump.communicate(timeout=10)[0], begin, begin + seconds)
        while len(at_speed) < len(flows) and time.monotonic() < end + 2 * seconds + 5:
            for stack, count in bytes_arrived(bottleneck).items():
                if count > before[stack]:
                    gone_on.setdefault(stack, time.monotonic() - end)
                if count > before[stack] + MEGABYTE:
                    at_speed.setdefault(stack, time.monotonic() - end)
            time.sleep(0.02)
    finally:
        if dump is not None and dump.poll() is None:
            dump.kill()
        for flow in flows:
            flow.kill()
            flow.wait()
        bottleneck.close()
    return {**gone_on, "megabyte": at_speed, "tries": tries}


def analyse_bottleneck(log_path, capture, fairness, outages):
    """Have the stack's flow captured beside a kernel's, and over outages of so many seconds."""
    bottleneck = Bottleneck(log_path)
    try:
        bottleneck.open()
        bottleneck.keep_neighbours()
        if fairness:
            bottleneck.ask(f"{LINK},seed=1")
            capture.start(bottleneck.sidestack.directory)
            for flow in [bottleneck.start(stack, "upload", ANALYSE_S) for stack in ("kernel", "sidestack")]:
                finish(flow)
            capture.finish("beside a kernel's flow", "lossy", [SUBJECT_ADDRESS])
        for seconds in outages:
            bottleneck.ask(f"{LINK},seed=1")
            capture.start(bottleneck.sidestack.directory)
            flow = bottleneck.start("sidestack", "upload", 3 * seconds + 1)
            time.sleep(0.5)
            bottleneck.ask(f"{LINK},loss=100%,seed=1")
            time.sleep(seconds)
            bottleneck.ask(f"{LINK},seed=1")
            finish(flow)
            capture.finish(f"an outage of {seconds:g} s", "lossy", [SUBJECT_ADDRESS])
    finally:
        bottleneck.close()
