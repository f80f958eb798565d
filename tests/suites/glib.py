"""glib - GLib's installed tests of its sockets (Debian: libglib2.0-tests)."""
import glob
import os
import re
import subprocess

from suite import SKIP, programs_unit, read_reports

DIRECTORY = "/usr/libexec/installed-tests/glib"
PROGRAMS = ("socket*", "gsocketclient-slow", "network-address")
SKIPPED = re.compile(r"^ok \d+ (\S+) # SKIP (?!by request)", re.MULTILINE)


def read_results(output):
    """A program whose tests are all skipped exits with 0; what it prints tells."""
    return {**read_reports(output), **dict.fromkeys(SKIPPED.findall(output), SKIP)}


def prepare():
    pass


def test_command(path, test, tests):
    """Return: the command line of one test alone (-p takes those below it along). A test that fails aborts its program,
    hence a process for each."""
    below = [argument for other in tests if other.startswith(test + "/") for argument in ("-s", other)]
    return [path, "-p", test, *below]


def units():
    result = []
    for path in sorted(path for pattern in PROGRAMS for path in glob.glob(os.path.join(DIRECTORY, pattern))):
        listing = subprocess.run([path, "-l"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        tests = [line for line in listing.stdout.split() if line.startswith("/")]
        commands = {test: test_command(path, test, tests) for test in tests}
        result.append(programs_unit(os.path.basename(path), commands, read=read_results))
    return result
