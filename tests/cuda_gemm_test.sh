#!/bin/bash
# tests/cuda_gemm_test.sh: tests the CUDA matrix product on the emulator: all tiles and types, and the steps of the ladder.
set -u
cd "$(dirname "$0")/.." || exit 1
emulated=${BUILD:-build}/cuda_emu
if [ ! -x "$emulated/gemm_test" ] || [ ! -x "$emulated/gemm_ladder" ]; then
    echo "1..1"
    echo "ok 1 gemm # SKIP skipped: the emulator is not in this build (it needs g++, and is not in sanitized builds)"
    exit 0
fi
out=$("$emulated/gemm_ladder" --check 2>&1)
status=$?
if [ $status = 0 ]; then
    echo "ok 1 ladder: $(grep -c '^ok' <<<"$out") steps"
else
    echo "not ok 1 ladder"
    grep -v '^ok' <<<"$out" | sed 's/^/# /'
fi
"$emulated/gemm_test" && exit $status
