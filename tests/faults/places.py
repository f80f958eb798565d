"""Which calls in our source were made to fail? places.py FILE...: what `faults.py --places FILE` wrote; FAULTS_BUILD as for faults.py.

A place is a line of service/, stack/ or intercept/ with a call that the shim can have fail, in what the service or the library is made of (not the tools).
It was made to fail when the first of our lines above such a call is that line. Prints how many were, and the others.
"""
import collections
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FAULTS_BUILD", f"{TOP}/build")
FILES = {"program": f"{BUILD}/sidestackd", "libintercept.so": f"{BUILD}/libintercept.so"}
# Named otherwise in the source than by the shim; fcntl(), epoll_ctl() and the like fail for some of their arguments only.
ALIASES = {"__getdelim": "getline"}
ONLY = {"fcntl": r"F_DUPFD", "epoll_ctl": r"EPOLL_CTL_ADD", "syscall": r"SYS_(futex.*WAIT|seccomp|getdents64|capget|tgkill)", "ioctl": r"^(?!.*SIOC(IN|OUT)Q)"}


def names_of_shim():
    names = set()
    for shim in ("shim_calls.so", "shim_memory.so"):
        out = subprocess.run(["nm", "-D", "--defined-only", f"{BUILD}/faults/{shim}"], capture_output=True, text=True, check=True).stdout
        names |= {line.split()[2] for line in out.splitlines()}
    return {ALIASES.get(name, name) for name in names}


def places_in_source(names):
    call = re.compile(r"(?<![\w.>])(?:libc_)?(" + "|".join(sorted(names)) + r")\(")
    places = {}
    for path in glob.glob(f"{TOP}/service/**/*.c", recursive=True) + glob.glob(f"{TOP}/stack/**/*.c", recursive=True) + glob.glob(f"{TOP}/intercept/**/*.c", recursive=True):
        short = os.path.relpath(path, TOP)
        if short.startswith(("service/tool/", "intercept/export", "intercept/unhooked")):
            continue
        with open(path, encoding="utf-8") as file:
            in_comment = False
            for number, line in enumerate(file, 1):
                code = re.sub(r'"(\\.|[^"])*"', '""', line)
                if in_comment:
                    if "*/" not in code:
                        continue
                    code = code[code.index("*/") + 2:]
                    in_comment = False
                code = re.sub(r"/\*.*?\*/", "", code)
                code = re.sub(r"//.*", "", code)
                if "/*" in code:
                    code = code[:code.index("/*")]
                    in_comment = True
                if re.match(r"[a-zA-Z].*\)$", code):
                    continue # a function's head
                found = {match.group(1) for match in call.finditer(code)}
                found = {name for name in found if name not in ONLY or re.search(ONLY[name], line)}
                if found:
                    places[short, number] = (found, line.strip())
    return places


def places_that_failed(paths):
    wanted = collections.defaultdict(set)
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                for frame in line.split()[3:]:
                    module, _, at = frame.partition("+")
                    if module in FILES:
                        wanted[module].add(at)
                        break
    places = set()
    for module, addresses in wanted.items():
        out = subprocess.run(["addr2line", "-i", "-e", FILES[module]], input="\n".join("0x" + at for at in addresses), capture_output=True, text=True,
                             check=True).stdout
        for line in out.splitlines():
            place, _, number = line.split(" ")[0].rpartition(":")
            if number.isdigit():
                for root in ("service/", "stack/", "intercept/"):
                    if f"/{root}" in place or place.startswith(root):
                        places.add((place[place.rindex(root):], int(number)))
    return places


def main():
    places = places_in_source(names_of_shim())
    failed = places_that_failed(sys.argv[1:])
    missing = {place: what for place, what in places.items() if place not in failed}
    for root in ("service", "stack", "intercept"):
        all_here = sum(place[0].startswith(root) for place in places)
        print(f"{root}: {all_here - sum(place[0].startswith(root) for place in missing)} of {all_here} places with a call that can fail failed")
    for (path, number), (_, line) in sorted(missing.items()):
        print(f"{path}:{number}: {line}")


main()
