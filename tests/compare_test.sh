#!/bin/bash
# tests/compare_test.sh: sapor compare: figures computed by hand, files with different users, run folders, seeds,
# errors. Speaks TAP; $BUILD is the folder of the build. tests/significance_test.c has the significance tests
# themselves.
test=compare
. "$(dirname "$0")/shell.sh"
same() { # NAME EXPECTED: ./out is this text
    printf '%s\n' "$2" >expected
    diff expected out >differs
    bad=$?
    [ $bad = 0 ] || sed 's/^/# /' differs
    ok $bad "$1"
}
has() { # NAME PATTERN ...: for each pattern, ./out has a line that matches
    name=$1 bad=0
    shift
    for pattern in "$@"; do grep -qE -- "$pattern" out || { bad=1; echo "# no line matches $pattern"; }; done
    [ $bad = 0 ] || sed 's/^/# /' out
    ok $bad "$name"
}
value() { # KEY LINE: prints the number of a key in a line of ./out
    sed -n "${2}p" out | sed -E "s/.*\"$1\":([^,}]*).*/\1/"
}
near() { # NAME VALUE EXPECTED: the relative difference is at most 1e-12
    awk -v x="$2" -v y="$3" 'BEGIN { exit !(x - y <= 1e-12 * y && y - x <= 1e-12 * y && x != "") }'
    bad=$?
    [ $bad = 0 ] || echo "# $2, not $3"
    ok $bad "$1"
}
for i in 1 2 3 4 5; do printf 'u%d\t%s\t0\n' $i "$(awk "BEGIN { print $i / 8 }")"; done | { printf 'user\tRecall@20\tHR@20\n'; cat; } >a.tsv
awk -F'\t' -v OFS='\t' 'NR > 1 { $2 = 0 } 1' a.tsv >b.tsv
awk -F'\t' -v OFS='\t' 'NR > 1 { $2 = NR == 3 ? .5 : 0; $3 = 1 } 1' a.tsv >c.tsv

case $sapor in *minimal*)
    wrong 1 'build without MINIMAL=1' 'this build compares no runs' compare a.tsv b.tsv
    echo "1..$number"
    exit
    ;;
esac

# ---- by hand: differences of 1 to 5 eighths; the same with the second one negative; one difference that is not 0 -----------------
right 'compare three files' compare a.tsv b.tsv c.tsv --metrics Recall@20 --json -q
near 't' "$(value t 4)" "$(awk 'BEGIN { printf "%.17g", 3 * sqrt(2) }')"
near 'p of t, four degrees of freedom' "$(value t_p 4)" "$(awk 'BEGIN { t = 3 * sqrt(2); printf "%.17g", 1 - t * (t * t + 6) / (t * t + 4) ^ 1.5 }')"
near 'three times the smallest p' "$(value t_holm 4)" "$(awk -v p="$(value t_p 4)" 'BEGIN { printf "%.17g", 3 * p }')"
has 'W, exact p, adjusted' '"run_a":"a.tsv","run_b":"b.tsv","users":5,.*"w":0,"w_p":0.0625,"w_holm":0.1875,"w_significant":false' \
    '"run_a":"a.tsv","run_b":"c.tsv","users":5,.*"w":2,"w_p":0.1875,"w_holm":0.375,' \
    '"run_a":"b.tsv","run_b":"c.tsv","users":5,.*"w":0,"w_p":1,"w_holm":1,' '"t_holm":0.039[0-9]*,"t_significant":true'
has 'the means' '^\{"event":"run","run":"a.tsv","users":5,"mean":\{"Recall@20":0.375\}\}$' '"mean_a":0.375,"mean_b":0.10*1,"difference":0.275'
right 'one test' compare a.tsv b.tsv --test wilcoxon --metrics recall@20 --csv -q
same 'CSV of one test' 'metric,run_a,run_b,users,mean_a,mean_b,difference,w,w_p,w_holm,w_significant
Recall@20,a.tsv,b.tsv,5,0.375,0,0.375,0,0.0625,0.0625,false'
right 'another alpha' compare a.tsv b.tsv --test wilcoxon --metrics Recall@20 --csv -q --alpha 0.07
has 'alpha decides' ',0.0625,0.0625,true$'
right 'no difference' compare a.tsv b.tsv --metrics HR@20 --csv -q
has 'nothing to test' '^HR@20,a.tsv,b.tsv,5,0,0,0,,,,false,0,,,false$'
right 'tables' compare a.tsv b.tsv c.tsv -q
has 'what people read' '^run  users  Recall@20   *HR@20 $' '^a        5     0.3750\*  0.0000 $' '^c        5     0.1000   1.0000\*$' \
    '^a - b +\+0.3750 +4.243 +0.013 +0.04\* +0.062 +0.19 $' '^b - c +-1.0000 +-inf +0 +0\* +0.062 +0.19 $' '^a - b +\+0.0000 +- +- +- +- +- $'

# ---- different users -----------------------------------------------------------------------------------------------------------------
{ sed '2d' b.tsv; printf 'new\t1\t1\n"""quoted"\t1\t1\n'; } >d.tsv
right 'common users' compare a.tsv d.tsv --metrics Recall@20
has 'how many are common' '^d +6 +0.3333 $' '^a - d: 4 common users, of 5 and 6$'
printf 'user\tRecall@20\nx\t1\n' >x.tsv
wrong 2 'a.tsv and x.tsv have no common users' 'no common users' compare a.tsv x.tsv

# ---- names and widths ------------------------------------------------------------------------------------------------------------------
mkdir -p one two 'a,"b"'
cp a.tsv one/by.tsv
cp b.tsv two/by.tsv
cp c.tsv 'a,"b"/c,c.tsv'
cp c.tsv a-name-that-is-too-long.tsv
right 'equal and long names' compare one/by.tsv two/by.tsv a-name-that-is-too-long.tsv
has 'they become numbers' '^run 1 +5' '^run 1: one/by.tsv$' '^run 3: a-name-that-is-too-long.tsv$' '^run 1 - run 3 '
right 'a name for CSV' compare a.tsv 'a,"b"/c,c.tsv' --csv --metrics HR@20 --test t
has 'is quoted' '^HR@20,a.tsv,"a,""b""/c,c.tsv",5,'
awk 'BEGIN { printf "user"; for (k = 1; k <= 30; k++) printf "\tnDCGRendle2020@%d", k * 1000; print ""
    for (u = 0; u < 70; u++) { printf "u%d", u; for (k = 1; k <= 30; k++) printf "\t%.9f", (u * k * 7 % 23) / 23 * 1e-3; print "" } }' >run-of-17-columns.tsv
awk 'NR > 1 { for (k = 2; k <= NF; k++) $k = $k * 0.9 - 12345 } { for (k = 1; k <= NF; k++) printf "%s%s", $k, k < NF ? "\t" : "\n" }' run-of-17-columns.tsv >other_17_columns_.tsv
right 'many figures' compare run-of-17-columns.tsv other_17_columns_.tsv
awk 'length > 100 { print; bad = 1 } END { exit bad }' out
ok $? 'no line has more than 100 columns'

# ---- run folders and seeds -----------------------------------------------------------------------------------------------------------
awk 'BEGIN { for (u = 0; u < 60; u++) for (j = 0; j < 8; j++) print "u" u "\ti" (u * 4 + j * j) % 90 }' >train.tsv
awk 'BEGIN { for (u = 0; u < 60; u++) for (j = 8; j < 10; j++) print "u" u "\ti" (u * 4 + j * j) % 90 }' >test.tsv
train() { # MODEL OUT ARGUMENT...
    "$sapor" train "$1" --train train.tsv --test test.tsv --out "$2" --set epochs=3 -q "${@:3}" >log 2>&1 || sed 's/^/# /' log
}
train MostPop pop
train Random random
for s in 1 2 10; do train BPRMF bpr/seed-$s --seed $s; done
right 'run folders' compare pop random bpr --json -q
has 'a model, and seeds' '"run":"pop","model":"MostPop","users":60,"seeds":1,"mean":' '"run":"bpr","model":"BPRMF","users":60,"seeds":3,"mean":.*"deviation":'
expected=$(for s in 1 2 10; do sed -E 's/.*"test":\{"Recall@20":([^,]*),.*/\1/' bpr/seed-$s/result.json; done |
    awk '{ x[NR] = $1; m += $1 / 3 } END { for (i in x) v += (x[i] - m) ^ 2; printf "%.6f %.6f", m, sqrt(v / 2) }')
[ "$(printf '%.6f %.6f' "$(grep '"run":"bpr"' out | sed -E 's/.*"mean":\{"Recall@20":([^,]*),.*/\1/')" \
    "$(grep '"run":"bpr"' out | sed -E 's/.*"deviation":\{"Recall@20":([^,]*),.*/\1/')")" = "$expected" ]
ok $? 'mean and deviation of the seeds'
awk -F'\t' -v OFS='\t' 'FNR == 1 { header = $0; next } { if (!($1 in n)) name[++users] = $1; n[$1]++; for (i = 2; i <= NF; i++) sum[$1, i] += $i; fields = NF }
    END { print header; for (u = 1; u <= users; u++) { printf "%s", name[u]; for (i = 2; i <= fields; i++) printf "\t%.17g", sum[name[u], i] / 3; print "" } }' bpr/seed-*/by_user.tsv >mean.tsv
right 'the file of means' compare pop mean.tsv --csv -q --metrics nDCG@20
cut -d , -f 6-9 out | tail -n 1 | sed 's/\(\.[0-9]\{10\}\)[0-9]*/\1/g' >by_file
right 'the folder of seeds' compare pop bpr --csv -q --metrics nDCG@20
cut -d , -f 6-9 out | tail -n 1 | sed 's/\(\.[0-9]\{10\}\)[0-9]*/\1/g' | diff - by_file
ok $? 'are the same'
right 'tables of seeds' compare pop bpr --metrics Recall@20
has 'deviation in brackets' '^bpr +60  0\.[0-9]{4} \(0\.[0-9]{4}\)' '^bpr: means over 3 seeds'
right 'a run and its own file' compare random random/by_user.tsv --metrics HR@20 --csv
has 'no difference' ',60,.*,0,,,,false,0,,,false$'

# ---- errors --------------------------------------------------------------------------------------------------------------------------
wrong 2 'an argument is missing' 'one run' compare a.tsv
wrong 1 'nowhere' 'nothing there' compare a.tsv nowhere
wrong 1 'is not a run folder' 'no run folder' compare pop one
wrong 2 '--metrics: a.tsv has no figure "Recall@10"; it has Recall@20, HR@20' 'a figure that is missing' compare a.tsv b.tsv --metrics Recall@10
wrong 2 'Recall@20 is given twice' 'a figure twice' compare a.tsv b.tsv --metrics Recall@20,recall@20
wrong 2 'no figure is in all runs' 'no common figure' compare a.tsv run-of-17-columns.tsv
wrong 2 'choose one of them' 'CSV and JSON' compare a.tsv b.tsv --csv --json
wrong 2 'alpha' 'alpha above 1' compare a.tsv b.tsv --alpha 2
wrong 2 'test' 'an unknown test' compare a.tsv b.tsv --test sign
sed 's/0.125/nan/' a.tsv >nan.tsv
wrong 1 'nan.tsv:2: Recall@20: "nan" is not a number' 'NaN' compare a.tsv nan.tsv
sed '$d' test.tsv >other.tsv
"$sapor" train MostPop --train train.tsv --test other.tsv --out other -q >log
wrong 2 'pop and other are evaluated by different test data' 'another test part' compare pop other
"$sapor" train MostPop --train train.tsv --valid test.tsv --out valid -q >log
wrong 2 'pop is evaluated by its test part, but valid by its validation part' 'a run without a test part' compare pop valid
"$sapor" train MostPop --train train.tsv --out none -q >log
wrong 1 'none/by_user.tsv: has no figures by user' 'a run without figures' compare pop none
cp -r pop changed && cp random/by_user.tsv changed/by_user.tsv
wrong 1 'changed/by_user.tsv: its means differ from result.json' 'figures of another run' compare pop changed
cp -r pop longer && awk -F'\t' -v OFS='\t' '{ print $0, NR == 1 ? "ARP@20" : NR }' pop/by_user.tsv >longer/by_user.tsv
right 'a figure that is no mean of these users' compare pop longer --metrics Recall@20 -q
cp -r random bpr/seed-11
wrong 2 'bpr/seed-1 and bpr/seed-11 are runs of different recommenders' 'seeds of two recommenders' compare pop bpr
rm bpr/seed-2/result.json
wrong 1 'bpr/seed-2: its training is not finished' 'a seed that still trains' compare pop bpr
echo "1..$number"
