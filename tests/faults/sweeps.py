"""The call of number N fails, each N in a run of its own, until three runs in which nothing failed any more."""
import os
import subprocess

from sites import begin_sound_service, end_sound_service, start_once, take_over_once
from world import PROBLEMS_MAX, SHIMS, TRIES, Holder, Service, begin_service, check_sanitizers, end_service, problems, report, run_program, run_tools, say, state, told, wrong

TOOLS = "tools"  # for a step
STEPS = os.environ.get("FAULTS_STEPS", "").split()
SAY = os.environ.get("FAULTS_SAY", "WRONG")
RUNS_OF_SERVICE = 64  # then a new one
MISSES_MAX = 3


class Count:
    """Goes on from number to number. run(number, kind, width) makes one run, in which the call of that number may fail."""

    def __init__(self, numbers):
        self.numbers = numbers
        self.runs = self.failed = self.missed = self.last = self.calls = self.all_calls = 0

    def go(self, run, what="run"):
        self.missed = 0
        for number in self.numbers:
            count = len(problems)
            state.forget()
            failed = run(number)
            self.runs += 1
            self.calls = state.calls
            self.last = number
            self.missed = 0 if failed > 0 else self.missed + 1
            self.failed += failed > 0
            if len(problems) > count:
                say(f"    {what}: call {number}")
            if self.missed == MISSES_MAX or len(problems) > PROBLEMS_MAX:
                break
            if self.runs % 256 == 0:
                say(f"... {what}: {number} of {self.calls}")
        self.all_calls += self.calls


def sweep_start(kind, width, count):
    def run(number):
        state.set("at", kind, number, width=width)
        return 0 if start_once() else 1

    count.go(run)


def steps_of_program():
    return subprocess.run([f"{SHIMS}/program"], capture_output=True, text=True, check=True).stdout.split()


def sweep_serve(kind, width, count):
    """Step after step, in each from the first call on, then the tools: so a run is short. One service, as long as nothing goes wrong with it."""
    served = []  # the service, and how many descriptors it has at rest

    def run(number):
        if not served:
            served.extend(begin_service())
        service = served[0]
        state.set("at", kind, number, width=width)
        before = len(problems)
        if step == TOOLS:
            run_tools(service)
        else:
            said = run_program(TRIES, [step])
            if SAY in said:
                say(f"call {number}: {said}")
                for line in told(state.recent()):
                    say(f"    {line}")
        failed = state.failed
        report(before, service)
        if len(problems) > before or count.runs % RUNS_OF_SERVICE == RUNS_OF_SERVICE - 1:
            end_service(*served)
            served.clear()
        return failed

    for step in STEPS or steps_of_program() + [TOOLS]:
        count.go(run, step)
    if served:
        end_service(*served)


def sweep_takeover(kind, width, count):
    state.set("off")
    service = Service()
    if not service.wait_ready():
        wrong("the service does not start")
        return
    holder = Holder()

    def run(number):
        nonlocal service, holder
        if service.process.poll() is not None or count.runs % RUNS_OF_SERVICE == RUNS_OF_SERVICE - 1:
            # Something went wrong, or it has much to hand over by now.
            state.set("off")
            if service.process.poll() is None:
                holder.end()
                service.stop()
            service = Service()
            service.wait_ready()
            holder = Holder()
        state.set("at", kind, number, width=width)
        service, failed, _ = take_over_once(service, holder, number % 8 == 0)
        return failed

    count.go(run)
    state.stop()
    holder.end()
    run_program(1)
    service.stop()
    check_sanitizers("the service that took over")


def sweep_library(kind, width, count):
    """Likewise."""
    service, before = begin_sound_service()

    def run(number):
        before = len(problems)
        state.set("at", kind, number, target="libintercept", width=width)
        run_program(TRIES, [step], faulty=True)
        report(before)
        check_sanitizers("a program")
        return state.failed

    for step in STEPS or steps_of_program():
        count.go(run, step)
    end_sound_service(service, before)


SWEEPS = {"start": sweep_start, "serve": sweep_serve, "takeover": sweep_takeover, "library": sweep_library}


def sweep(part, kind, numbers):
    """numbers: FIRST/STEP[/LAST[/WIDTH]]"""
    given = [int(number) for number in numbers.split("/")]
    first, step, last, width = given + [None, None, 100000, 1][len(given):]
    count = Count(range(first, last + 1, step))
    SWEEPS[part](kind, width, count)
    how = "the call" if width == 1 else f"{width} calls in a row from that"
    say(f"sweep {part} {kind}: {how} of number {first}, {first + step}, ...: {count.runs} runs, in {count.failed} it failed; {count.all_calls} calls in all")
