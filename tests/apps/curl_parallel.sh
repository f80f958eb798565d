#!/bin/bash
# curl with 200 transfers at once over 200 connections, curl on the stack, then nginx on the stack, then both.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

count=200
mkdir "$WORK/www"
random_file "$WORK/random" 1M
for i in {1..200}; do
    tail -c $((i * 4000)) "$WORK/random" >"$WORK/www/$i"
done
want=$(cd "$WORK/www" && sha256sum -- * | sort -k 2)

# serve NAME ADDRESS COMMAND-PREFIX
serve() {
    cat >"$WORK/$1.conf" <<END
daemon off;
worker_processes 2;
pid $WORK/$1.pid;
error_log stderr;
user root;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $WORK/body;
    client_max_body_size 0;
    sendfile on;
    server {
        listen $2:80 backlog=511;
        root $WORK/www;
        location /put/ { alias $WORK/$1/; dav_methods PUT; create_full_put_path on; }
    }
}
END
    background "$1" "$3" nginx -c "$WORK/$1.conf" -e stderr
    wait_for_port "$2" 80
}

# transfer ADDRESS NAME-OF-SERVER [COMMAND-PREFIX]
transfer() {
    local address=$1 name=$2 options
    shift 2
    options=(-sS --fail --parallel --parallel-immediate --parallel-max "$count" --stderr "$WORK/curl.log")
    mkdir -p "$WORK/down"
    "$@" curl "${options[@]}" -o "$WORK/down/#1" -w '%{local_port}\n' "http://$address/[1-$count]" >"$WORK/ports" ||
        fail "curl: $(cat "$WORK/curl.log")"
    check_equal "connections made by ${1:-curl} to $name" "$(sort -u "$WORK/ports" | wc -l)" $count
    check_equal "files received by ${1:-curl} from $name" "$(cd "$WORK/down" && sha256sum -- * | sort -k 2)" "$want"
    rm -r "$WORK/down"
    "$@" curl "${options[@]}" -o /dev/null -T "$WORK/www/{$(seq -s , $count)}" "http://$address/put/" ||
        fail "curl: $(cat "$WORK/curl.log")"
    check_equal "files sent by ${1:-curl} to $name" "$(cd "$WORK/$name" && sha256sum -- * | sort -k 2)" "$want"
    rm -r "${WORK:?}/$name"
}
serve nginx_on_kernel $WORLD env
serve nginx_on_stack $STACK on_stack
transfer $WORLD nginx_on_kernel on_stack
transfer $STACK nginx_on_stack
if [ "$MODE" = stack ]; then
    transfer $STACK nginx_on_stack on_stack
fi
check_memory_below 131072
