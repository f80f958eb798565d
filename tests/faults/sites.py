"""Each call site fails once: of a service that starts, that runs, that is taken over; of the library in a program."""
import os
import sys
import time

from world import (CONTROL, FRAGILE, PROBLEMS_MAX, TRIES, Holder, Service, begin_service, check_sanitizers, end_service, problems, report, run_program, run_tools,
                   sanitizers_said, say, settle, state, told, wrong)

PASSES = 60
STARTS_MAX, TAKEOVERS_MAX = 3000, 3000

fragile_ends = 0


def start_once():
    """Return: did it start well with nothing that failed?"""
    global fragile_ends
    before = len(problems)
    service = Service()
    is_ready = service.wait_ready()
    failed = state.failed
    lines = state.recent()
    said = service.said()
    is_fragile = any(name in line for line in told(lines) for name in FRAGILE)
    if is_fragile and failed > 0 and (not is_ready or service.process.poll() is not None):
        fragile_ends += 1
        sanitizers_said()
    elif is_ready:
        state.set("off")
        run_program(3, ["short"])
        service.stop()
    elif service.process.returncode <= 0 or ("error: " not in said and "write_stderr" not in " ".join(told(lines))):
        wrong(f"the service ended with status {service.process.returncode} and said: {said[-300:]}")
    elif failed == 0:
        wrong(f"the service does not start: {service.said()[-300:]}")
    if not is_fragile:
        check_sanitizers("at the start")
    sanitizers_said()
    report(before, service, lines)
    if os.path.exists(CONTROL):
        os.unlink(CONTROL)
    return is_ready and failed == 0


def start_sites(kind):
    starts = 0
    while True:
        state.set("sites", kind)
        starts += 1
        if start_once():
            break
        if starts > STARTS_MAX or len(problems) > PROBLEMS_MAX:
            wrong("too many")
            break
    say(f"start: {state.sites} call sites failed, in {starts} starts, of which {fragile_ends} were ended by a library")


def serve_sites(kind):
    service, before = begin_service()
    total = 0
    for number in range(PASSES):
        state.set("sites", kind)
        count = len(problems)
        run_program(TRIES)
        if service.process.poll() is None:
            run_tools(service)
        total += state.failed
        report(count, service)
        if state.failed == 0 or len(problems) > PROBLEMS_MAX or service.process.poll() is not None:
            break
    else:
        wrong("there is always something new that fails")
    say(f"serve: {total} call sites failed in {number + 1} passes")
    end_service(service, before)
    if service.process.returncode == 0:
        take_over_sites(kind)


def take_over_once(old, holder, looks):
    """Let a new service take over from the old one; looks: use it then. Return: the one that runs, how much failed, did it take over?"""
    count = len(problems)
    new = Service("--takeover")
    took = new.wait_ready(may_be_mute=True)
    failed = state.failed
    state.stop()
    if took:
        if old.wait() != 0:
            wrong(f"the old service ended with status {old.process.returncode}")
    elif old.process.poll() is not None:
        wrong(f"the old service ended with status {old.process.returncode}, and the new one did not take over")
    elif failed == 0:
        wrong("the new one did not take over, and nothing failed")
    if len(problems) == count:
        holder.look()
    if len(problems) == count and (looks or took):
        run_program(3, ["short"])
    check_sanitizers("while it was taken over")
    report(count, new)
    return (new if took else old), failed, took


def take_over_sites(kind):
    state.set("off")
    service = Service()
    if not service.wait_ready():
        wrong(f"the service does not start: {service.said()}")
        return
    begun = state.sites
    holder = Holder()
    for tries in range(1, TAKEOVERS_MAX):
        state.set("sites", kind)
        service, failed, took = take_over_once(service, holder, tries % 8 == 0)
        if service.process.poll() is not None or (took and failed == 0) or len(problems) > PROBLEMS_MAX:
            break
    say(f"takeover: {state.sites - begun} call sites failed, in {tries} takeovers")
    holder.end()
    service.stop()
    check_sanitizers("the service that took over")


def begin_sound_service():
    """For programs in which something fails. Return: it, and how many descriptors it has at rest."""
    state.set("off")
    service = Service(faulty=False)
    if not service.wait_ready():
        wrong("the service does not start")
        sys.exit(1)
    run_program(1)
    time.sleep(0.2)
    return service, service.descriptors()


def end_sound_service(service, before):
    state.stop()
    settle(service, before)
    run_program(1)
    service.stop()
    check_sanitizers("the service")


def library_sites(kind):
    service, before = begin_sound_service()
    total = 0
    for number in range(PASSES):
        count = len(problems)
        state.set("sites", kind, target="libintercept")
        said = run_program(TRIES, faulty=True)
        total += state.failed
        if len(problems) > count:
            say("    " + said[-600:].replace("\n", "\n    "))
        report(count)
        check_sanitizers("a program")
        if state.failed == 0 or len(problems) > PROBLEMS_MAX:
            break
    else:
        wrong("there is always something new that fails")
    say(f"library: {total} call sites failed in {number + 1} passes")
    end_sound_service(service, before)


def every(period, kind):
    """Each call of number `period`, 2 * `period`, ... in one pass."""
    service, before = begin_service()
    count = len(problems)
    state.set("every", kind, period)
    run_program(TRIES)
    if service.process.poll() is None:
        run_tools(service)
    say(f"every {period}: {state.failed} of {state.calls} calls failed")
    report(count, service)
    end_service(service, before)
