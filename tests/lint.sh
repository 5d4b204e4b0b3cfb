#!/bin/bash
# tests/lint.sh COMPILER FLAG ... -- SOURCE ...: checks the rules of style (tests/style.sh, for the whole tree),
# clang-format (no file is changed), gcc's warnings that the build does not request, clang-tidy and cppcheck. Version 14
# of clang's tools is used if it is installed: other versions have slightly different formats and warnings. The exit
# status is 1 if one finds a problem.
set -u
compile=()
while [ "$1" != -- ]; do
    case $1 in -MMD | -MP | -W* | -fno-sanitize-recover=*) ;; *) compile+=("$1") ;; esac
    shift
done
shift
sources=("$@")
c_files=() kernels=() tests=()
for f in "${sources[@]}"; do
    case $f in kernels/cpu/*.c | kernels/cpu/*/*.c | bench/ladder/*/*.c) kernels+=("$f") ;; tests/*.c) tests+=("$f") ;; *.c) c_files+=("$f") ;; esac
done
status=0
tool() { # NAME: the command, or nothing and a line
    command -v "$1-14" || command -v "$1" || { echo "lint: skipped: no $1 here" >&2; return 1; }
}
say() { # NAME STATUS
    [ "$2" = 0 ] && echo "lint: $1 is content" || { echo "lint: $1 COMPLAINS"; status=1; }
}

tests/style.sh | sed 's/^/    /'
say style "${PIPESTATUS[0]}"
if format=$(tool clang-format); then
    "$format" --dry-run -Werror "${sources[@]}" 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c | sed 's/^/    /'
    say clang-format "${PIPESTATUS[0]}"
fi
# Every C file of every folder, kernels at every level, those of CUDA as the emulator compiles them: names that shadow
# others, conversions that may change a value. clang-tidy and cppcheck do not read .cu files.
if "${compile[0]}" --version | grep -q 'Free Software Foundation'; then
    commands=$("${MAKE:-make}" -s --no-print-directory commands) || exit 1
    found=$(while IFS=$'\t' read -r _ file command; do
        case " ${sources[*]} " in *" $file "*) printf '%s -fsyntax-only -Wshadow -Wconversion\0' "$command" ;; esac
    done <<<"$commands" | xargs -0 -r -P "$(nproc)" -n 1 sh -c 2>&1 | grep -E '(error|warning): ' | grep -v '^tests/cuda_emu/' | sort -u)
    [ -z "$found" ] || sed 's/^/    /' <<<"$found"
    say "${compile[0]} -Wshadow -Wconversion (every folder)" "$([ -z "$found" ]; echo $?)"
else
    echo "lint: skipped: -Wshadow -Wconversion: ${compile[0]} is not gcc" >&2
fi
if tidy=$(tool clang-tidy); then
    log=$(mktemp)
    result=0
    each() { # CHECKS FLAG FILE ...
        [ $# -gt 2 ] || return 0
        printf '%s\0' "${@:3}" | xargs -0 -P "$(nproc)" -I{} "$tidy" --quiet --checks="$1" {} -- "${compile[@]:1}" $2 >>"$log" 2>/dev/null || result=1
    }
    each "" "" "${c_files[@]}"
    each "-clang-analyzer-core.*" "-DLEVEL=baseline -DLEVEL_baseline" "${kernels[@]}" # kernels trust their callers
    each "-clang-analyzer-*" "" "${tests[@]}" # the analyzer does not know that a failed assert_* does not return
    grep -E '(error|warning):' "$log" | sed "s,^$PWD/,    ," | sort -u
    rm -f "$log"
    say clang-tidy $result
fi
if [ $((${#c_files[@]} + ${#kernels[@]} + ${#tests[@]})) -gt 0 ] && cppcheck=$(tool cppcheck); then
    defines=(-DLEVEL=baseline -DLEVEL_baseline)
    for flag in "${compile[@]:1}"; do
        case $flag in -D*) defines+=("$flag") ;; esac
    done
    "$cppcheck" --enable=warning,performance,portability --std=c11 --quiet --inline-suppr --error-exitcode=1 -I. "${defines[@]}" \
        --suppress=missingInclude --suppress=missingIncludeSystem -j "$(nproc)" "${c_files[@]}" "${kernels[@]}" "${tests[@]}" 2>&1 | sed 's/^/    /'
    say cppcheck "${PIPESTATUS[0]}"
fi
exit $status
