#!/bin/bash
# Debian's Chromium on the stack: a page with 100 resources, by name, over IPv4 and over IPv6. The screenshot shows each.
# time: 180
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
echo "nameserver $WORLD" >"$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" /etc/resolv.conf # the test has a mount namespace of its own
DAEMON_OPTIONS+=(--dns "$WORLD")
lib_begin
if [ "$MODE" = kernel ]; then
    ip -n P route add default via $WORLD6 # without one Chromium asks for no IPv6 address
fi

# A page of 10 by 10 tiles of 30 pixels, each a picture of its own colour.
mkdir "$WORK/www"
$PYTHON - "$WORK/www" <<'END'
import sys
from PIL import Image

tiles = []
for i in range(100):
    Image.new("RGB", (30, 30), (2 * i, 255 - 2 * i, 100)).save(f"{sys.argv[1]}/tile{i}.png")
    tiles.append(f'<img src="tile{i}.png" style="position:absolute;left:{i % 10 * 30}px;top:{i // 10 * 30}px">')
with open(sys.argv[1] + "/index.html", "w") as file:
    file.write("<!DOCTYPE html><title>tiles</title><body style='margin:0;background:white'>" + "\n".join(tiles))
END
cat >"$WORK/check.py" <<'END'
import sys
from PIL import Image

picture = Image.open(sys.argv[1]).convert("RGB")
print(sum(picture.getpixel((i % 10 * 30 + 15, i // 10 * 30 + 15)) == (2 * i, 255 - 2 * i, 100) for i in range(100)))
END
cat >"$WORK/nginx.conf" <<END
daemon off;
pid $WORK/nginx.pid;
error_log stderr;
user root;
events { }
http {
    log_format who '\$remote_addr \$host \$uri \$status';
    access_log $WORK/access who;
    types { text/html html; image/png png; }
    server {
        listen $WORLD:80;
        listen [$WORLD6]:80;
        root $WORK/www;
    }
}
END
background nginx nginx -c "$WORK/nginx.conf" -e stderr
background dnsmasq dnsmasq --no-daemon --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts \
    --log-queries --log-facility=- --listen-address=$WORLD --bind-interfaces --local=/#/ \
    --host-record=four.example.test,$WORLD --host-record=six.example.test,$WORLD6
wait_for_line dnsmasq 'started, version'
wait_for_port $WORLD 80

# look NAME CLIENT-ADDRESS: Chromium draws the page of this host
look() {
    local name=$1 client=$2
    background "chromium.$name" on_stack env HOME="$WORK" timeout 80 chromium --headless=new --no-sandbox --disable-gpu \
        --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-extensions \
        --disable-dev-shm-usage --user-data-dir="$WORK/profile.$name" --hide-scrollbars --window-size=400,400 \
        --virtual-time-budget=30000 --screenshot="$WORK/$name.png" "http://$name/"
    wait "$BACKGROUND_PID" || fail "chromium ended with $?"
    [ -s "$WORK/$name.png" ] || fail "no screenshot of $name"
    [ "$MODE" = kernel ] || cp "$WORK/$name.png" "$TOP/build/browser.$name.png" # to look at
    check_equal "$name, tiles that the screenshot shows" "$($PYTHON "$WORK/check.py" "$WORK/$name.png")" 100
    check_equal "$name, tiles that the server sent to $client" \
        "$(grep -c "^$client $name /tile[0-9]*.png 200$" "$WORK/access")" 100
}
look four.example.test $STACK
look six.example.test $STACK6
