#!/bin/bash
# tests/cuda_emu/mutants.sh [--apply] [NUMBER ...]: checks that the tests on the emulator find seeded faults of the CUDA kernels. Each
# patch in mutants/ is one fault. --apply only checks that each patch still applies (tests/cuda_mutants_test.sh). NUMBER: only these patches.
#
# A patch begins with a sentence that says what is wrong and how the tests find it. Lines before the diff:
#   families: NAMES   the kernels whose cases cuda_test runs; `memory`: cuda_models_test runs instead
#   unit: FILE        if the fault is in a header: the source that is compiled again
#   all: yes          if the quick cases, those of `make test`, are too small for the fault
# MUTANTS: another folder of patches. TEST_TIMEOUT: seconds per test, 300. VERBOSE=1 shows the output of the tests.
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/../.." || exit 1
here=tests/cuda_emu
patches=${MUTANTS:-$here/mutants}
build=${BUILD:-build}
make=${MAKE:-make}
min_count=30 # patches
apply=0
[ "${1:-}" = --apply ] && { apply=1; shift; }
only=" $* "

number=0 bad=0
ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; bad=1; fi
}
field() { # PATCH NAME
    sed -n "/^--- /q; s/^$2: //p" "$1"
}
list() {
    local patch name
    for patch in "$patches"/*.patch; do
        [ -e "$patch" ] || continue
        name=$(basename "$patch" .patch)
        case $only in "  " | *" ${name%%-*} "*) echo "$patch" ;; esac
    done
}

# Writes the patched file to a folder of its own, with its path in the repository.
plant() { # PATCH FOLDER
    local file
    file=$(sed -n 's,^+++ b/,,p' "$1")
    [ "$(grep -c '^+++ ' "$1")" = 1 ] && [ -f "$file" ] || { echo "its file is missing: $file"; return 1; }
    mkdir -p "$2/$(dirname "$file")" && cp "$file" "$2/$file" && patch -s -p1 -d "$2" <"$1"
}

if [ $apply = 1 ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-mutants-XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    count=0
    while read -r patch; do
        count=$((count + 1))
        why=$(plant "$patch" "$work/$count" 2>&1) || {
            printf '%s\n' "$why" | sed 's/^/# /'
            ok 1 "$(basename "$patch" .patch) applies"
            continue
        }
        [ -n "$(field "$patch" families)" ] && head -n 1 "$patch" | grep -q '\.$'
        ok $? "$(basename "$patch" .patch) applies"
    done < <(list)
    [ "$count" -ge $min_count ]
    ok $? "there are at least $min_count seeded faults: $count"
    echo "1..$number"
    exit $bad
fi

if ! command -v "${CXX:-g++}" >/dev/null || ! command -v patch >/dev/null; then
    echo "ok 1 - seeded faults # SKIP skipped: no C++ compiler or no patch here"
    echo "1..1"
    exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-mutants-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
"$make" -s BUILD="$build" "$build/cuda_emu/libsapor_cuda.so" "$build/tests/cuda_test" "$build/tests/cuda_models_test" >"$work/log" 2>&1 ||
    { tail -n 5 "$work/log"; echo "not ok 1 - the build"; exit 1; }

# Runs the tests that a patch names. The exit status is that of the test.
run_tests() { # FAMILIES ALL PLUGIN
    local program=$build/tests/cuda_test names=$1
    [ "$1" = memory ] && program=$build/tests/cuda_models_test names=
    # shellcheck disable=SC2086 # names are words
    SAPOR_TEST_ALL=$2 SAPOR_CUDA=$3 CMOCKA_MESSAGE_OUTPUT=STDOUT timeout "${TEST_TIMEOUT:-300}" "$program" $names 2>&1
}

# Tests one mutant in a process of its own. Writes to FOLDER/result: "caught" or what happened, then the first line of the report.
try() { # PATCH FOLDER
    local patch=$1 folder=$2 unit all=0 status report
    [ "$(field "$patch" all)" = yes ] && all=1
    unit=$(field "$patch" unit)
    mkdir -p "$folder"
    plant "$patch" "$folder" >"$folder/log" 2>&1 || { echo "the patch does not apply" >"$folder/result"; return; }
    [ -n "$unit" ] || unit=$(sed -n 's,^+++ b/,,p' "$patch")
    "$make" -s BUILD="$build" MUTANT="$folder" UNIT="$unit" "$folder/libsapor_cuda.so" >"$folder/log" 2>&1 ||
        { echo "does not compile: $(grep -m 1 error "$folder/log")" >"$folder/result"; return; }
    run_tests "$(field "$patch" families)" $all "$folder/libsapor_cuda.so" >"$folder/log"
    status=$?
    rm -f "$folder/libsapor_cuda.so" "$folder/unit.o"
    report=$(sed -n 's/^ERROR: //p; s/^\[  ERROR   \] --- //p' "$folder/log" | grep -m 1 -v '^\[   LINE' | cut -c 1-200)
    if [ $status = 0 ]; then
        echo "is not caught" >"$folder/result"
    elif [ $status = 124 ]; then
        echo "ran longer than ${TEST_TIMEOUT:-300} s" >"$folder/result"
    elif [ $status -ge 126 ] || ! grep -q '^\[  FAILED  \]' "$folder/log" || grep -q 'Test failed with exception' "$folder/log"; then
        echo "ended the test program with exit status $status: $report" >"$folder/result"
    else
        printf 'caught\n%s\n' "$report" >"$folder/result"
    fi
}

families=$(while read -r patch; do field "$patch" families | tr ' ' '\n'; done < <(list) | sort -u)
of_kernels=$(grep -v '^memory$' <<<"$families" | tr '\n' ' ')
for what in "$of_kernels" "$(grep '^memory$' <<<"$families")"; do
    [ -n "${what// /}" ] || continue
    run_tests "$what" 0 "$build/cuda_emu/libsapor_cuda.so" >"$work/log"
    status=$?
    [ $status = 0 ] || tail -n 20 "$work/log" | sed 's/^/# /'
    ok $status "without a fault the tests pass: $(echo $what | cut -c 1-60)"
done

# Two mutants run at the same time. A result is printed when this mutant and all earlier ones are done.
export -f try plant field run_tests
export build make
list >"$work/list"
mkdir "$work/mutants"
xargs -P 2 -I{} bash -c 'try "$1" "$2/$(basename "$1" .patch)"; : >"$2/$(basename "$1" .patch)/done"' _ {} "$work/mutants" <"$work/list" &
while read -r patch; do
    name=$(basename "$patch" .patch)
    folder=$work/mutants/$name
    until [ -e "$folder/done" ]; do sleep 0.2; done
    { read -r result; read -r report; } <"$folder/result"
    [ -z "${VERBOSE:-}" ] || sed 's/^/# /' "$folder/log"
    if [ "$result" = caught ]; then
        ok 0 "$name is caught: ${report//#/}"
    else
        ok 1 "$name: $result"
    fi
done <"$work/list"
wait
echo "1..$number"
exit $bad
