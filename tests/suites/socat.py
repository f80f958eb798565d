"""socat - socat's test.sh (Debian: source package socat, run on the installed socat): what it knows by "tcp4"."""
import os
import re

from suite import FAIL, HERE, PASS, SKIP, STARTED, Unit, fetch_source

PACKAGE = "socat"
LINE = re.compile(r"^test +(\d+) ([^\n]*?)\.\.\.(.*?)(?=^test +\d+ |\Z)", re.MULTILINE | re.DOTALL)
VERDICT = re.compile(r"\b(OK|FAILED)\b|NO RESULT|not available|not root|feature|must be root|skip", re.IGNORECASE)


def read_results(output):
    """A line is "test  12 NAME: description... OK", with what programs print in between."""
    results = {}
    for number, title, rest in LINE.findall(output):
        verdict = VERDICT.search(rest)
        outcome = STARTED if verdict is None else {"OK": PASS, "FAILED": FAIL}.get(verdict[1], SKIP)
        results[number + "-" + title.split(":")[0].replace(" ", "_")] = outcome
    return results


def prepare():
    fetch_source(PACKAGE)


def units():
    script = os.path.join(fetch_source(PACKAGE), "test.sh")
    environment = {"SOCAT": "/usr/bin/socat", "PATH": os.path.join(HERE, "tools") + ":" + os.environ["PATH"],
                   "TERM": "dumb"}
    return [Unit("tcp4", lambda done, only: ["bash", script, "-t", "0.1", "tcp4"], read_results, quiet_seconds=60,
                 environment=environment)]
