#!/bin/sh
# bench/guard.sh: reports whether the kernels of this tree are slower than those of an earlier commit. `make bench-guard` runs this script.
#
# It builds the earlier commit with the same variables of make, in a git worktree under build/guard/, and keeps the program there for the next
# run. Then it measures ten figures, which need no model and no data, with both programs in turn. A round measures each figure in three
# turns, some seconds apart, and its time is the fastest call: other programs only make a call slower. A figure is slower if the fastest time of all rounds and the median of the rounds are both slower by more than the larger spread of
# the two programs, and by more than 2 %. The spread is the distance between the quartiles of the rounds, as a share of their median.
#
# The exit status is 1 if a figure is slower, and 2 if nothing was compared. Environment variables:
#
#   REF            the earlier commit (default: the last tag)
#   ROUNDS         the number of rounds (default 7; they take about four minutes)
#   TURNS          the turns of a round (default 3)
#   SECONDS_EACH   the seconds per figure and turn (default 0.1)
#   ON             the processor for both programs (default: the last one that this process may use)
#   BUILD          the folder of this tree's build (default build)
#   JOBS           jobs of make (default: the number of processors)
#   BASE, NEW      two programs to compare; nothing is built
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.." || exit 2
rounds=${ROUNDS:-7}
turns=${TURNS:-3}
seconds=${SECONDS_EACH:-0.1}
make=${MAKE:-make}
tree=build/guard/tree
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sapor-guard-XXXXXX") || exit 2
have_tree=

clean() {
    [ -z "$have_tree" ] || git worktree remove --force "$tree"
    rm -rf "$scratch"
}
trap clean EXIT
trap 'exit 130' INT TERM
fail() { # MESSAGE: stops, because nothing can be compared
    echo "bench-guard: $1" >&2
    exit 2
}
case $rounds in 0* | *[!0-9]*) fail "ROUNDS=$rounds is not a number of rounds" ;; esac
case $turns in 0* | *[!0-9]*) fail "TURNS=$turns is not a number of turns" ;; esac

# ---- the two programs ---------------------------------------------------------------------------------------------------------
build() { # ARGUMENTS: runs make; a make above this script decides how many jobs run at the same time
    case ${MAKEFLAGS:-} in
        *-j*) "$make" -s "$@" ;;
        *) "$make" -s -j"${JOBS:-$(nproc)}" "$@" ;;
    esac >"$scratch/log" 2>&1 && return
    tail -n 5 "$scratch/log" >&2
    return 1
}
# Sets $base to the program of a commit, $ref. The kept programs of one commit differ in the variables of make.
build_base() {
    commit=$(git rev-parse --verify --quiet "$ref^{commit}") || fail "there is no commit $ref"
    variables="${CC:-} ${CFLAGS:-} ${LDFLAGS:-} ${WITHOUT:-} ${DEBUG:-} ${SANITIZE:-} ${COVERAGE:-} ${MINIMAL:-} ${WERROR:-} ${CI:-}"
    base=build/guard/$(printf %.12s "$commit")-$(printf %s "$variables" | cksum | cut -d ' ' -f 1)
    [ -x "$base" ] && return
    echo "bench-guard: building $ref: up to some minutes" >&2
    mkdir -p build/guard
    rm -rf "$tree"
    git worktree prune
    git worktree add --quiet --detach "$tree" "$commit" || fail "git cannot check out $ref in $tree"
    have_tree=1
    mkdir -p "$tree/build"
    [ ! -d build/deps ] || ln -s "$PWD/build/deps" "$tree/build/deps"
    build -C "$tree" BUILD=build build/sapor || fail "$ref does not build"
    { cp "$tree/build/sapor" "$base.new" && mv "$base.new" "$base"; } || fail "$base cannot be written"
}
ref=${REF:-}
if [ -n "${BASE:-}" ] && [ -n "${NEW:-}" ]; then
    base=$BASE new=$NEW ref=$BASE
else
    git rev-parse --git-dir >/dev/null 2>&1 || fail "this folder is not a git repository: BASE=PROGRAM NEW=PROGRAM bench/guard.sh compares two programs"
    [ -n "$ref" ] || ref=$(git describe --tags --abbrev=0 2>/dev/null) ||
        fail "this repository has no tag to compare with: name a commit, for example REF=HEAD~1 make bench-guard"
    build_base
    echo "bench-guard: building this tree" >&2
    new=${BUILD:-build}/sapor
    build "$new" || fail "this tree does not build"
fi
pin=
if command -v taskset >/dev/null 2>&1; then
    on=${ON:-$(taskset -cp $$ | sed 's/.*[^0-9]//')}
    if taskset -c "$on" true 2>/dev/null; then
        pin="taskset -c $on"
    elif [ -n "${ON:-}" ]; then
        fail "ON=$ON: this process may not use such a processor"
    fi
fi

# ---- figures: the kernel, a part of the name of its shape, other options ------------------------------------------------------
cat >"$scratch/figures" <<'END'
gemm 197x768x768
gemm 128x1536x384
gemm 1x768x768
gemm 197x768x768 --dtype int8
conv 28x28x128-3x3x128-s1
attention B1-T197-H12-D64
norm layer_norm-197x768
spmm d64
topk 6040x3260x64-k50
optimizer adam-595200
END

# Measures the figure of $bench, $shape and $options with a program. Appends to the times: the side, the number of the figure, the
# round, the ms of the fastest call. Without an exact name (spmm: the number of entries is drawn) the first shape that ends with the text counts.
measure() { # SIDE PROGRAM
    # shellcheck disable=SC2086  # $pin and $options are lists of words
    $pin "$2" bench "$bench" --shape "$shape" $options --threads 1 --seconds "$seconds" --json >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    ms=$(awk -v bench="\"bench\":\"$bench\"" -v shape="$shape\"" 'index($0, bench) && index($0, shape) && match($0, /"ms_min":[0-9.e+-]+/) {
        print substr($0, RSTART + 9, RLENGTH - 9)
        exit
    }' "$scratch/out")
    if [ "$status" != 0 ] || [ -z "$ms" ]; then
        reason=$(tail -n 1 "$scratch/err")
        fail "$2 bench $bench --shape $shape${options:+ $options}: exit status $status${ms:-, no time of this shape}${reason:+: $reason}"
    fi
    echo "$1 $k $round $ms" >>"$scratch/times"
}

turn=0
while [ "$turn" -lt $((rounds * turns)) ]; do
    round=$((turn / turns + 1))
    [ $((turn % turns)) != 0 ] || echo "bench-guard: round $round of $rounds" >&2
    turn=$((turn + 1))
    k=0
    while read -r bench shape options; do
        k=$((k + 1))
        if [ $(((turn + k) % 2)) = 0 ]; then
            measure base "$base"
            measure new "$new"
        else
            measure new "$new"
            measure base "$base"
        fi
    done <"$scratch/figures"
done

# ---- the table ----------------------------------------------------------------------------------------------------------------
echo "This tree compared with $ref: ms on one thread${pin:+ ($pin)}, $rounds rounds, each with both programs."
awk '
function at(v, n, q,    i, x) { # a quantile of n sorted values, by linear interpolation
    x = 1 + (n - 1) * q
    i = int(x)
    return i >= n ? v[n] : v[i] + (x - i) * (v[i + 1] - v[i])
}
function read(side, k,    i, j, n, x, v) { # sets fastest, median and spread of a side
    n = count[side, k]
    for (i = 1; i <= n; i++) {
        x = times[side, k, i]
        for (j = i; j > 1 && v[j - 1] > x; j--)
            v[j] = v[j - 1]
        v[j] = x
    }
    fastest[side] = v[1]
    median[side] = at(v, n, 0.5)
    spread[side] = (at(v, n, 0.75) - at(v, n, 0.25)) / median[side]
}
FNR == NR {
    name[FNR] = $1 " " $2 ($4 != "" ? " " $4 : "")
    figures = FNR
    next
}
!(($1, $2, $3) in times) { count[$1, $2]++ }
!(($1, $2, $3) in times) || $4 < times[$1, $2, $3] { times[$1, $2, $3] = $4 }
END {
    printf "%-31s|%9s%9s%7s |%9s%9s%7s |%8s%8s |\n", "", "base:", "", "", "this:", "", "", "change:", ""
    printf "%-31s|%9s%9s%7s |%9s%9s%7s |%8s%8s | %s\n", "figure", "fastest", "median", "spread", "fastest", "median", "spread", "fastest",
        "median", "verdict"
    for (k = 1; k <= figures; k++) {
        read("base", k)
        read("new", k)
        margin = spread["base"] > spread["new"] ? spread["base"] : spread["new"]
        margin = margin > 0.02 ? margin : 0.02
        least = fastest["new"] / fastest["base"] - 1
        middle = median["new"] / median["base"] - 1
        verdict = least > margin && middle > margin ? "slower" : "no difference"
        if (1 / (1 + least) - 1 > margin && 1 / (1 + middle) - 1 > margin)
            verdict = "faster"
        printf "%-31s|%9.4g%9.4g%6.1f%% |%9.4g%9.4g%6.1f%% |%+7.1f%%%+7.1f%% | %s\n", name[k], fastest["base"], median["base"],
            100 * spread["base"], fastest["new"], median["new"], 100 * spread["new"], 100 * least, 100 * middle, verdict
        if (verdict == "slower")
            slower = slower (slower ? ", " : "") name[k]
        if (margin > 0.05)
            noisy = noisy (noisy ? ", " : "") name[k]
    }
    if (noisy)
        print "The spread is above 5 %, so that a smaller change is not found (other programs run, or ROUNDS is too small): " noisy
    print slower ? "slower: " slower : "nothing is slower"
    exit slower != ""
}' "$scratch/figures" "$scratch/times"
