"""Let calls of the service, or of the library in a program, fail, each once, and see that both go on: faults.py PART...

Runs in W of tests/lib.sh (faults.sh starts it); the service, the programs (program.c) and what they talk to are all its own.

  start KIND...          each call site of a service that starts: it refuses, and says so, or it starts and works
  serve KIND...          each call site of a running service: whatever failed, the next try goes well, and nothing is left behind
  takeover KIND...       each call site of two services of which one takes over from the other
  library KIND...        each call site of the library in a program
  every PERIOD KIND      of a running service each call of number PERIOD, 2 * PERIOD ... fails, in one pass of all steps
  sweep PART KIND I/N[/LAST[/WIDTH]]
                         the call of number I, I + N, I + 2 * N ..., each in a run of its own, until three in which nothing failed, or LAST;
                         WIDTH: that many calls in a row. PART: start, serve, library, or takeover

KIND: 0 something is short (memory, descriptors, buffers), 1 interrupted, 2 broken. --list FILE: the sites that failed go there, readable;
--places FILE: as places.py reads them.
A sweep of the service or the library takes the program's steps one by one, and numbers in each from 1; FAULTS_STEPS: only these (or `tools`). FAULTS_SAY: show what it said when this is in it.
FAULTS_LIMIT: seconds after which something hangs.
"""
import argparse
import os
import subprocess
import sys
import threading
import time

import peer
import sites
from sweeps import sweep
from world import CONFIGURATION, STACK, WORK, WORLD, WORLD6, ports, problems, say, state, told, wrong

PARTS = {"start": sites.start_sites, "serve": sites.serve_sites, "takeover": sites.take_over_sites, "library": sites.library_sites}


def run(part, rest):
    if part in PARTS:
        for kind in rest:
            state.forget()
            PARTS[part](int(kind))
    elif part == "every":
        sites.every(int(rest[0]), int(rest[1]))
    else:
        sweep(rest[0], int(rest[1]), rest[2])


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(sorted(lines)) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list")
    parser.add_argument("--places")
    parser.add_argument("part")
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    with open(f"{WORK}/conf", "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    ports.extend(peer.start_peer(WORLD, STACK, wrong))
    names_server = subprocess.Popen(["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "../apps/names_server.py"), WORLD, WORLD6],
                                    stdout=subprocess.PIPE)
    while b"ready" not in names_server.stdout.readline():
        pass
    threading.Thread(target=names_server.stdout.read, daemon=True).start()
    try:
        begun = time.monotonic()
        run(options.part, options.rest)
        say(f"{time.monotonic() - begun:.1f} s")
        state.forget()
        if options.list:
            write_lines(options.list, told(state.past))
        if options.places:
            write_lines(options.places, state.past)
    finally:
        names_server.kill()
    sys.exit(1 if problems else 0)


main()
