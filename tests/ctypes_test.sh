#!/bin/bash
# tests/ctypes_test.sh: calls libsapor.so through a foreign-function interface, Python's ctypes (ctypes_test.py). Speaks
# TAP; $BUILD is the build to test. Skipped without python3, and for builds that another program cannot load.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
skip() {
    printf 'skipped: %s\nok 1 - ctypes # SKIP %s\n1..1\n' "$1" "$1"
    exit 0
}
case $BUILD in
build | build/debug) ;;
*) skip "a library of this build ($BUILD) needs a program with the same flags" ;;
esac
command -v python3 >/dev/null || skip "python3 is absent"
python3 -c 'import ctypes' 2>/dev/null || skip "this python3 has no ctypes"
work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-ctypes-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
"$BUILD/tests/draw_models" "$work"
said=$(python3 tests/ctypes_test.py "$BUILD/libsapor.so" "$work/encoders/bert" "$work/encoders/resnet_basic" \
    tests/golden/images/RGB.png 2>&1)
if [ "${said##*$'\n'}" = passed ]; then
    echo "ok 1 - ctypes"
else
    echo "not ok 1 - ctypes"
    echo "$said" | sed 's/^/# /'
fi
echo 1..1
