# tests/shell.sh: the beginning of each test of the built command. tests/*_test.sh source it with the name of the test
# in $test. It sets $root, the repository; $sapor, the command of the build in $BUILD, after $EMULATOR if that is set;
# $binary, the file itself; $work, an empty folder that is the current folder and is removed at the end. It also defines
# the functions below, which speak TAP. A test may define others.
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
number=0

ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

draw_models() { # $drawn has the folders of tests/golden that hold models, with their weights
    drawn=$work/drawn
    (cd "$root" && ${EMULATOR:-} "${binary%/*}/tests/draw_models" "$drawn") || exit 1
}

skip() { # NAME REASON
    number=$((number + 1))
    echo "skipped: $2"
    echo "ok $number - $1 # SKIP $2"
}

right() { # NAME COMMAND...: exit status 0; its output is in ./out, standard error in ./err
    name=$1
    shift
    "$sapor" "$@" >out 2>err </dev/null
    status=$?
    [ $status = 0 ] || sed "s/^/# /" err
    ok $status "$name"
}

files() { # the files in the folder, but for those of right and wrong
    find . ! -name out ! -name err ! -name list.\*
}

wrong() { # STATUS PATTERN NAME COMMAND...: one line on standard error that matches PATTERN; no file appears or goes
    expected=$1 pattern=$2 name=$3
    shift 3
    before=$(files)
    "$sapor" "$@" >out 2>err </dev/null
    status=$?
    after=$(files)
    bad=0 lines=0 first=
    while IFS= read -r line || [ -n "$line" ]; do # no grep: these tests start thousands of programs
        [ -z "$line" ] || lines=$((lines + 1)) first=${first:-$line}
    done <err
    [ $status = "$expected" ] || { bad=1; echo "# exit status $status, not $expected"; }
    [ $lines = 1 ] || { bad=1; echo "# not one line:"; }
    case $first in 'sapor: '*) ;; *) bad=1 ;; esac
    grep -q -- "$pattern" err || { bad=1; echo "# does not match $pattern:"; }
    if [ "$before" != "$after" ]; then
        echo "$before" | sort >list.before
        echo "$after" | sort >list.after
        cmp -s list.before list.after || { bad=1; echo "# files appeared or went:"; diff list.before list.after | sed 's/^/# /'; }
    fi
    [ $bad = 0 ] || sed 's/^/# /' err
    ok $bad "$name"
}
