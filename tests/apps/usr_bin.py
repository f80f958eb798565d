"""usr_bin.py LIBRARY DIRECTORY... - run each program there with --version and with --help, without the library and with it.

Exit status and the lines of the output must be the same, but for the library's line which says that there is no service; their order may differ, because programs such as groff run
others side by side. A program whose output differs from one run to the next without the library (process numbers, times) is only held to its exit status.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

LIMIT_S = 3
MESSAGE = re.compile(rb"^sidestack: no service at .*\n", re.MULTILINE)
# What can't be compared, and why.
LEFT_OUT = {
    **dict.fromkeys(("mdig", "nslookup", "nsupdate"), "try for UDP sockets before they read their options"),
    "fuser": "makes a UDP socket, whatever it is to do, and says that it can't",
    "rxqueue": "connects to its server, whatever it is to do",
}
library = sys.argv[1]
plain = {"PATH": "/usr/bin:/bin", "HOME": os.getcwd(), "LANG": "C.UTF-8", "SIDESTACK_SOCKET": "/nowhere"}
preloaded = plain | {"LD_PRELOAD": library}


def programs():
    """Paths of ELF programs of this machine's kind that have an interpreter, each file once."""
    seen = set()
    for directory in sys.argv[2:]:
        for entry in sorted(os.scandir(directory), key=lambda e: e.name):
            if not entry.is_file() or not os.access(entry, os.X_OK) or entry.name in LEFT_OUT:
                continue
            status = entry.stat()
            with open(entry, "rb") as file:
                start = file.read(4096)
            if start[:5] != b"\x7fELF\2" or b"/ld-linux" not in start or (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield entry.path


def run(path, option, environment, limit_s=LIMIT_S):
    """What came of it: exit status (None: it did not end in time), the lines of the output in alphabetical order."""
    try:
        done = subprocess.run([path, option], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit_s, start_new_session=True)
        return done.returncode, sorted(MESSAGE.sub(b"", done.stdout).splitlines())
    except subprocess.TimeoutExpired:
        return None, []
    except PermissionError:  # ping's file capabilities, where nobody may have them
        return None, []


def compare(path):
    """Return: what is wrong, in words, or None."""
    for option in ("--version", "--help"):
        without, with_library = run(path, option, plain), run(path, option, preloaded)
        if without == with_library:
            continue
        again, with_library_again = run(path, option, plain), run(path, option, preloaded, 5 * LIMIT_S)
        if again == with_library_again:
            continue
        if None in (without[0], again[0]):
            continue  # too slow to be compared
        if with_library_again[0] == again[0] and without[1] != again[1]:
            continue  # its output is never the same
        return f"{path} {option}: without: {again[0]} {again[1][-8:]!r}, with: {with_library_again[0]} " \
               f"{with_library_again[1][-8:]!r}"
    return None


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    paths = list(programs())
    wrong = [result for result in pool.map(compare, paths) if result]
for line in wrong:
    print(line)
print(f"{len(paths)} programs, {len(wrong)} differ")
sys.exit(1 if wrong or len(paths) < 100 else 0)
