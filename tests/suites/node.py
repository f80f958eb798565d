"""node - Node's tests of its net module (Debian: source package nodejs, run by the node that is installed)."""
import glob
import os

from suite import fetch_source, programs_unit

PACKAGE = "nodejs"


def prepare():
    fetch_source(PACKAGE)


def units():
    tests = os.path.join(fetch_source(PACKAGE), "test")
    paths = sorted(path for kind in ("parallel", "sequential") for pattern in ("test-net-*.js", "test-dgram-*.js")
                   for path in glob.glob(os.path.join(tests, kind, pattern)))
    commands = {os.path.basename(path)[:-3]: ["node", path] for path in paths}
    return [programs_unit("net", commands, limit_seconds=30)]
