#!/bin/bash
# tests/demo_test.sh: the tour of the demo ends with its table and with a page that needs no other file. The project's
# own encoders find the picture of a text at least ten times more often than chance. The same command again gives the
# same figures. Speaks TAP; $BUILD is the folder of the build.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
sapor=$PWD/${BUILD:-build}/sapor
if [ "${BUILD:-build}" != build ]; then
    echo "skipped: training takes minutes in this build (${BUILD}); the plain build runs it"
    echo "ok 1 - demo # SKIP"
    echo 1..1
    exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-demo-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
number=0
check() { # NAME COMMAND ...
    local name=$1
    number=$((number + 1))
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        tail -n 15 "$work/log" | sed 's/^/# /'
    fi
}
demo() { (cd "$work" && "$sapor" demo --json --quiet >"$1"); }
figures() { sed -E 's/,"epoch_seconds".*//' "$1"; }

check demo demo first.jsonl
check "six models" test "$(grep -c '"event":"result"' "$work/first.jsonl")" = 6
check "texts find their pictures, chance is 1/360" awk -F'[:}]' '/"event":"match"/ { found = $NF == "" ? $(NF - 1) : $NF } END { print found; exit !(found >= 10 / 360) }' "$work/first.jsonl"
page=$work/out/demo/report.html
for part in Metrics 'What users liked' 'Items with similar features' 'Rare and popular' 'Learning curves' 'Time and memory' Roofline; do
    check "page: $part" grep -q "<h2>$part" "$page"
done
check "page: nothing from elsewhere" bash -c "! grep -qE 'https?://|<script|<link|src=' '$page'"
check "page: under 4 MB" test "$(stat -c %s "$page")" -lt 4000000
check "page: charts for wide and for narrow screens" test "$(grep -o '<svg viewBox="0 0 640' "$page" | wc -l)" = 3 -a "$(grep -o '<svg class="narrow" viewBox="0 0 360' "$page" | wc -l)" = 3
check "page: what a narrow screen puts below the name" grep -q '<td data-more="visual, textual">LATTICE</td>' "$page"
without() { (cd "$work" && "$sapor" report out/demo/VBPR out/demo/LATTICE --items out/demo/items.tsv -o plain.html --quiet); }
check "page without pictures" without
check "page without pictures: whole titles in a list" bash -c 'grep -q "<div class=\"row list\"><b>LATTICE</b><ol><li class=\"title\">[a-z ]*</li>" "$1" && ! grep -q "<li class=\"pic" "$1"' _ "$work/plain.html"
check "again" demo second.jsonl
figures "$work/first.jsonl" >"$work/a"
figures "$work/second.jsonl" >"$work/b"
check "again: the same figures" diff "$work/a" "$work/b"
check "quiet: the table and no more" bash -c 'cd "$1" && "$2" demo --quiet >out.txt 2>err.txt && [ ! -s err.txt ] && grep -q "^LATTICE " out.txt &&
    ! grep -qE "Open |report\.html|recommend" out.txt' _ "$work" "$sapor"
# The command needs ten minutes, so it is stopped. The weights of an earlier run must not remain next to the vocabulary
# of this run.
half() {
    mkdir -p "$work/e/vision" "$work/e/text" && touch "$work/e/vision/model.safetensors" "$work/e/text/model.safetensors"
    "$sapor" demo --train-encoder "$work/e" --quiet &
    for _ in $(seq 500); do
        [ -e "$work/e/text/tokenizer_config.json" ] && break
        sleep 0.01
    done
    kill -9 $! && wait $!
    [ -e "$work/e/text/vocab.txt" ] && [ ! -e "$work/e/vision/model.safetensors" ] && [ ! -e "$work/e/text/model.safetensors" ]
}
if "$sapor" demo --train-encoder "$work/e" --quiet --max-memory 1 2>&1 | grep -q 'does not train encoders'; then
    number=$((number + 1))
    echo "ok $number an encoder that is trained anew # SKIP this build does not train encoders"
else
    check "an encoder that is trained anew: no old weights beside new files" half
fi
echo "1..$number"
