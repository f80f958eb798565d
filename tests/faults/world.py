"""The service and the programs that fail, what they are made of, and what must not be (wrong())."""
import os
import select
import signal
import socket
import subprocess
import sys
import time

from state import State, readable

WORK = os.environ["FAULTS_WORK"]
BUILD = os.environ["FAULTS_BUILD"]  # of the service
SHIMS = os.environ["FAULTS_SHIMS"]  # where shim_*.so and program are
LIBRARY = os.environ["FAULTS_LIBRARY"]
RUNTIME = os.environ.get("FAULTS_PRELOAD", "")  # a sanitizer's, which the library needs
WORLD, STACK, WORLD6, STACK6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"
TRIES = 60
SHOWN = int(os.environ.get("FAULTS_SHOWN", "14"))  # of the calls that failed before something went wrong
LIMIT_S = int(os.environ.get("FAULTS_LIMIT", "300"))  # seconds after which something that is waited for is taken to hang
FILES = {"program": f"{BUILD}/sidestackd", "libintercept.so": LIBRARY}
PROBLEMS_MAX = 20  # then it is enough

problems = []
ports = []  # of the peer, TCP and UDP
notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # as systemd listens
notified.bind(f"{WORK}/notified")
os.setgroups(range(100, 110))  # a program is in many groups
state = State(f"{WORK}/state")


def say(text):
    print(text, flush=True)


def wrong(text):
    say(f"FAILED: {text}")
    problems.append(text)


def told(lines):
    """What failed, readable."""
    return readable(lines, FILES)


CONTROL = f"{WORK}/control"
SANITIZER = {"ASAN_OPTIONS": f"log_path={WORK}/sanitizer:verify_asan_link_order=0:allocator_may_return_null=1",
             "UBSAN_OPTIONS": f"log_path={WORK}/sanitizer:print_stacktrace=1"}
NO_LEAKS = {key: value + ":detect_leaks=0" for key, value in SANITIZER.items()}


def sanitizers_said():
    said = ""
    for name in sorted(os.listdir(WORK)):
        if name.startswith("sanitizer."):
            with open(f"{WORK}/{name}", errors="replace") as file:
                said += file.read()
            os.unlink(f"{WORK}/{name}")
    return said


# Libraries of others that end the process, leak, or do half of what they should when memory is short; all of them work at the start only.
FRAGILE = ("libseccomp", "users_find", "ld-linux")


class Service:
    """A sidestackd, whose calls may fail."""

    def __init__(self, *options, faulty=True):
        self.log_path = f"{WORK}/sidestackd.log"
        self.begin = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        self.ready, write_end = os.pipe()
        environment = dict(os.environ, **SANITIZER)
        if faulty:
            environment.update(NOTIFY_SOCKET=notified.getsockname(), LD_PRELOAD=f"{SHIMS}/shim_memory.so {SHIMS}/shim_calls.so", FAULTS_STATE=state.path)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([f"{BUILD}/sidestackd", "--config", f"{WORK}/conf", *options, "--ready-fd", str(write_end)],
                                            pass_fds=[write_end], stderr=log, stdin=subprocess.DEVNULL, env=environment)
        os.close(write_end)

    def wait_ready(self, may_be_mute=False):
        """may_be_mute: it may be ready without having been able to say so. Return: is it ready? Else it ended."""
        readable_fds, _, _ = select.select([self.ready], [], [], LIMIT_S)
        is_ready = bool(readable_fds) and os.read(self.ready, 1) == b"\n"
        os.close(self.ready)
        if not readable_fds:
            if not any(name in line for line in told(state.recent()) for name in FRAGILE):  # libseccomp goes round for ever
                wrong("the service neither starts nor ends")
            self.process.kill()
        if may_be_mute and not is_ready and self.is_mute():
            return True
        if not is_ready:
            self.wait()
        return is_ready

    def is_mute(self):
        """Could it not say that it is ready? The compiler may have made that a part of main(), which is not told."""
        return any("report_ready" in line or (line.startswith("write: ") and line.endswith(": ")) for line in told(state.recent()))

    def wait(self):
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            wrong("the service does not end")
            self.process.kill()
            return self.process.wait()

    def said(self):
        with open(self.log_path, errors="replace") as log:
            log.seek(self.begin)
            return log.read()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """It must be there, and end well."""
        if self.process.poll() is not None:
            wrong(f"the service died, status {self.process.returncode}")
        else:
            self.process.terminate()
            if self.wait() != 0:
                wrong(f"the service ended with status {self.process.returncode}")


def in_p(command, environment, limit=LIMIT_S * 16):
    """Return: its exit status and what it said."""
    try:
        done = subprocess.run(["nsenter", "--net=/run/netns/P", "--", *command], env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, check=False)
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode(errors="replace") + "out of time"


def program_environment():
    """Of a program whose calls don't fail."""
    return {"SIDESTACK_SOCKET": CONTROL, "FAULTS_LIMIT": str(LIMIT_S), "LD_PRELOAD": " ".join([RUNTIME, LIBRARY]).strip(), **NO_LEAKS}


class Holder:
    """A program that has sockets of many kinds while something happens to the service."""

    def __init__(self):
        self.process = subprocess.Popen(["nsenter", "--net=/run/netns/P", "--", f"{SHIMS}/program", WORLD, WORLD6, *ports, "1", "hold"],
                                        env=dict(os.environ, **program_environment()), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.expect(b"held")

    def expect(self, word):
        said = b""
        while word not in said:
            ready, _, _ = select.select([self.process.stdout], [], [], LIMIT_S)
            more = os.read(self.process.stdout.fileno(), 1000) if ready else b""
            said += more
            if not more:
                wrong(f"a program with sockets says: {said.decode(errors='replace')}")
                return

    def look(self):
        """Its connection still carries bytes."""
        self.process.stdin.write(b"?")
        self.process.stdin.flush()
        self.expect(b"ok")

    def end(self):
        self.process.stdin.close()
        self.expect(b"done")
        self.process.wait()


def drain_notified():
    while select.select([notified], [], [], 0)[0]:
        notified.recv(4096)


def run_program(tries, steps=(), faulty=False):
    """One program, all steps or some. Return: what it said."""
    environment = program_environment()
    if faulty:
        environment.update(FAULTS_STATE=state.path, LD_PRELOAD=f"{SHIMS}/shim_memory.so {RUNTIME} {LIBRARY} {SHIMS}/shim_calls.so")
    drain_notified()
    status, said = in_p([f"{SHIMS}/program", WORLD, WORLD6, *ports, str(tries), *steps], environment)
    if status != 0 or not said.endswith("done\n"):
        wrong(f"the program ended with status {status}: {said[-300:]}")
    return said


def run_tool(*arguments, limit=LIMIT_S):
    """A tool may fail, in its own words, but not hang."""
    try:
        done = subprocess.run([f"{BUILD}/sidestack", *arguments], env=dict(os.environ, SIDESTACK_SOCKET=CONTROL, **NO_LEAKS), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=limit, check=False)
        if done.returncode < 0:
            wrong(f"sidestack {' '.join(arguments)}: killed by signal {-done.returncode}")
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        wrong(f"sidestack {' '.join(arguments)} hangs")
        return 124, b""


def run_tools(service):
    capture = subprocess.Popen([f"{BUILD}/sidestack", "capture", "-c", "20", f"{WORK}/frames.pcapng", "tcp or udp"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=dict(os.environ, SIDESTACK_SOCKET=CONTROL, **NO_LEAKS))
    for arguments in (["ss", "-a"], ["ss", "-i", "-t", "--json"], ["stats", "--json"], ["rules"], ["rules", "test", "curl", "connect", WORLD], ["netif"],
                      ["ping", "-c", "1", "-W", "1", WORLD], ["kill", "dport", "=", "1"], ["impair", "delay=1ms"], ["impair"]):
        run_tool(*arguments)
    run_program(TRIES, ["short", "datagram"])
    run_tool("impair", "none")
    stamp = time.monotonic_ns()
    with open(f"{WORK}/conf", "w", encoding="ascii") as file:
        file.write(CONFIGURATION + f"search = s{stamp}.test\nrule = reject program=nobody{stamp} user=nobody port=9\n")
    if service.process.poll() is None:
        service.process.send_signal(signal.SIGHUP)
    run_program(TRIES, ["short", "datagram"])
    capture.terminate()
    try:
        capture.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        wrong("sidestack capture does not end")
        capture.kill()


CONFIGURATION = f"""socket = {CONTROL}
netif = tap:stack0
address = {STACK}/24
address = {STACK6}/64
gateway = {WORLD}
gateway = {WORLD6}
route = 10.8.0.0/16 via {WORLD}
dns = {WORLD}
rule = host address=10.99.0.0/16
pcap = {WORK}/all.pcap
max-memory = 64M
"""


def report(count, service=None, lines=None):
    """After something went wrong: which calls had failed."""
    if len(problems) > count:
        for line in told((lines or state.recent())[-SHOWN:]):
            say(f"    {line}")
        if service is not None:
            say("    " + "\n    ".join(service.said().splitlines()[-8:]))


def check_sanitizers(what):
    said = sanitizers_said()
    if said:
        wrong(f"{what}: a sanitizer found something\n{said[:6000]}")


def settle(service, before):
    """What programs that ended have left is gone soon."""
    deadline = time.monotonic() + LIMIT_S
    while service.descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    if service.descriptors() > before:
        links = [os.readlink(f"/proc/{service.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{service.process.pid}/fd")]
        wrong(f"descriptors: {before} before, {len(links)} after: {links}")


def begin_service():
    """A service whose calls may fail. Return: it, and how many descriptors it has at rest."""
    state.set("off")
    service = Service()
    if not service.wait_ready():
        wrong(f"the service does not start: {service.said()}")
        sys.exit(1)
    run_program(1)
    run_tools(service)
    time.sleep(0.2)
    return service, service.descriptors()


def end_service(service, before):
    """Nothing fails any more: all is as it was."""
    count = len(problems)
    state_failed = state.failed
    state.stop()
    if service.process.poll() is None:
        run_program(1)
        run_tools(service)
        settle(service, before)
    service.stop()
    check_sanitizers("the service")
    if len(problems) > count:
        say(f"    of {state_failed} failures")
        report(count, service)
