#!/bin/bash
# The man pages: mandoc finds no fault, and they have what --help shows: each option of sidestackd, each setting, each
# command of sidestack with its options, and nothing else. The completion knows the same.
set -euo pipefail
cd "$(dirname "$0")/../.."
mandoc -T lint -W warning docs/man/*
echo "ok: $(find docs/man -type f | wc -l) pages"

scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
status=0
# same WHAT LIST LIST
same() {
    local differences
    differences=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3") |
        sed -n "s/^< /FAILED: $1: --help alone has: /p; s/^> /FAILED: $1: the page alone has: /p" || true)
    if [ -n "$differences" ]; then
        echo "$differences"
        status=1
    else
        echo "ok: $1 ($(sort -u <<<"$2" | wc -l))"
    fi
}
help=$(build/sidestackd --help | sed -n 's/^  --\([a-z-]*\).*/\1/p')
same "options of sidestackd" "$help" "$(sed -n 's/^\.It Fl Fl \([a-z-]*\).*/\1/p' docs/man/sidestackd.8)"
same "settings" "$(grep -v -x -E 'config|check|takeover|help|version' <<<"$help")" \
    "$(sed -n 's/^\.It Cm \([a-z-]*\).*/\1/p' docs/man/sidestack.conf.5)"
same "settings that a reload changes" "$(sed -n 's/.*{"\([a-z-]*\)", apply_[a-z_]*}.*/\1/p' <(sed 's/}, */},\n/g' service/settings/reload.c))" \
    "$(awk '/^\.It Cm [a-z-]+ / { name = $3; next } /^\.Pq Em .*reload/ && name { print name } { name = "" }' docs/man/sidestack.conf.5)"
commands=$(build/sidestack --help | sed -n -E 's/^(usage:|      ) sidestack ([a-z]+)( .*)?$/\2/p')
same "commands of sidestack" "$commands" "$(sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' docs/man/sidestack.1)"
page=$(mandoc -T utf8 docs/man/sidestack.1 | col -b)
for command in $commands; do
    text=$(build/sidestack "$command" --help)
    grep -o -E -e '(^|[ ,[])--[a-z][a-z0-9-]+' <<<"$text" | grep -o -E -e '--.*' | sort -u >"$scratch"
    while read -r option; do
        if ! grep -q -w -e "$option" <<<"$page"; then
            echo "FAILED: sidestack $command: the page does not have $option"
            status=1
        fi
    done <"$scratch"
done

# complete WORD...: what the completion offers for the last word
complete() {
    bash --norc -c '. /usr/share/bash-completion/bash_completion
        . scripts/completion/sidestack
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMPREPLY=()
        "_${1##*/}" "$1"
        printf "%s\n" "${COMPREPLY[@]}"' complete "$@" 2>/dev/null
}
same "completion of sidestackd's options" "$help" "$(complete build/sidestackd -- | sed 's/^--//')"
same "completion of sidestack's commands" "$commands" "$(complete build/sidestack '' | grep -v -e '^--')"
[ "$(complete build/sidestackd --log-format j)" = json ]
[ "$(complete build/sidestack run -- shellche | sort -u)" = shellcheck ]
echo "ok: completion of values and programs"
exit $status
