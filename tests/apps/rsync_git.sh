#!/bin/bash
# An rsync daemon and a git daemon on the stack with their clients on the kernel, and the other way round.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# A tree with many small files and a few large ones.
mkdir -p "$WORK/tree/small" "$WORK/tree/large" "$WORK/up"
random_stream 800000 | split -b 4000 -a 3 - "$WORK/tree/small/"
random_stream 8M | split -b 3M -a 3 - "$WORK/tree/large/"

# sum_of DIRECTORY: of all names and contents
sum_of() {
    (cd "$1" && find . -name .git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum) | sha256
}
want=$(sum_of "$WORK/tree")

cat >"$WORK/rsyncd.conf" <<END
use chroot = no
uid = root
gid = root
reverse lookup = no
lock file = $WORK/rsyncd.lock
[tree]
path = $WORK/tree
[up]
path = $WORK/up
read only = no
END

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$WORK/gitconfig"
git config --global safe.directory '*'
git config --global core.compression 0
git config --global pack.window 0
git config --global user.name tester
git config --global user.email tester@example.org
git init -q -b main "$WORK/source"
cp -r "$WORK/tree/." "$WORK/source"
git -C "$WORK/source" add .
git -C "$WORK/source" commit -q -m "a tree"
git clone -q --bare "$WORK/source" "$WORK/repository.git"
head=$(git -C "$WORK/source" rev-parse HEAD)

# exchange WHAT ADDRESS SERVER-SIDE [COMMAND-PREFIX of the clients]
exchange() {
    local what=$1 address=$2 side=$3 server
    shift 3
    background "rsync_$what" "$side" rsync --daemon --no-detach --config="$WORK/rsyncd.conf" --address="$address" --port=8730 \
        --log-file="$WORK/rsyncd.log"
    server=$BACKGROUND_PID
    wait_for_port "$address" 8730
    "$@" rsync -a "rsync://$address:8730/tree/" "$WORK/down_$what" || fail "rsync from $address"
    check_equal "rsync from $address" "$(sum_of "$WORK/down_$what")" "$want"
    "$@" rsync -a --delete "$WORK/tree/" "rsync://$address:8730/up/" || fail "rsync to $address"
    check_equal "rsync to $address" "$(sum_of "$WORK/up")" "$want"
    # Now with differences: both ends compare what they have.
    rm "$WORK/down_$what/large/aab" "$WORK/down_$what"/small/*b
    printf x >>"$WORK/down_$what/large/aaa"
    "$@" rsync -a -z --no-whole-file --inplace "rsync://$address:8730/tree/" "$WORK/down_$what" || fail "rsync from $address"
    check_equal "rsync of what differs from $address" "$(sum_of "$WORK/down_$what")" "$want"
    stop "$server"
    rm -r "$WORK/up" && mkdir "$WORK/up"

    background "git_$what" "$side" git daemon --reuseaddr --listen="$address" --base-path="$WORK" --export-all --verbose --enable=receive-pack
    server=$BACKGROUND_PID
    wait_for_port "$address" 9418
    "$@" git clone -q "git://$address/repository.git" "$WORK/clone_$what" || fail "git clone"
    check_equal "git clone from $address" "$(sum_of "$WORK/clone_$what")" "$want"
    check_equal "git ls-remote of $address" "$("$@" git ls-remote "git://$address/repository.git" refs/heads/main)" \
        "$head"$'\t'refs/heads/main
    "$@" git clone -q --depth 1 --no-checkout "git://$address/repository.git" "$WORK/shallow_$what" || fail "git clone --depth"
    check_equal "a shallow clone from $address" "$(git -C "$WORK/shallow_$what" rev-parse HEAD)" "$head"
    random_file "$WORK/clone_$what/new_$what" 3M
    git -C "$WORK/clone_$what" add . && git -C "$WORK/clone_$what" commit -q -m new
    "$@" git -C "$WORK/clone_$what" push -q origin HEAD:"refs/heads/$what" || fail "git push"
    check_equal "git push to $address" "$(git -C "$WORK/repository.git" rev-parse "$what")" \
        "$(git -C "$WORK/clone_$what" rev-parse HEAD)"
    stop "$server"
}
exchange server_on_stack $STACK on_stack
exchange server_on_kernel $WORLD env on_stack
check_memory_below 65536
