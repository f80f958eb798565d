#!/bin/bash
# make install puts everything where it works from, make uninstall takes all of it away; a second make does nothing.
# time: 120
if [ -z "${SIDESTACK_TEST_BUILD:-}" ]; then
    export SIDESTACK_TEST_BUILD=/usr/local/bin
fi
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

cd "$TOP"
make -s --question all || fail "there is something left to build after make"
make -s install DESTDIR="$WORK/root"
# What is mounted here is seen by this test alone.
mount --bind "$WORK/root/usr/local" /usr/local
lib_begin

background server $PYTHON -u -m http.server -d "$WORK" -b $WORLD 8000
wait_for_line server 'Serving HTTP'
echo hello >"$WORK/file"
check_equal "sidestack run, installed" \
    "$(in_p /usr/local/bin/sidestack run --socket "$WORK/control" -- curl -sS http://$WORLD:8000/file)" hello
check_equal "their versions" "$(/usr/local/bin/sidestack --version | cut -d ' ' -f 2)" \
    "$(/usr/local/bin/sidestackd --version | cut -d ' ' -f 2)"
ldd /usr/local/bin/sidestackd /usr/local/lib/sidestack/libintercept.so | grep 'not found' && fail "a library is missing"

make -s uninstall DESTDIR="$WORK/root"
check_equal "files left after make uninstall" "$(find "$WORK/root" -type f)" ""
