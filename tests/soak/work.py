"""work - the kinds of work that a soak does: real programs, each of which knows whether what came was what was sent.

Each kind is a function of a Job. A job's programs may be killed, by itself, and its servers by others; then it need not succeed, but what came
must be right.
"""
import hashlib
import os
import shutil
import signal
import subprocess
import time

from stream import BROKEN, END, RUNNING, WRONG, read_ledger
from world import CLIENTS, FILES, HOLDER, IN_WORLD, ON_STACK, PYTHON, SOURCES, STREAM, SUBJECT_ADDRESS, WORLD_ADDRESS

PATIENCE_S = 240  # of a program, on a bad network and a busy machine
KILL_CHANCE = 0.15


# What programs say when their kernel has no route to us; and when their peer's had none, gave up a handshake of which it could not
# send the SYN-ACK again, and resets what comes of it.
NO_WAY = (b"unreachable", b"No route to host", b"Couldn't connect to server", b"Connect call failed", b"reset by peer")


class Failure(Exception):
    """Something was not as it has to be."""


class Excused(Exception):
    """It failed, as it had to: its server was killed meanwhile, or its kernel had no route to us while the link was down."""


class Killed(Exception):
    """We killed the client."""


class Job:
    """One piece of work: who speaks to whom, and chance."""

    def __init__(self, world, rng, name):
        self.world, self.rng, self.name = world, rng, name
        self.bytes = 0
        self.generations = {}
        self.notes = {}
        self.direction = rng.choice(("out", "out", "in", "in", "own"))
        self.server_side = IN_WORLD if self.direction == "out" else ON_STACK
        self.address = {"out": WORLD_ADDRESS, "in": SUBJECT_ADDRESS, "own": rng.choice(("127.0.0.1", SUBJECT_ADDRESS))}[self.direction]
        self.kill_after = rng.uniform(0, 4) if rng.random() < KILL_CHANCE else None

    def use(self, name, side=None):
        """Depend on a server."""
        server = self.world.servers[name, side or self.server_side]
        self.generations[server] = None if server.is_down else server.generation

    def is_excused(self):
        return any(server.generation != generation for server, generation in self.generations.items())

    def was_cut_off(self, begin):
        """Was the link down since then? Then our kernel has no route to the stack, which a connect() says at once."""
        return self.world.link_down_at > begin - 5  # it may have been down already

    def client(self, *command):
        """The command line of a program on the other side than the server."""
        return self.world.in_world(*command) if self.direction == "in" else self.world.on_stack(*command)

    def run(self, *command, output=True):
        """A client to its end. Return: what it wrote. Raises Killed, Excused or Failure."""
        begin = time.monotonic()
        process = self.world.popen(self.client(*command), stdout=subprocess.PIPE if output else subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            out, errors = process.communicate(timeout=self.kill_after if self.kill_after is not None else PATIENCE_S)
        except subprocess.TimeoutExpired:
            late = self.kill_after is None
            os.killpg(process.pid, signal.SIGKILL)
            out, errors = process.communicate()
            if late and not self.is_excused():
                raise Failure(f"{command[0]} did not end in {PATIENCE_S} s: {text(errors)}") from None
            raise (Excused if late else Killed)() from None
        if b"WRONG" in errors:
            raise Failure(text(errors))
        if process.returncode != 0:
            if self.is_excused() or (self.was_cut_off(begin) and any(words in errors for words in NO_WAY)):
                raise Excused()
            raise Failure(f"{' '.join(command)[:200]}: status {process.returncode}: {text(errors)}")
        return out


def text(data):
    return data.decode(errors="replace").strip()[-400:]


# ---- streams of known bytes ----

def wait_for_end(job, path, field, is_certain):
    """Until that end of a stream, if there ever was one, or is_certain to be, has come to its end. Return: its ledger."""
    deadline = time.monotonic() + PATIENCE_S
    while (ledger := read_ledger(path))[field] == RUNNING and (is_certain or os.path.exists(path)) and time.monotonic() < deadline and not job.is_excused():
        time.sleep(0.05)
    return ledger


def judge_stream(job, mode, paths, killed, excused):
    """What both ends say must fit together."""
    def claim(truth, what):
        if not truth:
            raise Failure(f"stream {mode} {job.direction} {'killed ' if killed else ''}{what}: client {client}, server {server}")
    client = read_ledger(paths["client"])
    for field in ["receive_state"] * (mode != "down") + ["send_state"] * (mode != "up"):
        server = wait_for_end(job, paths["server"], field, client["sent"] + client["received"] > 0)
    job.bytes = client["received"] + server["received"]
    claim(WRONG not in (client["receive_state"], server["receive_state"]), "has a wrong byte")
    server_killed = excused or job.is_excused()
    if killed and not server_killed and mode == "up" and client["sent"] > 0:
        claim(server["receive_state"] == END and server["received"] >= client["sent"], "lost what the kernel had taken of a program that was killed")
    if killed and not server_killed and os.path.exists(paths["server"]):
        claim(server["send_state" if mode == "down" else "receive_state"] != RUNNING, "has a server that does not hear of the end")
    if server_killed and not killed and mode == "down":
        claim(client["receive_state"] == END and client["received"] >= server["sent"] or client["receive_state"] == BROKEN and server["sent"] == 0 or
              client["receive_state"] == RUNNING and client["received"] == 0, "lost what the kernel had taken of a server that was killed")
    if killed:
        raise Killed()
    if server_killed:
        raise Excused()
    for sender, receiver, used in ((client, server, mode != "down"), (server, client, mode != "up")):
        if used:
            claim(sender["send_state"] == END and receiver["receive_state"] == END and sender["sent"] == receiver["received"], "is not whole")


def stream(job):
    job.use("stream")
    mode = job.rng.choice(("up", "down", "both"))
    paths = {end: os.path.join(job.world.ledgers, f"{job.name}.{end}") for end in ("client", "server")}
    killed = excused = False
    try:
        job.run(PYTHON, STREAM, mode, job.address, "7000", job.world.ledgers, job.name, f"{job.rng.uniform(0.5, 6):.2f}",
                str(job.rng.choice((1, 100, 1448, 10000, 65536, 500000))), str(job.rng.choice((0, 0, 1, 20))))
    except Killed:
        killed = True
    except Excused:
        excused = True
    try:
        judge_stream(job, mode, paths, killed, excused)
    finally:
        for path in paths.values():
            if os.path.exists(path):
                os.remove(path)


# ---- programs ----

def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def curl_get(job):
    job.use("nginx")
    name = job.rng.choice(list(FILES))
    count = job.rng.choice((1, 1, 5))
    out = job.run("curl", "-sS", "--fail", "--fail-early", *(["--limit-rate", "2M"] if job.rng.random() < 0.2 else []), *[f"http://{job.address}:8000/{name}"] * count)
    job.bytes = len(out)
    with open(os.path.join(job.world.directory, "www", name), "rb") as file:
        if out != file.read() * count:
            raise Failure(f"curl: {name} came wrong, {len(out)} bytes")


def curl_put(job):
    job.use("nginx")
    name = job.rng.choice(list(FILES))
    source = os.path.join(job.world.directory, "www", name)
    there = os.path.join(job.world.directory, "put-" + job.server_side, job.name)
    try:
        job.run("curl", "-sS", "--fail", "-T", source, f"http://{job.address}:8000/put/{job.name}")
        job.bytes = os.path.getsize(there)
        if digest(there) != digest(source):
            raise Failure(f"curl: {name} went wrong")
    finally:
        if os.path.exists(there):
            os.remove(there)


def wrk_close(job):
    """A connection for each request."""
    wrk(job, ["-H", "Connection: close"])


def wrk(job, close=()):
    job.use("nginx")
    begin = time.monotonic()
    out = job.run("wrk", "-t1", f"-c{job.rng.choice((1, 10, 50))}", f"-d{job.rng.choice((1, 3))}s", "--timeout", "120s", *close,
                  f"http://{job.address}:8000/{job.rng.choice(('small', 'middle'))}").decode()
    if "Socket errors" in out or "Non-2xx" in out:
        if job.is_excused() or ("Socket errors: connect" in out and job.was_cut_off(begin)):
            raise Excused()
        raise Failure("wrk: " + " ".join(out.split())[-300:])


def redis(job):
    job.use("redis")
    if job.rng.random() < 0.5:
        job.run(PYTHON, CLIENTS, "redis", job.address, "6379", str(job.rng.choice((10, 1000))), str(job.rng.randrange(1 << 30)))
    else:
        out = job.run("redis-benchmark", "-h", job.address, "-n", "3000", "-t", "set,get,lrange_100", "-c", "10", "-P", str(job.rng.choice((1, 16))), "--csv")
        if out.count(b"\n") < 4:
            raise Excused() if job.is_excused() else Failure(f"redis-benchmark: {text(out)}")


def ssh(job):
    job.use("ssh")
    name = job.rng.choice(list(FILES))
    source = os.path.join(job.world.directory, "www", name)
    out = job.run(*job.world.ssh(), job.address, f"cat {source}")
    job.bytes = len(out)
    if hashlib.sha256(out).hexdigest() != digest(source):
        raise Failure(f"ssh: {name} came wrong, {len(out)} bytes")


def rsync(job):
    job.use("ssh")
    there = os.path.join(job.world.directory, "rsync-" + job.name)
    source = os.path.join(job.world.directory, "www") + "/"
    try:
        job.run("rsync", "-a", "-e", " ".join(job.world.ssh()), f"{job.address}:{source}", there)
        for name, size in FILES.items():
            job.bytes += size
            if digest(os.path.join(there, name)) != digest(source + name):
                raise Failure(f"rsync: {name} came wrong")
    finally:
        shutil.rmtree(there, ignore_errors=True)


def asyncio(job):
    job.use("async")
    job.run(PYTHON, CLIENTS, "async", job.address, "7001", str(job.rng.choice((1, 20, 100))), str(job.rng.choice((1, 20))), str(job.rng.randrange(1 << 30)))


def udp(job):
    job.use("udp")
    begin = time.monotonic()
    out = job.run(PYTHON, CLIENTS, "udp", job.address, "7002", str(job.rng.choice((10, 300))), str(job.rng.randrange(1 << 30)))
    _, lost, _, doubled = out.split()
    job.notes = {"datagrams lost": int(lost), "datagrams doubled": int(doubled)}
    if int(lost) + int(doubled) > 0 and job.world.bad_until < begin and not job.is_excused():
        raise Failure(f"udp {job.direction}: {text(out)}, and the wire was good")


def names(job):
    job.direction, job.server_side = "out", IN_WORLD
    job.use("names", IN_WORLD)
    name = f"n{job.rng.randrange(1 << 30)}.soak.test"
    if job.rng.random() < 0.5:
        out = job.run("dig", "+short", "+tries=10", "+time=4", *(["+tcp"] if job.rng.random() < 0.5 else []), "@" + WORLD_ADDRESS, name)
        if [line for line in text(out).splitlines() if not line.startswith(";;")] != ["10.9.8.7"]:  # it says how often it asked
            raise Excused() if job.is_excused() else Failure(f"dig: {text(out)}")
        return
    try:
        job.run(PYTHON, CLIENTS, "names", name, "10.9.8.7")
    except Failure:
        if job.world.bad_until > time.monotonic() - 30:  # all its questions may have been lost
            raise Excused() from None
        raise


def idle(job):
    """Many connections that do nothing, and are killed all at once."""
    job.direction, job.server_side = "in", ON_STACK
    job.use("holder", ON_STACK)
    process = job.world.popen(job.client(HOLDER, "hold", SUBJECT_ADDRESS, "7003", *SOURCES), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        print("open", job.rng.choice((10, 100, 1000)), file=process.stdin, flush=True)
        time.sleep(job.rng.uniform(0.1, 3))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# How often each: work by its weight.
KINDS = {stream: 30, curl_get: 12, curl_put: 6, wrk: 3, wrk_close: 3, redis: 8, ssh: 5, rsync: 4, asyncio: 8, udp: 8, names: 8, idle: 3}
