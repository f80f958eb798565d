"""suite - what the adapters of tests/suites are made of.

An adapter is a module with a first docstring line that says what its suite is, and
    prepare()   fetches and builds what the suite needs beyond its Debian packages (scripts/packages, group "suites");
    units()     Return: a list of Unit.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCES = os.path.join(ROOT, "build", "suites", "source")
PYTHON = "/usr/bin/python3"

# The outcomes of a test.
PASS, FAIL, SKIP, STARTED = "pass", "fail", "skip", "started"

REPORT = re.compile(r"^@(start|pass|fail|skip) (\S+)$", re.MULTILINE)


def read_reports(output):
    """Read what the drivers here print: a line "@start NAME" and then "@pass NAME" and so on, for each test."""
    results = {}
    for word, name in REPORT.findall(output):
        results[name] = STARTED if word == "start" else word
    return results


class Unit:
    """Some tests of a suite that are run by one process.

    name: for people and for the log's name
    command: a function (done, only) that returns the command line. done: the names of the tests that have run already
        and should not again (after one that hung); only: those to run, or None for all. A command that cannot choose
        ignores both.
    read: a function from the output to {name of test: outcome}; a test that began and did not end is STARTED
    quiet_seconds: the limit of a test: a process that says nothing for so long is killed
    total_seconds: the limit of the process
    resume: whether command can leave out what was done
    """

    def __init__(self, name, command, read=read_reports, quiet_seconds=60, total_seconds=600, resume=False,
                 environment=None):
        self.name = name
        self.command = command
        self.read = read
        self.quiet_seconds = quiet_seconds
        self.total_seconds = total_seconds
        self.resume = resume
        self.environment = environment or {}


def fetch_source(package):
    """Have the upstream source of a Debian package at hand, and unpacked. Return: its directory."""
    directory = os.path.join(SOURCES, package)
    if not os.path.isdir(directory):
        command = [os.path.join(ROOT, "scripts", "fetch-source"), package, directory]
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
            sys.exit(f"suites: could not fetch the source of {package}")
    return directory


def unittest_unit(name, modules, **settings):
    """Return: a Unit of Python's unittest modules, one name a test."""
    def command(done, only):
        choice = ["--only", ",".join(sorted(only))] if only else ["--done", ",".join(sorted(done))] if done else []
        return [PYTHON, os.path.join(HERE, "drive_unittest.py"), *choice, *modules]
    return Unit(name, command, resume=True, **settings)


def programs_unit(name, commands, limit_seconds=60, **settings):
    """Return: a Unit of programs, each a test that passes when it exits with 0. commands: {test: [argument]}."""
    def command(done, only):
        arguments = [PYTHON, os.path.join(HERE, "drive_programs.py"), str(limit_seconds)]
        for test, program in commands.items():
            if (only is None or test in only) and test not in done:
                arguments += ["--test", test, *program]
        return arguments
    return Unit(name, command, quiet_seconds=limit_seconds + 10, total_seconds=3600, resume=True, **settings)
