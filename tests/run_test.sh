#!/bin/bash
# tests/run_test.sh: sapor run: searches that share a ledger, are killed, and are joined; the file for sbatch.
test=run . "$(dirname "$0")/shell.sh"
[ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && { rm -rf "$work"; work=$(mktemp -d /dev/shm/sapor-run-XXXXXX) && cd "$work" || exit 1; }

# ---- a search of MMRec: 8 users of 2 kinds, two models -------------------------------------------------------------------------------
mkdir -p data/tiny
{
    printf 'userID\titemID\trating\ttimestamp\tx_label\n'
    for u in {0..39}; do
        for j in {0..6}; do printf '%d\t%d\t5.0\t%d\t%d\n' "$u" $(((u * 3 + j * j) % 30)) $((100 + j)) $((j < 5 ? 0 : j - 4)); done
    done
} >data/tiny/tiny.inter
cat >search.yaml <<'Y'
data_path: data/
inter_file_name: tiny.inter
is_multimodal_model: False
embedding_size: 8
epochs: 6
eval_step: 2
stopping_step: 20
metrics: ["Recall", "NDCG"]
topk: [5, 10]
valid_metric: Recall@10
n_layers: [1, 2, 3]
reg_weight: [1e-02, 1e-04]
seed: [1, 2]
hyper_parameters: ["n_layers", "reg_weight", "seed"]
Y
run=(run search.yaml --model LightGCN --dataset tiny --threads 1 --quiet)
case $sapor in *minimal*)
    wrong 1 'build without MINIMAL=1' 'this build runs no search' run search.yaml
    echo "1..$number"
    exit 0
    ;;
esac
"$sapor" "${run[@]}" --out probe >out 2>err
if grep -q "this build has no" err; then # WITHOUT="sqlite3" or "yaml-0.1"
    wrong 1 'this build has no ' 'run says that this build cannot' "${run[@]}" --out none
    echo "1..$number"
    exit 0
fi

right 'a search ends' "${run[@]}" --out one --export one.tsv
[ "$(wc -l <one.tsv)" = 13 ]
ok $? 'twelve trials are exported, with the names of the columns'
grep -q 'LightGCN' out
ok $? 'the best points are printed'
right 'a search that is finished trains nothing' "${run[@]}" --out one --export again.tsv --json
grep -q '"event":"trial"' out
ok $((!$?)) 'no trial is repeated'
cmp -s one.tsv again.tsv
ok $? 'and is exported to the same bytes'

# ---- workers on one ledger ---------------------------------------------------------------------------------------------------------
for i in 1 2 3 4; do "$sapor" "${run[@]}" --out shared --json >events.$i 2>err.$i & done
wait
cat events.* | grep '"event":"trial".*"copied":false' | grep -o '"key":"[0-9a-f]*"' | sort >keys
[ "$(wc -l <keys)" = 12 ] && [ "$(uniq keys | wc -l)" = 12 ]
ok $? 'four workers on one ledger: each trial is trained once'
right 'its results are written' "${run[@]}" --out shared --export shared.tsv
cmp -s one.tsv shared.tsv
ok $? 'the ledger is that of one worker, byte for byte'

for i in 0 1 2 3; do "$sapor" "${run[@]}" --out part$i --worker $i/4 >/dev/null 2>&1; done
right 'folders of four workers are joined' "${run[@]}" --out part0 --ledger part1/ledger.sqlite --ledger part2/ledger.sqlite \
    --ledger part3/ledger.sqlite --export joined.tsv --json
grep -q '"event":"trial"' out
ok $((!$?)) 'nothing is trained then'
cmp -s one.tsv joined.tsv
ok $? 'joined they are the ledger of one worker, byte for byte'

# One of four workers is killed and started again. A trial that was trained twice has two events.
set_epochs=(--set epochs=600 --set stopping_step=600)
for i in 1 2 3 4; do
    "$sapor" "${run[@]}" "${set_epochs[@]}" --out four --json >events.$i 2>err.$i &
    workers[i]=$!
done
for ((k = 0; k < 500; k++)); do
    grep -q '"event":"trial"' events.2 && break
    sleep 0.01
done
{
    kill -9 "${workers[2]}"
    wait "${workers[2]}"
    killed=$?
} 2>/dev/null
[ $killed = 137 ]
ok $? 'one of four workers is killed after its first trial'
"$sapor" "${run[@]}" "${set_epochs[@]}" --out four --json >events.5 2>err.5 &
wait
cat events.* | grep '"event":"trial".*"copied":false' | grep -o '"key":"[0-9a-f]*"' | sort >keys
[ -z "$(uniq -d keys)" ]
ok $? 'it is started again: no trial is trained twice'
right 'and none is lost' "${run[@]}" "${set_epochs[@]}" --out four --export four.tsv --json
grep -q '"event":"trial"' out
ok $((!$?)) 'nothing is left to train'
right 'a single worker' "${run[@]}" "${set_epochs[@]}" --out single --export single.tsv
[ "$(wc -l <four.tsv)" = 13 ] && cmp -s four.tsv single.tsv
ok $? 'has the same ledger, byte for byte'

ended() { # DIR: waits until no process has a lock of its trials; 1 after five seconds
    local k file locked
    for ((k = 0; k < 100; k++)); do
        locked=
        for file in "$1"/trials/*.lock; do
            [ ! -e "$file" ] || flock -n "$file" true || locked=1
        done
        [ -n "$locked" ] || return 0
        sleep 0.05
    done
    return 1
}

# ---- kills -------------------------------------------------------------------------------------------------------------------------
for n in 1 2; do
    "$sapor" "${run[@]}" --out killed --set epochs=60 >/dev/null 2>&1 &
    worker=$!
    for ((k = 0; k < 500; k++)); do
        [ -d killed/trials ] && [ "$(find killed/trials -name config.json | wc -l)" -ge $((3 * n)) ] && break
        sleep 0.01
    done
    kill -9 $worker
    wait $worker 2>/dev/null
    ended killed
    ok $? "the trial of a worker that is killed ends with it: $n"
done
right 'a search that was killed twice goes on' "${run[@]}" --out killed --set epochs=60 --export killed.tsv
right 'without kills' "${run[@]}" --out whole --set epochs=60 --export whole.tsv
cmp -s killed.tsv whole.tsv
ok $? 'the ledgers are equal, byte for byte'

"$sapor" "${run[@]}" --out stopped --set epochs=4000 --set stopping_step=4000 >out 2>err &
worker=$!
for ((k = 0; k < 500; k++)); do
    [ -n "$(find stopped/trials -name config.json 2>/dev/null)" ] && break
    sleep 0.01
done
kill -TERM $worker
wait $worker
[ $? = 1 ] && [ "$(grep -c . err)" = 1 ] && grep -q 'stopped by signal 15 (Terminated); the same command continues' err
ok $? 'SIGTERM: one line, exit status 1'
ended stopped
ok $? 'no trial goes on without its search'

# a trial whose own process is killed has failed, and is repeated only on request
"$sapor" "${run[@]}" --out child --set epochs=4000 --set stopping_step=4000 --set n_layers=[1] --set reg_weight=[0.01] --set seed=[1] \
    >out 2>err &
worker=$!
for ((k = 0; k < 500; k++)); do
    [ -n "$(find child/trials -name config.json 2>/dev/null)" ] && break
    sleep 0.01
done
pkill -9 -P $worker
wait $worker
[ $? = 1 ] && grep -q '1 of 1 trials failed, such as LightGCN.*: killed by signal 9 (Killed); --retry' err
ok $? 'a trial that is killed has failed'

# ---- an experiment of Elliot ---------------------------------------------------------------------------------------------------------
awk -F'\t' 'NR > 1 { print $1 "\t" $2 "\t" $3 "\t" $4 }' data/tiny/tiny.inter >ratings.tsv
cat >experiment.yml <<'Y'
experiment:
  backend: pytorch
  dataset: tiny
  data_config: {strategy: dataset, dataset_path: ratings.tsv}
  splitting:
    save_on_disk: True
    save_folder: splits/
    test_splitting: {strategy: random_subsampling, test_ratio: 0.2}
    validation_splitting: {strategy: random_subsampling, test_ratio: 0.2}
  top_k: 10
  evaluation: {cutoffs: [10], simple_metrics: [Recall, nDCG], paired_ttest: True, wilcoxon_test: True}
  models:
    external.BPRMF: {meta: {hyper_opt_alg: grid, validation_rate: 1, validation_metric: Recall@10}, epochs: 2, batch_size: 64, factors: 8, lr: [0.01, 0.001], l_w: [0.1, 0.01], seed: 123}
    external.LightGCN: {meta: {hyper_opt_alg: tpe, hyper_max_evals: 3, validation_rate: 1, validation_metric: Recall@10}, epochs: 2, batch_size: 64, factors: 8, lr: [loguniform, -9, -3], l_w: 0.1, n_layers: 2, seed: 123}
Y
right 'an experiment of Elliot' run experiment.yml --out elliot --json --threads 1
[ "$(grep -c '"event":"trial"' out)" = 7 ] && [ "$(grep -c '"event":"result"' out)" = 2 ] && grep -q '"event":"pair","data":"tiny","metric":"Recall@10"' out
ok $? 'trains seven trials, and tests the two best points'
right 'again' run experiment.yml --out elliot --quiet
grep -q '^tiny  *external.LightGCN  .* lr=' out
ok $? 'prints the best points, and trains nothing'

grep -q '"epochs": "2"' elliot/trials/*/config.json
ok $? 'two epochs, as the file says'
right 'a key of the command line' run experiment.yml --out elliot3 --quiet --experiment.models.external.BPRMF.epochs=3 --threads 1
grep -q '"epochs": "3"' elliot3/trials/*/config.json
ok $? 'counts: a name with a dot is found'
sed 's/simple_metrics: .Recall, nDCG./simple_metrics: [Recall, nDCG, HR]/; s/cutoffs: .10./cutoffs: [5, 10]/' experiment.yml >wide.yml
right 'figures at two cutoffs' run wide.yml --out wide --quiet
grep -q 'Recall@10  nDCG@10  *HR@10 ' out
ok $? 'those at the cutoff that chooses come first'
wrong 1 'foo.bar: foo: found an unknown key; allowed is experiment' 'a key that there is not' run experiment.yml --out none --foo.bar=1
right 'a page of it' report elliot -o page.html
grep -q 'href="#significance"' page.html && grep -q 'id="significance"' page.html
ok $? 'has a link to the tests of significance'

# ---- usage -------------------------------------------------------------------------------------------------------------------------
"$sapor" "${run[@]}" --out 'a b' --slurm --worker 0/3 >sbatch.sh
[ $? = 0 ] && bash -n sbatch.sh && grep -q -- '--array=0-2' sbatch.sh && grep -q -- "--out 'a b'" sbatch.sh && [ ! -e 'a b' ]
ok $? '--slurm prints a script and makes no folder'
SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=3 right 'a task of a job array' "${run[@]}" --out task --worker auto --json
[ "$(grep -c '"event":"trial"' out)" = 3 ] && grep -q '"missing":9' out
ok $? 'trains its share, and says what is missing'
wrong 2 'worker 4 of 4: workers are numbered from 0 to N - 1' 'a worker too many' "${run[@]}" --worker 4/4
wrong 2 'I/N, such as 0/4, or auto is expected' 'no worker' "${run[@]}" --worker two
wrong 2 'SLURM_ARRAY_TASK_ID' 'no job array' "${run[@]}" --worker auto
wrong 2 'not KEY=VALUE' 'no setting' "${run[@]}" --set epochs
echo garbage >garbage.tsv
"$sapor" "${run[@]}" --out one --ledger garbage.tsv >out 2>err
[ $? = 1 ] && grep -q 'garbage.tsv:1: column 1 is not data' err
ok $? 'a file that is no ledger is one line'
echo "1..$number"
