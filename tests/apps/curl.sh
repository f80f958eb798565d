#!/bin/bash
# curl and wget on the stack, nginx on the kernel.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

nginx_configuration $WORLD:80
random_file "$WORK/www/large" 64M
echo hello >"$WORK/www/small"
want=$(sha256 "$WORK/www/large")
background nginx nginx -c "$WORK/nginx.conf" -e stderr
wait_for_port $WORLD 80

check_equal "curl, small" "$(on_stack curl -sS http://$WORLD/small)" hello
check_equal "curl, large" "$(on_stack curl -sS http://$WORLD/large | sha256)" "$want"
check_equal "curl, status of a missing file" \
    "$(on_stack curl -sS -o /dev/null -w '%{http_code}' http://$WORLD/missing)" 404
check_equal "curl, upload" \
    "$(on_stack curl -sS -o /dev/null -w '%{http_code}' -T "$WORK/www/large" http://$WORLD/put/copy)" 201
check_equal "curl, what was uploaded" "$(sha256 "$WORK/www/put/copy")" "$want"
check_equal "curl, its own address" "$(on_stack curl -sS -o /dev/null -w '%{local_ip}' http://$WORLD/small)" $STACK
check_equal "curl, 20 transfers on kept connections" \
    "$(on_stack curl -sS --parallel --parallel-max 5 "http://$WORLD/small?[1-20]" | grep -c hello)" 20
check_equal "curl, exit status when refused" "$(on_stack curl -s http://$WORLD:81/ || echo $?)" 7
check_equal "wget, small" "$(on_stack wget -q -O - http://$WORLD/small)" hello
check_equal "wget, large" "$(on_stack wget -q -O - http://$WORLD/large | sha256)" "$want"
check_memory_below 65536
