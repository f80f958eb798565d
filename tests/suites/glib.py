"""glib - GLib's installed tests of its sockets (Debian: libglib2.0-tests)."""
import glob
import os
import subprocess

from suite import programs_unit

DIRECTORY = "/usr/libexec/installed-tests/glib"
PROGRAMS = ("socket*", "gsocketclient-slow", "network-address")


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
        result.append(programs_unit(os.path.basename(path), {test: test_command(path, test, tests) for test in tests}))
    return result
