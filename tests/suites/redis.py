"""redis - Redis's runtest (Debian: source package redis, run on its redis-server): what is about connections."""
import os
import re

from suite import FAIL, PASS, SKIP, Unit, fetch_source

PACKAGE = "redis"
FILES = ("unit/auth", "unit/protocol", "unit/networking", "unit/pubsub", "unit/multi", "unit/introspection",
         "unit/introspection-2", "unit/limits", "unit/querybuf", "unit/pendingquerybuf", "unit/replybufsize",
         "unit/quit", "unit/client-eviction", "unit/obuf-limits", "unit/pause", "unit/tracking", "unit/wait",
         "integration/redis-cli", "integration/redis-benchmark", "integration/replication-2",
         "integration/replication-4", "integration/psync2-reg", "integration/block-repl", "integration/failover",
         "unit/shutdown", "integration/shutdown")
LINE = re.compile(r"^\[(ok|err|skip|ignore|exception|timeout)\]: (.*?)(?: \(\d+ ms\)| in tests/\S+)?$", re.MULTILINE)
OUTCOMES = {"ok": PASS, "skip": SKIP, "ignore": SKIP}
# runtest wants to be where its sources are, and writes there: each run gets a copy.
SCRIPT = """cp -r "$1/tests" "$1/redis.conf" "$1/sentinel.conf" . && mkdir src &&
ln -s /usr/bin/redis-server /usr/bin/redis-cli /usr/bin/redis-benchmark src/ &&
exec tclsh8.6 tests/test_helper.tcl --single "$2" --clients 1 --durable"""


def prepare():
    fetch_source(PACKAGE)


def units():
    source = fetch_source(PACKAGE)

    def unit(name):
        def read_results(output):
            results = {}
            for word, test in LINE.findall(re.sub(r"\x1b\[[0-9;]*m", "", output)):
                key = name + ":" + re.sub(r"\W+", "_", re.sub(r"\d+\.\d+ ?s\w*|127\.0\.0\.1:\d+", "", test)).strip("_")
                if results.get(key) != FAIL:
                    results[key] = OUTCOMES.get(word, FAIL)
            return results
        return Unit(name.replace("/", "-"), lambda done, only: ["sh", "-c", SCRIPT, "sh", source, name], read_results,
                    quiet_seconds=120, total_seconds=400)
    return [unit(name) for name in FILES]
