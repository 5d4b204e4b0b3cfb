#!/bin/bash
# tests/crash_test.sh: kill -9 at random moments of extract and train, then the same command again: the bytes are those
# of an undisturbed run. A full disk leaves the old file. Of two runs in one folder, the second stops with an error.
# Speaks TAP. $BUILD is the folder of the build, KILLS the number of kills (default 8; `make kills`: 100), SEED the
# first seed. tests/faults_test.c kills before every change to a file.
[ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && TMPDIR=/dev/shm # runs are shorter than a disk's sync
test=crash
. "$(dirname "$0")/shell.sh"
golden=$root/tests/golden
draw_models
export GCOV_PREFIX=$work/counts # a coverage build that is killed would spoil the counts of the other runs
RANDOM=${SEED:-1}

refused() { # PATTERN NAME COMMAND...: exit status 1, one line that matches
    local pattern=$1 name=$2 status bad=0
    shift 2
    "$@" >out.txt 2>err.txt </dev/null
    status=$?
    [ $status = 1 ] || { bad=1; echo "# exit status $status"; }
    sed -i '/^libgcov/d' err.txt # what a coverage build says of its own files
    [ "$(grep -c . err.txt)" = 1 ] && grep -q "^sapor: .*$pattern" err.txt || { bad=1; sed 's/^/# /' err.txt; }
    ok $bad "$name"
}
milliseconds() { # COMMAND...: how long it takes
    local from
    from=$(date +%s%N)
    "$@" >/dev/null 2>&1 || return 1
    echo $((($(date +%s%N) - from) / 1000000 + 1))
}
# Runs the command undisturbed into WHOLE, then into CUT with kills. In one of three cases the run after a kill is
# killed too.
kills() { # NAME HOW_MANY OUTPUT COMMAND...
    local name=$1 many=$2 output=$3 took killed=0 runs=0 bad=0 at
    shift 3
    took=$(milliseconds "$@") || { ok 1 "$name: an undisturbed run"; return; }
    mv "$output" whole
    while [ $killed -lt "$many" ] && [ $bad = 0 ] && [ $runs -lt $((many * 10)) ]; do
        rm -rf "$output"
        while [ $runs -lt $((many * 10)) ]; do
            runs=$((runs + 1))
            at=$((RANDOM * 32768 + RANDOM)) # shares of 2^30 of the time that a run takes
            "$@" >/dev/null 2>&1 &
            sleep "$(awk -v t="$took" -v r=$at 'BEGIN { printf "%.4f", t * r / 2 ^ 30 / 1000 }')"
            kill -9 $! 2>/dev/null
            wait $! 2>/dev/null
            [ $? = 137 ] || break
            killed=$((killed + 1))
            [ $((RANDOM % 3)) = 0 ] || break
        done
        "$@" >out.txt 2>&1 || { bad=1; sed 's/^/# /' out.txt; }
        diff -r whole "$output" >out.txt || { bad=1; sed 's/^/# /' out.txt | head -n 5; }
    done
    echo "# $name: $killed kills in $runs runs of $took ms"
    [ $killed -ge "$many" ] || bad=1
    ok $bad "$name: the same bytes after $many kills"
    rm -rf "$output"
    mv whole "$output"
}

tab=$(printf '\t')
awk -v t="$tab" 'BEGIN { print "id" t "text"; for (i = 0; i < 300; i++) print "i" i t "lamp " i " of brass, bag " i * 7 % 40 " of red leather" }' >texts.tsv
awk -v t="$tab" 'BEGIN { for (u = 0; u < 60; u++) for (j = 0; j < 8; j++) print "u" u t "i" (u * 4 + j * j) % 90 t 1 + (u + j) % 5 }' >train.tsv
awk -v t="$tab" 'BEGIN { for (u = 0; u < 60; u++) for (j = 8; j < 10; j++) print "u" u t "i" (u * 4 + j * j) % 90 t 5 }' >valid.tsv
mkdir pictures
for i in 1 2 3 4 5 6 7 8 9; do
    cp "$golden/images/RGB.png" pictures/a$i.png
    cp "$golden/images/grey.jpg" pictures/b$i.jpg
done
for i in 9 8 7 6 5 4 3 2 1; do printf 'b%s\ta bag %s\na%s\ta lamp %s\n' $i $i $i $i; done | { printf 'id\ttext\n'; cat; } >titles.tsv
cat >c.yml <<EOF
dataset_path: $work
visual:
  items: {input_path: pictures, output_path: features, model: [{model_name: colour-statistics, backend: torch, output_layers: avgpool},
    {model_name: $drawn/encoders/resnet_basic.safetensors, backend: torch, output_layers: [avgpool, layer4], reshape: [32, 32], batch_size: 3}]}
textual:
  items: {input_path: texts.tsv, output_path: features, item_column: id, text_column: text, model: [{model_name: $drawn/encoders/bert,
    backend: sentence_transformers}, {model_name: word-statistics, backend: transformers}]}
visual_textual:
  items: {input_path: {visual: pictures, textual: titles.tsv}, output_path: {visual: features/v, textual: features/t}, item_column: id, text_column: text,
    model: [{model_name: $drawn/encoders/clip, backend: transformers, output_layers: 1, batch_size: 2},
    {model_name: $drawn/encoders/clip, backend: transformers, output_layers: 1, fusion: concat}]}
EOF
many=${KILLS:-8}
train=(train BPRMF --train train.tsv --valid valid.tsv --set epochs=150 --set validation_rate=5 --set checkpoint_seconds=0 --out run --threads 2)
if "$sapor" extract c.yml --quiet >out.txt 2>&1; then
    rm -rf features
    kills extract $(((many + 1) / 2)) features "$sapor" extract c.yml --threads 2
    mv features all
    kills 'a shard of extract' $((many / 8 + 1)) features "$sapor" extract c.yml --threads 2 --shard 1/2
    "$sapor" extract c.yml --quiet --shard 2/2 >out.txt 2>&1 && diff -r -x .sapor all features >>out.txt
    bad=$?
    sed 's/^/# /' out.txt | head -n 5
    ok $bad 'two shards, one of them killed: the same features'
    rm -rf features
    mv all features
    has_yaml=1
else
    grep -q 'no libyaml' out.txt && has_yaml=0 && skip 'extract: kills' 'this build has no libyaml' || { ok 1 'extract'; sed 's/^/# /' out.txt; has_yaml=0; }
fi
kills train $((many / 2)) run "$sapor" "${train[@]}"

# ---- a full disk: the limit on a file's size has the same effect ---------------------------------------------------------
limited() { # COMMAND...: no file may pass 8 KiB
    (
        trap '' XFSZ
        ulimit -f 8
        exec "$@"
    )
}
awk 'BEGIN { for (i = 0; i < 40; i++) print "lamp", i }' >lines.txt
awk 'BEGIN { for (i = 0; i < 40; i++) print "bag", i }' >other.txt
"$sapor" encode word-statistics lines.txt -o x.npy --quiet && cp x.npy before.npy
refused 'x.npy: cannot write' 'encode: a full disk is said' limited "$sapor" encode word-statistics other.txt -o x.npy --quiet
cmp -s x.npy before.npy && [ -z "$(find . -name '*.tmp')" ]
ok $? 'encode: a full disk leaves the old file, and nothing else'
cp run/checkpoint.safetensors before.safetensors
refused 'cannot write' 'train: a full disk is said' limited "$sapor" train BPRMF --train train.tsv --set factors=256 --set epochs=2 --out full --quiet
[ -z "$(find . -name '*.tmp')" ] && rm -rf full
ok $? 'train: a full disk leaves nothing half-written'
if [ -w /dev/full ]; then
    refused 'No space left' 'recommend to a full device' "$sapor" recommend run -k 5 -o /dev/full --quiet
    refused 'standard output: cannot write' 'standard output that is full' sh -c "exec '$sapor' recommend run -k 5 >/dev/full"
else
    skip 'a full device' 'no /dev/full here'
fi

# ---- two runs into one folder --------------------------------------------------------------------------------------------
held() { # LOCK PATTERN NAME COMMAND...: refused while another holds the lock
    local lock=$1
    shift
    exec 8>>"$lock"
    flock -n 8
    refused "$@"
    exec 8>&-
}
if command -v flock >/dev/null; then
    held run/.sapor.lock 'run: another run is writing to this folder' 'train: a second run stops' "$sapor" "${train[@]}" --quiet
    "$sapor" split train.tsv --out parts --quiet
    held parts/.sapor.lock 'parts: another run is writing to this folder' 'split: a second run stops' "$sapor" split train.tsv --out parts --quiet
    held .x.npy.tmp 'x.npy: is being written by another' 'encode: a second run stops' "$sapor" encode word-statistics lines.txt -o x.npy --quiet
    if [ $has_yaml = 1 ]; then
        lock=$(find features/.sapor -name .sapor.lock | sort | head -n 1)
        held "$lock" 'another run is writing to this folder' 'extract: a second run stops' "$sapor" extract c.yml --quiet
    fi
    "$sapor" "${train[@]}" --quiet >out.txt 2>&1
    ok $? 'train: goes on when the first is gone'
else
    skip 'two runs' 'no flock here'
fi
# A run with many texts is paused in the middle, while it has its locks.
shards() { # OPTION...
    "$sapor" extract s.yml --quiet "$@"
}
waits() { # OUTPUT OPTION...: begins such a run, $!, and stops it when its first features are there
    local output=$1
    shift
    rm -rf "$output"
    "$sapor" extract s.yml --quiet "$@" >/dev/null 2>&1 &
    for _ in $(seq 2000); do
        compgen -G "$output/sentence_transformers/word-statistics/all/*" >/dev/null && break
        sleep 0.005
    done
    kill -STOP $!
}
ends() {
    kill -9 $! && wait $! 2>/dev/null
}
if [ $has_yaml = 1 ]; then
    awk 'BEGIN { print "item\ttext"; for (i = 0; i < 6000; i++) print "i" i "\ta bag of number " i }' >texts.tsv
    cat >s.yml <<EOF
dataset_path: $work
textual:
  items:
    input_path: texts.tsv
    output_path: shards
    item_column: item
    text_column: text
    model: [{model_name: word-statistics, backend: sentence_transformers, output_layers: all}]
EOF
    busy='another run is writing to this folder'
    waits shards --shard 1/2
    refused "$busy" 'extract: all of it beside a shard' shards
    refused "$busy" 'extract: the same shard twice' shards --shard 1/2
    refused "$busy" 'extract: shards of another number' shards --shard 2/3
    refused "$busy" 'extract: a shard of other settings' shards --shard 2/2 --textual.items.model.0.clear_text=True
    shards --shard 2/2 >out.txt 2>&1
    ok $? 'extract: the other shard at the same time'
    ends
    waits shards
    refused "$busy" 'extract: a shard beside all of it' shards --shard 2/2
    ends
    shards >out.txt 2>&1
    ok $? 'extract: goes on when they are gone'
fi
echo "1..$number"
