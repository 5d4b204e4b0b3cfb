#!/bin/bash
# tests/ladder_test.sh: every step of every ladder (bench/ladder/) gives the right result for a tiny size. Speaks TAP;
# the programs are in $BUILD/ladder.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
number=0
for main in bench/ladder/*/main.c; do
    name=$(basename "$(dirname "$main")")
    number=$((number + 1))
    if [ ! -x "$BUILD/ladder/$name" ]; then
        echo "ok $number - ladder $name # SKIP this build has no $BUILD/ladder/$name"
    elif out=$("$BUILD/ladder/$name" --check 2>&1); then
        echo "ok $number - ladder $name: $(grep -c '^ok' <<<"$out") steps"
    else
        echo "not ok $number - ladder $name"
        grep -v '^ok' <<<"$out" | head -n 20 | sed 's/^/# /'
    fi
done
echo "1..$number"
