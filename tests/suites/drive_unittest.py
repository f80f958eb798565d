#!/usr/bin/python3
"""drive_unittest - run unittest modules and report each test: drive_unittest.py [--done A,B] [--only A,B] MODULE..."""
import argparse
import faulthandler
import os
import sys
import traceback
import unittest

sys.path.pop(0)  # this directory, which has modules that are called like packages

FAILURE_LINES = 30


class Reporter(unittest.TestResult):
    """Prints "@start NAME", and "@pass NAME" or the like when the test is over, on a descriptor of its own."""

    def __init__(self, report_fd):
        super().__init__()
        self.report_fd = report_fd
        self.outcome = None
        self.owner = os.getpid()

    def say(self, text):
        if os.getpid() == self.owner:  # some tests fork
            os.write(self.report_fd, f"\n{text}\n".encode(errors="backslashreplace"))

    def set_outcome(self, outcome, test, error=None):
        self.outcome = outcome
        if error is not None:
            lines = "".join(traceback.format_exception(*error)).splitlines()
            self.say(f"{test.id()}: {outcome}\n    " + "\n    ".join(lines[-FAILURE_LINES:]))

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "pass"
        self.say("@start " + test.id())

    def stopTest(self, test):
        super().stopTest(test)
        self.say(f"@{self.outcome} {test.id()}")

    def addError(self, test, err):
        self.set_outcome("fail", test, err)

    def addFailure(self, test, err):
        self.set_outcome("fail", test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.set_outcome("fail", test, err)

    def addSkip(self, test, reason):
        self.outcome = "skip"
        self.say(f"{test.id()}: skipped: {reason}")

    def addUnexpectedSuccess(self, test):
        self.outcome = "fail"


def chosen(suite, done, only):
    """Return: the suite without the tests that are not wanted. Its shape stays, for the sake of set-ups."""
    kept = unittest.TestSuite() if type(suite) is not unittest.TestSuite else type(suite)()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(chosen(test, done, only))
        elif test.id() not in done and (not only or test.id() in only):
            kept.addTest(test)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--done", default="", help="tests that have been run")
    parser.add_argument("--only", default="", help="the tests to run")
    parser.add_argument("modules", nargs="+")
    options = parser.parse_args()
    done = set(filter(None, options.done.split(",")))
    only = set(filter(None, options.only.split(",")))
    faulthandler.enable()
    try:
        from test import support
        support.use_resources = ["network"]  # test_socketserver wants it, and loopback is enough
    except ImportError:
        pass
    report_fd = os.dup(1)
    suite = unittest.defaultTestLoader.loadTestsFromNames(options.modules)
    chosen(suite, done, only).run(Reporter(report_fd))
    sys.stdout.flush()
    os._exit(0)  # threads that a test forgot are of no interest


if __name__ == "__main__":
    main()
