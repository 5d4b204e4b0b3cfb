#!/bin/bash
# tests/bench_test.sh: the options of measurements of `sapor bench`: --rounds, --warm-up, --pin, --format, and the
# notes under a table. Speaks TAP; $BUILD is the folder of the build.
test=bench
. "$(dirname "$0")/shell.sh"
case $sapor in *minimal*)
    wrong 2 'unknown option' 'this build has no --rounds' bench gemm --shape 3x5x7 --rounds 3
    echo "1..$number"
    exit
    ;;
esac
says() { grep -q -- "$1" out; ok $? "$2"; }
gemm=(bench gemm --shape 3x5x7 --rounds 3 --threads 1)

# ---- formats -------------------------------------------------------------------------------------------------------------
right 'CSV' "${gemm[@]}" --format csv -q
header=bench,shape,variant,dtype,threads,ms_min,ms_median,spread,gflops,gbs,mbs,items_per_second,share_of_peak,bound,outside_kernels
[ "$(head -n 1 out)" = $header ] && [ "$(wc -l <out)" = 2 ] && [ "$(awk -F, '{ print NF }' out | sort -u)" = 15 ]
ok $? 'has a header and a row of 15 cells'
grep -qE '^gemm,3x5x7,packed [^,]*,f32,1,[0-9.e-]+,[0-9.e-]+,[0-9.]+,[0-9.]+,' out
ok $? 'whose cells have the names and figures'
right 'CSV of a variant with a comma' bench conv --shape 28x28x128-3x3 --winograd 6 --rounds 1 --format csv --threads 1 -q
says ',"winograd 6,3",f32,1,' 'the cell is quoted'
right 'CSV of all peaks' bench peak --seconds 0.001 --threads 1 --format csv -q
[ "$(grep -c "^$header$" out)" = 1 ] && grep -q '^peak,baseline,.*,f32,1,,,' out && grep -q '^peak,read-32KiB,.*,bytes,1,,,,,' out
ok $? 'has one header'
right 'Markdown' "${gemm[@]}" --format markdown -q
[ "$(wc -l <out)" = 3 ] && [ "$(awk -F'|' '{ print NF }' out | sort -u)" = 17 ] && sed -n 2p out | grep -qx '| --- | --- .*---: |'
ok $? 'has a header, an alignment and a row'
wrong 2 'not with --json' 'a format and JSON' "${gemm[@]}" --format csv --json
wrong 2 'not with --against' 'a format and a comparison' "${gemm[@]}" --format csv --against old.json
wrong 2 'not for bench data' 'a format of data' bench data --out data --format csv
wrong 2 'text, csv' 'an unknown format' "${gemm[@]}" --format html

# ---- rounds, warm-up, pin ------------------------------------------------------------------------------------------------
awk 'BEGIN { for (u = 0; u < 40; u++) for (k = 0; k < 6; k++) printf "u%d\ti%d\n", u, (u * 3 + k * 5) % 30 }' >pairs.tsv
right 'rounds of epochs' bench train BPRMF --pairs pairs.tsv --set batch_size=64 --rounds 2 --warm-up 3 --threads 1 --json
says '"bench":"train","shape":"BPRMF-40x30-240".*"gflops":' 'and their figure'
wrong 2 'rounds' 'no rounds' "${gemm[@]}" --rounds 0
wrong 2 'warm-up' 'no runs before the first round' "${gemm[@]}" --warm-up 0
cpu=$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')
right 'pinned to a processor' bench gemm --shape 3x5x7 --rounds 3 --pin "$cpu" --json
says '"threads":1,' 'one processor, one thread'
right 'two threads on a processor' bench gemm --shape 3x5x7 --rounds 3 --threads 2 --pin "$cpu" --json
wrong 2 'expected numbers of processors' 'no list of processors' "${gemm[@]}" --pin one
wrong 2 'may not use processor 1023' 'a processor that is missing' "${gemm[@]}" --pin 1023

# ---- notes ---------------------------------------------------------------------------------------------------------------
right 'peaks as JSON' bench peak --shape baseline --seconds 0.01 --threads 1 --json
case $(uname -m)${EMULATOR:+ emulated} in
x86_64) says '"window_spread":[0-9.]*,"confirmed":[a-z]*,"core":"' 'have a spread and the state of the core' ;;
*) skip 'have a spread and the state of the core' 'not on this processor, or the clock is not measured' ;;
esac
right 'peaks of more threads than processors' bench peak --shape baseline --seconds 0.01 --threads 64
[ "$(grep -v '^peak' out | wc -L)" -le 100 ] && ! grep -q '%.*inf' out
ok $? 'the notes are short lines'
echo "1..$number"
