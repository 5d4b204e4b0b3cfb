#!/bin/bash
# tests/hostile.sh [OPTION ...] [GROUP | GROUP/NUMBER | /WORDS ...]: hostile files, environments, limits and tables against the command.
# The command must end with status 0, 1 or 2 within 10 s and 64 MB + 20 bytes per byte of input (decoded pixels are extra). If it fails, it
# prints one line that begins with "sapor: ". It leaves no temporary files and changes no file of the user.
#   --list      the cases, not run          --jobs N    cases at a time (default: processors, at most 4)
#   --verbose   every case, with its time   --keep      the folder of the cases stays; its name is printed
# $SAPOR is the command (default ./sapor), $CC the compiler of tests/hostile/*.c. SLOWER=3 multiplies the limits of time. MEMORY=off
# turns off the limits of memory (sanitizers). A group is a file tests/hostile/GROUP.cases; its first lines describe the rows.
# Prints one line per failure, and last "N passed, N failed, N skipped". The exit status is 1 if a case failed.
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
root=$PWD

# ---- one case: tests/hostile.sh --row FILE, with the folders of the run in the environment ------------------------------------------
if [ "${1:-}" = --row ]; then
    . tests/hostile/case.sh
    one_case "$2"
    exit
fi

# ---- the run --------------------------------------------------------------------------------------------------------------------
jobs=$(nproc 2>/dev/null || echo 2)
[ "$jobs" -le 4 ] || jobs=4
list=0 keep=0 chosen=()
export HOSTILE_VERBOSE=0
while [ $# -gt 0 ]; do
    case $1 in
    --list) list=1 ;;
    --keep) keep=1 ;;
    --verbose) HOSTILE_VERBOSE=1 ;;
    --jobs) jobs=$2 && shift ;;
    -*) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2 ;;
    *) chosen+=("$1") ;;
    esac
    shift
done
sapor=${SAPOR:-./sapor}
case $sapor in /*) ;; *) sapor=$root/$sapor ;; esac
[ -x "$sapor" ] || { echo "hostile: no $sapor; build it, or say SAPOR=path" >&2; exit 2; }
place=${TMPDIR:-/tmp}
[ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && place=/dev/shm
work=$(mktemp -d "$place/sapor-hostile-XXXXXX") || exit 2
finish() {
    if [ $keep = 1 ]; then echo "kept: $work"; else chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
mkdir "$work/rows" "$work/bin" "$work/cases" "$work/home"
# Compiled here: they belong to no build. What does not compile is a failure of the suite.
for program in run_case make_files; do
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -w "tests/hostile/$program.c" -o "$work/bin/$program" || exit 2
done
export HOSTILE_ROOT=$root HOSTILE_WORK=$work HOSTILE_SAPOR=$sapor
export HOME=$work/home
unset SAPOR_MODELS HF_HOME HUGGINGFACE_HUB_CACHE HF_HUB_CACHE TORCH_HOME XDG_CACHE_HOME SAPOR_CPU SAPOR_DATA TMPDIR

# A row is NAME | RULES | CODE. `each X VALUE ...` before it makes one row of every value, @X in it replaced; several multiply.
shopt -u patsub_replacement 2>/dev/null # since bash 5.2, & and \ of a value would have a meaning
declare -A count
write_row() { # GROUP LINE NAMES_OF_VARIABLES...
    local group=$1 line=$2 value
    shift 2
    if [ $# -gt 0 ]; then
        local variable=$1
        shift
        local -n values=each_$variable
        for value in "${values[@]}"; do
            write_row "$group" "${line//@$variable/$value}" "$@"
        done
        return
    fi
    count[$group]=$((${count[$group]:-0} + 1))
    printf '%s\n' "$line" >"$work/rows/$group.$(printf %03d "${count[$group]}")"
}
for file in tests/hostile/*.cases; do
    group=$(basename "$file" .cases)
    variables=()
    while IFS= read -r line || [ -n "$line" ]; do
        while [ "${line%\\}" != "$line" ] && IFS= read -r more; do
            line=${line%\\}${more#"${more%%[! ]*}"}
        done
        case $line in
        '' | '#'*) ;;
        'each '*)
            read -r _ variable values <<<"$line"
            eval "each_$variable=($values)"
            variables+=("$variable")
            ;;
        *' | '*' | '*)
            write_row "$group" "$line" ${variables[@]+"${variables[@]}"}
            variables=()
            ;;
        *) echo "hostile: $file: not a row: $line" >&2 && exit 2 ;;
        esac
    done <"$file"
done
rows=()
for row in "$work"/rows/*; do
    id=$(basename "$row")
    id=${id/./\/}
    wanted=$([ ${#chosen[@]} = 0 ] && echo 1 || echo 0)
    for choice in ${chosen[@]+"${chosen[@]}"}; do
        case $choice in
        /*) grep -qF -- "${choice#/}" "$row" && wanted=1 ;;
        *) [ "$id" = "$choice" ] || [ "${id%/*}" = "$choice" ] && wanted=1 ;;
        esac
    done
    [ $wanted = 1 ] && rows+=("$row")
done
[ ${#rows[@]} -gt 0 ] || { echo "hostile: no such case; --list shows them" >&2; exit 2; }
if [ $list = 1 ]; then
    for row in "${rows[@]}"; do
        id=$(basename "$row")
        IFS= read -r line <"$row"
        echo "${id/./\/} ${line%% | *}"
    done
    exit 0
fi

begun=$SECONDS
. tests/hostile/case.sh
make_data "$work/data" || { echo "hostile: $sapor cannot make the data of the cases" >&2; exit 2; }
sum_data() {
    (cd "$work/data" && find . -type f -print0 | sort -z | xargs -0 cksum)
}
sum_data >"$work/data.before"
printf '%s\0' "${rows[@]}" | xargs -0 -P "$jobs" -n 1 bash tests/hostile.sh --row >"$work/results"
grep -v '^\(passed\|quiet\) ' "$work/results" | grep -v '^skipped ' | sort -s -k 2,2
sum_data >"$work/data.after"
extra=0
cmp -s "$work/data.before" "$work/data.after" || { extra=1; echo "FAILED data: a case changed the data of all cases"; }
grep '^skipped ' "$work/results" | sed 's/^skipped [^ ]* //' | sort | uniq -c | sed 's/^ *\([0-9]*\) /skipped: \1 cases: /'
for group in $(printf '%s\n' "${!count[@]}" | sort); do
    passed=$(grep -cE "^(passed|quiet) $group/" "$work/results")
    failed=$(grep -cE "^FAILED $group/" "$work/results")
    skipped=$(grep -cE "^skipped $group/" "$work/results")
    [ $((passed + failed + skipped)) = 0 ] || printf '%-12s %4d passed, %d failed, %d skipped\n' "$group" "$passed" "$failed" "$skipped"
done
passed=$(grep -cE '^(passed|quiet) ' "$work/results")
failed=$(($(grep -c '^FAILED ' "$work/results") + extra))
skipped=$(grep -c '^skipped ' "$work/results")
lost=$((${#rows[@]} - passed - failed - skipped + extra))
[ $lost -le 0 ] || { echo "FAILED $lost cases gave no result"; failed=$((failed + lost)); }
echo "in $((SECONDS - begun)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
