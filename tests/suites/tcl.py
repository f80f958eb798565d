"""tcl - the socket and http tests of Tcl (Debian: source package tcl8.6, run by its package tcl8.6)."""
import os
import re

from suite import FAIL, PASS, SKIP, STARTED, Unit, fetch_source

PACKAGE = "tcl8.6"
FILES = ("socket", "http", "http11", "httpold", "httpcookie")
LINE = re.compile(r"^(?:---- (?P<start>\S+) start|==== (?P<fail>\S+) .*FAILED|\+\+\+\+ (?P<pass>\S+) PASSED"
                  r"|\+\+\+\+ (?P<skip>\S+) SKIPPED:.*)$", re.MULTILINE)
OUTCOMES = {"start": STARTED, "fail": FAIL, "pass": PASS, "skip": SKIP}


def read_tcltest(output):
    results = {}
    for match in LINE.finditer(output):
        outcome = OUTCOMES[match.lastgroup]
        if results.get(match[match.lastgroup]) != FAIL or outcome != STARTED:
            results[match[match.lastgroup]] = outcome
    return results


def prepare():
    fetch_source(PACKAGE)


def units():
    tests = os.path.join(fetch_source(PACKAGE), "tests")

    def unit(name):
        def command(done, only):
            choice = ["-match", " ".join(sorted(only))] if only else ["-skip", " ".join(sorted(done))] if done else []
            return ["tclsh8.6", os.path.join(tests, name + ".test"), "-verbose", "pass body error skip start", *choice]
        return Unit(name, command, read_tcltest, quiet_seconds=60, resume=True)
    return [unit(name) for name in FILES if os.path.exists(os.path.join(tests, name + ".test"))]
