# shellcheck shell=bash
# docs.sh - for tests that do what a page of the documentation says, word by word. Included after lib.sh.
#
# A page's blocks are the paragraphs of its literal texts: what is indented by four blanks in Markdown, .Bd -literal and .Dl in a man page. A test
# names a block by words in it, which only one block of the page may have. When it is through, docs_done fails if it left one of the page's blocks out: so
# what is added to a page has to be tried, or passed over with a reason.

export PATH="$BUILD:$PATH"
DOCS=() # blocks, in files

# docs_open FILE: of the tree
docs_open() {
    DOCS_PAGE=$1
    DOCS_BLOCKS=$WORK/blocks/${1//\//-}
    mkdir -p "$DOCS_BLOCKS"
    $PYTHON "$TOP/tests/docs.py" "$TOP/$1" "$DOCS_BLOCKS"
    DOCS=("$DOCS_BLOCKS"/*)
    note "$1: ${#DOCS[@]} blocks"
}

# block WORDS: the file of the one block that has them
block() {
    local found
    mapfile -t found < <(grep -l -F -e "$1" "${DOCS[@]}")
    [ ${#found[@]} -eq 1 ] || fail "$DOCS_PAGE: ${#found[@]} blocks have '$1'"
    touch "$DOCS_BLOCKS.${found[0]##*/}.done"
    echo "${found[0]}"
}

# do_block WORDS: run it in this shell, so that its jobs, variables and directory stay
do_block() {
    local file
    file=$(block "$1")
    note "---- $DOCS_PAGE:"
    cat "$file"
    # shellcheck source=/dev/null
    . "$file"
}

# pass_over WORDS REASON: a block that is not run
pass_over() {
    note "not run: $(head -n 1 "$(block "$1")")...: $2"
}

docs_done() {
    local file missed=
    for file in "${DOCS[@]}"; do
        [ -e "$DOCS_BLOCKS.${file##*/}.done" ] || { missed=1; complain "$DOCS_PAGE: nobody tried: $(cat "$file")"; }
    done
    [ -z "$missed" ] || exit 1
    note "ok: $DOCS_PAGE, all ${#DOCS[@]} blocks"
}

# wait_for_service [NAME]: until programs find it
wait_for_service() {
    local deadline=$((SECONDS + 20))
    until sidestack list | grep -q "^${1:-default} .*running"; do
        [ $SECONDS -lt $deadline ] || fail "no service ${1:-default}"
        pause
    done
}

# wait_for_reload LOG: until it tells of one more than the last time
DOCS_RELOADS=0
wait_for_reload() {
    local deadline=$((SECONDS + 20))
    until [ "$(grep -c 'info: reloaded' "$1")" -gt $DOCS_RELOADS ]; do
        [ $SECONDS -lt $deadline ] || fail "no reload"
        pause
    done
    DOCS_RELOADS=$((DOCS_RELOADS + 1))
}

# wait_for_stack_port PORT [NAME]: until something on the stack listens there
wait_for_stack_port() {
    local deadline=$((SECONDS + 20))
    until [ -n "$(sidestack ss --name "${2:-default}" -ltnH "sport = :$1")" ]; do
        [ $SECONDS -lt $deadline ] || fail "nothing listens on the stack at port $1"
        pause
    done
}

# ---- a reader's own shell, which lives on from block to block ----

# reader_open COMMAND...: start it: bash, as some user
reader_open() {
    mkfifo "$WORK/reader"
    : >"$WORK/reader.log"
    "$@" <"$WORK/reader" >>"$WORK/reader.log" 2>&1 &
    READER=$!
    PIDS+=("$READER")
    exec 9>"$WORK/reader"
    READER_STEP=0
}

# reader_do TEXT: have it typed, and wait until it is done. What it printed is in $WORK/step then.
reader_do() {
    local deadline=$((SECONDS + 60)) before
    READER_STEP=$((READER_STEP + 1))
    before=$(stat -c %s "$WORK/reader.log")
    printf '%s\n' "$1" "echo \"step $READER_STEP: \$?\"" >&9
    until grep -q "^step $READER_STEP: " "$WORK/reader.log"; do
        if [ $SECONDS -ge $deadline ] || ! kill -0 "$READER" 2>/dev/null; then
            fail "the reader came to no end with: $1"
        fi
        pause
    done
    tail -c +$((before + 1)) "$WORK/reader.log" >"$WORK/step"
    grep -q "^step $READER_STEP: 0" "$WORK/step" || fail "failed for a reader: $1: $(cat "$WORK/step")"
    sed -i "/^step $READER_STEP: /d" "$WORK/step"
}

# reader_block WORDS [SED]: the block, with that changed in it
reader_block() {
    local text
    text=$(sed "${2:-}" "$(block "$1")")
    note "---- $DOCS_PAGE:"
    note "$text"
    reader_do "$text"
}

# check_step WHAT PATTERN: what the last block printed has it
check_step() {
    grep -q -e "$2" "$WORK/step" || fail "$1: no '$2' in: $(cat "$WORK/step")"
    note "ok: $1"
}

# reader_wait NAME: until the service of that name runs for the reader
reader_wait() {
    # shellcheck disable=SC2016 # for the reader's shell
    reader_do 'for i in {1..200}; do sidestack list | grep -q "^'"$1"' .*running" && break; read -r -t 0.05 <> <(:); done; sidestack list | grep "^'"$1"' .*running"'
}
