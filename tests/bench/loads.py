"""loads - what the benchmark has the places do, and the table of measurements.

A load runs once in a place and returns figures by name. cpu_seconds is the processor time of the program under test and
of the process that is its stack; what the kernel does for them in interrupts is nobody's.
"""
import json
import os
import subprocess
import time

from places import BUILD, PROCESSORS, TRAFFIC, processor_seconds, wake_ups

FILES = os.path.join(BUILD, "bench", "www")
MEGA = 1e6
GIGA = 1e9


class Cost:
    """Processor time between two moments: of the stack's process, and of pids besides. And how often the former was woken."""

    def __init__(self, place, *pids):
        self.service = place.service_pid()
        self.woken_before = self.woken_now()
        self.pids = [pid for pid in (place.service_pid(), *pids) if pid is not None]
        self.before = self.now()

    def now(self):
        return sum(processor_seconds(pid) for pid in self.pids)

    def seconds(self):
        return self.now() - self.before

    def woken_now(self):
        return wake_ups(self.service) if self.service is not None else 0

    def woken(self):
        return self.woken_now() - self.woken_before


class Traffic:
    """The traffic generator: the subject is the client, or (inward) the server."""

    def __init__(self, kind, streams=1, size=64, apart=False, inward=False, family=4):
        self.kind, self.streams, self.size = kind, streams, size
        self.apart, self.inward, self.family = apart, inward, family

    def run(self, place, time_ms):
        server, port = place.traffic_on_subject() if self.inward else place.traffic_in_world()
        address = place.subject_address if self.inward else place.world_address
        if self.family == 6:
            address = place.subject_address6 if self.inward else place.world_address6
        # Kept on different processors, as if the peer were another machine; where they may share one, a round trip is
        # cheaper: no processor has to be woken.
        os.sched_setaffinity(server.pid, PROCESSORS[-1:] if self.apart else PROCESSORS)
        pin = ["taskset", "--cpu-list", str(PROCESSORS[0])] if self.apart else []
        enter = place.in_world if self.inward else place.on_subject
        command = enter(*pin, TRAFFIC, self.kind, address, port, str(self.streams), str(time_ms), str(self.size))
        cost = Cost(place, server.pid if self.inward else None)
        result = json.loads(place.run(command, time_ms / 1000))
        seconds = cost.seconds() + (0 if self.inward else result["cpu_seconds"])
        result["cpu_seconds"] = seconds
        result["gbit_s"] = result["bytes"] * 8 / result["seconds"] / GIGA
        result["per_s"] = result["count"] / result["seconds"]
        result["cpu_s_per_gb"] = seconds / (result["bytes"] / GIGA) if result["bytes"] > 0 else None
        result["wake_ups_gb"] = cost.woken() / (result["bytes"] / GIGA) if result["bytes"] > 0 else None
        result["cpu_share"] = seconds / result["seconds"]
        return result


class Nginx:
    """nginx on the stack under test, wrk in the world."""
    CONFIGURATION = """
        daemon off; master_process off; pid {directory}/nginx.pid; error_log stderr;
        events {{ worker_connections 4096; multi_accept on; }}
        http {{
            access_log off; sendfile {sendfile}; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 300;
            client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
            uwsgi_temp_path {directory}; scgi_temp_path {directory};
            server {{ listen {listen}; root {files}; }}
        }}"""
    SIZES = {"1k": 1024, "1m": 1024 * 1024}

    def __init__(self, name, connections=64, close=False):
        self.name, self.connections, self.close = name, connections, close

    def start(self, place):
        if "nginx" in place.servers:
            return place.servers["nginx"][0]
        directory = os.path.join(BUILD, "bench", "nginx-" + place.name)
        os.makedirs(directory, exist_ok=True)
        os.makedirs(FILES, exist_ok=True)
        for name, size in self.SIZES.items():
            path = os.path.join(FILES, name)
            if not os.path.exists(path) or os.path.getsize(path) != size:
                with open(path, "wb") as file:
                    file.write(b"x" * size)
        path = os.path.join(directory, "nginx.conf")
        unix = place.listens(80)
        with open(path, "w") as file:
            # An AF_UNIX socket has no cork: head and file would be two messages.
            file.write(self.CONFIGURATION.format(
                directory=directory, files=FILES, sendfile="on" if unix is None else "off",
                listen=f"{place.subject_address}:80 backlog=4096 reuseport" if unix is None else f"unix:{unix} backlog=4096"))
        command = place.on_subject("nginx", "-c", path, "-e", os.path.join(directory, "error.log"))
        return place.server("nginx", command, lambda process: wait_for_port(place, process, 80))[0]

    def run(self, place, time_ms):
        process = self.start(place)
        cost = Cost(place, process.pid)
        output = place.run(place.in_world("wrk", "-t", "1", "-c", str(self.connections), "-d", f"{max(1, time_ms // 1000)}s",
                                          "--latency", *(["-H", "Connection: close"] if self.close else []),
                                          f"http://{place.subject_address}/{self.name}"), time_ms / 1000)
        result = parse_wrk(output)
        result["cpu_seconds"] = cost.seconds()
        result["cpu_share"] = result["cpu_seconds"] / result["seconds"]
        result["cpu_s_per_million"] = result["cpu_seconds"] / (result["count"] / MEGA)
        return result


def parse_wrk(output):
    """Return: requests, seconds and rate of what wrk printed."""
    result = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) > 3 and words[1:3] == ["requests", "in"]:
            result["count"] = int(words[0])
            result["seconds"] = float(words[3].rstrip("s,"))
        if line.startswith("Requests/sec:"):
            result["per_s"] = float(words[1])
        if "Socket errors" in line or "Non-2xx" in line:
            raise RuntimeError("wrk: " + line.strip())
    if result["count"] == 0:
        raise RuntimeError("wrk: no request was answered")
    return result


class Redis:
    """redis-server on the stack under test, redis-benchmark in the world."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def run(self, place, time_ms):
        port = 6379
        unix = place.listens(port)
        where = ["--port", str(port), "--bind", place.subject_address] if unix is None else ["--port", "0", "--unixsocket", unix]
        command = place.on_subject("redis-server", "--save", "", "--appendonly", "no", *where, "--protected-mode", "no",
                                   "--loglevel", "warning")
        process = place.server("redis", command, lambda started: wait_for_port(place, started, port))[0]
        count = time_ms * (60 if self.pipeline == 1 else 800)  # as much as the kernel does in three quarters of that time
        cost = Cost(place, process.pid)
        began = time.monotonic()
        output = place.run(place.in_world("redis-benchmark", "-h", place.subject_address, "-p", str(port), "-t", "get",
                                          "-n", str(count), "-P", str(self.pipeline), "--csv"), 60)
        seconds = time.monotonic() - began
        name, rate = output.strip().splitlines()[-1].split(",")[:2]
        if name != '"GET"':
            raise RuntimeError("redis-benchmark: " + output)
        cpu_seconds = cost.seconds()
        return {"wake_ups_request": cost.woken() / count, "per_s": float(rate.strip('"')), "count": count, "seconds": seconds, "cpu_seconds": cpu_seconds,
                "cpu_share": cpu_seconds / seconds, "cpu_s_per_million": cpu_seconds / (count / MEGA)}


class Idle:
    """Connections that do nothing: what does the stack's process do?"""
    SETTLE_S = 7  # what follows the handshakes is over: delayed acknowledgements, questions for neighbours

    def __init__(self, connections):
        self.connections = connections

    def run(self, place, time_ms):
        pid = place.service_pid()
        if pid is None:
            return {"wake_ups_s": 0, "cpu_seconds": 0, "seconds": time_ms / 1000, "cpu_share": 0}
        _, port = place.traffic_in_world()
        command = place.on_subject(TRAFFIC, "hold", place.world_address, port, str(self.connections), "0")
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=place.setting.environment)
        try:
            client.stdout.readline()
            time.sleep(self.SETTLE_S)
            cost, before = Cost(place, client.pid), wake_ups(pid)
            time.sleep(time_ms / 1000)  # what is measured is that nothing happens
            woken, seconds = wake_ups(pid) - before, cost.seconds()
            return {"wake_ups_s": woken * 1000 / time_ms, "cpu_seconds": seconds, "seconds": time_ms / 1000,
                    "cpu_share": seconds * 1000 / time_ms}
        finally:
            client.stdin.close()
            client.wait()


def wait_for_port(place, process, port):
    """Return when somebody answers there, or raise when the server is gone."""
    deadline = time.monotonic() + 20
    while True:
        probe = subprocess.run(place.in_world("bash", "-c", f": </dev/tcp/{place.subject_address}/{port}"),
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=place.setting.environment)
        if probe.returncode == 0:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{place.name}: no server at port {port}")
        time.sleep(0.05)


class Row:
    """One line of the table: a load, the figure that counts, and what ratio to the kernel is to be reached."""

    def __init__(self, name, load, figure, reach=None, places=("kernel", "sidestack"), rivals=(), quick=False):
        self.name, self.load, self.figure, self.reach = name, load, figure, reach
        self.places, self.rivals, self.quick = places, rivals, quick
        self.more_is_better = figure in ("gbit_s", "per_s")


UNITS = {"gbit_s": "Gbit/s", "per_s": "/s", "p50_us": "µs", "p99_us": "µs", "p999_us": "µs", "wake_ups_s": "/s", "wake_ups_gb": "/GB", "wake_ups_request": "/request",
         "cpu_s_per_gb": "s/GB", "cpu_s_per_million": "s/million", "cpu_share": "processors"}
RIVALS = ("slirp4netns", "pasta")
WRAPPER = ("socket_wrapper",)  # the bound of the descriptor trick
BOUND = ("bound",)  # of the design: bound.c
IDLE = ("kernel", "sidestack-idle")  # where no other load's connections are in TIME-WAIT
JUMBO = ("kernel-9000", "sidestack-9000")
PAIR = ("kernel-pair", "sidestack-pair")

DOWN_1, UP_1, BOTH_1 = Traffic("download"), Traffic("upload"), Traffic("both")
DOWN_8, UP_8, BOTH_8 = Traffic("download", 8), Traffic("upload", 8), Traffic("both", 8)
DOWN6_1, UP6_1 = Traffic("download", family=6), Traffic("upload", family=6)
DOWN6_8, UP6_8 = Traffic("download", 8, family=6), Traffic("upload", 8, family=6)
ECHO, ECHO_1K = Traffic("echo", apart=True), Traffic("echo", size=1024, apart=True)
ECHO_TOGETHER, ECHO6 = Traffic("echo"), Traffic("echo", apart=True, family=6)
ECHO_BUSY, ECHO_BUSY_1K = Traffic("echo-busy"), Traffic("echo-busy", size=1024)
CONNECT_OUT, CONNECT_IN = Traffic("connect", 4), Traffic("connect", 4, inward=True)
UDP_UP, UDP_DOWN, UDP_ECHO = Traffic("udp-upload"), Traffic("udp-download"), Traffic("udp-echo", apart=True)
NGINX_1K, NGINX_1M, NGINX_CLOSE = Nginx("1k"), Nginx("1m"), Nginx("1k", close=True)
REDIS_1, REDIS_16 = Redis(1), Redis(16)
IDLE_100 = Idle(100)

ROWS = [
    Row("bulk to the program, 1 stream", DOWN_1, "gbit_s", 1.0, rivals=RIVALS + WRAPPER + BOUND, quick=True),
    Row("bulk to the program, 8 streams", DOWN_8, "gbit_s", 1.0, rivals=RIVALS + WRAPPER + BOUND, quick=True),
    Row("bulk from the program, 1 stream", UP_1, "gbit_s", 1.0, rivals=RIVALS + WRAPPER + BOUND, quick=True),
    Row("bulk from the program, 8 streams", UP_8, "gbit_s", 1.0, rivals=RIVALS + WRAPPER + BOUND, quick=True),
    Row("bulk both ways, 1 stream each", BOTH_1, "gbit_s", rivals=RIVALS + BOUND),
    Row("bulk both ways, 8 streams each", BOTH_8, "gbit_s", rivals=RIVALS + BOUND),
    Row("processor for bulk to the program, 1 stream", DOWN_1, "cpu_s_per_gb", rivals=BOUND),
    Row("processor for bulk from the program, 1 stream", UP_1, "cpu_s_per_gb", rivals=BOUND),
    Row("wake-ups of the service, bulk to the program, 1 stream", DOWN_1, "wake_ups_gb"),
    Row("wake-ups of the service, bulk from the program, 1 stream", UP_1, "wake_ups_gb"),
    Row("bulk to the program, 1 stream, IPv6", DOWN6_1, "gbit_s"),
    Row("bulk to the program, 8 streams, IPv6", DOWN6_8, "gbit_s"),
    Row("bulk from the program, 1 stream, IPv6", UP6_1, "gbit_s"),
    Row("bulk from the program, 8 streams, IPv6", UP6_8, "gbit_s"),
    Row("bulk to the program, 1 stream, MTU 9000", DOWN_1, "gbit_s", places=JUMBO),
    Row("bulk to the program, 8 streams, MTU 9000", DOWN_8, "gbit_s", places=JUMBO),
    Row("bulk from the program, 1 stream, MTU 9000", UP_1, "gbit_s", places=JUMBO),
    Row("bulk from the program, 8 streams, MTU 9000", UP_8, "gbit_s", places=JUMBO),
    Row("bulk both ways, 8 streams each, MTU 9000", BOTH_8, "gbit_s", places=JUMBO),
    Row("bulk from stack to stack, 1 stream", UP_1, "gbit_s", places=PAIR),
    Row("bulk from stack to stack, 8 streams", UP_8, "gbit_s", places=PAIR),
    Row("round trip of 64 bytes, stack to stack, median", ECHO, "p50_us", places=PAIR),
    Row("round trip of 64 bytes, median", ECHO, "p50_us", 1.15, rivals=RIVALS + WRAPPER + BOUND, quick=True),
    Row("round trip of 64 bytes, 99 %", ECHO, "p99_us", 1.5, rivals=RIVALS + BOUND, quick=True),
    Row("round trip of 64 bytes, 99.9 %", ECHO, "p999_us"),
    Row("processors during that", ECHO, "cpu_share"),
    Row("round trip of 1 KiB, median", ECHO_1K, "p50_us"),
    Row("round trip of 1 KiB, 99 %", ECHO_1K, "p99_us"),
    Row("round trip of 1 KiB, 99.9 %", ECHO_1K, "p999_us"),
    Row("round trip of 64 bytes, IPv6, median", ECHO6, "p50_us"),
    Row("round trip of 64 bytes, any processor, median", ECHO_TOGETHER, "p50_us", quick=True),
    Row("round trip of 64 bytes beside bulk, median", ECHO_BUSY, "p50_us", rivals=BOUND),
    Row("round trip of 64 bytes beside bulk, 99 %", ECHO_BUSY, "p99_us", rivals=BOUND),
    Row("round trip of 64 bytes beside bulk, 99.9 %", ECHO_BUSY, "p999_us", rivals=BOUND),
    Row("round trip of 1 KiB beside bulk, median", ECHO_BUSY_1K, "p50_us"),
    Row("round trip of 1 KiB beside bulk, 99 %", ECHO_BUSY_1K, "p99_us"),
    Row("round trip of 1 KiB beside bulk, 99.9 %", ECHO_BUSY_1K, "p999_us"),
    Row("connections from the program", CONNECT_OUT, "per_s", rivals=RIVALS + BOUND, quick=True),
    Row("connections to the program", CONNECT_IN, "per_s", rivals=BOUND, quick=True),
    Row("nginx, 1 KiB, keep-alive, 64 connections", NGINX_1K, "per_s", 0.8, rivals=BOUND, quick=True),
    Row("processor for a million of these", NGINX_1K, "cpu_s_per_million", rivals=BOUND),
    Row("nginx, 1 MiB, keep-alive, 64 connections", NGINX_1M, "per_s", rivals=BOUND),
    Row("nginx, 1 KiB, a connection each", NGINX_CLOSE, "per_s", 0.6, rivals=BOUND, quick=True),
    Row("redis GET, -P 1", REDIS_1, "per_s", 0.8, rivals=BOUND, quick=True),
    Row("processor for a million redis GETs, -P 1", REDIS_1, "cpu_s_per_million", rivals=BOUND),
    Row("wake-ups of the service for one of these", REDIS_1, "wake_ups_request"),
    Row("redis GET, -P 16", REDIS_16, "per_s", 0.8, rivals=BOUND, quick=True),
    Row("processor for a million redis GETs, -P 16", REDIS_16, "cpu_s_per_million", rivals=BOUND),
    Row("datagrams of 64 bytes from the program", UDP_UP, "per_s", 0.6, rivals=RIVALS + BOUND, quick=True),
    Row("datagrams of 64 bytes to the program", UDP_DOWN, "per_s", 0.6, rivals=RIVALS + BOUND, quick=True),
    Row("round trip of a 64-byte datagram, median", UDP_ECHO, "p50_us", rivals=RIVALS + BOUND),
    Row("round trip of a 64-byte datagram, 99 %", UDP_ECHO, "p99_us"),
    Row("wake-ups of the service, 100 idle connections", IDLE_100, "wake_ups_s", 0, places=IDLE, quick=True),
    Row("processors for 100 idle connections", IDLE_100, "cpu_share", places=IDLE),
]
