#!/bin/bash
# tests/train_many_test.sh: train with several seeds, with a grid of settings, and with --save-recs. Each run has the
# bytes of `train` alone. A killed command resumes. Means and deviations are those of the runs, and the best run is
# chosen by the validation part. Speaks TAP; $BUILD is the folder of the build.
[ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && TMPDIR=/dev/shm # runs are shorter than a disk's sync
test=many
. "$(dirname "$0")/shell.sh"
export GCOV_PREFIX=$work/counts # a coverage build that is killed would spoil the counts of the other runs
for part in 'train 0 8' 'valid 8 10' 'test 10 12'; do
    set -- $part
    awk -v from="$2" -v to="$3" 'BEGIN { for (u = 0; u < 40; u++) for (j = from; j < to; j++) print "u" u "\ti" (u * 4 + j * j) % 60 "\t" 1 + (u + j) % 5 }' >"$1.tsv"
done
base=(train BPRMF --train train.tsv --valid valid.tsv --test test.tsv --set epochs=4 --set validation_rate=2 --set factors=8 --threads 1)
same() { # NAME DIFF-ARGUMENT...: no difference
    local name=$1
    shift
    diff -r "$@" >diff.txt 2>&1
    bad=$?
    head -n 5 diff.txt | sed 's/^/# /'
    ok $bad "$name"
}
holds() { # FILE PATTERN NAME
    grep -qE -- "$2" "$1"
    bad=$?
    [ $bad = 0 ] || head -n 20 "$1" | sed 's/^/# /'
    ok $bad "$3"
}

if ! "$sapor" "${base[@]}" --seeds 1,2 --quiet >out 2>err && grep -q 'MINIMAL=1' err; then
    wrong 1 '^sapor: --seeds: this build trains one run; build without MINIMAL=1$' 'seeds are not in this build' "${base[@]}" --seeds 1,2
    wrong 1 '^sapor: lr=0.1,0.2: this build trains one run; build without MINIMAL=1$' 'nor are grids' "${base[@]}" --set lr=0.1,0.2
    right 'lists and pairs keep their commas' "${base[@]}" --set cutoffs=5,20 --set lr_sched=0.96,50
    right 'recommendations are saved' "${base[@]}" --out run --save-recs 5
    right 'the same recommendations' recommend run -k 5 -o recs.tsv
    same 'recs.tsv is what recommend writes' run/recs.tsv recs.tsv
    echo "1..$number"
    exit 0
fi

# ---- seeds ---------------------------------------------------------------------------------------------------------------
right 'three seeds' "${base[@]}" --seeds 3,1,2 --out seeds --save-recs 5
holds out '^valid seed 3 ' 'a row for each seed'
holds out '^test deviation ' 'a row of deviations'
holds out 'standard deviation of the sample \(n - 1\)' 'which says what they are'
for seed in 1 2 3; do
    "$sapor" "${base[@]}" --seed $seed --out alone-$seed --save-recs 5 --quiet >out 2>err
    same "seed $seed has the bytes of a run alone" seeds/seed-$seed alone-$seed
done
"$sapor" recommend alone-1 -k 5 -o recs.tsv --quiet
same 'recs.tsv is what recommend writes' seeds/seed-1/recs.tsv recs.tsv
[ "$(wc -l <recs.tsv)" = 200 ]
ok $? 'five items for each user'
# Mean and deviation of the rows of trials.tsv, for each column after that of the epoch.
awk -F'\t' 'NR == 1 { columns = NF; for (i = 3; i <= NF; i++) name[i] = $i; next } { for (i = 3; i <= NF; i++) { n[i]++; x[i, n[i]] = $i } }
    END { for (i = 3; i <= columns; i++) { s = q = 0; for (k = 1; k <= n[i]; k++) s += x[i, k]; m = s / n[i]
        for (k = 1; k <= n[i]; k++) q += (x[i, k] - m) ^ 2; split(name[i], w, " "); printf "%s %.12f %.12f\n", name[i], m, sqrt(q / (n[i] - 1)) } }' seeds/trials.tsv >expected
for key in mean deviation; do
    sed -n "s/^  \"$key\": {\"valid\": {\(.*\)}, \"test\": {\(.*\)}}.*/valid, \1\ntest, \2/p" seeds/summary.json | tr -d '" ' |
        awk -F, '{ for (i = 2; i <= NF; i++) { split($i, w, ":"); printf "%s %s %.12f\n", $1, w[1], w[2] } }' >$key
done
paste -d ' ' mean deviation | cut -d ' ' -f 1,2,3,6 >got
[ -s got ]
ok $? 'summary.json has means and deviations'
same 'they are those of the runs' expected got
holds seeds/summary.json '"seeds": \[3, 1, 2\],$' 'summary.json lists the seeds'
sed 1d seeds/trials.tsv | sort -c
ok $? 'rows of trials.tsv are sorted'
cp -r seeds whole
touch -d '2001-01-01' seeds/seed-*/user.npy # trained again, they would be new
right 'finished runs are not trained again' "${base[@]}" --seeds 3,1,2 --out seeds --save-recs 5
[ -z "$(find seeds -name user.npy -newermt 2002-01-01)" ]
ok $? 'their vectors are not written again'
same 'the same bytes' whole seeds
right 'one seed more' "${base[@]}" --seeds 3,1,2,7 --out seeds --save-recs 5
[ "$(find seeds -name user.npy -newermt 2002-01-01)" = seeds/seed-7/user.npy ] && grep -q '^7	' seeds/trials.tsv
ok $? 'only the new one is trained'
right 'a seed alone' "${base[@]}" --seeds 5 --json
holds out '"event":"trial","trial":1,"of":1,"settings":\{\},"seed":5,"best_epoch":[24],"epochs":4,"valid":\{.*"test":\{' 'its trial as JSON'
! grep -q deviation out
ok $? 'one run has no deviation'
right 'seeds without validation and test' train MostPop --train train.tsv --seeds 1,2
holds out 'not evaluated' 'which is said'

# ---- grids ---------------------------------------------------------------------------------------------------------------
grid=(--set lr=0.001,0.02 --set l_w=1e-5,1e-1)
right 'a grid' "${base[@]}" "${grid[@]}" --out grid --save-recs 5 --json
[ "$(grep -c '"event":"trial"' out)" = 4 ] && [ "$(grep -c '"event":"data"' out)" = 1 ] && [ "$(wc -l <out)" = 6 ]
ok $? 'one event for the data, one for each trial, one for the result'
sed -n 's/.*"trial":[0-9]*,"of":4,"settings":{"lr":"\([^"]*\)","l_w":"\([^"]*\)"}.*/\1 \2/p' out | tr '\n' ';' >order
[ "$(cat order)" = '0.001 1e-05;0.001 0.1;0.02 1e-05;0.02 0.1;' ]
ok $? 'the last setting is the fastest'
[ "$(ls grid | tr '\n' ' ')" = 'lr=0.001,l_w=0.1 lr=0.001,l_w=1e-05 lr=0.02,l_w=0.1 lr=0.02,l_w=1e-05 summary.json trials.tsv ' ]
ok $? 'a folder for each point'
"$sapor" "${base[@]}" --set lr=0.02 --set l_w=1e-5 --out point --quiet >out 2>err
same 'a point has the bytes of a run alone' -x recs.tsv 'grid/lr=0.02,l_w=1e-05' point
best=$(sed -n 's/^  "best": {.*"folder": "\(.*\)"}.*/\1/p' grid/summary.json)
# By trials.tsv (columns lr, l_w, seed, best epoch, valid Recall@20): the first of the best points, in the order of the
# grid.
right_best=$(tr ';' '\n' <order | grep . | while read -r lr l_w; do awk -F'\t' -v a="$lr" -v b="$l_w" '$1 == a && $2 == b { print $5 "\tlr=" a ",l_w=" b }' grid/trials.tsv; done |
    awk -F'\t' 'NR == 1 || $1 > most { most = $1; name = $2 } END { print name }')
[ -n "$best" ] && [ "$best" = "$right_best" ]
ok $? "the best is chosen by the validation figure ($best)"
[ "$(find grid -name recs.tsv)" = "grid/$best/recs.tsv" ]
ok $? 'recommendations of the best point alone'
right 'the best point recommends' recommend "grid/$best" -k 5 -o recs.tsv
same 'its recs.tsv is what recommend writes' "grid/$best/recs.tsv" recs.tsv
right 'a grid for people' "${base[@]}" "${grid[@]}" --out grid --save-recs 5
holds out '^0.02 +0.1 ' 'a row for each point'
[ "$(grep -c ' best$' out)" = 1 ]
ok $? 'one of them is the best'
holds err '^2 of 4, lr=0.001 l_w=0.1: ' 'progress names the trial'
right 'a grid with seeds' "${base[@]}" --set lr=0.001,0.02 --seeds 1,2 --out both --save-recs 2
same 'a point and a seed: the bytes of a run alone' -x recs.tsv -x config.json both/lr=0.001/seed-1 alone-1
[ "$(wc -l <both/trials.tsv)" = 5 ] && [ "$(find both -name recs.tsv | wc -l)" = 2 ]
ok $? 'four runs; recommendations of the best point by each seed'
holds both/summary.json '"best": \{"settings": \{"lr": "[0-9.]*"\}, "folder": "lr=[0-9.]*"\}' 'the best point has its folder'
right 'words and switches are values too' "${base[@]}" --set mg=true,false --set zero_grad=none,zeros --out words
[ -d 'words/mg=true,zero_grad=zeros' ]
ok $? 'their folders'
awk 'BEGIN { for (i = 0; i < 60; i++) print "i" i }' >f.ids.txt
{
    printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (60, 2), }"
    awk 'BEGIN { for (i = 0; i < 120; i++) printf "o" }' | sed 's/o/\x00\x00\x80\x3f/g'
} >f.npy
knock=(train VBPR --train train.tsv --valid valid.tsv --set epochs=2 --features v=f.npy --knock v --mode noise --threads 1)
right 'a knock-out with seeds' "${knock[@]}" --seeds 1,2 --out knocked
"$sapor" "${knock[@]}" --seed 2 --out knocked-2 --quiet >out 2>err
same 'its noise is that of each seed' knocked/seed-2 knocked-2

# ---- kill and resume ---------------------------------------------------------------------------------------------------------
killed=(train BPRMF --train train.tsv --valid valid.tsv --test test.tsv --set epochs=60 --set validation_rate=5 --set checkpoint_seconds=0
    --set lr=0.001,0.01 --seeds 1,2 --save-recs 3 --threads 1 --quiet)
"$sapor" "${killed[@]}" --out undisturbed >out 2>err
cut=0
for folder in lr=0.001/seed-2 lr=0.01/seed-1 lr=0.01/seed-2; do # killed while it trains this one
    "$sapor" "${killed[@]}" --out cut >/dev/null 2>&1 &
    for _ in $(seq 2000); do
        [ -e "cut/$folder/checkpoint.safetensors" ] && break
        sleep 0.002
    done
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    [ $? = 137 ] && cut=$((cut + 1)) && [ -e cut/summary.json ] && echo "# summary.json is there after a kill" && cut=-9
done
[ $cut -ge 1 ]
ok $? "killed $cut times; no summary before the end"
right 'the same command goes on' "${killed[@]}" --out cut
same 'to the same bytes' undisturbed cut
if command -v flock >/dev/null; then
    exec 8>>cut/.sapor.lock
    flock -n 8
    wrong 1 'cut: another run is writing to this folder' 'two commands in one folder' "${killed[@]}" --out cut
    exec 8>&-
else
    skip 'two commands in one folder' 'no flock here'
fi

# ---- errors ------------------------------------------------------------------------------------------------------------------
: >none
while IFS='|' read -r status pattern what arguments; do
    eval "set -- $arguments"
    wrong "$status" "$pattern" "$what" "${base[@]}" "$@"
done <<'LIST'
2|--seed and --seeds: give one of them|a seed and seeds|--seeds 1,2 --seed 3
2|--seeds: "x" is not a whole number|a seed that is no number|--seeds 1,x
2|--seeds: "-1" is not a whole number of at least 0|a seed below 0|--seeds -1
2|--seeds: 1 is given twice|a seed twice|--seeds 1,2,1 --out other
2|--seeds: "1,,2" has an empty part|an empty seed|--seeds 1,,2
2|setting lr=0.1,,0.2: a value between commas is empty|an empty value|--set lr=0.1,,0.2 --out other
2|setting lr=1e-1,0.1: the value 0.1 is given twice|a value twice|--set lr=1e-1,0.1 --out other
2|setting lr=x: a number is expected|a value that is no number|--set lr=0.1,x --out other
2|setting batch_size=0: must be at least 1|a value that is too small|--set batch_size=0,5 --out other
2|unknown setting lrr|a grid of an unknown setting|--set lrr=0.1,0.2 --out other
2|several lists: a grid tries values of settings that take one value|a grid of lists|'--set=cutoffs=[5,10],[20]' --out other
2|a list; Sapor uses one number: set lr=0.1|a list where one number is expected|'--set=lr=[0.1,0.2]' --out other
2|more than 1048576|too many combinations|--set lr=$(seq -s, 1 1025) --set l_w=$(seq -s, 1 1025) --out other
2|2 seeds and 5500 combinations of settings are more than 10000 runs|too many runs|--seeds 1,2 --set lr=$(seq -s, 1 55) --set l_w=$(seq -s, 1 100) --out other
2|--save-recs 5: --out DIR is missing|recommendations without a folder|--save-recs 5
2|--save-recs: "0" is not a whole number from 1|no recommendations|--save-recs 0 --out other
2|alone-1: is the folder of one run; choose another folder|several runs into the folder of one|--seeds 1,2 --out alone-1
2|run 1 of 3, seed 1: .*other settings or data|a folder of other settings|--seeds 1,2,9 --set factors=9 --out seeds
1|none: holds no interactions|an empty part|--seeds 1,2 --valid none --out other
LIST
wrong 2 'valid F is missing: of several values of lr the best is chosen by' 'a grid without a validation part' train BPRMF --train train.tsv --set lr=0.1,0.2 --out other
diverge=(train BPRMF --train train.tsv --valid valid.tsv --set epochs=9)
right 'a point that cannot be trained is passed over' "${diverge[@]}" --set lr=1e30,0.1,1e31 --out diverged
holds out '^1e\+30 +failed *$' 'the table says that it failed'
holds err '^1 of 3, lr=1e\+30: failed: BPRMF: .*lr' 'progress says why'
[ "$(grep -c "$(printf '\t0\tnan\t')" diverged/trials.tsv)" = 2 ] && ! grep -q -- -nan diverged/trials.tsv
ok $? 'its figures are nan'
holds diverged/summary.json '"settings": \{"lr": "0.1"\}, "folder": "lr=0.1"' 'another point is the best'
right 'the same as JSON' "${diverge[@]}" --set lr=1e30,0.1 --json
holds out '"trial":1,.*"failed":"BPRMF: .*","valid":\{\}' 'its event says why'
wrong 1 'each point of the grid has a run that failed, as lr=1e+30.*: BPRMF: .*lr\|all 2 runs failed; the last one, lr=1e+31: BPRMF: .*lr' \
    'no point that can be trained' "${diverge[@]}" --set lr=1e30,1e31 --quiet
wrong 1 'run 1 of 2, seed 1: BPRMF: .*lr' 'a seed that cannot be trained' "${diverge[@]}" --set lr=1e30 --seeds 1,2 --quiet
mkdir mixed
cp train.tsv mixed/trials.tsv
wrong 2 'mixed/trials.tsv: is an input too' 'an output that is an input' train BPRMF --train mixed/trials.tsv --seeds 1,2 --out mixed
echo "1..$number"
