"""world - where a soak takes place: a service, servers on both sides of it that can be killed, and what the service has in use."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
from settings import ARTEFACTS, BUILD, PREFIX, SUBJECT_ADDRESS, WORLD_ADDRESS, Sidestack, ip, run  # noqa: E402

PYTHON = "/usr/bin/python3"  # not what else PATH may have
STREAM, CLIENTS = os.path.join(HERE, "stream.py"), os.path.join(HERE, "clients.py")
HOLDER = os.path.join(BUILD, "bench", "holder")
SOURCES = [f"10.99.0.{101 + i}" for i in range(4)]  # further addresses of the world, for many connections
FILES = {"small": 3000, "middle": 300_000, "large": 12_000_000}
START_S = 60  # for a server to serve
LOOKS = 10
ON_STACK, IN_WORLD = "stack", "world"

NGINX = """daemon off; master_process on; worker_processes 2; pid {directory}/nginx-{side}.pid; error_log {directory}/nginx-{side}.log; user root;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; keepalive_requests 1000; client_max_body_size 0; client_body_temp_path {directory}/body-{side};
proxy_temp_path {directory}; fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
server {{ listen {address}:8000 backlog=1024; root {directory}/www;
location /put/ {{ alias {directory}/put-{side}/; dav_methods PUT; }} }} }}
"""
SSHD = """HostKey {0}/ssh/host
AuthorizedKeysFile {0}/ssh/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
LogLevel ERROR
MaxStartups 100
"""


class Server:
    """One that is started again when it was killed. generation counts how often."""

    def __init__(self, world, name, side, command, ready):
        self.world, self.name, self.side, self.command, self.ready = world, name, side, command, ready
        self.generation = 0
        self.is_down = False
        self.process = None

    def start(self):
        command = self.world.on_stack(*self.command) if self.side == ON_STACK else self.world.in_world(*self.command)
        self.process = self.world.popen(command, stdout=subprocess.PIPE if self.ready == "says" else subprocess.DEVNULL)
        if self.ready == "says":
            if not self.process.stdout.readline():
                raise RuntimeError(f"{self.name} on the {self.side} did not start")
        else:
            self.wait_for_port(int(self.ready))

    def wait_for_port(self, port):
        address = SUBJECT_ADDRESS if self.side == ON_STACK else WORLD_ADDRESS
        deadline = time.monotonic() + START_S
        probe = self.world.in_world("bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
        while subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} on the {self.side} does not listen")
            time.sleep(0.1)

    def kill(self):
        """All its processes, at once; then a new one."""
        self.is_down = True
        self.generation += 1
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.generation += 1
        self.start()
        self.generation += 1
        self.is_down = False

    def stop(self):
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()


class World:
    """All of it."""

    def __init__(self, log_path):
        self.directory = tempfile.mkdtemp(prefix="soak-")
        os.chmod(self.directory, 0o755)
        self.config = os.path.join(self.directory, "sidestack.conf")
        self.configure("dns = " + WORLD_ADDRESS)
        self.setting = Sidestack(log_path, arguments=["--config", self.config])
        self.servers = {}
        self.lock = threading.Lock()  # one trouble at a time
        self.bad_until = 0.0          # until when datagrams may be lost
        self.link_down_at = 0.0       # the last time
        self.ledgers = os.path.join(self.directory, "ledgers")

    def open(self):
        self.setting.open()
        self.setting.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        for source in SOURCES:
            ip("-n", self.setting.world, "address", "add", f"{source}/{PREFIX}", "dev", "tap0")
        self.make_files()
        for side, address in ((ON_STACK, "0.0.0.0"), (IN_WORLD, WORLD_ADDRESS)):
            self.add_servers(side, address)
        for server in self.servers.values():
            server.start()

    def make_files(self):
        rng = random.Random(7)
        for name in ("www", "ssh", "ledgers", "put-" + ON_STACK, "put-" + IN_WORLD):
            os.mkdir(os.path.join(self.directory, name))
        os.chmod(os.path.join(self.directory, "ssh"), 0o700)
        for name, size in FILES.items():
            with open(os.path.join(self.directory, "www", name), "wb") as file:
                file.write(rng.randbytes(size))
        os.makedirs("/run/sshd", exist_ok=True)
        for key in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.directory, "ssh", key))
        with open(os.path.join(self.directory, "sshd_config"), "w") as file:
            file.write(SSHD.format(self.directory))

    def add_servers(self, side, address):
        def add(name, ready, *command):
            self.servers[name, side] = Server(self, name, side, command, ready)
        configuration = os.path.join(self.directory, f"nginx-{side}.conf")
        with open(configuration, "w") as file:
            file.write(NGINX.format(directory=self.directory, side=side, address=address))
        add("stream", "says", PYTHON, STREAM, "serve", address, "7000", self.ledgers)
        add("async", "says", PYTHON, CLIENTS, "async-serve", address, "7001")
        add("udp", "says", PYTHON, CLIENTS, "udp-serve", address, "7002")
        add("nginx", "8000", "nginx", "-e", "stderr", "-c", configuration)
        add("redis", "6379", "redis-server", "--port", "6379", "--bind", address, "--save", "", "--protected-mode", "no",
            "--dir", self.directory)
        add("ssh", "2222", "/usr/sbin/sshd", "-D", "-f", os.path.join(self.directory, "sshd_config"), "-o", f"ListenAddress={address}:2222")
        if side == ON_STACK:
            add("holder", "says", HOLDER, "serve", address, "7003")
        else:
            add("names", "53", "dnsmasq", "-k", "--no-resolv", "--no-hosts", "--user=root", "--conf-file=/dev/null", "--pid-file",
                "--address=/soak.test/10.9.8.7", "--listen-address=" + WORLD_ADDRESS, "--bind-interfaces")

    def close(self):
        for server in self.servers.values():
            server.stop()
        self.setting.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- programs ----

    def in_world(self, *command):
        return self.setting.enter(self.setting.world, *command)

    def on_stack(self, *command):
        return self.setting.enter(self.setting.subject, "env", *self.setting.preload, *command)

    def popen(self, command, **named):
        """In a process group of its own, so that it can be killed with its children."""
        named.setdefault("stdin", subprocess.DEVNULL)
        named.setdefault("stderr", subprocess.DEVNULL)
        return subprocess.Popen(command, env=self.setting.environment, start_new_session=True, **named)

    def ssh(self):
        key = os.path.join(self.directory, "ssh", "user")
        return ["ssh", "-F", "none", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-p", "2222", "-l", "root"]

    # ---- the service ----

    def configure(self, *lines):
        with open(self.config + ".new", "w") as file:
            file.write("\n".join(lines) + "\n")
        os.chmod(self.config + ".new", 0o644)
        os.rename(self.config + ".new", self.config)

    def is_alive(self):
        """Has the service not died? One that was taken over has ended in order, and is not the one that counts."""
        return self.setting.service.poll() is None

    def tool(self, *arguments):
        """Ask the service with the tool. Return: what it said."""
        return subprocess.run([os.path.join(ARTEFACTS, "sidestack"), arguments[0], "--socket", os.path.join(self.setting.directory, "service.sock"),
                               *arguments[1:]], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout

    def descriptors(self):
        """How many the service has. That the tool is gone, which asked it just now, it may hear of a moment later."""
        least = None
        for _ in range(LOOKS):
            count = len(os.listdir(f"/proc/{self.setting.service.pid}/fd"))
            least = count if least is None else min(least, count)
            time.sleep(0.05)
        return least

    def figures(self):
        """What the service has in use. Return: {name: number}."""
        pid = self.setting.service.pid
        statistics = json.loads(self.tool("stats", "--json", "--zeros"))
        with open(f"/proc/{pid}/statm") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        tcp, control = statistics["tcp"], statistics["control"]
        return {"descriptors": self.descriptors(), "sockets": control["Sockets"], "control connections": control["Clients"],
                "tcp": tcp["Sockets"], "time-wait": tcp["TimeWaits"], "half open": tcp["HalfOpen"], "send bytes": tcp["SendMemory"],
                "receive bytes": tcp["ReceiveMemory"], "datagram sockets": statistics["udp"]["Sockets"], "RSS KiB": resident}
