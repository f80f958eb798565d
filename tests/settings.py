"""settings - two places to run a program in: on the kernel's stack and on sidestack's, with the same addresses.

    kernel:    namespace "subject" --- veth --- namespace "world"
    sidestack: no network, preload --- sidestackd --- TAP in a namespace "world"

A world drops what is sent to 192.0.2.1 and 2001:db8::1, and answers 192.0.2.2 and 2001:db8::2 with an ICMP error (Linux
sends one a second, after five at once: ip_error()). Needs root. Used by tests/oracle and tests/bench.
SIDESTACK_TEST_BUILD, _LIBRARY, _PRELOAD and _WRAPPER are those of tests/lib.sh: where the daemon and the
library are, another library, what must be loaded before it, and what runs the daemon (valgrind).
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
ARTEFACTS = os.environ.get("SIDESTACK_TEST_BUILD", BUILD)
LIBRARY = os.environ.get("SIDESTACK_TEST_LIBRARY", os.path.join(ARTEFACTS, "libintercept.so"))
PRELOAD = os.environ.get("SIDESTACK_TEST_PRELOAD", "")
WRAPPER = os.environ.get("SIDESTACK_TEST_WRAPPER", "").split()

WORLD_ADDRESS, SUBJECT_ADDRESS, PREFIX = "10.99.0.1", "10.99.0.2", 24
WORLD_ADDRESS6, SUBJECT_ADDRESS6, PREFIX6 = "fd99::1", "fd99::2", 64
# What the oracle's programs are told, by family.
ADDRESSES = {
    4: {
        "ORACLE_FAMILY": "4",
        "ORACLE_PEER_ADDRESS": WORLD_ADDRESS,
        "ORACLE_SUBJECT_ADDRESS": SUBJECT_ADDRESS,
        "ORACLE_SILENT_ADDRESS": "192.0.2.1",
        "ORACLE_UNREACHABLE_ADDRESS": "192.0.2.2",
        "ORACLE_ABSENT_ADDRESS": "10.99.0.77",
    },
    6: {
        "ORACLE_FAMILY": "6",
        "ORACLE_PEER_ADDRESS": WORLD_ADDRESS6,
        "ORACLE_SUBJECT_ADDRESS": SUBJECT_ADDRESS6,
        "ORACLE_SILENT_ADDRESS": "2001:db8::1",
        "ORACLE_UNREACHABLE_ADDRESS": "2001:db8::2",
        "ORACLE_ABSENT_ADDRESS": "fd99::77",
    },
}


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def ip(*arguments):
    run("ip", *arguments)


class Setting:
    """Namespaces, and how a subject is started in them."""

    def __init__(self, name):
        self.name = name
        self.namespaces = []
        self.failed = False  # something that is not a transcript went wrong
        self.environment = dict(os.environ)
        self.environment.pop("LD_PRELOAD", None)

    def add_namespace(self, role):
        namespace = f"sidestack-{os.getpid()}-{self.name}-{role}"
        ip("netns", "add", namespace)
        self.namespaces.append(namespace)
        return namespace

    def set_kernel(self, namespace, *settings):
        """sysctl there. IPv6 addresses are usable at once, nobody makes any by himself; ICMP errors have no limit."""
        run("ip", "netns", "exec", namespace, "sysctl", "-q", "net.ipv6.conf.all.accept_dad=0",
            "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0",
            "net.ipv4.ping_group_range=0 2147483647", "net.ipv4.icmp_ratelimit=0",
            "net.ipv4.icmp_msgs_per_sec=100000", "net.ipv6.icmp.ratelimit=0", *settings)

    def prepare_world(self):
        ip("-n", self.world, "link", "set", "lo", "up")
        ip("-n", self.world, "route", "add", "blackhole", "192.0.2.1/32")
        ip("-n", self.world, "route", "add", "unreachable", "192.0.2.2/32")
        ip("-n", self.world, "route", "add", "blackhole", "2001:db8::1/128")
        ip("-n", self.world, "route", "add", "unreachable", "2001:db8::2/128")
        self.set_kernel(self.world, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def wait_until_running(self, namespace, device):
        """The kernel says that a link runs (IFF_RUNNING), and gives it its IPv6 multicast route, some time after it is
        up."""
        deadline = time.monotonic() + 10
        route = f"multicast ff00::/8 dev {device} ".encode()
        while route not in subprocess.check_output(["ip", "-n", namespace, "-6", "route", "show", "table", "local"]):
            if time.monotonic() > deadline:
                sys.exit(f"{device} is not running")
            time.sleep(0.02)

    def enter(self, namespace, *command):
        return ["nsenter", "--net=/run/netns/" + namespace, "--", *command]

    def close(self):
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], stdin=subprocess.DEVNULL)


class Kernel(Setting):
    """Two namespaces and a veth pair."""
    preload = []

    def __init__(self, name="kernel", mtu=1500):
        super().__init__(name)
        self.mtu = mtu

    def open(self):
        self.world = self.add_namespace("world")
        self.subject = self.add_namespace("subject")
        ip("-n", self.subject, "link", "set", "lo", "up")
        self.prepare_world()
        self.set_kernel(self.subject)
        ip("-n", self.world, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", self.subject)
        for namespace, address, address6 in ((self.world, WORLD_ADDRESS, WORLD_ADDRESS6),
                                             (self.subject, SUBJECT_ADDRESS, SUBJECT_ADDRESS6)):
            ip("-n", namespace, "address", "add", f"{address}/{PREFIX}", "broadcast", "+", "dev", "veth0")
            ip("-n", namespace, "address", "add", f"{address6}/{PREFIX6}", "dev", "veth0", "nodad")
            ip("-n", namespace, "address", "add", "fe80::1/64" if namespace == self.world else "fe80::2/64", "dev",
               "veth0", "nodad")
            ip("-n", namespace, "link", "set", "veth0", "mtu", str(self.mtu), "up")
        ip("-n", self.subject, "route", "add", "default", "via", WORLD_ADDRESS)
        ip("-n", self.subject, "route", "add", "default", "via", WORLD_ADDRESS6)
        self.wait_until_running(self.world, "veth0")
        self.wait_until_running(self.subject, "veth0")


class Sidestack(Setting):
    """A namespace without any network for the programs, and one with the TAP's far end for the peers: a world of its
    own, or one that is there."""

    def __init__(self, log_path, name="sidestack", mtu=1500, world=None, device="tap0", address=SUBJECT_ADDRESS,
                 address6=SUBJECT_ADDRESS6, arguments=()):
        super().__init__(name)
        self.log_path = log_path
        self.arguments = arguments  # more of them, for sidestackd
        self.mtu = mtu
        self.world = world
        self.device = device
        self.address = address
        self.address6 = address6
        self.service = None
        self.directory = None

    def open(self):
        if self.world is None:
            self.world = self.add_namespace("world")
            self.prepare_world()
        self.subject = self.add_namespace("subject")
        self.directory = tempfile.mkdtemp(prefix="sidestack-")
        path = os.path.join(self.directory, "service.sock")
        self.preload = ["SIDESTACK_SOCKET=" + path, f"LD_PRELOAD={PRELOAD} {LIBRARY}".replace("= ", "=")]
        ip("-n", self.world, "tuntap", "add", "dev", self.device, "mode", "tap")
        ip("-n", self.world, "address", "add", f"{WORLD_ADDRESS}/{PREFIX}", "dev", self.device)
        ip("-n", self.world, "address", "add", f"{WORLD_ADDRESS6}/{PREFIX6}", "dev", self.device, "nodad")
        ip("-n", self.world, "address", "add", "fe80::1/64", "dev", self.device, "nodad")
        ip("-n", self.world, "link", "set", self.device, "mtu", str(self.mtu), "up")
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        open(self.log_path, "wb").close()
        self.start_service()
        self.wait_until_running(self.world, self.device)

    def start_service(self, *arguments):
        """Start it, and wait until it is ready."""
        path = os.path.join(self.directory, "service.sock")
        ready, ready_end = os.pipe()
        with open(self.log_path, "ab") as log:
            self.service = subprocess.Popen(
                self.enter(self.world, *WRAPPER, os.path.join(ARTEFACTS, "sidestackd"), "--netif",
                           f"tap:{self.device}", "--mtu", str(self.mtu), "--address", f"{self.address}/{PREFIX}",
                           "--address", f"{self.address6}/{PREFIX6}", "--gateway", WORLD_ADDRESS,
                           "--gateway", WORLD_ADDRESS6, "--socket", path, "--ready-fd", str(ready_end), *self.arguments, *arguments),
                pass_fds=[ready_end], env=self.environment, stdin=subprocess.DEVNULL, stderr=log)
        os.close(ready_end)
        with open(ready, "rb") as ready_file:
            if not ready_file.read(1):
                sys.exit(f"sidestackd did not start; see {self.log_path}")

    def take_over(self):
        """A new service takes the running one's place. Return: how that one ended."""
        old = self.service
        self.start_service("--takeover")
        return old.wait(30)

    def close(self):
        if self.service is not None:
            self.service.terminate()
            try:
                status = self.service.wait(60)  # with 100 000 connections on an emulated machine it takes a while
            except subprocess.TimeoutExpired:
                self.service.kill()
                status = self.service.wait()
            if status != 0:
                self.failed = True
                print(f"sidestackd ended with status {status}; see {self.log_path}")
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
        super().close()


class Moved(Sidestack):
    """The kernel's two namespaces, and the preload beside a service whose rules send every socket to the kernel's network, but
    none before its address is known."""

    def __init__(self, log_path, name="moved"):
        super().__init__(log_path, name, arguments=["--rule", "host address=0.0.0.0/0,::/0"])
        self.kernel = Kernel(name + "-kernel")

    def open(self):
        self.kernel.open()
        super().open()
        self.world, self.subject = self.kernel.world, self.kernel.subject

    def close(self):
        super().close()
        self.kernel.close()
