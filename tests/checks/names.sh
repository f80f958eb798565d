#!/bin/bash
# Each of libc's names that has to do with descriptors or the network is hooked, or stands in intercept/unhooked.
set -euo pipefail
cd "$(dirname "$0")/../.."

about='accept|addrinfo|gai_|aio|bind|chroot|clnt|clone|close|connect|dup|epoll|exec|fcntl|fd|fork|host|ifaddrs|if_|ioctl'
about+='|isfdtype|lio|listen|name(info|ser)|net|peer|pipe|poll|prctl|proto|rcmd|read|recv|res_|rexec|rpc|select|send'
about+='|serv|setu?id|setre[su]*id|shut|sock|spawn|splice|svc|syscall|tee|write'

libc=$(ldd build/libintercept.so | awk '$1 == "libc.so.6" { print $3 }')
libresolv=$(dirname "$libc")/libresolv.so.2
hooked=$(sed -n 's/^    \([a-z_0-9]*\);$/\1/p' intercept/exports.map)
reasons=$(sed 's/#.*//; s/ .*//; /^$/d' intercept/unhooked)

names=$(nm -D --defined-only "$libc" "$libresolv" | awk '$2 ~ /[TWi]/ { sub(/@.*/, "", $3); print $3 }' | sort -u | grep -E "$about")
[ -n "$names" ]
unknown=$(grep -vxF "$hooked" <<<"$names" | grep -vxE "$reasons") && {
    echo "FAILED: neither in intercept/exports.map nor in intercept/unhooked:"
    echo "$unknown"
    exit 1
}
echo "ok: of $(wc -l <<<"$names") names, $(grep -cxF "$hooked" <<<"$names") are hooked"
