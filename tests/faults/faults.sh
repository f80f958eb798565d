#!/bin/bash
# A world for faults.py, and faults.py in it: faults.sh PART..., as there.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
ip netns add P
names_files # short time-outs
ip tuntap add dev stack0 mode tap
ip address add $WORLD/24 dev stack0
ip address add $WORLD6/64 dev stack0 nodad
ip link set stack0 up
export FAULTS_WORK=$WORK FAULTS_BUILD=$BUILD FAULTS_SHIMS=${FAULTS_SHIMS:-$TOP/build/faults} FAULTS_LIBRARY=$LIBRARY FAULTS_PRELOAD=$PRELOAD
$PYTHON "$TOP/tests/faults/faults.py" "$@"
