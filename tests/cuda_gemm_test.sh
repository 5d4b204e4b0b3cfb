#!/bin/bash
# tests/cuda_gemm_test.sh: the tiles and the types of the CUDA matrix product, on the emulator.
set -u
cd "$(dirname "$0")/.." || exit 1
program=${BUILD:-build}/cuda_emu/gemm_test
if [ ! -x "$program" ]; then
    echo "1..1"
    echo "ok 1 gemm # SKIP skipped: the emulator is not in this build (it needs g++, and is not in sanitized builds)"
    exit 0
fi
exec "$program"
