"""tornado - Tornado's own tests (Debian: python3-tornado)."""
import subprocess

from suite import PYTHON, unittest_unit

LIST = "from tornado.test.runtests import TEST_MODULES; print('\\n'.join(TEST_MODULES))"


def prepare():
    pass


def units():
    listing = subprocess.run([PYTHON, "-c", LIST], capture_output=True, text=True, check=True, cwd="/")
    modules = [name for name in listing.stdout.split() if name.startswith("tornado.test.")]
    return [unittest_unit("tornado", modules, quiet_seconds=60)]
