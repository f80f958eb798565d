"""analyse - captures of the benchmarks' loads, and what is wrong in them: tshark's expert analysis and the rules of tests/apps/expert.py.

What the stack sends is captured before a path has made anything of it, and what it receives. A capture is of headers only, and of a bounded
number of frames: what a load does, it does in the first of them.
"""
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
from settings import ARTEFACTS, BUILD, ROOT  # noqa: E402

TOOL = os.path.join(ARTEFACTS, "sidestack")
FRAMES_MAX = 40000
ERRORS_SHOWN = 5


class Capture:
    """Of the wire of the service whose control socket is in a directory; or of one after another."""

    def __init__(self):
        self.path = os.path.join(BUILD, "bench", f"analyse-{os.getpid()}.pcap")
        self.count = self.wrong = 0
        self.process = None

    def start(self, directory):
        control = ["--socket", os.path.join(directory, "service.sock")]
        self.process = subprocess.Popen([TOOL, "capture", *control, "-s", "128", "-c", str(FRAMES_MAX), self.path, "tcp"],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while json.loads(subprocess.check_output([TOOL, "stats", *control, "--json"]))["capture"]["CapturesOpen"] == 0:
            if self.process.poll() is not None:
                sys.exit("sidestack capture: " + self.process.stderr.read())
            time.sleep(0.02)

    def stop(self):
        """Return: what the tool said of it."""
        if self.process.poll() is None:  # it may have all that it wanted
            self.process.send_signal(signal.SIGINT)
        said = self.process.communicate()[1].strip()
        self.process = None
        return said

    def finish(self, name, kind, *addresses):
        """kind: clean or lossy. addresses: the stack's; of two stacks at both ends of a wire each is looked at for itself."""
        summary = self.stop()
        self.count += 1
        for address in addresses:
            if not summary.endswith(", 0 dropped"):
                status, said = 1, f"ERROR: {summary}"
            else:
                result = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "apps", "expert.py"), self.path, kind, *address],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                status, said = result.returncode, result.stdout.strip() or "ERROR: nothing was said"
            first, *rest = said.splitlines()
            print(f"{name}: {first}", flush=True)
            for line in [line for line in rest if line.startswith("ERROR")][:ERRORS_SHOWN]:
                print("    " + line)
            if status != 0:
                self.wrong += 1
                os.rename(self.path, os.path.join(BUILD, "bench", f"wrong-{os.getpid()}-{self.count}.pcap"))
                break

    def close(self):
        """Return: whether anything was wrong."""
        if self.process is not None:
            self.stop()
        if os.path.exists(self.path):
            os.unlink(self.path)
        print(f"{self.count} captures, {self.wrong} of them with errors of the stack's")
        return self.wrong > 0
