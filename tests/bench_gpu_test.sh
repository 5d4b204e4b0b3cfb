#!/bin/bash
# tests/bench_gpu_test.sh: `sapor bench --device cuda` and bench/gpu.sh on the emulator: checks the rows, not the speed.
# Speaks TAP; $BUILD is the folder of the build.
test=bench_gpu
. "${0%/*}/shell.sh"
plugin=${binary%/*}/cuda_emu/libsapor_cuda.so
if [ ! -r "$plugin" ]; then
    echo "1..1"
    skip 'bench on a GPU' 'the emulator is not in this build (it needs g++, and is not in sanitized builds)'
    exit 0
fi
echo "1..7"
export SAPOR_CUDA=$plugin
right 'the peak of a card' bench peak --device cuda --seconds 0.01
[ "$(grep -c '^peak  [a-z0-9]* *[a-z]*-[A-Za-z0-9]* *[0-9]' out)" = 6 ]
ok $? 'five types of numbers, and copies'
right 'ours and tf32' bench gemm --device cuda:tf32 --shape 6x24x24 --seconds 0.01 --json
[ "$(grep -c '"variant":"f32 ' out)$(grep -c '"dtype":"tf32"' out)" = 11 ]
ok $? 'a row for each'
wrong 1 'the emulator has no cuBLAS' 'no libraries' bench gemm --device cuda --blas all
(cd "$root" && BUILD=${binary%/*} OUT=$work/gpu DATA=none PEERS=none SECONDS_EACH=0.01 bench/gpu.sh part products) >list.out 2>&1
status=$?
[ $status = 0 ] || sed 's/^/# /' list.out
ok $status 'bench/gpu.sh part products'
(cd "$root" && BUILD=${binary%/*} OUT=$work/gpu DATA=none PEERS=none bench/gpu.sh part peers) >list.out 2>&1
[ "$(awk -F '\t' 'NF != 15' gpu/result.tsv | wc -l) $(awk -F '\t' '$1 == "part"' gpu/result.tsv | wc -l) $(grep -c '^figure.products' gpu/result.tsv)" = '0 2 '"$(grep -c '^{"bench":' gpu/log.txt)" ]
ok $? 'another part keeps the rows of the first; every row has fifteen columns'
