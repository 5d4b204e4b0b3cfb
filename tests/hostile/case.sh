# tests/hostile/case.sh: the functions that the rows of *.cases use. Read by tests/hostile.sh. $D is the folder of valid
# data (never changed: a case copies a file by `take` before it changes it), $E the tiny encoders of the project, $G the
# goldens.
D=$HOSTILE_WORK/data
E=$HOSTILE_ROOT/share/encoders/demo
G=$HOSTILE_ROOT/tests/golden
call=() where=
. "$HOSTILE_ROOT/tests/hostile/places.sh"
. "$HOSTILE_ROOT/tests/hostile/bombs.sh"
. "$HOSTILE_ROOT/tests/hostile/ids.sh"
tab=$'\t' lf=$'\n' cr=$'\r'

# ---- valid data, made by the command ------------------------------------------------------------------------------------------------
make_data() { # FOLDER
    (
        set -e
        mkdir -p "$1"
        cd "$1"
        awk 'BEGIN { for (u = 0; u < 40; u++) for (j = 0; j < 10; j++) printf "u%02d\ti%02d\t%d\t%d\n", u, (u * 7 + j * j + j) % 60, 1 + (u + j) % 5, 1000 + u + j }' |
            awk -F'\t' '!seen[$1, $2]++' >ratings.tsv
        integers <ratings.tsv >numbers.tsv
        awk 'BEGIN { print "item\ttext"; for (i = 0; i < 60; i++) printf "i%02d\tlamp %d of brass, bag %d of red leather\n", i, i % 7, i % 11 }' >items.tsv
        tail -n +2 items.tsv | cut -f 2 >texts.txt
        mkdir pictures
        cp "$G"/images/{RGB,L,P}.png pictures
        cp "$G"/images/{grey,baseline}.jpg "$G"/images/lossy.webp pictures
        printf 'dataset_path: .\ntextual:\n  items:\n    input_path: items.tsv\n    output_path: out\n    item_column: item\n    text_column: text\n    model:\n      - { model_name: word-statistics, backend: sentence_transformers, output_layers: 1 }\n' >texts.yml
        printf 'dataset_path: .\nvisual:\n  items:\n    input_path: pictures\n    output_path: out\n    model:\n      - { model_name: colour-statistics, backend: torch, output_layers: avgpool }\n' >pictures.yml
        exec >make.log 2>&1 </dev/null
        "$HOSTILE_SAPOR" split ratings.tsv --out parts --test-ratio 0.2 --validation-ratio 0.1 --quiet
        "$HOSTILE_SAPOR" train BPRMF --train "$1/parts/train.tsv" --valid "$1/parts/val.tsv" --test "$1/parts/test.tsv" --set epochs=4 \
            --set validation_rate=2 --set factors=8 --set batch_size=64 --out run --quiet
        "$HOSTILE_SAPOR" train ItemKNN --train "$1/parts/train.tsv" --test "$1/parts/test.tsv" --out knn --quiet
        "$HOSTILE_SAPOR" recommend run -k 5 -o recs.tsv --quiet
        "$HOSTILE_SAPOR" evaluate recs.tsv --test parts/test.tsv --train parts/train.tsv --json --quiet >figures.json
        "$HOSTILE_SAPOR" encode word-statistics texts.txt -o words.npy --quiet
        "$HOSTILE_SAPOR" encode colour-statistics pictures -o colours.npy --quiet
        "$HOSTILE_SAPOR" encode "$E/text" texts.txt -o texts.npy --quiet
        "$HOSTILE_SAPOR" encode "$E/vision" pictures -o seen.npy --quiet
        "$HOSTILE_SAPOR" tokenize "$E/text" texts.txt --quiet >ids.txt
        tail -n +2 items.tsv | cut -f 1 >words.ids.txt
        "$HOSTILE_SAPOR" report run -o page.html --quiet
        if ! "$HOSTILE_SAPOR" info | grep -q 'libyaml *not in'; then
            "$HOSTILE_SAPOR" extract texts.yml --quiet
            "$HOSTILE_SAPOR" extract pictures.yml --quiet
            find out -name '*.npy' ! -path '*/.*' | sort | xargs cat >out.all
            rm -rf out
        else
            : >no-yaml
        fi
        chmod -R a+rX .
    ) || { sed 's/^/# /' "$1/make.log"; return 1; }
}

# ---- functions for rows ----------------------------------------------------------------------------------------------------------------
take() { # NAME ...: a copy of valid data
    local name
    for name in "$@"; do
        cp -r "$D/$name" . || exit 1
        [ -f "$D/${name%.npy}.ids.txt" ] && [ "$name" != "${name%.npy}" ] && cp "$D/${name%.npy}.ids.txt" .
    done
    return 0
}
mf() { # KIND FILE ARGUMENT ...: tests/hostile/make_files.c
    "$HOSTILE_WORK/bin/make_files" "$@"
}
run() { # COMMAND ...: under the row's rules
    "$HOSTILE_WORK/bin/run_case" tree="$PWD" log="$case_log" seconds="$case_seconds" base="$HOSTILE_BASE" ${MEMORY:+memory=$MEMORY} \
        ${rules[@]+"${rules[@]}"} -- "$@"
    case $? in 0 | 1) ;; 3) skip "needs root, to give it up" ;; *) echo "the case could not be run" ;; esac
}
sapor() { # ARGUMENT ...
    run "$HOSTILE_SAPOR" "$@"
}
with() { # RULE ... -- ARGUMENT ...: runs the command with more rules
    local rules=(${rules[@]+"${rules[@]}"})
    while [ "$1" != -- ]; do
        rules+=("$1")
        shift
    done
    shift
    sapor "$@"
}
quietly() { # ARGUMENT ...: runs the command to prepare a case; it must succeed
    "$HOSTILE_SAPOR" "$@" --quiet >"$case_log.ready" 2>&1 </dev/null || { echo "not ready: $(head -n 1 "$case_log.ready")"; exit 0; }
}
skip() { # REASON: ends the case as skipped
    echo "$1" >"$case_log.skip"
    exit 0
}
same() { # FILE FILE: both have the same bytes
    cmp -s "$1" "$2" || echo "$1 differs from ${2#"$HOSTILE_WORK/"}"
}
is() { # WHAT COMMAND ...: the command succeeds; otherwise WHAT is the message
    local what=$1
    shift
    "$@" >/dev/null 2>&1 || echo "not so: $what"
}
output() { # PATTERN: a line of standard output matches
    grep -q -- "$1" "$case_log.out" || echo "standard output has no $1"
}
said() { # PATTERN: a line of standard error matches, in any case
    grep -qi -- "$1" "$case_log.err" || echo "standard error has no $1"
}
clean() { # no temporary file anywhere
    local found
    found=$(find . -name '*.tmp' | head -n 1)
    [ -z "$found" ] || echo "left behind: $found"
}
lines() { # N FILE: the file has N lines
    local n
    n=$(wc -l <"$2")
    [ "$n" = "$1" ] || echo "$2 has $n lines, not $1"
}
repeat() { # TEXT N: prints the text N times
    awk -v text="$1" -v n="$2" 'BEGIN { for (i = 0; i < n; i++) printf "%s", text }'
}
put() { # FILE FORMAT ARGUMENT ...: writes a file by printf
    local file=$1
    shift
    printf "$@" >"$file"
}
edit() { # FILE SED-EXPRESSION: edits the file, which must change
    cp "$1" "$case_log.edit"
    sed -i "$2" "$1"
    ! cmp -s "$1" "$case_log.edit" || echo "the case changes nothing in $1"
}
byte() { # FILE OFFSET OCTAL: overwrites one byte; a negative offset counts from the end
    local at=$2
    [ "$at" -ge 0 ] || at=$(($(wc -c <"$1") + at))
    printf "\\$3" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
cut_to() { # FILE BYTES: a negative number removes that many bytes from the end
    local n=$2
    [ "$n" -ge 0 ] || n=$(($(wc -c <"$1") + n))
    truncate -s "$n" "$1"
}
# Runs a valid command, by name, with rules for the files that it may write. Checks that these files equal those without the hostile
# environment.
valid() { # NAME
    local rules=(${rules[@]+"${rules[@]}"}) quiet=${quiet--q}
    case $1 in
    split)
        rules+=('new=made*') && sapor split "$D/ratings.tsv" --out made --test-ratio 0.2 --validation-ratio 0.1 $quiet
        same made/train.tsv "$D/parts/train.tsv" && same made/test.tsv "$D/parts/test.tsv" && same made/val.tsv "$D/parts/val.tsv"
        ;;
    train)
        rules+=('new=made*') && sapor train BPRMF --train "$D/parts/train.tsv" --valid "$D/parts/val.tsv" --test "$D/parts/test.tsv" --set epochs=4 \
            --set validation_rate=2 --set factors=8 --set batch_size=64 --out made --json $quiet
        same made/user.npy "$D/run/user.npy" && same made/item.npy "$D/run/item.npy" && same made/item.ids.txt "$D/run/item.ids.txt" &&
            is 'the lock is empty' test ! -s made/.sapor.lock
        ;;
    recommend) rules+=('new=made.tsv') && sapor recommend "$D/run" -k 5 -o made.tsv $quiet && same made.tsv "$D/recs.tsv" ;;
    evaluate) sapor evaluate "$D/recs.tsv" --test "$D/parts/test.tsv" --train "$D/parts/train.tsv" --json $quiet ;;
    encode) rules+=('new=made.*') && sapor encode word-statistics "$D/texts.txt" -o made.npy $quiet && same made.npy "$D/words.npy" ;;
    text) rules+=('new=made.*') && sapor encode "$E/text" "$D/texts.txt" -o made.npy $quiet && same made.npy "$D/texts.npy" ;;
    image) rules+=('new=made.*') && sapor encode "$E/vision" "$D/pictures" -o made.npy $quiet && same made.npy "$D/seen.npy" ;;
    tokenize) sapor tokenize "$E/text" "$D/texts.txt" $quiet ;;
    extract)
        needs yaml
        cp "$D"/{texts,pictures}.yml "$D/items.tsv" . && cp -r "$D/pictures" .
        rules+=('new=out*') && sapor extract texts.yml $quiet && sapor extract pictures.yml $quiet
        find out -name '*.npy' ! -path '*/.*' 2>/dev/null | sort | xargs cat 2>/dev/null | cmp -s - "$D/out.all" || echo "the features differ"
        ;;
    report) rules+=('new=made.html') && sapor report "$D/run" -o made.html $quiet ;;
    models) sapor models LATTICE ;;
    info) sapor info ;;
    help) sapor --help ;;
    version) sapor --version ;;
    page) sapor train --help ;;
    man) sapor help --man ;;
    bench) rules+=(memory=off) && sapor bench gemm --shape 3x5x7 --seconds 0.001 --threads 1 $quiet ;;
    demo) rules+=('new=made*' loud) && sapor demo --out made $quiet ;;
    *) echo "no valid command is called $1" ;;
    esac
}
needs() { # WHAT: skips the case if it is not available
    case $1 in
    yaml) [ ! -e "$D/no-yaml" ] || skip 'this build has no libyaml' ;;
    ledger) # of `run`: YAML and SQLite
        [ ! -e "$D/no-yaml" ] || skip 'this build has no libyaml'
        mkdir "$case_log.study" && echo none >"$case_log.study/ledger.sqlite"
        ! "$HOSTILE_SAPOR" report "$case_log.study" -o /dev/null 2>&1 | grep -q 'has no SQLite' || skip 'this build has no SQLite'
        ;;
    root) [ "$(id -u)" = 0 ] || skip 'needs root' ;;
    tool:*) command -v "${1#tool:}" >/dev/null || skip "no ${1#tool:} here" ;;
    device:*) [ -w "/dev/${1#device:}" ] || skip "no /dev/${1#device:} here" ;;
    esac
}
# Writes a file of a study: a benchmark of two models, changed by sed.
study() { # FILE SED-EXPRESSION
    printf 'benchmark:\n  name: b\n  out: made\n  data:\n    - {name: shop, train: %s, test: %s}\n  models: {MostPop: , ItemKNN: {neighbors: 5}}\n' \
        "$D/parts/train.tsv" "$D/parts/test.tsv" | sed "${2:-}" >"$1"
}
# Changes files while the command runs: the command is in the background, and CODE is repeated until it ends.
meanwhile() { # CODE ARGUMENT ...
    local code=$1 pid
    shift
    sapor "$@" >"$case_log.broken" &
    pid=$!
    while kill -0 $pid 2>/dev/null; do eval "$code"; done
    wait $pid
    cat "$case_log.broken"
}

# ---- one row ----------------------------------------------------------------------------------------------------------------------------
one_case() { # FILE
    local line id name code text begun
    IFS= read -r line <"$1"
    id=$(basename "$1")
    id=${id/./\/}
    name=${line%% | *}
    line=${line#* | }
    local words=${line%% | *}
    code=${line#* | }
    case_log=$HOSTILE_WORK/cases/${id/\//.}
    rules=() case_seconds=$((10 * ${SLOWER:-1}))
    local options=() word i
    eval "options=($words)"
    for word in "${options[@]}"; do
        case $word in
        [012] | 01 | 02 | 12 | 012) rules+=("status=$word") ;;
        needs=*) rules+=("$word") ;;
        pixels=*) rules+=("extra=$((4 * ${word#pixels=}))") ;; # decoded pixels: four bytes each
        *) rules+=("$word") ;;
        esac
    done
    HOSTILE_BASE=$(base_memory)
    mkdir -p "$case_log.d"
    chmod 755 "$case_log.d"
    begun=$(date +%s%N)
    text=$(
        exec 2>&1
        for ((i = 0; i < ${#rules[@]}; i++)); do
            case ${rules[i]} in needs=*) needs "${rules[i]#needs=}" && unset "rules[$i]" ;; esac
        done
        cd "$case_log.d" && eval "$code"
    )
    local took=$((($(date +%s%N) - begun) / 1000000))
    if [ -e "$case_log.skip" ]; then
        echo "skipped $id $(<"$case_log.skip")"
    elif [ -n "$text" ]; then
        echo "FAILED $id $name: $(printf '%s' "$text" | head -n 6 | tr '\n' ';' | sed 's/;/; /g')"
    elif [ "$HOSTILE_VERBOSE" = 1 ]; then
        echo "ok $id $name ($took ms)"
        echo "quiet $id"
    else
        echo "passed $id"
    fi
    chmod -R u+rwX "$case_log.d" 2>/dev/null
    rm -rf "$case_log.d"
}
base_memory() { # prints the peak memory of `sapor --version` in bytes; it is measured once
    local file=$HOSTILE_WORK/base.bytes
    [ -s "$file" ] || "$HOSTILE_WORK/bin/run_case" peak log="$file.run" memory=off tree="$HOSTILE_WORK/home" -- "$HOSTILE_SAPOR" --version >"$file"
    cat "$file"
}
