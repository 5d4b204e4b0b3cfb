#!/bin/sh
# tests/process_test.sh: the command in hostile surroundings: closed descriptors, full devices, pipes without a writer,
# endless devices, outputs that are inputs, planted links, signals and limits. Speaks TAP; $BUILD is the folder of the
# build.
test=process
. "$(dirname "$0")/shell.sh"
limit="timeout 60"

ended() { # STATUS PATTERN NAME: the last command ended with $status as given, with one line in ./err that matches, and no temporary file
    bad=0
    [ "$status" = "$1" ] || { bad=1; echo "# exit status $status, not $1"; }
    [ "$(grep -c . err)" = 1 ] && grep -q "^sapor: .*$2" err || { bad=1; echo "# not one line with $2:"; sed 's/^/# /' err; }
    left=$(find . -name '.*.tmp')
    [ -z "$left" ] || { bad=1; echo "# left: $left"; rm -f $left; }
    ok $bad "$3"
}

same() { # FILE COPY NAME
    cmp -s "$1" "$2"
    ok $? "$3"
}

tab=$(printf '\t')
i=0
while [ $i -lt 30 ]; do
    for j in 0 1 2 3 4 5; do echo "$i${tab}$(((i * 7 + j * 5) % 40))${tab}5${tab}$((i + j))"; done
    i=$((i + 1))
done >ratings.tsv
$sapor split ratings.tsv --out d --validation-ratio 0.2 -q || exit 1
$sapor train BPRMF --train d/train.tsv --valid d/val.tsv --test d/test.tsv --set epochs=2 --out run -q >out || exit 1
awk -F'\t' '{print $1 "\t" $2 "\t" 100 - NR}' d/test.tsv >recs.tsv
cp -r d kept
cp -r run kept-run
unchanged() { # NAME
    diff -r d kept >/dev/null && diff -r run kept-run >/dev/null
    ok $? "$1"
}

# ---- descriptors that the caller closed ---------------------------------------------------------------------------------
printf 'a bag\na lamp\n' >texts.txt
$limit "$sapor" encode word-statistics texts.txt -o a.npy 2>/dev/null
$limit "$sapor" encode word-statistics texts.txt -o b.npy 2>&-
[ $? = 0 ] && cmp -s a.npy b.npy && cmp -s a.ids.txt b.ids.txt
ok $? 'standard error closed: the features are what they are with it'
$limit "$sapor" recommend run -o a.tsv 2>/dev/null
$limit "$sapor" recommend run -o b.tsv <&- >&- 2>&-
[ $? = 0 ] && cmp -s a.tsv b.tsv
ok $? 'all three closed: the output holds nothing else'
rm -rf b
$limit "$sapor" train BPRMF --train d/train.tsv --set epochs=1 --out b --json -q >&- 2>err
status=$?
[ ! -s b/.sapor.lock ]
ok $? 'standard output closed: no event in a lock file'
ended 1 'standard output: cannot write' 'standard output closed: training for --json ends'
$limit "$sapor" evaluate - --test d/test.tsv <&- >out 2>err
status=$?
ended 1 'standard input: cannot read' 'standard input closed'

# ---- output that cannot be written is an error --------------------------------------------------------------------------
full=': No space' broken=': Broken pipe'
case $sapor in */minimal/sapor) full='' broken='' ;; esac # musl writes the first line early: the reason is gone when its end is looked at
for words in --help -h --version -V help 'help --man' 'help split' 'split --help' 'info' 'models' 'models VBPR' 'recommend run' \
    'evaluate recs.tsv --test d/test.tsv -q' 'evaluate recs.tsv --test d/test.tsv --json -q'; do
    # shellcheck disable=SC2086
    $limit "$sapor" $words >/dev/full 2>err
    status=$?
    ended 1 "standard output: cannot write$full" "$words, to a full device"
    # shellcheck disable=SC2086
    $limit "$sapor" $words >&- 2>err
    status=$?
    ended 1 'standard output: cannot write' "$words, with standard output closed"
done
{ sleep 0.2; $limit "$sapor" --help 2>err; echo $? >code; } | true
status=$(cat code)
ended 1 "standard output: cannot write$broken" 'a pipe without a reader'
[ "$($sapor -V)" = "$($sapor --version)" ]
ok $? '-V is --version'

# ---- an output that is an input -------------------------------------------------------------------------------------------
ln -s d/train.tsv soft.tsv
ln d/test.tsv hard.tsv
draw_models
cp -r "$drawn/encoders/bert" bert
cp -r bert kept-bert
mkdir pictures
cp "$root/tests/golden/images/RGB.png" pictures/a.png
printf 'a bag\na lamp\n' >x.ids.txt
cp x.ids.txt kept.ids.txt
refused() { # NAME WORDS...
    name=$1
    shift
    $limit "$sapor" "$@" >out 2>err
    status=$?
    ended 2 'input' "$name"
}
refused 'split onto its input' split d/train.tsv --out d
refused 'split onto its input by a symbolic link' split soft.tsv --out d
refused 'split onto its input by a hard link' split hard.tsv --out d
printf 'id\ttext\na\tred\n' >missing_q.tsv
refused 'encode whose list of what is missing is its input' encode word-statistics missing_q.tsv --id-column id --text-column text -o q.npy
$limit "$sapor" encode word-statistics texts.txt -o q.npy -q && grep -q red missing_q.tsv
ok $? 'a file of that name that is no such list stays'
refused 'recommend onto a vector file' recommend run -o run/user.npy
refused 'recommend onto the checkpoint' recommend run -o ./run/checkpoint.safetensors
refused 'recommend onto the data of the run' recommend run -o soft.tsv
refused 'recommend onto its users' recommend run --users recs.tsv -o recs.tsv
refused 'a trace onto a vector file' recommend run -o new.tsv --trace run/item.npy
refused 'a trace onto the truth' evaluate recs.tsv --test d/test.tsv --trace hard.tsv
refused 'a trace onto the training data' train BPRMF --train d/train.tsv --trace d/train.tsv
refused 'report onto a result' report run -o run/result.json
refused 'train onto its features' train VBPR --train d/train.tsv --features visual=run/item.npy --out run
refused 'train onto a folder of features' train VBPR --train d/train.tsv --features visual=run --out run
refused 'train onto its data' train BPRMF --train run/history.tsv --out run
refused 'encode onto a picture' encode colour-statistics pictures -o pictures/a.png
refused 'encode onto weights' encode bert x.ids.txt -o bert/model.safetensors
refused 'encode: row names onto the texts' encode word-statistics x.ids.txt -o x.npy
refused 'tokenize: a trace onto the tokenizer' tokenize bert x.ids.txt --trace bert/vocab.txt
printf 'id\treason\na\ta bag\n' >missing_x.tsv
cp missing_x.tsv kept.missing
refused 'encode: the list of unreadable rows onto the table' encode word-statistics missing_x.tsv --id-column id --text-column reason -o x.npy
refused 'nearest onto the row names' nearest run/item.npy --id 1 -o run/item.ids.txt
unchanged 'the data and the run are as they were'
cmp -s missing_x.tsv kept.missing
ok $? 'so is the table'
printf 'my notes\n' >missing_notes.tsv
$limit "$sapor" encode word-statistics texts.txt -o notes.npy 2>err && grep -qx 'my notes' missing_notes.tsv
ok $? 'a file of the user with the name of the list stays'
rm missing_x.tsv missing_notes.tsv
diff -r bert kept-bert >/dev/null && cmp -s x.ids.txt kept.ids.txt && cmp -s pictures/a.png "$root/tests/golden/images/RGB.png"
ok $? 'so are the model, the texts and the picture'
$limit "$sapor" evaluate recs.tsv --test d/test.tsv --trace one >out 2>err && $limit "$sapor" recommend run -o run/recs.tsv 2>err &&
    $limit "$sapor" recommend run -o run/recs.tsv 2>err
ok $? 'an output of an earlier run in an input folder is replaced'
rm run/recs.tsv
$limit "$sapor" recommend run -o one.tsv --trace one.tsv >out 2>err
[ $? = 2 ] && [ ! -e one.tsv ]
ok $? 'two outputs of one name'
mkdir mine
echo mine >mine/README.txt
$limit "$sapor" demo --out mine >out 2>err
status=$?
ended 2 'mine: contains files' 'demo into a folder of other files'
case $sapor in *minimal*) echo "skipped: extract needs YAML, which is not in this build" ;; *)
    printf 'dataset_path: .\nvisual:\n  items:\n    input_path: pictures\n    output_path: feats\n    model:\n      - { model_name: colour-statistics, backend: torch, output_layers: all }\n' >c.yml
    mkdir -p feats/torch/colour-statistics/all
    ln -s "$work/pictures/a.png" feats/torch/colour-statistics/all/a.npy
    refused 'extract onto a picture' extract c.yml
    same pictures/a.png "$root/tests/golden/images/RGB.png" 'the picture is as it was'
    mkdir -p o/sentence_transformers/word-statistics
    list=o/sentence_transformers/word-statistics/missing_all.tsv
    printf 'id\treason\na\ta bag\n' >$list
    cp $list kept.list
    printf 'dataset_path: .\ntextual:\n  items:\n    {input_path: %s, output_path: o, item_column: id, text_column: reason, model: [{model_name: word-statistics, backend: sentence_transformers, output_layers: all}]}\n' $list >c.yml
    refused 'extract: the list of unreadable items onto the table' extract c.yml
    same $list kept.list 'the table is as it was' ;;
esac

# ---- pipes and devices ----------------------------------------------------------------------------------------------------
mkfifo pipe
pipes() { # PATTERN NAME WORDS...
    pattern=$1 name=$2
    shift 2
    timeout 4 "$sapor" "$@" >out 2>err </dev/null
    status=$?
    ended 1 "$pattern" "$name"
}
mkdir piped
mkfifo piped/a.png
pipes 'a.png: is a pipe' 'a pipe in a folder of pictures' encode colour-statistics piped -o y.npy
for part in model.safetensors config.json tokenizer.json tokenizer_config.json; do
    [ -e bert/$part ] || continue
    rm bert/$part
    mkfifo bert/$part
    pipes "$part: is a pipe" "a pipe as $part" encode bert x.ids.txt -o y.npy
    rm bert/$part
    cp kept-bert/$part bert
done
for part in user.npy item.npy user.ids.txt item.ids.txt seen.safetensors config.json; do
    rm run/$part
    mkfifo run/$part
    pipes "$part: is a pipe" "a pipe as $part of a run" recommend run
    rm run/$part
    cp kept-run/$part run
done
mkdir features
i=0
while [ $i -lt 40 ]; do mkfifo features/$i.npy; i=$((i + 1)); done
pipes 'npy: is a pipe' 'pipes as features' train VBPR --train ratings.tsv --features visual=features
pipes 'pipe: is a pipe' 'a pipe as a table of features' train VBPR --train ratings.tsv --features visual=pipe
for device in /dev/zero /dev/urandom; do
    pipes 'is a device' "$device as ratings" split $device --out e
    pipes 'is a device' "$device as test" train BPRMF --train ratings.tsv --test $device
    pipes 'is a device' "$device as users" recommend run --users $device
    pipes 'is a device' "$device as recommendations" evaluate $device --test d/test.tsv
    pipes 'is a device' "$device as texts" tokenize bert $device
    $limit "$sapor" tokenize bert <$device >out 2>err
    status=$?
    ended 1 'standard input: is a device' "$device as standard input"
    cat $device 2>/dev/null | $limit "$sapor" tokenize bert >out 2>err
    status=$?
    ended 1 'standard input:[0-9]*: ' "$device by a pipe"
done
(sleep 0.2; cat recs.tsv >pipe) &
$limit "$sapor" evaluate pipe --test d/test.tsv >out 2>err && $limit "$sapor" evaluate recs.tsv --test d/test.tsv >plain 2>err
same out plain 'a pipe that is named and written to later is read'
wait
(sleep 0.2; cat pipe >got) &
$limit "$sapor" recommend run -o pipe 2>err
wait
same got a.tsv 'a pipe that is read later is written'
$limit "$sapor" tokenize bert </dev/null >out 2>err && [ ! -s out ] && $limit "$sapor" tokenize bert /dev/null >out 2>err && [ ! -s out ]
ok $? '/dev/null is an empty text'

# ---- planted links --------------------------------------------------------------------------------------------------------
echo precious >precious
cp precious kept.txt
ln precious .p.tsv.tmp
$limit "$sapor" recommend run -o p.tsv 2>err
[ $? = 0 ] && cmp -s p.tsv a.tsv && cmp -s precious kept.txt && [ ! -e .p.tsv.tmp ]
ok $? 'a hard link in the place of a temporary file is not written through'
ln -s precious .q.tsv.tmp
$limit "$sapor" recommend run -o q.tsv 2>err
status=$?
grep -q '\.q\.tsv\.tmp: is a link' err && [ $status = 1 ] && [ ! -e q.tsv ] && cmp -s precious kept.txt
ok $? 'a symbolic link there is refused and named'
rm .q.tsv.tmp
mkdir g
ln -s "$work/absent" g/.sapor.lock
$limit "$sapor" split ratings.tsv --out g >out 2>err
status=$?
[ ! -e absent ]
ok $? 'a link in the place of a lock is not followed'
ended 1 'g/.sapor.lock: is not a regular file' 'it is named'

# ---- limits and signals ---------------------------------------------------------------------------------------------------
(ulimit -f 1; GCOV_PREFIX=$PWD/counts exec $limit "$sapor" recommend run -k 40 -o big.tsv -q >/dev/null 2>err)
status=$?
sed -i '/^libgcov/d' err # a coverage build cannot write its counts; half of them would spoil those of the other runs
ended 1 'big.tsv: cannot write: File too large' 'a limit on the size of files'
yes 'a red leather bag for the week and the weekend' | head -n 30000 >many.txt
cat many.txt many.txt many.txt many.txt many.txt many.txt many.txt many.txt many.txt many.txt >more.txt
await() { # FILE
    tries=0
    while [ ! -e "$1" ] && [ $tries -lt 500 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
}
for signal in TERM HUP; do
    if sh -c "kill -$signal \$\$; true" 2>/dev/null; then # as under nohup
        skip "SIG$signal: ended by it, nothing left" "SIG$signal is ignored here"
        continue
    fi
    "$sapor" encode word-statistics more.txt -o z.npy -q 2>err &
    await .z.npy.tmp
    kill -$signal $!
    wait $! 2>/dev/null
    [ $? -gt 128 ] && [ ! -e .z.npy.tmp ] && [ ! -e z.npy ] && [ ! -s err ]
    ok $? "SIG$signal: ended by it, nothing left"
done
[ -z "${ASAN_OPTIONS:-}" ] || export ASAN_OPTIONS="$ASAN_OPTIONS:handle_sigbus=0"
rm -f z.npy
"$sapor" encode bert more.txt -o z.npy -q 2>err &
await .z.npy.tmp
: >bert/model.safetensors
wait $!
status=$?
ended 1 'bert/model.safetensors: became shorter' 'weights cut short while they are in use'
[ ! -e z.npy ]
ok $? 'no output is left of that'
echo "1..$number"
