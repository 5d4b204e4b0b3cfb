#!/bin/sh
# tests/far/leaks.sh: each patch of tests/far/leaks makes the code of one folder access memory of a device from the
# host. Each patch is applied in turn to a copy of the tree, built with DEBUG=1. The program on the second line of the
# patch must fail on the far device, and pass without it. This takes minutes: make check-all runs it. Speaks TAP.
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
copy=$(mktemp -d "${TMPDIR:-/tmp}/sapor-leaks-XXXXXX") || exit 1
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - | tar xf - -C "$copy"
cd "$copy" || exit 1
number=0 failed=0
ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        failed=1
        echo "not ok $number - $2"
        tail -n 10 log | sed 's/^/# /'
    fi
}
run() { # PROGRAM ARGUMENT...
    ${MAKE:-make} -s -j"$(nproc)" DEBUG=1 BUILD=build "build/tests/$1" >log 2>&1 || return 2
    program=$1
    shift
    FAR=all SAPOR_TEST_DEVICE=far "build/tests/$program" "$@" >log 2>&1 || return 1
}
run far_test
ok $? "far_test passes as it is"
for patch in "$root"/tests/far/leaks/*.patch; do
    name=$(basename "$patch" .patch)
    program=$(sed -n 's/^fails: //p' "$patch")
    patch -s -p1 <"$patch" || { ok 1 "$name: the patch applies"; continue; }
    # shellcheck disable=SC2086 # words
    run $program
    status=$?
    [ $status = 1 ]
    ok $? "$name: $(head -n 1 "$patch")"
    patch -s -R -p1 <"$patch"
done
echo "1..$number"
exit $failed
