#!/bin/bash
# tests/cuda_emu_test.sh: the CUDA emulator's own test: mistakes that it must find, and kernels that it must run.
set -u
cd "$(dirname "$0")/.." || exit 1
program=${BUILD:-build}/cuda_emu/self_test
if [ ! -x "$program" ]; then
    echo "1..1"
    echo "ok 1 emulator # SKIP skipped: the emulator is not in this build (it needs g++, and is not in sanitized builds)"
    exit 0
fi
exec "$program"
