#!/bin/bash
# A user passes the last descriptors of sockets whose closing waits for an hour (lingering.py): others don't notice.
# time: 20
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

echo "socket-mode = 0666" >"$WORK/settings"
DAEMON_OPTIONS=(--config "$WORK/settings")
chmod 755 "$WORK"
lib_begin
version=$(sed -n 's/^#define PROTOCOL_VERSION \([0-9]*\).*/\1/p' "$TOP/service/protocol.h")
$PYTHON "$TOP/tests/apps/lingering.py" "$WORK/control" "$DAEMON_PID" "$version" $((200000 + RANDOM)) \
    nsenter --net=/run/netns/P -- env "${STACK_ENVIRONMENT[@]}"
