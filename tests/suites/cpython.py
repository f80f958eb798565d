"""cpython - the socket tests of CPython's own suite (Debian: libpython3.11-testsuite)."""
import glob
import os
import subprocess

from suite import PYTHON, unittest_unit

MODULES = ["test_socket", "test_selectors", "test_poll", "test_epoll", "test_socketserver", "test_httplib", "test_ssl",
           "test_ftplib"]


def prepare():
    pass


def units():
    listing = subprocess.run([PYTHON, "-c", "import test; print(test.__path__[0])"], capture_output=True, text=True,
                             check=True)
    asyncio = os.path.join(listing.stdout.strip(), "test_asyncio", "test_*.py")
    modules = MODULES + ["test_asyncio." + os.path.basename(path)[:-3] for path in sorted(glob.glob(asyncio))]
    return [unittest_unit(name, ["test." + name], quiet_seconds=60, total_seconds=900) for name in modules]
