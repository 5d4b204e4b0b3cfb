# tests/shell.sh: how a test of the built command begins; sourced by tests/*_test.sh with the name of the test in $test.
# Gives $root, the repository; $sapor, the command of the build in $BUILD, behind $EMULATOR where that is set; $binary, the file itself;
# $work, an empty folder that is removed in the end, and the current folder.
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.." || exit 1
root=$PWD
sapor=$root/${BUILD:-build}/sapor
case ${BUILD:-} in /*) sapor=$BUILD/sapor ;; esac
binary=$sapor
work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-$test-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
if [ -n "${EMULATOR:-}" ]; then
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$EMULATOR" "$sapor" >emulated
    chmod +x emulated
    sapor=$work/emulated
fi
