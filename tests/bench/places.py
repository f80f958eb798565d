"""places - where the benchmark runs its programs: a setting of tests/settings.py, the servers in it, and what they cost.

A place has a program under test ("subject") and the world, a kernel's stack, that it talks to. Besides the kernel's
stack over veth and sidestack's, there are the stacks in user space that Debian has, and pairs of stacks.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
from settings import (BUILD, SUBJECT_ADDRESS, SUBJECT_ADDRESS6, WORLD_ADDRESS, WORLD_ADDRESS6, Kernel,  # noqa: E402
                      Setting, Sidestack, ip)

TRAFFIC = os.path.join(BUILD, "bench", "traffic")
BOUND = os.path.join(BUILD, "bench", "bound")
BOUND_MAC = "02:00:00:00:00:53"  # bound.c
PROCESSORS = sorted(os.sched_getaffinity(0))
SECOND_ADDRESS = "10.99.0.3"  # of the second stack, where there is one
SECOND_ADDRESS6 = "fd99::3"
NOWHERE = "10.99.0.254"  # a gateway that pasta wants to see
WAIT_S = 30


def processor_seconds(pid):
    """Of a process and its threads, and of its children, ended or not. Return: seconds."""
    total = 0
    for process in [pid, *children(pid)]:
        try:
            with open(f"/proc/{process}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def wake_ups(pid):
    """How often has the process slept and been woken?"""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("voluntary_ctxt_switches"):
                return int(line.split()[1])
    raise RuntimeError("no count of context switches")


class Place:
    """A setting, and the servers that measurements start in it, each once."""

    def __init__(self, setting, world_address=WORLD_ADDRESS, subject_address=SUBJECT_ADDRESS):
        self.setting = setting
        self.name = setting.name
        self.world_address = world_address
        self.subject_address = subject_address
        self.world_address6, self.subject_address6 = WORLD_ADDRESS6, SUBJECT_ADDRESS6
        self.servers = {}  # name: (process, what start() returned)

    def open(self):
        self.setting.open()

    def close(self):
        for process, _ in self.servers.values():
            process.terminate()
        for process, _ in self.servers.values():
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.servers.clear()
        self.setting.close()

    def in_world(self, *command):
        return self.setting.enter(self.setting.world, *command)

    def on_subject(self, *command):
        """The command line that runs a program on the stack under test."""
        return self.setting.enter(self.setting.subject, "env", *self.setting.preload, *command)

    def listens(self, port):
        """Where a server on the stack under test listens: the path of an AF_UNIX socket; None: at the subject's address."""
        return None

    def service_pid(self):
        """The process that is the stack, where there is one beside the kernel."""
        service = getattr(self.setting, "service", None)
        return service.pid if service is not None else None

    def server(self, name, command, wait):
        """Start a server, once. wait(process) returns when it serves. Return: the process, what wait() returned."""
        if name not in self.servers:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                       env=self.setting.environment, text=True)
            self.servers[name] = (process, None)
            self.servers[name] = (process, wait(process))
        return self.servers[name]

    def traffic_in_world(self):
        """Return: the process of a traffic server in the world, its port."""
        return self.server("traffic", self.in_world(TRAFFIC, "serve"), read_line)

    def traffic_on_subject(self):
        return self.server("traffic on subject", self.on_subject(TRAFFIC, "serve"), read_line)

    def run(self, command, seconds):
        """Run a client to its end. Return: what it printed."""
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              env=self.setting.environment, text=True, timeout=WAIT_S + 2 * seconds).stdout


def read_line(process):
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError("a server did not start")
    return line


class Bridged:
    """Two stacks of one kind, and a bridge between: the second is where the servers are."""

    def add_bridge(self):
        ip("-n", self.world, "link", "add", "br0", "type", "bridge")
        ip("-n", self.world, "link", "set", "br0", "up")

    def add_to_bridge(self, device):
        ip("-n", self.world, "link", "set", device, "master", "br0", "up")


class KernelPair(Setting, Bridged):
    preload = []

    def __init__(self):
        super().__init__("kernel-pair")

    def open(self):
        self.world = self.add_namespace("world")
        self.add_bridge()
        self.subject, self.second = self.add_namespace("subject"), self.add_namespace("second")
        for namespace, device, address in ((self.subject, "veth0", SUBJECT_ADDRESS),
                                           (self.second, "veth1", SECOND_ADDRESS)):
            ip("-n", self.world, "link", "add", device, "type", "veth", "peer", "name", "veth0", "netns", namespace)
            self.add_to_bridge(device)
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", "veth0")
            ip("-n", namespace, "link", "set", "veth0", "up")


class SidestackPair(Sidestack, Bridged):
    def __init__(self, log_path):
        super().__init__(log_path, name="sidestack-pair")
        self.other = None

    def open(self):
        """Both TAPs in the one world; the second service is a Sidestack of its own that joins it."""
        super().open()
        self.add_bridge()
        ip("-n", self.world, "address", "flush", "dev", "tap0")
        self.add_to_bridge("tap0")
        self.other = Sidestack(self.log_path + ".second", name="sidestack-second", world=self.world, device="tap1",
                               address=SECOND_ADDRESS, address6=SECOND_ADDRESS6)
        self.other.open()
        ip("-n", self.world, "address", "flush", "dev", "tap1")
        self.add_to_bridge("tap1")

    def close(self):
        if self.other is not None:
            self.other.close()
        super().close()


class PairPlace(Place):
    """The server is on the second stack."""

    def __init__(self, setting):
        super().__init__(setting, world_address=SECOND_ADDRESS)

    def in_world(self, *command):
        other = getattr(self.setting, "other", None)
        if other is None:
            return self.setting.enter(self.setting.second, *command)
        return other.enter(other.subject, "env", *other.preload, *command)


class Attached(Setting):
    """A program in a namespace whose device is the user-space stack of a process outside."""
    preload = []

    def __init__(self, name, command):
        super().__init__(name)
        self.command = command  # with NAMESPACE for the subject's path and READY for a descriptor
        self.service = None

    def open(self):
        self.world = self.add_namespace("world")
        self.subject = self.add_namespace("subject")
        self.prepare_world()
        ip("-n", self.subject, "link", "set", "lo", "up")
        # A device that leads nowhere; not every kernel has the type "dummy".
        ip("-n", self.world, "link", "add", "out0", "type", "veth", "peer", "name", "out1")
        ip("-n", self.world, "address", "add", f"{WORLD_ADDRESS}/24", "dev", "out0")
        ip("-n", self.world, "link", "set", "out1", "up")
        ip("-n", self.world, "link", "set", "out0", "up")
        ip("-n", self.world, "route", "add", "default", "via", NOWHERE, "dev", "out0")
        self.service = subprocess.Popen(
            self.enter(self.world, *(part.replace("NAMESPACE", "/run/netns/" + self.subject) for part in self.command)),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_for_route()

    def wait_for_route(self):
        """The stack is there when the subject has a default route."""
        deadline = time.monotonic() + 10
        while not subprocess.run(["ip", "-n", self.subject, "route", "show", "default"], stdout=subprocess.PIPE,
                                 check=True).stdout:
            if self.service.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: no route came")
            time.sleep(0.05)

    def close(self):
        if self.service is not None:
            self.service.terminate()
            self.service.wait()
        super().close()


class Wrapped(Setting):
    """socket_wrapper: both programs' Internet sockets become AF_UNIX ones between them, with no stack at all. Its sockets of IPv6 take nothing of IPv4,
    and the traffic generator listens on one of IPv6; so that it is."""
    ADDRESS = "fd00::5357:5f0a"  # of its interface 10

    def __init__(self, directory):
        super().__init__("socket_wrapper")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        self.environment.update(SOCKET_WRAPPER_DIR=directory, SOCKET_WRAPPER_DEFAULT_IFACE="10")
        self.preload = ["LD_PRELOAD=libsocket_wrapper.so"]

    def open(self):
        self.world = self.subject = self.add_namespace("world")


class Bare(Setting):
    """A TAP, and nothing that is a stack behind it: bound.c relays between it and programs on AF_UNIX sockets."""

    def __init__(self):
        super().__init__("bound")
        self.directory = self.service = None
        self.preload = []

    def open(self):
        self.world = self.subject = self.add_namespace("world")
        self.prepare_world()
        ip("-n", self.world, "tuntap", "add", "dev", "tap0", "mode", "tap")
        ip("-n", self.world, "address", "add", f"{WORLD_ADDRESS}/24", "dev", "tap0")
        ip("-n", self.world, "link", "set", "tap0", "up")
        ip("-n", self.world, "neighbour", "add", SUBJECT_ADDRESS, "lladdr", BOUND_MAC, "dev", "tap0")
        self.directory = tempfile.mkdtemp(prefix="bound-")
        self.preload = ["TRAFFIC_UNIX=" + self.directory]

    def start_service(self, port):
        """What programs open is connected to this port of the world."""
        output = subprocess.check_output(["ip", "-n", self.world, "-json", "link", "show", "dev", "tap0"])
        self.service = subprocess.Popen(
            self.enter(self.world, BOUND, "tap0", json.loads(output)[0]["address"], SUBJECT_ADDRESS, WORLD_ADDRESS, port, self.directory),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        read_line(self.service)

    def close(self):
        if self.service is not None:
            self.service.terminate()
            self.service.wait()
        if self.directory is not None:
            shutil.rmtree(self.directory)
        super().close()


class BarePlace(Place):
    def open(self):
        super().open()
        self.setting.start_service(self.traffic_in_world()[1])

    def listens(self, port):
        return os.path.join(self.setting.directory, str(port))


class WrappedPlace(Place):
    def __init__(self, setting):
        super().__init__(setting, world_address=Wrapped.ADDRESS, subject_address=Wrapped.ADDRESS)

    def in_world(self, *command):
        return self.on_subject(*command)


def log_path(name):
    return os.path.join(BUILD, "bench", name + ".log")


def slirp4netns():
    return Place(Attached("slirp4netns", ["slirp4netns", "--configure", "--mtu=65520", "--netns-type=path",
                                          "--disable-host-loopback", "NAMESPACE", "tap0"]))


def pasta():
    return Place(Attached("pasta", ["pasta", "--foreground", "--config-net", "--ipv4-only", "--quiet",
                                    "--runas=0", "--netns-only", "--netns", "NAMESPACE"]),
                 world_address=NOWHERE)  # the world's own address is the subject's, too; the gateway's stands for the world


# What a measurement may name.
MAKE = {
    "kernel": lambda: Place(Kernel()),
    "sidestack": lambda: Place(Sidestack(log_path("sidestackd"))),
    "sidestack-idle": lambda: Place(Sidestack(log_path("sidestackd-idle"), name="sidestack-idle")),
    "kernel-9000": lambda: Place(Kernel(name="kernel-9000", mtu=9000)),
    "sidestack-9000": lambda: Place(Sidestack(log_path("sidestackd-9000"), name="sidestack-9000", mtu=9000)),
    "kernel-pair": lambda: PairPlace(KernelPair()),
    "sidestack-pair": lambda: PairPlace(SidestackPair(log_path("sidestackd-pair"))),
    "bound": lambda: BarePlace(Bare()),
    "slirp4netns": slirp4netns,
    "pasta": pasta,
    "socket_wrapper": lambda: WrappedPlace(Wrapped(os.path.join(BUILD, "bench", "socket_wrapper"))),
}
