"""trouble - what happens to a soak's work meanwhile: one thing after another, at random."""
import signal
import threading
import time

from world import WORLD_ADDRESS, ip

AFTER_S = 5  # how long datagrams may still be lost after that: neighbours are asked again, queues drain


class Trouble(threading.Thread):
    """Makes it, until it is told to stop."""

    def __init__(self, world, rng, seconds, with_takeovers, log_path):
        super().__init__()
        self.log_path = log_path  # what happened when: a failure names its time
        self.world, self.rng, self.with_takeovers = world, rng, with_takeovers
        self.end = time.monotonic() + seconds
        self.counts = {}
        self.error = None
        self.what = ""            # the particulars of the last one

    def run(self):
        kinds = [self.impair] * 4 + [self.kill_server] * 3 + [self.reload] * 3 + [self.link_down] + ([self.take_over] * 3 if self.with_takeovers else [])
        try:
            while time.monotonic() < self.end and self.world.is_alive():
                time.sleep(self.rng.uniform(0.5, 6))
                kind = self.rng.choice(kinds)
                begin = time.gmtime()
                self.what = ""
                kind()
                with open(self.log_path, "a", encoding="ascii") as file:
                    file.write(f"{time.strftime('%H:%M:%S', begin)} to {time.strftime('%H:%M:%S', time.gmtime())} {kind.__name__} {self.what}\n")
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def bad_for(self, seconds):
        self.world.bad_until = max(self.world.bad_until, time.monotonic() + seconds + AFTER_S)

    def impair(self):
        rng = self.rng
        parts = [f"delay={rng.choice((1, 10, 50))}ms", *(f"{rng.choice(('', 'in:', 'out:'))}{one}" for one in (
            "jitter=1ms", f"loss={rng.choice((0.1, 1, 3))}%", f"duplicate={rng.choice((0.1, 2))}%", f"reorder={rng.choice((0.5, 5))}%",
            f"corrupt={rng.choice((0.1, 1))}%", f"rate={rng.choice((20, 200))}mbit") if rng.random() < 0.4)]
        seconds = rng.uniform(1, 12)
        self.bad_for(seconds)
        self.what = ",".join(parts)
        self.world.tool("impair", ",".join(parts + [f"seed={rng.randrange(1 << 30)}"]))
        time.sleep(seconds)
        self.bad_for(0)
        self.world.tool("impair", "none")

    def kill_server(self):
        server = self.rng.choice(list(self.world.servers.values()))
        self.what = f"{server.name} on the {server.side}"
        server.kill()

    def reload(self):
        n = self.rng.randrange(1, 200)
        lines = ["dns = " + WORLD_ADDRESS, f"route = 10.8.{n}.0/24 via {WORLD_ADDRESS}", f"busy-poll = {n % 2 * 50}", f"rule = reject program=nobody{n}",
                 f"rule = blackhole address=10.9.{n}.0/24"]
        if n % 10 == 0:
            lines.append("rule = nonsense")
        self.world.configure(*lines)
        self.world.setting.service.send_signal(signal.SIGHUP)
        if n % 10 == 0:  # what is read by the next one has to be right
            time.sleep(1)
            self.world.configure(lines[0])

    def link_down(self):
        seconds = self.rng.uniform(0.05, 2)
        self.bad_for(seconds)
        self.world.link_down_at = time.monotonic() + seconds
        for state in ("down", "up"):
            ip("-n", self.world.setting.world, "link", "set", "tap0", state)
            time.sleep(seconds if state == "down" else 0)
        self.bad_for(0)

    def take_over(self):
        self.bad_for(1)
        status = self.world.setting.take_over()
        self.bad_for(0)
        if status != 0:
            raise RuntimeError(f"the old service ended with status {status}")
