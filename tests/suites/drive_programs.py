#!/usr/bin/python3
"""drive_programs - run programs, each of them a test: drive_programs.py SECONDS [--test NAME PROGRAM ARGUMENT...]..."""
import os
import signal
import subprocess
import sys

SKIPPED = 77  # as Automake has it


def run_program(command, seconds):
    """Return: the program's exit status, None when it took too long. What it leaves behind is killed."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = program.wait(seconds)
    except subprocess.TimeoutExpired:
        status = None
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    program.wait()
    return status


def main():
    seconds = int(sys.argv[1])
    tests = []
    for argument in sys.argv[2:]:
        if argument == "--test":
            tests.append([])
        else:
            tests[-1].append(argument)
    for name, *command in tests:
        print(f"\n@start {name}", flush=True)
        status = run_program(command, seconds)
        if status is None:
            print(f"{name}: out of time ({seconds} s)")
        elif status != 0:
            print(f"{name}: exit status {status}")
        outcome = {0: "pass", SKIPPED: "skip"}.get(status, "fail")
        print(f"\n@{outcome} {name}", flush=True)


if __name__ == "__main__":
    main()
