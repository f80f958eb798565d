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
            environment.update(LD_PRELOAD=f"{SHIMS}/shim_memory.so {SHIMS}/shim_calls.so", FAULTS_STATE=state.path)
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
        if may_be_mute and not is_ready and any("report_ready" in line for line in told(state.recent())):
            return True
        if not is_ready:
            self.wait()
        return is_ready

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


def run_program(tries, steps=(), faulty=False):
    """One program, all steps or some. Return: what it said."""
    preload = [LIBRARY]
    environment = {"SIDESTACK_SOCKET": CONTROL, **NO_LEAKS}
    if faulty:
        preload = [f"{SHIMS}/shim_memory.so", RUNTIME, LIBRARY, f"{SHIMS}/shim_calls.so"]
        environment["FAULTS_STATE"] = state.path
    elif RUNTIME:
        preload = [RUNTIME, LIBRARY]
    environment["LD_PRELOAD"] = " ".join(preload)
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
    capture = subprocess.Popen([f"{BUILD}/sidestack", "capture", "-c", "20", f"{WORK}/frames.pcapng"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=dict(os.environ, SIDESTACK_SOCKET=CONTROL, **NO_LEAKS))
    for arguments in (["ss", "-a"], ["ss", "-i", "-t", "--json"], ["stats", "--json"], ["rules"], ["netif"], ["impair", "delay=1ms"], ["impair"],
                      ["impair", "none"]):
        run_tool(*arguments)
    with open(f"{WORK}/conf", "w", encoding="ascii") as file:
        file.write(CONFIGURATION + f"search = s{time.monotonic_ns()}.test\n")
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
