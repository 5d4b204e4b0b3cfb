#!/bin/sh
# scripts/study.sh PART...: measures the recommenders on real data, in parts that can be interrupted. The parts:
#
#   ml100k   MovieLens-100K, ratings of 4 and more, posters (EfficientNet-Lite0) and overviews (all-MiniLM-L6-v2): every recommender with
#            three seeds (of the split and of the training); multimodal recommenders also with each modality replaced by noise
#   ml1m     MovieLens-1M in the format of LightGCN: LightGCN, LATTICE, FREEDOM and BM3 with posters and descriptions
#   office   Amazon Office, the split of "Ducho meets Elliot" and its grid: 5 values of lr times 2 of l_w
#   baby     Amazon Baby, the same split: the two best points of the grid of office
#   gowalla  LightGCN in an hour of two threads: compares schedules on 5 % held out of train, then trains with the best one on all of train
#   time     MovieLens-1M, and the Amazon Baby of MMRec with drawn features of 4096 and 384 columns: 3 epochs of every recommender
#
# The data are not part of this repository: $SAPOR_DATA or ../shared/data has the folders movielens-100k (docs/movielens.md),
# movielens-1m, amazon-office, amazon-baby, gowalla and mmrec-baby. A part without its data is skipped. The weights of the encoders are those of
# `make demo-movielens`, in build/models.
#
# Each run writes one row to $OUT/PART/NAME.row. A run with a row there or in docs/results/PART.tsv is not repeated. An interrupted study
# therefore continues, also on another machine. docs/results/PART.tsv has the sorted rows of a part; `scripts/study.sh rows PART` writes it during a study. Then
# `scripts/results.sh` writes the tables of docs/results.md. JOBS runs run at the same time, each with THREADS threads; `time` always runs one at a time.
set -eu
. "$(dirname "$0")/movielens.sh"
sapor=${SAPOR:-./sapor}
out=${OUT:-out/study}
data=${SAPOR_DATA:-../shared/data}
results=${RESULTS:-docs/results}
jobs=${JOBS:-2}
threads=${THREADS:-1}
tab=$(printf '\t')

say() { echo "study: $*" >&2; }

# ---- one run: study.sh one NAME FOLDER [train's arguments] -----------------------------------------------------------------------

# The columns of a row. knocked: the modalities replaced by noise. settings: those given with --set, except seeds and epochs.
header="data${tab}model${tab}knocked${tab}settings${tab}seed${tab}best_epoch${tab}valid Recall@20${tab}Recall@20${tab}nDCG@20${tab}s/epoch${tab}MB${tab}seconds"

one() { # NAME FOLDER DATA MODEL KNOCKED SETTINGS SEED [arguments]
    name=$1 folder=$2 row=$3$tab$4$tab$5$tab$6$tab$7 model=$4 knocked=$5 settings=$6 seed=$7
    shift 7
    [ -f "$folder/$name.row" ] && return
    found=$(awk -F'\t' -v row="$row" 'index($0, row FS) == 1' "$results/${folder##*/}.tsv" 2>/dev/null || true)
    if [ -n "$found" ]; then
        printf '%s\n' "$found" >"$folder/$name.row"
        return
    fi
    [ "$knocked" = - ] || set -- "$@" --knock "$knocked" --mode noise
    [ "$settings" = - ] || for pair in $(echo "$settings" | tr ' ' '\n'); do set -- "$@" --set "$pair"; done
    begun=$(date +%s)
    if ! "$sapor" train "$model" "$@" --seed "$seed" --json --quiet >"$folder/$name.log" 2>"$folder/$name.err"; then
        say "$name failed: $(tail -n 1 "$folder/$name.err")"
        return
    fi
    result=$(grep '"event":"result"' "$folder/$name.log")
    value() { # FIELD: 0.1234 or -
        found=$(printf '%s\n' "$result" | sed -n "s/.*$1\([-0-9.e+]*\).*/\1/p")
        echo "${found:--}"
    }
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$row" "$(value '"best_epoch":')" "$(value '"valid":{[^}]*"Recall@20":')" \
        "$(value '"test":{[^}]*"Recall@20":')" "$(value '"test":{[^}]*"nDCG@20":')" "$(value '"epoch_seconds":')" \
        "$(value '"peak_rss_bytes":' | awk '{ printf "%.0f", $1 / 1e6 }')" $(($(date +%s) - begun)) >"$folder/$name.new"
    mv "$folder/$name.new" "$folder/$name.row"
    say "$name: Recall@20 $(cut -f 8 "$folder/$name.row"), $(cut -f 12 "$folder/$name.row") s"
}

if [ "${1:-}" = one ]; then
    shift
    one "$@"
    exit
fi

# Reads runs, one per line: the arguments of `study.sh one`, each in quotation marks. xargs would join a line that ends in a blank with the next line.
run_all() { # JOBS
    xargs -L 1 -P "$1" sh "$0" one
}

line() { # NAME FOLDER DATA MODEL KNOCKED SETTINGS SEED [arguments]
    printf "'%s'" "$1"
    shift
    printf " '%s'" "$@"
    echo
}

publish() { # PART: writes the new rows and those of the old table to one table
    mkdir -p "$results"
    { echo "$header"; { sed 1d "$results/$1.tsv" 2>/dev/null || true; cat "$out/$1"/*.row; } | LC_ALL=C sort -u; } >"$results/$1.new"
    mv "$results/$1.new" "$results/$1.tsv"
    say "$results/$1.tsv has $(($(wc -l <"$results/$1.tsv") - 1)) rows"
}

missing() { # FOLDER...: succeeds if data are missing
    for folder in "$@"; do
        [ -d "$data/$folder" ] && continue
        say "skipped: $data/$folder is missing"
        return 0
    done
    return 1
}

# best PART PATTERN N: prints the settings of the N rows with the best validation result
best() { cat "$out/$1"/$2.row 2>/dev/null | LC_ALL=C sort -t "$tab" -k 7,7gr | head -n "$3" | cut -f 4; }

# ---- features ---------------------------------------------------------------------------------------------------------------------

extract() { # FOLDER POSTERS: features of FOLDER/texts.tsv and of the images in POSTERS; sets $features
    extraction "$1" "$2" >"$1/extract.yml"
    SAPOR_MODELS=${SAPOR_MODELS:-build/models} "$sapor" extract "$1/extract.yml" --quiet
    features=$(extracted "$1" "$2")
}

# ---- the parts ----------------------------------------------------------------------------------------------------------------------

fixed="Random MostPop ItemKNN UserKNN EASER"
fixed_multimodal=AttributeItemKNN
graph="BPRMF LightGCN NGCF SGL SimGCL DGCF"
multimodal="VBPR NGCF-M LATTICE GRCN MMGCN BM3 FREEDOM MGCN"

takes_features() { case " $multimodal $fixed_multimodal " in *" $1 "*) true ;; *) false ;; esac }
learns() { case " $graph $multimodal " in *" $1 "*) true ;; *) false ;; esac }

# Ratings of 4 and more, of movies with a poster and an overview. For each trained model, the learning rate is chosen with seed 1 on the
# validation part, and is used for all seeds. SimGCL has more points, because on dense data its result depends on the weight of the contrast,
# and the elliot recipe draws the same negatives in every epoch.
ml100k() {
    missing movielens-100k && return
    folder=$out/ml100k source=$data/movielens-100k
    mkdir -p "$folder"
    posters=$(cd "$source/posters" && pwd)
    poster_texts "$posters" "$source/items.tsv" >"$folder/texts.tsv"
    ratings_of "$folder/texts.tsv" "$source/u.data" >"$folder/interactions.tsv"
    for seed in 1 2 3; do
        [ -f "$folder/seed-$seed/test.tsv" ] ||
            "$sapor" split "$folder/interactions.tsv" --out "$folder/seed-$seed" --test-ratio 0.2 --validation-ratio 0.1 --seed $seed --quiet
    done
    extract "$folder" "$posters"
    ml100k_line() { # NAME MODEL KNOCKED SETTINGS SEED
        parts=$folder/seed-$5
        set -- "$1" "$folder" ml100k "$2" "$3" "$4" "$5" --train "$parts/train.tsv" --valid "$parts/val.tsv" --test "$parts/test.tsv" --threads "$threads"
        if learns "$4"; then set -- "$@" --set epochs=100 --set validation_rate=5 --set patience=4; fi
        if takes_features "$4"; then set -- "$@" --features "$features"; fi
        line "$@"
    }
    for model in $graph $multimodal; do
        for lr in 0.001 0.005; do
            ml100k_line "$model-lr-$lr-seed-1" $model - lr=$lr 1
            [ $model = SimGCL ] || continue
            for reg_cl in 0.05 0.5; do ml100k_line "$model-lr-$lr-paper-$reg_cl-seed-1" $model - "lr=$lr variant=paper reg_cl=$reg_cl" 1; done
        done
    done | run_all "$jobs"
    {
        for seed in 1 2 3; do
            for model in $fixed $fixed_multimodal; do ml100k_line "$model-seed-$seed" $model - - $seed; done
            for model in ItemKNN UserKNN EASER; do ml100k_line "$model-implicit-seed-$seed" $model - implicit=true $seed; done
            for model in $graph $multimodal; do
                lr=$(best ml100k "$model-lr-*-seed-1" 1)
                [ -n "$lr" ] || continue
                [ $seed = 1 ] || ml100k_line "$model-chosen-seed-$seed" $model - "$lr" $seed
            done
            for model in $multimodal; do
                lr=$(best ml100k "$model-lr-*-seed-1" 1)
                [ -n "$lr" ] || continue
                for knocked in visual textual both; do ml100k_line "$model-without-$knocked-seed-$seed" $model $knocked "$lr" $seed; done
            done
        done
    } | run_all "$jobs"
    publish ml100k
}

pairs() { awk -v OFS='\t' '{ for (i = 2; i <= NF; i++) print $1, $i }' "$1"; } # of a file in the format of LightGCN

held_out() { # SOURCE FOLDER: FOLDER/train.tsv and test.tsv from files in the format of LightGCN; in FOLDER/parts, 5 % of train are held out
    mkdir -p "$2"
    [ ! -f "$2/test.tsv" ] || return 0
    pairs "$1/train.txt" >"$2/train.tsv"
    "$sapor" split "$2/train.tsv" --out "$2/parts" --test-ratio 0.05 --seed 1 --quiet
    pairs "$1/test.txt" >"$2/test.new"
    mv "$2/test.new" "$2/test.tsv"
}

ml1m_data() { # sets $folder, $features: 5 % of the train pairs are the validation part
    folder=$out/ml1m source=$data/movielens-1m
    held_out "$source" "$folder"
    mkdir -p "$folder/posters"
    awk -F'\t' 'FNR > 1 { print $1, $2 }' "$source/items.tsv" | while read -r item movie; do
        [ ! -f "$source/posters/$movie.jpg" ] || ln -sf "$(cd "$source/posters" && pwd)/$movie.jpg" "$folder/posters/$item.jpg"
    done
    awk -F'\t' -v OFS='\t' 'FNR == 1 { print "item", "text"; next } { print $1, $3 ". " $5 }' "$source/items.tsv" >"$folder/texts.tsv"
    extract "$folder" posters
}

ml1m() {
    missing movielens-1m && return
    ml1m_data
    for model in LightGCN LATTICE FREEDOM BM3; do
        set -- "$model" "$folder" ml1m $model - "lr=0.001 batch_size=2048" 1 --train "$folder/parts/train.tsv" --valid "$folder/parts/test.tsv" \
            --test "$folder/test.tsv" --threads "$threads" --set epochs="${EPOCHS:-60}" --set validation_rate=5 --set patience=3
        if takes_features $model; then set -- "$@" --features "$features" --missing-features mean; fi
        line "$@"
    done | run_all "$jobs"
    publish ml1m
}

# LightGCN as published (BPR loss, 3 layers, 64 columns). Batch size, learning rate, its decay and the epochs are free. Each schedule trains
# for SHORT seconds on two threads. The schedules are compared after their last epoch, on 5 % held out of train. The best one then trains on
# all of train for LONG seconds, with the same total decay, and is evaluated once, after the last epoch.
gowalla_settings() { # BATCH LR END SECONDS; END is the last learning rate as a share of the first
    # seconds per epoch: measured on two threads of a Zen 4
    epochs=$(awk -v batch="$1" -v seconds="$4" 'BEGIN { print int(seconds / (batch == 2048 ? 18.4 : batch == 4096 ? 11.2 : 7.6)) }')
    decay=$(awk -v end="$3" -v epochs="$epochs" 'BEGIN { printf "%.6g", end ^ (50 / epochs) }')
    echo "variant=paper batch_size=$1 lr=$2 lr_decay=$decay epochs=$epochs"
}

gowalla_line() { # NAME DATA SETTINGS [files]
    name=$1 set=$2 settings=$3
    shift 3
    line "$name" "$folder" "$set" LightGCN - "$settings" 1 "$@" --threads 2 --set validation_rate="${settings##*epochs=}"
}

gowalla() {
    missing gowalla && return
    folder=$out/gowalla short=${SHORT:-900} long=${LONG:-3300}
    held_out "$data/gowalla" "$folder"
    set -- "8192 0.01 1" "8192 0.02 0.1" "8192 0.005 1" "4096 0.01 0.1" "2048 0.005 1"
    for schedule in "$@"; do
        gowalla_line "held-out-$(echo "$schedule" | tr ' ' '-')" gowalla-held-out "$(gowalla_settings $schedule "$short")" \
            --train "$folder/parts/train.tsv" --valid "$folder/parts/test.tsv"
    done | run_all 1
    chosen=$(best gowalla "held-out-*" 1)
    for schedule in "$@"; do
        [ "$(gowalla_settings $schedule "$short")" = "$chosen" ] || continue
        gowalla_line full gowalla "$(gowalla_settings $schedule "$long")" --train "$folder/train.tsv" --test "$folder/test.tsv"
    done | run_all 1
    publish gowalla
}

# The grid of ItemKNN has the neighbours and similarities of the anchors in docs/recipes.md. The others have the 10 points of the benchmark.
amazon_line() { # PART NAME MODEL SETTINGS
    set -- "$2" "$out/$1" "$1" "$3" - "$4" 123 --train "$data/amazon-$1/train.tsv" --valid "$data/amazon-$1/val.tsv" --test "$data/amazon-$1/test.tsv" \
        --threads "$threads"
    line "$@"
}

office() {
    missing amazon-office && return
    mkdir -p "$out/office"
    {
        amazon_line office MostPop MostPop -
        for neighbours in 20 50 100 200 1000; do
            for similarity in cosine dot; do
                amazon_line office "ItemKNN-$neighbours-$similarity" ItemKNN "neighbors=$neighbours similarity=$similarity"
            done
        done
        for model in BPRMF LightGCN NGCF; do
            for lr in 0.0001 0.0005 0.001 0.005 0.01; do
                for l_w in 0.00001 0.01; do amazon_line office "$model-$lr-$l_w" $model "lr=$lr l_w=$l_w"; done
            done
        done
    } | run_all "$jobs"
    publish office
}

baby() {
    missing amazon-baby amazon-office && return
    [ -f "$results/office.tsv" ] || office
    mkdir -p "$out/baby"
    {
        amazon_line baby MostPop MostPop -
        for neighbours in 20 100 200 1000; do amazon_line baby "ItemKNN-$neighbours" ItemKNN "neighbors=$neighbours similarity=cosine"; done
        amazon_line baby ItemKNN-200-dot ItemKNN "neighbors=200 similarity=dot"
        for model in BPRMF LightGCN NGCF; do
            best office "$model-*" 2 | while read -r settings; do
                amazon_line baby "$model-$(echo "$settings" | tr ' =' '--')" $model "$settings"
            done
        done
    } | run_all "$jobs"
    publish baby
}

three_epochs() {
    missing movielens-1m mmrec-baby && return
    ml1m_data
    mkdir -p "$out/time"
    [ -f "$out/time/drawn/visual.npy" ] || "$sapor" bench data --out "$out/time/drawn" --users 1000 --items 7050 --interactions 20000 --features visual=4096,textual=384 --quiet
    for model in $fixed $fixed_multimodal $graph $multimodal; do
        set -- "ml1m-$model" "$out/time" ml1m $model - - 1 --train "$folder/parts/train.tsv" --valid "$folder/parts/test.tsv" --test "$folder/test.tsv"
        if learns $model; then set -- "$@" --set epochs=3 --set validation_rate=3 --set batch_size=2048; fi
        if takes_features $model; then set -- "$@" --features "$features" --missing-features mean; fi
        line "$@" --threads 2
        set -- "baby-$model" "$out/time" mmrec-baby $model - - 1 --train "$data/mmrec-baby/baby.inter" --protocol mmrec
        if learns $model; then set -- "$@" --set epochs=3 --set validation_rate=3; fi
        if takes_features $model; then set -- "$@" --features "visual=$out/time/drawn/visual.npy,textual=$out/time/drawn/textual.npy"; fi
        line "$@" --threads 2
    done | run_all 1
    publish time
}

if [ "${1:-}" = rows ]; then
    publish "$2"
    exit
fi

[ $# -gt 0 ] || set -- ml100k ml1m office baby gowalla time
for part in "$@"; do
    case $part in
    ml100k | ml1m | office | baby | gowalla) "$part" ;;
    time) three_epochs ;;
    *)
        say "unknown part $part: ml100k, ml1m, office, baby, gowalla, time"
        exit 2
        ;;
    esac
done
