"""glib - GLib's installed tests of its sockets (Debian: libglib2.0-tests)."""
import glob
import os
import re

from suite import FAIL, PASS, SKIP, Unit

DIRECTORY = "/usr/libexec/installed-tests/glib"
PROGRAMS = ("socket*", "gsocketclient-slow", "network-address")
LINE = re.compile(r"^(ok|not ok) \d+ (\S+)(.*)$", re.MULTILINE)


def read_tap(output):
    """Read the Test Anything Protocol."""
    results = {}
    for verdict, name, rest in LINE.findall(output):
        results[name] = FAIL if verdict != "ok" else SKIP if "# SKIP" in rest else PASS
    return results


def prepare():
    pass


def units():
    paths = sorted(path for pattern in PROGRAMS for path in glob.glob(os.path.join(DIRECTORY, pattern)))
    return [Unit(os.path.basename(path), lambda done, only, path=path: [path, "--tap", "-k"], read_tap)
            for path in paths]
