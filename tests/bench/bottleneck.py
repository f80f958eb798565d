"""bottleneck - a host with both stacks, and a link that they share: who gets how much of it, and how full is its queue?

    program - kernel ----.
                          bridge - TAP --- tests/bench/impair --- TAP - kernel - peer
    program - sidestackd -'

All of it in the namespace "subject" but for the peer.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
from settings import BUILD, PREFIX, WORLD_ADDRESS, Setting, Sidestack, ip  # noqa: E402

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
        self.carrier = subprocess.Popen([IMPAIR, self.subject + ":wan0", self.world + ":wan0"], stdin=subprocess.PIPE,
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
