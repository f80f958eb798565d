#!/bin/bash
# The library in every program of /usr/bin, where no service is: --version and --help are as without it.
# time: 240
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# Nobody runs them, on file systems that can't be written, and no set-uid bit counts: they are not to do anything.
mkdir -m 777 /run/here
cp "$LIBRARY" /run/libintercept.so
cp "$TOP/tests/apps/usr_bin.py" /run
mount --bind / /mnt
mount -o remount,bind,ro /mnt
mount --rbind /run /mnt/run
mount -t proc proc /mnt/proc
mount --rbind /dev /mnt/dev
mount -t tmpfs -o mode=1777 tmpfs /mnt/tmp
in_p timeout 220 chroot /mnt setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
    env -C /run/here $PYTHON /run/usr_bin.py /run/libintercept.so /usr/bin /bin
