#!/bin/bash
# make check-all runs all checks: the tests, normal and sanitized, at each level of instructions, built by clang, with
# line coverage of the library, under the thread sanitizer, MINIMAL, on an old processor and on another architecture by
# qemu; every fuzz target for a minute; hostile cases; kills; the CUDA plug-in, its cases on the emulator, seeded faults
# of its kernels; and lint. The last lines are one line per step. The exit status is 1 if a step failed. Missing tools
# are skipped: `make check-deps`.
set -u
cd "$(dirname "$0")/.."
make=${MAKE:-make}
jobs=$(nproc)
least=85 # % of the library's lines
results=()
step() { # NAME COMMAND ...
    local name=$1
    shift
    echo "---- $name"
    if "$@"; then results+=("$name: ok"); else results+=("$name: FAILED"); fi
}
skip() { # NAME REASON
    echo "---- $1: skipped: $2"
    results+=("$1: skipped: $2")
}
has() { # FLAG ...: all in /proc/cpuinfo
    local flag
    for flag in "$@"; do
        grep -qw "$flag" /proc/cpuinfo || return 1
    done
}
level() { # NAME FLAG ...
    local name=$1
    shift
    if has "$@"; then
        SAPOR_CPU=$name LABEL=$name step "level $name" tests/run.sh build
    else
        skip "level $name" "this machine has no $*"
    fi
}
by_clang() {
    "$make" -s -j"$jobs" CC=clang WERROR=1 BUILD=build/clang tests build/clang/libsapor.so && LABEL=clang tests/run.sh build/clang
}
minimal() {
    "$make" -s MINIMAL=1 have-deps && tests/run.sh minimal
}
# Debian's libraries for aarch64 are next to those of this system.
by_aarch64() {
    local build=build/minimal/aarch64
    "$make" -s -j"$jobs" MINIMAL=1 WERROR=1 CC=aarch64-linux-gnu-gcc BUILD=$build tests &&
        LABEL=aarch64 EMULATOR=qemu-aarch64 TEST_TIMEOUT=1200 tests/run.sh $build
}
coverage() {
    "$make" -s -j"$jobs" COVERAGE=1 BUILD=build/coverage tests || return 1
    find build/coverage -name '*.gcda' -delete
    LABEL=coverage tests/run.sh build/coverage || return 1
    gcovr --root . --object-directory build/coverage --filter '(base|kernels|weights|tokenizers|nn|extractors|recsys)/' \
        --print-summary --fail-under-line "$least" --sort-percentage build/coverage |
        sed -n '/^File/,$p'
    return "${PIPESTATUS[0]}"
}
emulated() {
    SAPOR_TEST_ALL=1 build/tests/cuda_test && SAPOR_TEST_ALL=1 build/tests/cuda_models_test
}

export FAR=all # everything that computes runs on the device that the host cannot touch, too
step "tests, normal and sanitized" tests/run.sh normal sanitized
case $(uname -m) in
x86_64)
    level baseline sse2
    level avx2 avx2 fma f16c
    level avx512 avx512f avx512bw avx512vl avx512dq
    ;;
*) level baseline . ;;
esac
if command -v clang >/dev/null; then step clang by_clang; else skip clang "no clang here"; fi
step "thread sanitizer" tests/run.sh thread
step minimal minimal
if ! command -v qemu-x86_64 >/dev/null; then
    skip "a processor of 2008" "no qemu-x86_64 here"
elif [ "$(uname -m)" != x86_64 ]; then
    skip "a processor of 2008" "this machine is no x86-64"
else
    LABEL=nehalem EMULATOR="qemu-x86_64 -cpu Nehalem" TEST_TIMEOUT=1200 step "a processor of 2008" tests/run.sh build
fi
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    skip aarch64 "no aarch64-linux-gnu-gcc or no qemu-aarch64 here"
elif [ "$(aarch64-linux-gnu-gcc -print-file-name=libcmocka.so)" = libcmocka.so ] || [ "$(aarch64-linux-gnu-gcc -print-file-name=libc.a)" = libc.a ]; then
    skip aarch64 "no libc and libcmocka for aarch64 here"
else
    step aarch64 by_aarch64
fi
if ! command -v gcovr >/dev/null; then
    skip coverage "no gcovr here"
else
    step "line coverage of the library, at least $least %" coverage
fi
if command -v clang >/dev/null; then step "fuzz, 60 s a target" "$make" -s fuzz SECONDS=60; else skip fuzz "no clang here"; fi
if command -v clang >/dev/null; then step "fuzz of stb_image" "$make" -s MINIMAL=1 fuzz TARGETS=image SECONDS=60; fi
SAPOR=build/sapor step "hostile files, environments, limits and tables" tests/hostile.sh
ITEMS=10000 step "10,000 items, some damaged" tests/ducho_test.sh
step "200 kills" "$make" -s kills KILLS=200
step "leaks of host memory" tests/far/leaks.sh
if [ -n "$("$make" -n CUDA=1 build/cuda-flags 2>/dev/null)" ]; then SAPOR_TEST_CUDA=1 BUILD=build step cuda tests/cuda_build_test.sh; else skip cuda "no nvcc here"; fi
if command -v "${CXX:-g++}" >/dev/null; then
    step "CUDA on the emulator, all cases" emulated
    step mutants tests/cuda_emu/mutants.sh
else
    skip "CUDA on the emulator, all cases, and mutants" "no C++ compiler here"
fi
step lint "$make" -s lint
echo "----"
printf '%s\n' "${results[@]}"
case "${results[*]}" in *FAILED*) exit 1 ;; esac
