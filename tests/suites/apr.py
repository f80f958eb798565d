"""apr - the Apache Portable Runtime's tests of sockets and polling (Debian: source package apr, built here)."""
import os
import subprocess
import sys

from suite import ROOT, fetch_source, programs_unit

PACKAGE = "apr"
BUILD = os.path.join(ROOT, "build", "suites", "build", PACKAGE)
PROGRAM = os.path.join(BUILD, "test", "testall")
SUITES = ("testsock", "testsockets", "testsockopt", "testpoll", "testipsub")


def prepare():
    source = fetch_source(PACKAGE)
    if os.path.exists(PROGRAM):
        return
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "log"), "wb") as log:
        for directory, command in ((BUILD, [os.path.join(source, "configure"), "-q"]), (BUILD, ["make"]),
                                   (os.path.join(BUILD, "test"), ["make", "testall", "sockchild", "readchild"])):
            if subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode != 0:
                sys.exit(f"suites: could not build APR's tests; see {log.name}")


def units():
    # They look for their own helpers in the directory that they are in.
    script = 'cd "$1" && exec ./testall -v "$2"'
    commands = {name: ["sh", "-c", script, "sh", os.path.dirname(PROGRAM), name] for name in SUITES}
    # It binds /tmp/apr-socket, which the run beside it must not do meanwhile.
    commands["testsock"][:0] = ["flock", os.path.join(BUILD, "testsock.lock")]
    return [programs_unit("testall", commands, limit_seconds=60)]
