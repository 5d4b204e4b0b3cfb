#!/bin/bash
# tests/evaluate_test.sh: how commands request metrics: parameters, groups, values of users, thresholds, sampled
# evaluation.
test=evaluate
. "$(dirname "$0")/shell.sh"
golden=$root/tests/golden/metrics
if ! "$sapor" evaluate --help | grep -q by-user; then
    echo "ok 1 - skipped: this build has the metrics of hits and ranks alone"
    echo 1..1
    exit 0
fi
cp "$golden"/*.tsv .
base=(evaluate recs.tsv --train train.tsv --test test.tsv)
run() { "$sapor" "$@" >out 2>err; }
has() { # FILE EXPRESSION NAME
    grep -qE -- "$2" "$1"
    ok $? "$3"
}
wrong() { # EXPRESSION NAME, arguments
    local expression=$1 name=$2
    shift 2
    "$sapor" "$@" >out 2>err
    [ $? = 2 ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$expression" err
    ok $? "$name"
}

# ---- the list of metrics ---------------------------------------------------------------------------------------------------
run evaluate --metrics help
ok $? 'metrics help'
for group in accuracy rating coverage diversity novelty popularity groups; do has out "^$group +definition of" "the group $group"; done
has out '^AveragePopularity +recbole +train' "RecBole's names, and what they need"
has out 'metric_0=Precision' 'parameters with their defaults'
[ "$(wc -L <out)" -le 100 ]
ok $? 'in 100 columns'
run evaluate --metrics help --json
has out '^\{"metric":"Gini","group":"diversity","definition_of":"elliot",' 'as JSON'
wrong 'RECS.tsv' 'no file of recommendations' evaluate --test test.tsv
wrong "unknown metric 'Giny'.*Gini.*metrics help" 'a misspelt metric' "${base[@]}" --metrics Giny
wrong 'ARP counts items and interactions of the train file: give --train F' 'popularity of what' evaluate recs.tsv --test test.tsv --metrics ARP
wrong 'RSP: clustering_file is missing' 'clusters of what' "${base[@]}" --metrics RSP
printf '100\t1\n100\t2\n' >bare.tsv
{ echo "user,item"; tr '\t' , <bare.tsv; } >bare.csv
"$sapor" evaluate bare.csv --train train.tsv --test test.tsv --metrics MAE >out 2>err
[ $? = 1 ] && has err 'bare.csv: has no scores' 'errors of scores without scores'

# ---- figures equal those of the golden file --------------------------------------------------------------------------------
expect() { # METRIC NAME COLUMN CUTOFF, arguments: the figure of golden/metrics/figures.tsv under elliot, recs.tsv
    awk -F'\t' -v m="$1" -v n="$2" -v c="$3" '$1 == "elliot" && $2 == "recs" && $3 == 0 && $4 == m && $5 == n { print $c }' figures.tsv >want
    run "${base[@]}" --metrics "$1" --cutoffs "$4" --json -q
    awk -v key="\"$2@$4\":" 'NR == FNR { want = $1; next } { at = index($0, key); got = substr($0, at + length(key)) + 0
        ok = at && (got - want < 1e-12) && (want - got < 1e-12) } END { exit !ok }' want out
    ok $? "$1 at $4"
}
expect DSC:beta=2.5 DSC 8 8
expect Gini Gini 7 3
expect recbole.ItemCoverage recbole.ItemCoverage 8 8
expect RSP:clustering_name=genre:clustering_file=items.tsv RSP_items:genre 8 8
expect RSP:clustering_name=genre:clustering_file=items.tsv RSP-ProbToBeRanked_items:genre-2 8 8
expect UserMADranking:clustering_name=age:clustering_file=users.tsv UserMADranking_age 8 8
run "${base[@]}" --metrics all --cutoffs 5 -q
[ "$(grep -c . out)" -gt 30 ]
ok $? 'all metrics'
run "${base[@]}" --metrics coverage,Recall --cutoffs 5 --json -q
has out '"ItemCoverage@5":[0-9]+,"UserCoverage@5":.*"Recall@5":' 'a group, and another metric'
run "${base[@]}" --metrics Recall --cutoffs 8 --relevance-threshold 3 --json -q
awk -F'\t' '$1 == "elliot" && $2 == "recs" && $3 == 3 && $4 == "Recall" { print substr($8, 1, 12) }' figures.tsv >want
has out "\"Recall@8\":$(cat want)" 'a threshold of relevance'

# ---- values of users -------------------------------------------------------------------------------------------------------
run "${base[@]}" --metrics Recall,Gini,EPC --cutoffs 1,8 --by-user users_out.tsv -q
[ "$(head -n 1 users_out.tsv)" = "$(printf 'user\tRecall@1\tRecall@8\tEPC@1\tEPC@8')" ]
ok $? 'columns of the metrics that users have values of'
awk -F'\t' 'NR == FNR { if ($1 == "recs" && $3 == "EPC") want[$2] = $6; next } $1 in want { n++; d = want[$1] - $5; bad += d > 1e-12 || d < -1e-12 }
    END { exit bad || !n }' by_user.tsv users_out.tsv
ok $? 'their values'
"$sapor" "${base[@]}" --by-user test.tsv >out 2>err
[ $? = 2 ] && cmp -s test.tsv "$golden/test.tsv" && has err 'is an input too' 'not over an input'
"$sapor" "${base[@]}" --by-user none/out.tsv >out 2>err
[ $? = 1 ] && [ "$(wc -l <err)" = 1 ]
ok $? 'where nothing can be written'

# ---- training --------------------------------------------------------------------------------------------------------------
train=(train MostPop --train train.tsv --test test.tsv --set cutoffs=5 --set validation_metric=Recall@5)
run "${train[@]}" --set metrics=Recall,Gini,AUC --json -q
has out '"Recall@5":[0-9.]+,"Gini@5":[0-9.]+,"AUC@5":[0-9.]+' 'metrics beyond accuracy in a run'
cp out full
run "${train[@]}" --set metrics=Recall,nDCG --set negatives=7 --json -q
has out '"Recall@5 \(7 sampled\)":' 'sampled evaluation by its name'
cp out seven
run "${train[@]}" --set metrics=Recall,nDCG --set negatives=7 --json -q --seed 9
sed 's/"eval_seconds.*//' seven >a && sed 's/"eval_seconds.*//' out >b && cmp -s a b
ok $? 'which does not depend on the seed'
run "${train[@]}" --set metrics=Recall --set negatives=uni2 --json -q
has out '"Recall@5 \(uni2 sampled\)":' "RecBole's uniN"
# user 1 has i1 and is evaluated with i2 and i3 among i4 and i5; the train part has i4 four times, i2 three times, i5
# twice, i3 once
printf 'u1\ti1\nu2\ti4\nu3\ti4\nu4\ti4\nu5\ti4\nu2\ti2\nu3\ti2\nu4\ti2\nu2\ti5\nu3\ti5\nu4\ti3\n' >t.tsv
printf 'u1\ti2\nu1\ti3\n' >e.tsv; printf 'u1\ti2\n' >e2.tsv
printf "(u1,)\ti4\ti5\tix\n(ux,)\ti4\n" >n.tsv
for k in 1 2 3 4; do
    run train MostPop --train t.tsv --test e.tsv --set metrics=Recall --set cutoffs=$k --set validation_metric=Recall@$k --set negatives=n.tsv --json -q
    case $k in 1) want=0 ;; 2 | 3) want=0.5 ;; 4) want=1 ;; esac
    has out "\"Recall@$k \\(sampled by file\\)\":$want[,}]" "negatives of a file, cutoff $k"
done
printf "(u1,)\ti4\n(u1,)\ti5\n" >n.tsv
"$sapor" train MostPop --train t.tsv --test e.tsv --set negatives=n.tsv >out 2>err
[ $? = 1 ] && has err 'n.tsv:2: the user of line 1 has a second line here' 'a file that names a user twice'
wrong 'negatives=0: a number from 1' 'no negatives' train MostPop --train t.tsv --test e.tsv --set negatives=0
wrong 'metrics: RSP: clustering_file' 'settings are checked, too' "${train[@]}" --set metrics=Recall,RSP
# The figure of an empty group is 0 / 0. The run must finish and be readable.
one=(train BPRMF --train t.tsv --test e2.tsv --valid e2.tsv --set epochs=4 --set validation_rate=2 --set cutoffs=1 --set validation_metric=Recall@1
    --set metrics=Recall,PopREO --set factors=2 --out run -q)
run "${one[@]}" && cp run/result.json first && run "${one[@]}" && cmp -s run/result.json first
ok $? 'a run with a figure that is 0 / 0'
has run/result.json '"PopREO@1":null' 'which is null in JSON'
echo "1..$number"
