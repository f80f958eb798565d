"""libevent - libevent's regression tests (Debian: source package libevent, built here)."""
import os
import re
import subprocess
import sys

from suite import FAIL, PASS, ROOT, SKIP, STARTED, Unit, fetch_source

PACKAGE = "libevent"
BUILD = os.path.join(ROOT, "build", "suites", "build", PACKAGE)
PROGRAM = os.path.join(BUILD, "test", "regress")
GROUPS = ("main", "et", "bufferevent", "listener", "http", "rpc", "dns", "util", "thread", "finalize")
TEST = re.compile(r"^([a-z_]+/\w+): (.*?)(?=^[a-z_]+/\w+: |\Z)", re.MULTILINE | re.DOTALL)
VERDICT = re.compile(r"\b(OK|FAILED)\b|SKIPPED|DISABLED")
NO_AUTOTOOLS = ("AUTOCONF=:", "AUTOHEADER=:", "AUTOMAKE=:", "ACLOCAL=:")  # the tarball has what they make


def read_results(output):
    """A line is "group/test: OK", with what a test prints in between."""
    results = {}
    for name, rest in TEST.findall(output):
        verdict = VERDICT.search(rest)
        results[name] = STARTED if verdict is None else {"OK": PASS, "FAILED": FAIL}.get(verdict[1], SKIP)
    return results


def prepare():
    source = fetch_source(PACKAGE)
    if os.path.exists(PROGRAM):
        return
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "log"), "wb") as log:
        configure = os.path.join(source, "configure")
        for command in ([configure, "--disable-openssl", "--disable-shared", "--disable-samples", "-q"],
                        ["make", *NO_AUTOTOOLS, "include/event2/event-config.h"],
                        ["make", "-j2", *NO_AUTOTOOLS, "test/regress"]):
            if subprocess.run(command, cwd=BUILD, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode != 0:
                sys.exit(f"suites: could not build libevent's tests; see {log.name}")


def units():
    def unit(group):
        def command(done, only):
            return [PROGRAM, "--timeout", "30", *(sorted(only) if only else [group + "/.."])]
        return Unit(group, command, read_results, quiet_seconds=60)
    return [unit(group) for group in GROUPS]
