#!/bin/bash
# tests/guard_test.sh: bench/guard.sh compares two programs that print given times: equal ones with noise, one slower
# kernel, one faster kernel, a broken program, and no program at all. Speaks TAP; it needs no build.
test=guard
. "$(dirname "$0")/shell.sh"
# A program that prints the JSON lines of `sapor bench`. Its times have noise of 1 %, which depends on the call and on
# the seed. Calls whose options contain $3 take $4 times as long.
program() { # FILE SEED OPTIONS FACTOR
    cat >"$1" <<END
#!/bin/sh
echo . >>"$work/$1.calls"
awk -v n="\$(grep -c . "$work/$1.calls")" -v options="\$*" 'BEGIN {
    split(options, word, " ")
    ms = 3 * (1 + 0.01 * (n * $2 % 11) / 11) * (index(options, "$3") ? $4 : 1)
    print "{\"bench\":\"peak\",\"shape\":\"avx2\",\"ms_min\":20,\"ms_median\":20}"
    printf "{\"bench\":\"%s\",\"shape\":\"9x%s\",\"dtype\":\"f32\",\"ms_min\":%g,\"ms_median\":%g}\n", word[2], word[4], ms, 1.1 * ms
}'
END
    chmod +x "$1"
}
guard() { # BASE NEW [VARIABLE=VALUE ...]: its output in ./out and ./err, its exit status in $status
    local base=$work/$1 new=$work/$2
    shift 2
    env BASE="$base" NEW="$new" ROUNDS=4 TURNS=2 "$@" "$root/bench/guard.sh" >out 2>err
    status=$?
}
is() { # STATUS NAME PATTERN ...: the exit status, and for each pattern a line of the output or the errors that matches
    local bad=0 name=$2
    [ "$status" = "$1" ] || { bad=1; echo "# exit status $status, not $1"; }
    shift 2
    for pattern in "$@"; do grep -qE -- "$pattern" out err || { bad=1; echo "# no line matches $pattern"; }; done
    [ $bad = 0 ] || sed 's/^/# /' out err
    ok $bad "$name"
}
echo "1..9"
program base 3 none 1
program same 7 none 1
program slower 7 layer_norm 1.05
program faster 7 int8 0.9
guard base same
is 0 'equal programs with noise' '^nothing is slower$' '^optimizer adam-595200 .* no difference$' 'round 4 of 4'
[ "$(grep -c '| no difference$' out)" = 10 ]
ok $? 'ten figures'
guard base slower
is 1 'one kernel takes 5 % longer' '^slower: norm layer_norm-197x768$' '^norm layer_norm-197x768 .*\+[45]\.[0-9]%.*\| slower$'
guard base faster
is 0 'one kernel is faster' '^gemm 197x768x768 int8 .*\| faster$' '^gemm 197x768x768  .*\| no difference$' '^nothing is slower$'
printf '#!/bin/sh\necho "sapor: no kernel" >&2\nexit 3\n' >broken
printf '#!/bin/sh\necho "{}"\n' >silent
chmod +x broken silent
guard base broken
is 2 'a program that fails' "^bench-guard: $work/broken bench gemm --shape 197x768x768: exit status 3, no time of this shape: sapor: no kernel$"
guard silent base
is 2 'a program that prints no time' "^bench-guard: $work/silent bench gemm .*: exit status 0, no time of this shape$"
guard base same ROUNDS=none
is 2 'a wrong number of rounds' '^bench-guard: ROUNDS=none is not a number of rounds$'
mkdir -p copy/bench
cp "$root/bench/guard.sh" copy/bench
GIT_DIR=$work/none copy/bench/guard.sh >out 2>err
status=$?
is 2 'a folder without a repository' '^bench-guard: this folder is not a git repository'
if git init -q copy 2>/dev/null; then
    copy/bench/guard.sh >out 2>err
    status=$?
    is 2 'a repository without a tag' '^bench-guard: this repository has no tag to compare with: name a commit, for example REF=HEAD~1 make bench-guard$'
else
    skip 'a repository without a tag' 'git is missing'
fi
