#!/bin/bash
# tests/elliot_run_test.sh: sapor run with an Elliot configuration: Elliot's files by name, the same command again, an
# error.
test=elliot-run . "$(dirname "$0")/shell.sh"
[ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && { rm -rf "$work"; work=$(mktemp -d /dev/shm/sapor-elliot-XXXXXX) && cd "$work" || exit 1; }

mkdir -p data/tiny config
for u in {0..39}; do
    for j in {0..6}; do printf '%d\t%d\t%d\t%d\n' "$u" $(((u * 3 + j * j) % 30)) $((j % 5 + 1)) $((100 + j)); done
done >data/tiny/dataset.tsv
cat >config/tiny.yml <<'Y'
experiment:
  backend: pytorch
  version: 0.3.1
  dataset: tiny
  data_config:
    strategy: dataset
    dataset_path: ../data/{0}/dataset.tsv
  splitting:
    save_on_disk: True
    save_folder: ../data/{0}_splits/
    test_splitting: { strategy: temporal_hold_out, leave_n_out: 1 }
    validation_splitting: { strategy: random_subsampling, test_ratio: 0.2 }
  top_k: 5
  evaluation:
    cutoffs: [ 5 ]
    simple_metrics: [ Recall, nDCG, ItemCoverage ]
    complex_metrics: [ { metric: DSC, beta: 2 } ]
    relevance_threshold: 1
    paired_ttest: True
    wilcoxon_test: True
  print_results_as_triplets: True
  gpu: 0
  models:
    external.BPRMF:
      meta: { validation_rate: 2, validation_metric: Recall@5, save_recs: True, save_weights: True }
      lr: [ 0.01, 0.1 ]
      epochs: 4
      factors: 4
      batch_size: 64
      l_w: 1e-5
      seed: 123
    MostPop: { meta: { save_recs: True } }
Y
"$sapor" run config/tiny.yml --threads 1 --quiet >out 2>err
if grep -q "this build has no" err; then
    wrong 1 'this build has no ' 'run says that this build cannot' run config/tiny.yml --threads 1 --quiet
    echo "1..$number"
    exit 0
fi
best=$(ls results/tiny/recs | grep BPRMF | sed 's/_it=.*//')
names() {
    find results/tiny data log -type f | grep -vE '/trials/|ledger|\.lock' | sed -E 's/[0-9]{4}(_[0-9]{2}){5}/STAMP/' | sort
}
names >found
{
    echo data/tiny/dataset.tsv
    printf 'data/tiny_splits/0/%s\n' 0/train.tsv 0/val.tsv test.tsv
    echo log/elliot.log
    tail=cutoff_5_relthreshold_1_STAMP
    printf 'results/tiny/performance/%s\n' bestmodelparams_$tail.json rec_BPRMF_$tail.tsv rec_$tail.tsv stat_paired_ttest_$tail.tsv \
        stat_wilcoxon_test_$tail.tsv triplets_rec_BPRMF_$tail.tsv triplets_rec_$tail.tsv
    printf 'results/tiny/recs/%s\n' "$(basename "$(ls results/tiny/recs/BPRMF*)")" MostPop.tsv
    printf "results/tiny/weights/$best/%s\n" config.json item.ids.txt item.npy seen.safetensors user.ids.txt user.npy
} | sort >expected
cmp expected found
ok $? 'the files of Elliot'
[[ $best =~ ^BPRMF_seed=123_e=4_bs=64_factors=4_lr=0\$0?1_l_w=1e-05$ ]]
ok $? 'a name of Elliot'
head -1 results/tiny/performance/rec_cutoff* | grep -q "^model	Recall	nDCG	ItemCoverage	DSC$"
ok $? 'columns of Elliot'
[ "$(cat results/tiny/performance/rec_BPRMF_* | wc -l)" = 3 ]
ok $? 'a row for each point'
[ "$(cut -f1 results/tiny/recs/MostPop.tsv | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 5 ]
ok $? 'top_k items for each user'
python=results/tiny/performance/bestmodelparams*.json
grep -q '"l_w": "1e-5"' $python && grep -q '"best_iteration": ' $python
ok $? 'the configuration of the best point'

cp data/tiny_splits/0/0/train.tsv before.tsv
right 'the same command again' run config/tiny.yml --threads 1 --quiet --json
grep -q '"event":"trial"' out
ok $((!$?)) 'trains nothing'
cmp -s before.tsv data/tiny_splits/0/0/train.tsv
ok $? 'and has the same split'
touch data/tiny_splits/notes.txt
wrong 1 'data/tiny_splits/notes.txt: is not of a split of this configuration' 'another file in save_folder' run config/tiny.yml --quiet
rm data/tiny_splits/notes.txt
sed -i 's/top_k: 5/topk: 5/' config/tiny.yml
wrong 1 'config/tiny.yml:13:9: experiment.topk: found an unknown key' 'an unknown key' run config/tiny.yml
echo "1..$number"
