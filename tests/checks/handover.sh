#!/bin/bash
# Every field of what a takeover hands over is named where it is walked, or it is said why not.
# time: 20
set -euo pipefail
exec /usr/bin/python3 "$(dirname "$0")/handover.py"
