#!/bin/sh
# tests/answers_test.sh: the output of nearest, train, recommend and evaluate: nearest rows by every kind of query;
# killed and damaged runs; models without epochs; items with few interactions, evaluated separately. Speaks TAP; $BUILD
# is the folder of the build.
test=answers
. "$(dirname "$0")/shell.sh"
tab=$(printf '\t')

is() { # NAME EXPECTED: the last output is this text
    printf "$2" | cmp -s - out
    bad=$?
    [ $bad = 0 ] || sed 's/^/# /' out
    ok $bad "$1"
}

npy() { # FILE DESCR SHAPE NUMBERS-AS-OCTAL-BYTES: a header of 128 bytes, then the numbers
    printf '\223NUMPY\1\0\166\0%-117s\n' "{'descr': '$2', 'fortran_order': False, 'shape': ($3), }" >"$1"
    printf "$4" >>"$1"
}
one='\0\0\200\77' two='\0\0\0\100' nought='\0\0\0\0' minus='\0\0\200\277' nan='\0\0\300\177'

# ---- nearest -------------------------------------------------------------------------------------------------------------
# (1, 0), (2, 2), (0, 0), (1, 1), (-1, 0), (0, 1)
npy f.npy '<f4' '6, 2' "$one$nought$two$two$nought$nought$one$one$minus$nought$nought$one"
right 'nearest by row number' nearest f.npy --id 0
is 'by cosine, ties to the lower row, not itself, no row of zeros' "1\t1\t0.707106769\n2\t3\t0.707106769\n3\t5\t0\n4\t4\t-1\n"
grep -q 'skipped rows of zeros .*: 1$' err
ok $? 'rows of zeros are counted'
right 'the nearest two' nearest f.npy --id 1 -k 2 --quiet
is 'the same direction is 1' "1\t3\t1\n2\t0\t0.707106769\n"
[ ! -s err ]
ok $? '--quiet says nothing'
printf 'a\nb "b"\nc\nd\ne\nf\n' >f.ids.txt
right 'nearest by name' nearest f.npy --id a -k 2 --json
is 'rows by their names, as JSON' '{"rank":1,"id":"b \\"b\\"","similarity":0.707106769}\n{"rank":2,"id":"d","similarity":0.707106769}\n'
right 'nearest into a file' nearest f.npy --id f -k 1 -o near.tsv
printf '1\tb "b"\t0.707106769\n' | cmp -s - near.tsv
ok $? 'a line of three columns'
mkdir folder
npy folder/x.npy '<f4' '1, 2' "$one$nought"
npy folder/y.z.npy '<f4' '2,' "$one$two"
npy folder/w.npy '<f8' '2,' "\0\0\0\0\0\0\360\77\0\0\0\0\0\0\0\0"
echo notes >folder/readme.txt
right 'nearest in a folder' nearest folder --id x
is 'files by their names' "1\tw\t1\n2\ty.z\t0.44721359\n"
mkdir odd
cp folder/x.npy odd
cp folder/w.npy 'odd/"w.npy'
right 'nearest in a folder: a name that begins with a quote' nearest odd --id x
is 'is quoted as in every table' "1\t\"\"\"w\"\t1\n"
latin=$(printf 'odd/\377.npy')
if cp folder/w.npy "$latin" 2>/dev/null; then
    wrong 1 'is not valid UTF-8; rename it' 'a name that is no UTF-8' nearest odd --id x
    wrong 1 'is not valid UTF-8; rename it' 'in JSON too' nearest odd --id x --json
    rm "$latin"
fi
cp folder/w.npy "odd/a${tab:=$(printf '\t')}b.npy"
wrong 1 'holds a tab; rename it' 'a name with a tab' nearest odd --id x
wrong 1 'holds a tab; rename it' 'in JSON too' nearest odd --id x --json
wrong 2 'id ID or --query' 'no query' nearest f.npy
wrong 2 'id and --query together' 'two queries' nearest f.npy --id a --query b
wrong 2 'model MODEL is missing' 'a query without a model' nearest f.npy --query b
wrong 2 'model is only valid with --query' 'a model without a query' nearest f.npy --id a --model m
wrong 2 'no row of f.npy is named 0; the first of its 6 rows is a' 'an unknown name' nearest f.npy --id 0
wrong 1 'query.s features are all zero' 'a row of zeros as a query' nearest f.npy --id c
wrong 1 'no such file\|No such file' 'features that are not there' nearest absent.npy --id 0
mkdir quoted
npy 'quoted/"q" r.npy' '<f4' '2,' "$one$two"
npy quoted/s.npy '<f4' '2,' "$one$two"
right 'an id that begins with a quote' nearest quoted --id s
is 'is written in quotes' '1\t"""q"" r"\t1\n'
npy "quoted/a${tab}b.npy" '<f4' '2,' "$one$two"
wrong 1 'the id "a.b" holds a tab; rename it' 'an id with a tab' nearest quoted --id s
wrong 2 'f.ids.txt: is an input too' 'row names as the output' nearest f.npy --id a -o f.ids.txt
wrong 2 'folder/x.npy: is an input too' 'a row of the folder as the output' nearest folder --id x -o folder/x.npy
mkdir bare
wrong 1 'bare: holds no <id>.npy' 'a folder without features' nearest bare --id 0
npy n.npy '<f4' '2, 2' "$one$nought$nan$nought"
wrong 1 'n.npy: row 1 contains a number that is not finite' 'a row that is not finite' nearest n.npy --id 0
wrong 2 'not a row of n.npy.*from 0 to 1' 'a number beyond the rows' nearest n.npy --id 2
npy n.npy '<f4' '2, 0' ''
wrong 1 'n.npy: is empty: \[2, 0\]' 'features without columns' nearest n.npy --id 0
npy n.npy '<f4' '2,' "$one$one"
wrong 1 'n.npy: has 1 dimensions' 'features that are no table' nearest n.npy --id 0
printf 'a\nb\n' >f.ids.txt
wrong 1 'f.ids.txt: names 2 rows, but f.npy has 6' 'names of other rows' nearest f.npy --id a
npy folder/v.npy '<f4' '1, 1' "$one"
wrong 1 'has 2 columns, the earlier files have 1' 'files of different lengths' nearest folder --id x
printf 'a red leather bag\na blue cotton shirt\na green woollen hat\nthe red bag\n' >titles.txt
right 'encode' encode word-statistics titles.txt -o titles.npy --quiet
right 'nearest to a text' nearest titles.npy --query 'a red bag' --model word-statistics -k 2
[ "$(cut -f 2 out | tr '\n' ' ')" = '1 4 ' ] || [ "$(cut -f 2 out | tr '\n' ' ')" = '4 1 ' ]
ok $? 'the two red bags'
rm f.ids.txt
wrong 1 'word-statistics gives 256 numbers, but f.npy has 2 columns; use the model that made it' 'a model of another width' nearest f.npy --query x --model word-statistics
right 'encode images' encode colour-statistics "$root/tests/golden/images/RGB.png" "$root/tests/golden/images/L.png" -o images.npy --quiet
right 'nearest to an image' nearest images.npy --query "$root/tests/golden/images/RGB.png" --model colour-statistics -k 1
is 'itself' "1\tRGB\t1\n"
wrong 1 'no image file none.png' 'an image that is not there' nearest images.npy --query none.png --model colour-statistics
wrong 2 'supports images only' 'a text for an image model' nearest images.npy --query red --model colour-statistics

# ---- runs: messages of train, errors of recommend --------------------------------------------------------------------------
i=0
while [ $i -lt 12 ]; do
    for j in 0 1 2; do echo "u$i${tab}i$(((i + j * j) % 15))${tab}5"; done
    i=$((i + 1))
done >train.tsv
awk -F'\t' -v OFS='\t' 'NR % 3 == 1 { sub("i", "", $2); print $1, "i" (($2 + 9) % 15), 5 }' train.tsv >test.tsv
right 'a model without epochs' train ItemKNN --train train.tsv --test test.tsv --out knn
! grep -q 'epoch [0-9]\|per epoch' out && grep -q '^ItemKNN: has no epochs, .* per evaluation' out && grep -q 'recommend knn' out
ok $? 'names no epoch, and where its result is'
right 'the same for programs' train MostPop --train train.tsv --test test.tsv --json
! grep -q epoch out && grep -q '"event":"result","model":"MostPop","valid":{},"test":{' out
ok $? 'without an epoch'
right 'train without validation and test' train BPRMF --train train.tsv --set epochs=3 --set factors=4 --out run
grep -q '^BPRMF: last epoch 3 of 3 (no validation part).*not evaluated (no --valid and no --test)' out
ok $? 'says what was measured'
right 'train without a folder' train BPRMF --train train.tsv --set epochs=1 --set factors=4
grep -q 'not saved; --out DIR' out
ok $? 'says that nothing is kept'
right 'recommend' recommend run --users u3 -k 2
mv run/result.json kept.json
wrong 1 'run: its training is not finished' 'a run that was killed' recommend run -o no.tsv
right 'its best epoch so far' recommend run --users u3 -k 2 --unfinished
wrong 1 'run: its training is not finished' 'a report of a run that was killed' report run -o no.html
mv kept.json run/result.json
cp run/user.npy kept.npy
{
    head -c 128 kept.npy
    printf "$nan"
    tail -c +133 kept.npy
} >run/user.npy
wrong 1 'run/user.npy: row 0 contains nan in column 0' 'vectors that are not finite' recommend run -o no.tsv
mv kept.npy run/user.npy
sed -i 's/"seed": 42/"seed": -1/' run/config.json
wrong 1 'run/config.json:5: key seed: -1' 'a seed below 0' recommend run -o no.tsv
wrong 1 'run/config.json:5: key seed: -1' 'in a report' report run -o no.html
[ ! -e no.tsv ] && [ ! -e no.html ]
ok $? 'nothing is written'
printf 'u\ta\t3e38\nu\tb\t3e38\nv\ta\t3e38\n' >huge.tsv
wrong 1 'ItemKNN: ratings up to 3e+38 give scores too large for float32' 'scores beyond float32' train ItemKNN --train huge.tsv --set similarity=dot --quiet
odd=$(printf 'odd\377.tsv')
cp train.tsv "$odd"
wrong 2 'path is not valid UTF-8, so config.json cannot hold it' 'a path that config.json cannot hold' train MostPop --train "$odd" --out path
[ ! -e path ]
ok $? 'leaves nothing'
printf '1\t1\n1\t2\n2\t2\n2\t0\n' >whole.tsv
printf '1\t0\n2\t1\n' >held.tsv
for p in elliot mmrec; do "$sapor" train MostPop --train whole.tsv --test held.tsv --protocol $p --out of-$p --quiet >out 2>err; done
wrong 2 'of-elliot uses protocol elliot, but of-mmrec uses mmrec; write one report for each' 'a report of two protocols' report of-elliot of-mmrec -o no.html
wrong 2 'setting epochs=0: must be at least 1' 'no epoch at all' train BPRMF --train train.tsv --set epochs=0

# ---- evaluate --------------------------------------------------------------------------------------------------------------
many=$(awk 'BEGIN { printf "1"; for (i = 2; i <= 20000; i++) printf ",%d", i }')
wrong 2 'cutoffs: 20000 are given, at most 1000' 'too many cutoffs' evaluate train.tsv --test test.tsv --cutoffs "$many"
wrong 2 'setting cutoffs: 20000 are given, at most 1000' 'the same in train' train MostPop --train train.tsv --test test.tsv --set "cutoffs=$many"
# item a has 3 interactions, b 2, c 1, d none
printf 'u\ta\nv\ta\nw\ta\nu\tb\nv\tb\nw\tc\n' >t.tsv
printf 'u\tc\nu\td\nv\tc\nw\tb\n' >e.tsv
printf 'u\ta\t9\nu\tc\t8\nu\td\t1\nv\ta\t9\nv\tb\t8\nv\tc\t7\nw\ta\t9\nw\tb\t8\n' >r.tsv
right 'evaluate all items' evaluate r.tsv --test e.tsv --train t.tsv --cutoffs 1 --metrics Recall --json
grep -q '"users":3,"without_list":0,.*"Recall@1":0}' out
ok $? 'all items'
right 'items with fewer than two' evaluate r.tsv --test e.tsv --train t.tsv --cutoffs 1,2 --metrics Recall --json --few 2
grep -q '"users":2,"without_list":0,.*"Recall@1":0.75,"Recall@2":1}' out
ok $? 'c and d only, in lists and truth'
eval "$(grep '^users_and_recall=' "$root/scripts/demo-movielens.sh")"
"$sapor" evaluate r.tsv --test e.tsv --train t.tsv --cutoffs 20 --metrics Recall --json --few 2 --quiet 2>err | sed -n "$users_and_recall" >out
is 'the MovieLens demo reads that' '2 1\n'
grep -v 'v.c' r.tsv >some.tsv
right 'a list without such items' evaluate some.tsv --test e.tsv --train t.tsv --cutoffs 2 --metrics Recall --json --few 2
grep -q '"users":2,"without_list":1,.*"Recall@2":0.5}' out && grep -q '^warning: 1 of 2 users with test items that --few keeps have no such item in their list: each counts as 0 (--few)$' err
ok $? 'counts as 0'
printf 'u\ta\t-1\nu\tb\t5\nv\ta\t-2\nw\tb\t3\n' >below.tsv
printf 'u\ta\t2\nu\tb\t1\nv\ta\t1\n' >lists.tsv
right 'ratings below 0 under elliot' evaluate lists.tsv --test below.tsv --cutoffs 2 --metrics Recall --json
grep -q '"rating_below_0":2' out && grep -q '"users":1,"without_list":1,.*"Recall@2":1}' out && grep -q 'left out: 2 test rows with a rating below 0' err &&
    grep -q '^warning: 1 of 2 users with test items have no list' err
ok $? 'are not relevant, and a user who has no others needs no list'
printf 'v\ta\t-2\n' >v.tsv
wrong 1 'v.tsv: has no relevant item for any user of lists.tsv (elliot: relevant items have a rating of at least 0)' 'nobody to judge' evaluate lists.tsv --test v.tsv
cat below.tsv | "$sapor" evaluate lists.tsv --test /dev/stdin --quiet >out 2>err && grep -q '^1 users$' out
ok $? 'a test file from a pipe is read once'
wrong 2 'few: --train F is missing' 'few of what' evaluate r.tsv --test e.tsv --few 2
printf 'u\ta\t9\n' >none.tsv
wrong 1 'few 2: no recommendation has an item with fewer than 2 interactions' 'no recommendation of such items' evaluate none.tsv --test e.tsv --train t.tsv --few 2
printf '1..%d\n' $number
