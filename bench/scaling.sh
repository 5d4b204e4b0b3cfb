#!/bin/sh
# bench/scaling.sh: measures how the time per step and the memory grow with the data. `sapor bench data` draws data of each size, and
# `sapor bench train --steps 20` measures each model in a separate process. The data are removed before the next size. Writes $OUT/scaling.tsv,
# sorted, and the charts $IMAGES/scaling-time.svg and $IMAGES/scaling-memory.svg. A chart has two lines per model: the measured one, and a linear
# one through the row of a million interactions. The printed table has the ratio of each row to the linear line. Rows of the old table are kept if
# their model is not measured now.
# docs/measuring.md describes the study. LightGCN takes five minutes and 8 GB of memory.
#
# Variables, with their defaults: SAPOR (./sapor), THREADS (2), SIZES (numbers of interactions, 100000 to 20000000), MODELS (LightGCN FREEDOM),
# BATCH (2048), OUT (docs/results), IMAGES (docs/images). SCRATCH: a folder for the data, which take 1 GB at 20 million interactions.
set -eu
sapor=${SAPOR:-./sapor}
threads=${THREADS:-2}
out=${OUT:-docs/results}
images=${IMAGES:-docs/images}
scratch=$(mktemp -d "${SCRATCH:-${TMPDIR:-/tmp}}/scaling-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
tab=$(printf '\t')
models=${MODELS:-LightGCN FREEDOM}

number() { # KEY: prints the value of KEY in the line of JSON that `sapor bench train` printed
    sed -n "s/.*\"$1\":\([0-9.e+]*\).*/\1/p" "$scratch/line"
}

for size in ${SIZES:-100000 300000 1000000 3000000 10000000 20000000}; do
    "$sapor" bench data --out "$scratch/data" --interactions "$size" --features visual=64,textual=64 --threads "$threads" -q
    for model in $models; do
        echo "scaling: $model, $size interactions" >&2
        "$sapor" bench train "$model" --pairs "$scratch/data/train.tsv" --features "visual=$scratch/data/visual.npy,textual=$scratch/data/textual.npy" \
            --steps 20 --set "batch_size=${BATCH:-2048}" --threads "$threads" --json >"$scratch/line"
        printf '%s\t%s' "$model" "$size" >>"$scratch/rows"
        for key in users items interactions threads load_seconds build_seconds ms_first ms_min ms_median ms_mean load_mb peak_mb; do
            printf '\t%s' "$(number $key)" >>"$scratch/rows"
        done
        echo >>"$scratch/rows"
    done
    rm -r "$scratch/data"
done

mkdir -p "$out" "$images"
if [ -f "$out/scaling.tsv" ]; then
    awk -F'\t' -v now=" $models " 'NR > 1 && !index(now, " " $1 " ")' "$out/scaling.tsv" >>"$scratch/rows"
fi
{
    printf 'model\tinteractions\tusers\titems\ttrain_pairs\tthreads\tload_seconds\tbuild_seconds\tms_first\tms_min\tms_median\tms_mean\tload_mb\tpeak_mb\n'
    sort -t "$tab" -k 1,1 -k 2,2n "$scratch/rows"
} >"$out/scaling.tsv"

chart() { # COLUMN LABEL FILE: draws a column of scaling.tsv, with the linear lines
    awk -F'\t' -v column="$1" -v label="$2" 'BEGIN { OFS = "\t"; print "model", "interactions", label }
        NR == 1 { next }
        !($1 in points) { order[++models] = $1; points[$1] = "" }
        { points[$1] = points[$1] $1 OFS $2 OFS $column "\n" }
        $2 == 1000000 { at[$1] = $column }
        $2 >= 1000000 && ($1 in at) { linear[$1] = linear[$1] $1 ", linear from a million" OFS $2 OFS at[$1] * $2 / 1000000 "\n" }
        END { for (m = 1; m <= models; m++) printf "%s", points[order[m]]; for (m = 1; m <= models; m++) printf "%s", linear[order[m]] }' "$out/scaling.tsv" >"$scratch/points"
    "$sapor" bench plot "$scratch/points" --out "$images/$3"
}
chart 11 'ms per step' scaling-time.svg
chart 14 'MB at the peak' scaling-memory.svg

awk -F'\t' 'NR == 1 { print "model, interactions, ms per step, of linear, peak MB, of linear"; next }
    $2 == 1000000 { ms[$1] = $11; mb[$1] = $14 }
    $1 in ms { n = $2 / 1000000; printf "%s, %d, %.1f, %.2f, %.0f, %.2f\n", $1, $2, $11, $11 / ms[$1] / n, $14, $14 / mb[$1] / n }' "$out/scaling.tsv"
