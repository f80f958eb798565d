"""Let calls of the service, or of the library in a program, fail, each once, and see that both go on: faults.py PART...

Runs in W of tests/lib.sh (faults.sh starts it); the service, the programs (program.c) and what they talk to are all its own.

  start KIND...          each call site of a service that starts: it refuses, and says so, or it starts and works
  serve KIND...          each call site of a running service: whatever failed, the next try goes well, and nothing is left behind
  library KIND...        each call site of the library in a program
  every PERIOD KIND      of a running service each call of number PERIOD, 2 * PERIOD ... fails, in one pass of all steps
  sweep PART KIND I/N[/LAST]
                         the call of number I, I + N, I + 2 * N ..., each in a run of its own, until three in which nothing failed, or LAST

FAULTS_STEPS: the steps of the program that a sweep of the service takes, without the tools. FAULTS_SAY: show what it said when this is in it.
KIND: 0 something is short (memory, descriptors, buffers), 1 interrupted, 2 broken. --list FILE: the sites that failed go there, readable.
"""
import argparse
import ctypes
import json
import mmap
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

WORK = os.environ["FAULTS_WORK"]
BUILD = os.environ["FAULTS_BUILD"]  # of the service
SHIMS = os.environ["FAULTS_SHIMS"]  # where shim_*.so and program are
LIBRARY = os.environ["FAULTS_LIBRARY"]
RUNTIME = os.environ.get("FAULTS_PRELOAD", "")  # a sanitizer's, which the library needs
WORLD, STACK, WORLD6, STACK6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"
TRIES = 60
PASSES = 60
SHOWN = int(os.environ.get("FAULTS_SHOWN", "14"))  # of the calls that failed before something went wrong
LIMIT_S = int(os.environ.get("FAULTS_LIMIT", "30"))  # what any program here may take
LONG = 100000  # bytes that the peer sends

MODES = {"off": 0, "count": 1, "at": 2, "sites": 3, "every": 4}
problems = []
STEPS = os.environ.get("FAULTS_STEPS", "").split()
SAY = os.environ.get("FAULTS_SAY", "WRONG")


def say(text):
    print(text, flush=True)


def wrong(text):
    say(f"FAILED: {text}")
    problems.append(text)


class State:
    """What the shim reads and writes: struct state of shim.c."""

    HEAD = struct.Struct("=IIQQIIII64s")
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

    def set(self, mode, kind=0, at=0, target=""):
        """From now on; sites that were seen stay seen."""
        self.map[40:104] = target.encode().ljust(64, b"\0")
        self.map[16:28] = struct.pack("=QI", 0, 0)
        self.map[8:16] = struct.pack("=Q", at)
        self.begin = len(self.lines())
        self.map[0:8] = struct.pack("=II", MODES[mode], kind)

    def forget(self):
        self.map[28:40] = bytes(12)
        self.begin = 0
        self.map[self.HEAD.size:self.LOG] = bytes(self.SITES * 8)

    def head(self):
        return self.HEAD.unpack(self.map[:self.HEAD.size])

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


def readable(lines):
    """The shim's lines with functions for addresses."""
    wanted = {}
    for line in lines:
        for frame in line.split()[3:]:
            module, _, at = frame.partition("+")
            wanted.setdefault(module, set()).add(at)
    names = {}
    files = {"program": f"{BUILD}/sidestackd", "libintercept.so": LIBRARY}
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


state = State(f"{WORK}/state")


# What the programs talk to.

def receive(connection, size):
    got = b""
    while len(got) < size:
        more = connection.recv(size - len(got))
        if not more:
            break
        got += more
    return got


PATTERN = bytes((i * 7 + (i >> 8)) & 255 for i in range(LONG))


def call_back(connection, address):
    """Connect to the program, send, and look at what comes back."""
    port = int(receive(connection, 5))
    try:
        with socket.create_connection((STACK, port), timeout=5) as other:
            sender = threading.Thread(target=send_all, args=(other, PATTERN))
            sender.start()
            got = receive(other, LONG + 1)
            sender.join()
            if got != PATTERN[:len(got)]:
                wrong("a program's answer has other bytes")
            connection.sendall(b"k" if got == PATTERN else b"s")
    except OSError:
        connection.sendall(b"f")


def send_all(connection, data):
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def answer(connection, address):
    with connection:
        try:
            connection.settimeout(10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            command = connection.recv(1)
            if command == b"c":
                call_back(connection, address)
            while command == b"e":
                data = connection.recv(65536)
                if not data:
                    break
                connection.sendall(data)
        except OSError:
            # Not an orderly end: the program must not take it for one.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def accept_all(listener):
    while True:
        threading.Thread(target=answer, args=listener.accept(), daemon=True).start()


def answer_datagrams(udp):
    while True:
        data, address = udp.recvfrom(65536)
        try:
            udp.sendto(data, address)
        except OSError:
            pass


def start_peer():
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    threading.Thread(target=accept_all, args=(listener,), daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((WORLD, 0))
    threading.Thread(target=answer_datagrams, args=(udp,), daemon=True).start()
    return str(listener.getsockname()[1]), str(udp.getsockname()[1])


# The service and the programs.

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
            if not any(name in line for line in readable(state.recent()) for name in FRAGILE):  # libseccomp goes round for ever
                wrong("the service neither starts nor ends")
            self.process.kill()
        if may_be_mute and not is_ready and any("report_ready" in line for line in readable(state.recent())):
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


def in_p(command, environment, limit=LIMIT_S * 4):
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
    status, said = in_p([f"{SHIMS}/program", WORLD, WORLD6, *PORTS, str(tries), *steps], environment)
    if status != 0 or not said.endswith("done\n"):
        wrong(f"the program ended with status {status}: {said[-300:]}")
    return said


def run_tool(*arguments, limit=10):
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
        for line in readable((lines or state.recent())[-SHOWN:]):
            say(f"    {line}")
        if service is not None:
            say("    " + "\n    ".join(service.said().splitlines()[-8:]))


def check_sanitizers(what):
    said = sanitizers_said()
    if said:
        wrong(f"{what}: a sanitizer found something\n{said[:6000]}")


# Libraries of others that end the process, leak, or do half of what they should when memory is short; all of them work at the start only.
FRAGILE = ("libseccomp", "users_find", "ld-linux")
fragile_ends = 0


def start_once():
    """Return: did it start well with nothing that failed?"""
    global fragile_ends
    before = len(problems)
    service = Service()
    is_ready = service.wait_ready()
    failed = state.failed
    lines = state.recent()
    said = service.said()
    is_fragile = any(name in line for line in readable(lines) for name in FRAGILE)
    if is_fragile and failed > 0 and (not is_ready or service.process.poll() is not None):
        fragile_ends += 1
        sanitizers_said()
    elif is_ready:
        state.set("off")
        run_program(3, ["short"])
        service.stop()
    elif service.process.returncode <= 0 or ("error: " not in said and "write_stderr" not in " ".join(readable(lines))):
        wrong(f"the service ended with status {service.process.returncode} and said: {said[-300:]}")
    elif failed == 0:
        wrong(f"the service does not start: {service.said()[-300:]}")
    if not is_fragile:
        check_sanitizers("at the start")
    sanitizers_said()
    report(before, service, lines)
    if os.path.exists(CONTROL):
        os.unlink(CONTROL)
    return is_ready and failed == 0


def start_sites(kind):
    starts = 0
    while True:
        state.set("sites", kind)
        starts += 1
        if start_once():
            break
        if starts > 3000 or len(problems) > 20:
            wrong("too many")
            break
    say(f"start: {state.head()[6]} call sites failed, in {starts} starts, of which {fragile_ends} were ended by a library")


def settle(service, before):
    """What programs that ended have left is gone soon."""
    deadline = time.monotonic() + 10
    while service.descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    if service.descriptors() > before:
        links = [os.readlink(f"/proc/{service.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{service.process.pid}/fd")]
        wrong(f"descriptors: {before} before, {len(links)} after: {links}")


def begin_service():
    state.set("off")
    service = Service()
    if not service.wait_ready():
        wrong(f"the service does not start: {service.said()}")
        sys.exit(1)
    run_program(1)
    run_tools(service)
    return service


def end_service(service, before):
    """Nothing fails any more: all is as it was."""
    count = len(problems)
    state_failed = state.failed
    state.map[0:4] = struct.pack("=I", MODES["off"])
    if service.process.poll() is None:
        run_program(1)
        run_tools(service)
        settle(service, before)
    service.stop()
    check_sanitizers("the service")
    if len(problems) > count:
        say(f"    of {state_failed} failures")
        report(count, service)


def serve_sites(kind):
    service = begin_service()
    time.sleep(0.2)
    before = service.descriptors()
    total = 0
    for number in range(PASSES):
        state.set("sites", kind)
        count = len(problems)
        run_program(TRIES)
        if service.process.poll() is None:
            run_tools(service)
        total += state.failed
        report(count, service)
        if state.failed == 0 or len(problems) > 10 or service.process.poll() is not None:
            break
    else:
        wrong("there is always something new that fails")
    say(f"serve: {total} call sites failed in {number + 1} passes")
    end_service(service, before)
    if service.process.returncode == 0:
        take_over_sites(kind)


def take_over_sites(kind):
    state.set("off")
    old = Service()
    if not old.wait_ready():
        return
    begun = state.head()[6]
    tries = 0
    held = socket.socket()
    while tries < 1000:
        tries += 1
        state.set("sites", kind)
        count = len(problems)
        new = Service("--takeover")
        took = new.wait_ready(may_be_mute=True)
        failed = state.failed
        state.set("off")
        if took:
            if old.wait() != 0:
                wrong(f"the old service ended with status {old.process.returncode}")
            old = new
        elif old.process.poll() is not None:
            wrong(f"the old service ended with status {old.process.returncode}, and the new one did not take over")
        if len(problems) == count and (tries % 8 == 0 or took):
            run_program(3, ["short"])
        check_sanitizers("while it was taken over")
        report(count, new)
        if old.process.poll() is not None or (took and failed == 0) or len(problems) > 10:
            break
    held.close()
    say(f"takeover: {state.head()[6] - begun} call sites failed, in {tries} takeovers")
    old.stop()
    check_sanitizers("the service that took over")


def library_sites(kind):
    state.set("off")
    service = Service(faulty=False)
    if not service.wait_ready():
        wrong("the service does not start")
        return
    run_program(1)
    time.sleep(0.2)
    before = service.descriptors()
    total = 0
    for number in range(PASSES):
        count = len(problems)
        state.set("sites", kind, target="libintercept")
        said = run_program(TRIES, faulty=True)
        total += state.failed
        if len(problems) > count:
            say("    " + said[-600:].replace("\n", "\n    "))
        report(count)
        check_sanitizers("a program")
        if state.failed == 0 or len(problems) > 10:
            break
    else:
        wrong("there is always something new that fails")
    state.set("off")
    settle(service, before)
    run_program(1)
    say(f"library: {total} call sites failed in {number + 1} passes")
    service.stop()
    check_sanitizers("the service")


def every(period, kind):
    service = begin_service()
    time.sleep(0.2)
    before = service.descriptors()
    count = len(problems)
    state.set("every", kind, period)
    run_program(TRIES)
    if service.process.poll() is None:
        run_tools(service)
    say(f"every {period}: {state.failed} of {state.calls} calls failed")
    report(count, service)
    end_service(service, before)


def sweep_start(kind, numbers):
    """Return: how often something failed."""
    failed = missed = 0
    for number in numbers:
        state.set("at", kind, number)
        before = len(problems)
        missed = missed + 1 if start_once() else 0
        failed += missed == 0
        if len(problems) > before:
            say(f"    call {number}")
        if missed == 3 or len(problems) > 20:
            return failed, number
    return failed, number


def sweep_serve(kind, numbers):
    """One service, as long as nothing goes wrong with it; what it counts begins anew each time. Return: how often something failed."""
    service, before, failed, missed = None, 0, 0, 0
    for number in numbers:
        if service is None:
            service = begin_service()
            time.sleep(0.2)
            before = service.descriptors()
        state.set("at", kind, number)
        count = len(problems)
        said = run_program(TRIES, STEPS)
        if SAY in said:
            say(f"call {number}: {said}")
            for line in readable(state.recent()):
                say(f"    {line}")
        if service.process.poll() is None and not STEPS:
            run_tools(service)
        missed = missed + 1 if state.failed == 0 else 0
        failed += missed == 0
        report(count, service)
        if len(problems) > count or missed == 3 or number % 64 == 0:
            end_service(service, before)
            service = None
        if len(problems) > count:
            say(f"    call {number}")
        if missed == 3 or len(problems) > 20:
            return failed, number
    end_service(service, before)
    return failed, number


def sweep_library(kind, numbers):
    state.set("off")
    service = Service(faulty=False)
    if not service.wait_ready():
        wrong("the service does not start")
        return 0, 0
    run_program(1)
    time.sleep(0.2)
    before = service.descriptors()
    failed = missed = 0
    for number in numbers:
        count = len(problems)
        state.set("at", kind, number, target="libintercept")
        run_program(TRIES, faulty=True)
        missed = missed + 1 if state.failed == 0 else 0
        failed += missed == 0
        report(count)
        check_sanitizers("a program")
        if len(problems) > count:
            say(f"    call {number}")
        if missed == 3 or len(problems) > 20:
            break
    state.set("off")
    settle(service, before)
    service.stop()
    check_sanitizers("the service")
    return failed, number


def sweep(part, kind, first, step, last):
    sweeps = {"start": sweep_start, "serve": sweep_serve, "library": sweep_library}
    failed, number = sweeps[part](kind, range(first, last + 1, step))
    say(f"sweep {part} {kind}: calls {first} to {number}, each {step}th: {failed} failed")


def main():
    global PORTS
    parser = argparse.ArgumentParser()
    parser.add_argument("--list")
    parser.add_argument("part")
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    with open(f"{WORK}/conf", "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    PORTS = start_peer()
    names_server = subprocess.Popen(["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "../apps/names_server.py"), WORLD, WORLD6],
                                    stdout=subprocess.PIPE)
    while b"ready" not in names_server.stdout.readline():
        pass
    threading.Thread(target=names_server.stdout.read, daemon=True).start()
    try:
        begun = time.monotonic()
        parts = {"start": start_sites, "serve": serve_sites, "library": library_sites, "takeover": take_over_sites}
        if options.part in parts:
            for kind in options.rest:
                state.forget()
                parts[options.part](int(kind))
        elif options.part == "every":
            every(int(options.rest[0]), int(options.rest[1]))
        else:
            first, step, last = (options.rest[2] + "/100000").split("/")[:3]
            sweep(options.rest[0], int(options.rest[1]), int(first), int(step), int(last))
        say(f"{time.monotonic() - begun:.1f} s")
        if options.list:
            with open(options.list, "w", encoding="utf-8") as file:
                file.write("\n".join(sorted(readable(state.lines()))) + "\n")
    finally:
        names_server.kill()
    sys.exit(1 if problems else 0)


main()
