#!/bin/sh
# tests/bench_data_test.sh: data that `sapor bench data` draws, single steps with them, and charts. Speaks TAP; $BUILD
# is the folder of the build.
test=bench-data
. "$(dirname "$0")/shell.sh"
case $sapor in *minimal*)
    wrong 1 'build without MINIMAL=1' 'this build draws no data' bench data --out data
    echo "1..$number"
    exit
    ;;
esac

# ---- drawn data ----------------------------------------------------------------------------------------------------------
right 'bench data' bench data --out data --interactions 20000 --features visual=64,textual=33 --seed 7 --threads 2 -q
tail -qn +2 data/train.tsv data/val.tsv data/test.tsv >all.tsv
[ "$(wc -l <all.tsv)" = 20000 ] && [ "$(sort -u all.tsv | wc -l)" = 20000 ]
ok $? 'all interactions, each once'
[ "$(cut -f1 all.tsv | sort -n | uniq -c | awk '$1 >= 5 && $2 == NR - 1' | wc -l)" = 2000 ]
ok $? 'each user has the least number'
[ "$(tail -n +2 data/train.tsv | cut -f2 | sort -un | awk '$1 == NR - 1' | wc -l)" = 1000 ]
ok $? 'all items are in train'
[ "$(tail -n +2 data/train.tsv | cut -f1 | sort -u | wc -l)" = 2000 ]
ok $? 'and so are all users'
wc -l <data/val.tsv | cat - data/test.tsv | awk 'NR == 1 { val = $1 } END { exit !(val > 1850 && val < 2150 && NR > 1850 && NR < 2150) }'
ok $? 'a tenth of the interactions each for validation and test'
# The weights are 1 / (rank + 40): the first hundredth of the items has 7 %, the first tenth 38 %, the last half 21 %.
# No user has an item twice.
cut -f2 all.tsv | sort -n | uniq -c | sort -rn | awk '{ n[NR] = $1; all += $1; if (NR <= 10) head += $1; if (NR <= 100) tenth += $1; if (NR > 500) tail += $1 }
    END { print head / all, tenth / all, tail / all; exit !(head / all > .05 && head / all < .11 && tenth / all > .3 && tenth / all < .45 && tail / all > .12 && tail / all < .26) }' >shares
ok $? "few items have many interactions: $(cat shares)"
[ "$(wc -c <data/visual.npy)" = $((128 + 1000 * 64 * 4)) ] && [ "$(wc -c <data/textual.npy)" = $((128 + 1000 * 33 * 4)) ]
ok $? 'features have a row of the given width per item'
right 'the same by one thread' bench data --out again --interactions 20000 --features visual=64,textual=33 --seed 7 --threads 1 -q
diff -r data again >/dev/null
ok $? 'has the same bytes'
right 'without features, over what was there' bench data --out again --interactions 20000 --seed 8 --json
says() { grep -q -- "$1" out; ok $? "$2"; }
says '^{"event":"result","users":2000,"items":1000,"interactions":20000,"train":1[0-9]*,"val":[0-9]*,"test":[0-9]*,"groups":31}$' 'the result as JSON'
! cmp -s data/train.tsv again/train.tsv
ok $? 'another seed draws others'
right 'many items, few users' bench data --out wide --users 10 --items 2000 --interactions 4000 --least 1 -q
[ "$(tail -n +2 wide/train.tsv | cut -f2 | sort -u | wc -l)" = 2000 ]
ok $? 'an item for every second interaction: each is in train'
right 'users with as many items as there may be' bench data --out full --users 30 --items 20 --interactions 300 --least 10 -q
[ "$(tail -qn +2 full/*.tsv | sort -u | cut -f1 | uniq -c | awk '$1 == 10' | wc -l)" = 30 ]
ok $? 'each has half of the items'
right 'four interactions' bench data --out least --users 4 --items 2 --interactions 4 --least 1 -q

# ---- tastes: a recommender is better than the most popular items, with pairs and with the features of each modality --------
recall() { # MODEL...: Recall@20 of the test part
    "$sapor" train "$@" --train data/train.tsv --test data/test.tsv --set metrics=Recall --set cutoffs=20 -q --json | sed -n 's/.*"event":"result".*"Recall@20":\([0-9.]*\).*/\1/p'
}
popular=$(recall MostPop)
beats() { awk -v a="$1" -v b="$popular" 'BEGIN { exit !(b > 0 && a > 1.2 * b) }'; ok $? "$2: $1, MostPop $popular"; }
beats "$(recall ItemKNN)" 'ItemKNN beats MostPop'
beats "$(recall LightGCN --set epochs=20 --set batch_size=1024 --set lr=0.02 --set validation_rate=20)" 'so does LightGCN'
beats "$(recall AttributeItemKNN --features visual=data/visual.npy)" 'and one by visual features'
beats "$(recall AttributeItemKNN --features textual=data/textual.npy)" 'and one by textual features'

# ---- refused ---------------------------------------------------------------------------------------------------------------
wrong 2 '--out DIR (output folder) is missing' 'no folder' bench data
wrong 2 'one argument too many' 'an argument' bench data there
wrong 2 '--interactions: "2147483648" is not a whole number from 4 to 2147483647' 'too many interactions' bench data --out x --interactions 2147483648
wrong 2 '--users: "0" is not' 'no users' bench data --out x --users 0
wrong 2 '--items: "100000001" is not' 'too many items' bench data --out x --items 100000001
wrong 2 '1000000 users with 5 each (--least) have 5000000; 1000 are too few' 'too few interactions' bench data --out x --interactions 1000 --users 1000000
wrong 2 '--items: 501 are too many for 1000 interactions' 'too many items for them' bench data --out x --interactions 1000 --items 501
wrong 2 '--least: 11 is more than half of the items' 'a user with too many items' bench data --out x --interactions 1000 --users 50 --items 20 --least 11
wrong 2 '--interactions: 1000 are too many for 10 users and 20 items' 'too few items' bench data --out x --interactions 1000 --users 10 --items 20
wrong 2 '"visual" is not NAME=WIDTH' 'features without width' bench data --out x --features visual
wrong 2 '"visual=0" is not NAME=WIDTH' 'features without columns' bench data --out x --features visual=0
wrong 2 '"../a=4" is not NAME=WIDTH' 'features in another folder' bench data --out x --features ../a=4
wrong 2 '"visual" is a duplicate name' 'features twice' bench data --out x --features visual=4,visual=5
wrong 1 'all.tsv' 'a folder that is a file' bench data --out all.tsv --interactions 1000
for limit in 100K 300K 1M; do
    wrong 1 'out of memory' "data within $limit" bench data --out data --interactions 1000000 --max-memory $limit -q
done

# ---- single steps ----------------------------------------------------------------------------------------------------------
right 'bench train --steps' bench train LightGCN --pairs data/train.tsv --steps 3 --threads 2
says '^model     users  items  train pairs  steps per epoch  load s  build s  first ms  min ms  median ms  mean ms  load MB  peak MB$' 'its table'
says '^LightGCN   2000   1000  ' 'its row'
right 'with features' bench train FREEDOM --pairs data/train.tsv --features visual=data/visual.npy,textual=data/textual.npy --steps 2 --set batch_size=256 --json
says '^{"bench":"steps","shape":"FREEDOM-2000x1000-1[0-9]*","dtype":"f32".*"steps":2,"load_seconds":.*"ms_first":.*"ms_min":.*"ms_median":.*"ms_mean":.*"peak_mb":' 'as JSON'
# The earlier run had steps of 100 s, so that a busy machine is not slower.
sed -E 's/("ms_[a-z]*":)[0-9.]+/\1100000/g' out >steps.json
right 'beside an earlier run' bench train FREEDOM --pairs data/train.tsv --features visual=data/visual.npy,textual=data/textual.npy --steps 2 --set batch_size=256 --against steps.json
says '0 not in that file' 'it is found there'
wrong 2 'has [0-9]* steps in an epoch' 'more steps than an epoch has' bench train LightGCN --pairs data/train.tsv --steps 100000
wrong 2 'does not train in steps' 'steps of a model that has none' bench train MostPop --pairs data/train.tsv --steps 2
wrong 2 '--features visual=data/visual.npy: --pairs FILE is missing' 'features of no items' bench train FREEDOM --features visual=data/visual.npy --steps 2
wrong 2 'is not NAME=PATH' 'features without a name' bench train FREEDOM --pairs data/train.tsv --features data/visual.npy --steps 2
wrong 1 'the loss is' 'steps that go wrong' bench train LightGCN --pairs data/train.tsv --steps 3 --set lr=1e30

# ---- charts ----------------------------------------------------------------------------------------------------------------
printf 'model\tinteractions\tms per step\nA<B\t100000\t1.5\nA<B\t1000000\t20\nlinear\t100000\t2\nlinear\t1000000\t20\n' >points.tsv
right 'bench plot' bench plot points.tsv --out chart.svg
[ "$(grep -c '<svg xmlns="http://www.w3.org/2000/svg" viewBox' chart.svg)" = 1 ] && [ "$(grep -o '<polyline' chart.svg | wc -l)" = 2 ] && grep -q '>A&lt;B</text>' chart.svg &&
    grep -q '>ms per step</text></svg>$' chart.svg && ! grep -q 'nan\|inf' chart.svg
ok $? 'two lines with their names'
if command -v xmllint >/dev/null; then
    xmllint --noout chart.svg
    ok $? 'it is XML'
fi
wrong 2 '--out FILE.svg is missing' 'a chart without a file' bench plot points.tsv
wrong 2 'bench plot: name the table of points' 'a chart without points' bench plot --out x.svg
printf 'a\tb\tc\nA\t1\t0\n' >bad.tsv
wrong 1 'bad.tsv:2: c is .0.; a number above 0 is expected' 'a point at 0' bench plot bad.tsv --out x.svg
printf 'a\tb\tc\nA\t1\n' >bad.tsv
wrong 1 'bad.tsv:2: has 2 columns' 'a point without y' bench plot bad.tsv --out x.svg
printf 'a\tb\tc\n' >bad.tsv
wrong 1 'bad.tsv: has no points' 'no points' bench plot bad.tsv --out x.svg
printf 'a\tb\tc\n' >bad.tsv
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do printf 'n%s\t1\t1\n' $i; done >>bad.tsv
wrong 1 'bad.tsv:18: more than 16 lines' 'too many lines' bench plot bad.tsv --out x.svg

echo "1..$number"
