#!/bin/bash
# tests/cuda_mutants_test.sh: checks that each seeded fault of the CUDA kernels (tests/cuda_emu/mutants) still applies, and that there are enough.
# tests/cuda_emu/mutants.sh checks that the tests find the faults. It takes minutes and is in check-all.
set -u
cd "$(dirname "$0")/.." || exit 1
if ! command -v patch >/dev/null; then
    echo "1..1"
    echo "ok 1 seeded faults # SKIP skipped: no patch here"
    exit 0
fi
exec tests/cuda_emu/mutants.sh --apply
