"""openssh - OpenSSH's regression tests (Debian: openssh-tests): the scripts that start an sshd on a TCP port."""
import glob
import os
import re

from suite import programs_unit

DIRECTORY = "/usr/lib/openssh/regress"
NOT_HERE = re.compile(r"conch|ssh-com|test-exec")  # other clients, and the common part
# As the package's own run-tests does it, for one script; each needs a copy of the directory to write to.
SCRIPT = """mkdir -p /run/sshd && copy=$(mktemp -d) && cp -a "$1/." "$copy" && make -s -C "$copy" t-exec LTESTS="$2" \
.OBJDIR="$copy" .CURDIR="$copy" BUILDDIR="$copy" OBJ="$copy" SUDO= TEST_SHELL=sh TEST_SSH_SSH=ssh \
TEST_SSH_SFTPSERVER=/usr/lib/openssh/sftp-server TEST_SSH_PLINK=plink TEST_SSH_PUTTYGEN=puttygen \
TEST_SSH_CONCH=conch3 TEST_SSH_IPV6=yes TEST_SSH_ECC=yes TEST_SSH_UNSAFE_PERMISSIONS=1 ||
{ tail -n 40 "$copy"/failed-*.log; exit 1; }"""


def prepare():
    pass


def starts_sshd(path):
    with open(path) as file:
        return "start_sshd" in file.read()


def units():
    names = [os.path.basename(path)[:-3] for path in sorted(glob.glob(os.path.join(DIRECTORY, "*.sh")))
             if starts_sshd(path) and not NOT_HERE.search(os.path.basename(path))]
    commands = {name: ["sh", "-c", SCRIPT, "sh", DIRECTORY, name] for name in names}
    return [programs_unit("sshd", commands, limit_seconds=120)]
