#!/bin/sh
# tests/names_test.sh: recommenders and settings under the names of MMRec, RecBole and Elliot, as arguments and in the
# output; a run without a validation file. Speaks TAP; $BUILD is the folder of the build.
test=names
. "$(dirname "$0")/shell.sh"
number=0 failed=0
ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        failed=1
        echo "not ok $number - $2"
        head -n 5 out err | sed 's/^/# /'
    fi
}
run() { "$sapor" "$@" >out 2>err; } # its output in ./out and ./err
has() { # FILE PATTERN NAME
    grep -qE -- "$2" "$1"
    ok $? "$3"
}

for u in 0 1 2 3 4 5 6 7; do
    for i in 0 1 2 3; do printf '%s\t%s\n' $u $(((u * 3 + i) % 11)); done
done >train.tsv
for u in 0 1 2 3 4 5 6 7; do printf '%s\t%s\n' $u $(((u * 3 + 5) % 11)); done >test.tsv

run train BPR --train train.tsv --valid test.tsv --set epochs=2 --set eval_step=1 --set learning_rate=0.01 --set embedding_size=4 --out run
ok $? 'BPR, with the names of MMRec'
has err '^BPRMF \(BPR\): lr=0\.01 \(learning_rate\) validation_rate=1 \(eval_step\) factors=4 \(embedding_size\)$' 'the run shows both names'
has run/config.json '"model": "BPRMF"' 'a run folder has the own name of the recommender'
has run/config.json '"lr": "0.01"' 'and of a setting'
run train external.BPRMF --train train.tsv --valid test.tsv --set epochs=2 --set validation_rate=1 --set lr=0.01 --set factors=4 --out run
ok $? 'the same run under its own names goes on'
run train BPR --train train.tsv --set epochs=1 --set topk=5 --set valid_metric=Recall@5 --json
has out '^\{"event":"names","model":"BPRMF","given_as":"BPR","settings":\{"validation_metric":"valid_metric","cutoffs":"topk"\}\}$' 'both names for programs'
has out '"event":"result".*"chosen_by":"the last epoch"' 'no validation file: the result says so'
run train BPRMF --train train.tsv --test test.tsv --set epochs=1
has err 'no validation part: the last epoch is used' 'no validation file: said before the first epoch'
has out '^BPRMF: last epoch 1 of 1' 'no validation file: said at the end'
run train BPRMF --train train.tsv --valid test.tsv --set epochs=1 --json
has out '"event":"result".*"chosen_by":"Recall@20 of valid"' 'with one: what chose the epoch'
! grep -q 'event":"names' out
ok $? 'no names where none was given'
run train BPR --train train.tsv --set reg_weight=0.1
[ $? = 2 ] && grep -q 'reg_weight=0.1 is not accepted: set variant=mmrec' err
ok $? 'a weight of another recipe is refused'
run train BPR --train train.tsv --set lr=0.1 --set learning_rate=0.1
[ $? = 2 ] && grep -q 'lr and learning_rate are the same setting' err
ok $? 'one setting under two names is refused'
run train XBPR --train train.tsv
[ $? = 2 ] && grep -q 'did you mean "VBPR" or "BPR"?\|did you mean "BPR" or "VBPR"?' err
ok $? 'a misspelt recommender: all near names'
run train BPR --train train.tsv --valid test.tsv --set epochs=1 --set 'metrics=["Hit", "NDCG"]' --set topk=[5] --set valid_metric=Hit@5 --json
has out '"valid":\{"HR@5":[0-9.]*,"nDCG@5":.*"chosen_by":"HR@5 of valid"' 'lists as in YAML, and the metrics of RecBole'
run models BPR
has out '^BPRMF, also BPR$' 'models: the other name of a recommender'
has out '^lr  .* learning_rate  ' 'models: the other name of a setting'
has out '^l_w .* reg_weight \(variant' 'models: and where it is accepted'
run models LATTICE --json
has out '"key":"top_k",.*"also":\["knn_k"\]' 'models: for programs'
run models
has out '^BPRMF, BPR ' 'models: the list has both names'
echo "1..$number"
exit $failed
