#!/usr/bin/env python3
"""Times sapor, ONNX Runtime, OpenVINO, PyTorch, sentence-transformers, PIL and scipy: same machine, weights, inputs and run, in turn.

`make bench-peers` creates the environment (requirements.txt) and calls this. By hand:
    python bench/peers/peers.py --minilm FOLDER [--mpnet FOLDER] --data FOLDER [--threads N] [--rounds N] [--only JOB] [--out bench/results]

A round times every side (a program) once, so that a slow moment of the machine affects all of them. Each side repeats its work for about half
a second; work that takes seconds runs once. The tables have the fastest of all calls, the median over all rounds of the median of each round,
and the spread of these medians. encoders.py has the jobs of encoders, measuring.py the tables.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, next((sys.argv[i + 1] for i, w in enumerate(sys.argv[:-1]) if w == "--threads"), "1"))

import encoders
import numpy as np
import roofline
import torch
from encoders import image_model
from measuring import Report, Side, all_figures, clock, compared, cpu_file, cpu_name, figures, load, measure, once, share

PEERS = ("onnxruntime", "openvino", "nncf", "torch", "torchvision", "transformers", "sentence-transformers", "tokenizers", "pillow", "scipy")
POSTERS = 500


# ---- kernels ----------------------------------------------------------------------------------------------------------------

def gemm(a, report, tmp):
    weights = [(197, 768, 768), (197, 3072, 768), (197, 768, 3072), (128, 1536, 384), (49, 2048, 512), (49, 512, 2048), (1, 768, 768),
               (1024, 1024, 1024)]
    plain = {(2048, 7050, 64): "B'", (2048, 64, 7050): "", (7050, 64, 2048): "A'", (2800, 64, 4480): "B'", (2800, 4480, 64): "",
             (64, 4480, 2800): "A'"} # a recommender's scores and projection, and their backward products
    blas = "MKL" if torch.backends.mkl.is_available() else "without MKL"
    report.head(f"Matrix products, M x N x K, compared with PyTorch ({blas})",
                ["sapor, GFLOP/s", "spread", "PyTorch, GFLOP/s", "spread", "sapor's speed over PyTorch's"])
    for shape in [*weights, *plain]:
        M, N, K = shape
        transposed = "B'" if shape in weights else plain[shape]
        A = torch.rand(K, M).T if transposed == "A'" else torch.rand(M, K)
        B = torch.rand(N, K).T if transposed == "B'" else torch.rand(K, N)
        out = torch.empty(M, N)
        name = "x".join(map(str, shape))
        seen = measure(f"product {name}", {"sapor": lambda: figures(a, "gemm", "--shape", name), "PyTorch": lambda: clock(lambda: torch.mm(A, B, out=out))},
                       a.rounds)
        ours, theirs = seen["sapor"], seen["PyTorch"]
        ratio, _, differ = compared(ours, theirs)
        report.say(f"| {name} {'weights' if shape in weights else transposed} | {2e-6 * M * N * K / ours.median:.1f} | {share(ours.spread)} | "
                   f"{2e-6 * M * N * K / theirs.median:.1f} | {share(theirs.spread)} | "
                   f"{f'{ratio:.2f}' if differ else 'no difference'} |")


def spmm(a, report, tmp):
    for graph in ("movielens-1m", "gowalla"):
        if pathlib.Path(a.data, graph).is_dir():
            spmm_of(a, report, graph)


def spmm_of(a, report, graph):
    import scipy.sparse as sp
    pairs, users, items = f"{a.data}/{graph}/train.txt", [], []
    for line in open(pairs):
        u, *row = map(int, line.split())
        users += [u] * len(row)
        items += row
    r = sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), (max(users) + 1, max(items) + 1))
    r.data[:] = 1
    adjacency = sp.bmat([[None, r], [r.T, None]]).tocsr().astype(np.float32)
    degree = np.asarray(adjacency.sum(1)).ravel()
    scale = sp.diags(np.where(degree > 0, degree, 1) ** -0.5)
    adjacency = (scale @ adjacency @ scale).tocsr().astype(np.float32)
    x = torch.rand(adjacency.shape[0], 64)
    dense = x.numpy()
    csr = torch.sparse_csr_tensor(torch.tensor(adjacency.indptr, dtype=torch.int32), torch.tensor(adjacency.indices, dtype=torch.int32),
                                  torch.tensor(adjacency.data), adjacency.shape)
    coo = torch.sparse_coo_tensor(np.stack(adjacency.nonzero()), adjacency.data, adjacency.shape).coalesce()
    leaf = x.clone().requires_grad_(True)

    def train(m):
        leaf.grad = None
        torch.sparse.mm(m, leaf).sum().backward()

    def forward(m):
        with torch.no_grad():
            torch.sparse.mm(m, x)

    def ours(name):
        return figures(a, "spmm", "--pairs", pairs, "--shape", "d64", name=name)

    size = f"{graph}, {adjacency.shape[0]} nodes, {adjacency.nnz} entries, 64 columns"
    with torch.enable_grad():
        report.compare(f"Sparse times dense, forward: {size}", {
            "sapor": lambda: ours("spmm"), "PyTorch CSR": lambda: clock(lambda: forward(csr)),
            "PyTorch COO": lambda: clock(lambda: forward(coo)), "scipy": lambda: clock(lambda: adjacency @ dense)},
            a.rounds)
        report.compare("The same, forward and backward", {
            "sapor": lambda: ours("spmm-train"), "PyTorch CSR": lambda: clock(lambda: train(csr)),
            "PyTorch COO": lambda: clock(lambda: train(coo))}, a.rounds)


def rank(a, report, tmp):
    users, items = torch.rand(6040, 64), torch.rand(3260, 64)
    features = torch.nn.functional.normalize(torch.rand(7050, 384))

    excluded = torch.rand(6040, 3260) < 0.04

    def best(q, x, k, chunk, mask=None):
        for i in range(0, len(q), chunk):
            scores = q[i:i + chunk] @ x.T
            if mask is not None:
                scores.masked_fill_(mask[i:i + chunk], -torch.inf)
            torch.topk(scores, k)

    sides = {"sapor": lambda: figures(a, "topk", "--shape", "6040x3260x64-k50")}
    sides |= {f"PyTorch, {c} users at a time": lambda c=c: clock(lambda: best(users, items, 50, c, excluded)) for c in (32, 128, 512, 2048)}
    report.compare("The 50 best of 3,260 items for 6,040 users, 64 features, without those a user has", sides, a.rounds)
    sides = {"sapor": lambda: figures(a, "topk", "--shape", "knn-1024x7050x384-k10")}
    sides |= {f"PyTorch, {c} rows at a time": lambda c=c: clock(lambda: best(features[:1024], features, 10, c)) for c in (128, 512, 1024)}
    report.compare("The 10 nearest of 7,050 rows for 1,024 of them, 384 features", sides, a.rounds)
    features = torch.nn.functional.normalize(torch.rand(7050, 4096))
    report.compare("The graph of the 10 nearest of 7,050 rows, 4,096 features", {
        "sapor": lambda: figures(a, "topk", "--shape", "knn-7050x4096-k10"), "sapor, the product alone": lambda: figures(a, "gemm", "--shape", "7050x7050x4096"),
        "PyTorch, 1024 rows at a time": lambda: once(lambda: best(features, features, 10, 1024)),
        "PyTorch, the product alone": lambda: once(lambda: features @ features.T)}, min(a.rounds, 3))


# ---- whole pipelines --------------------------------------------------------------------------------------------------------

def texts(a, report, tmp):
    from sentence_transformers import SentenceTransformer
    lines = [" ".join(line.rstrip("\n").split("\t")[1:]) for line in open(f"{a.data}/movielens-1m/items.tsv", encoding="utf-8")][1:]
    pathlib.Path(f"{tmp}/texts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    model = SentenceTransformer(a.minilm, device="cpu")

    def ours(dtype):
        subprocess.run([a.sapor, "encode", a.minilm, f"{tmp}/texts.txt", "-o", f"{tmp}/texts.npy", "--threads", str(a.threads), "--quiet",
                        "--dtype", dtype], check=True)

    report.compare(f"{len(lines):,} texts of movielens-1m through all-MiniLM-L6-v2, from file to file", {
        "sapor encode": lambda: once(lambda: ours("f32")), "sapor encode --dtype bf16": lambda: once(lambda: ours("bf16")),
        "sentence-transformers (model loaded)": lambda: once(lambda: model.encode(lines, batch_size=32))},
        min(a.rounds, 3), len(lines))


def posters(a, report, tmp):
    from PIL import Image
    import torchvision
    model, path = image_model(tmp, "resnet50")
    files = sorted(pathlib.Path(a.data, "movielens-1m/posters").glob("*.jpg"))[:POSTERS]
    folder = pathlib.Path(tmp, "posters")
    folder.mkdir(exist_ok=True)
    for f in files:
        shutil.copy(f, folder)
    prepare = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()

    def theirs():
        for i in range(0, len(files), 16):
            model(torch.stack([prepare(Image.open(f).convert("RGB")) for f in files[i:i + 16]]))

    def ours(dtype):
        subprocess.run([a.sapor, "encode", path, str(folder), "-o", f"{tmp}/posters.npy", "--threads", str(a.threads), "--batch", "16",
                        "--quiet", "--dtype", dtype], check=True)

    report.compare(f"{len(files)} posters through ResNet-50, from file to feature", {
        "sapor encode": lambda: once(lambda: ours("f32")), "sapor encode --dtype bf16": lambda: once(lambda: ours("bf16")),
        "PIL and torchvision": lambda: once(theirs)}, min(a.rounds, 3), len(files))


def start(a, report, tmp):
    pathlib.Path(f"{tmp}/one.txt").write_text("A red woollen scarf, hand-made.\n")
    command = [a.sapor, "encode", a.minilm, f"{tmp}/one.txt", "-o", f"{tmp}/one.npy", "--threads", str(a.threads), "--quiet"]
    report.compare("From the command line to the first embedding of all-MiniLM-L6-v2", {
        "sapor encode": lambda: clock(lambda: subprocess.run(command, check=True))}, a.rounds)


# ---- tokenizers -------------------------------------------------------------------------------------------------------------

TOKENIZERS = ("wordpiece", "gpt2", "clip", "qwen", "unigram", "xlmr", "llama")
MOST_RSS = "import os, sys; p = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); print(os.wait4(p, 0)[2].ru_maxrss)"


def peak_memory(*command):
    """Returns the peak memory of a process in bytes. Its standard input is empty."""
    code = [sys.executable, "-S", "-c", MOST_RSS]
    return 1024 * int(subprocess.run([*code, *command], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.split()[-1])


def open_memory(a, tmp, path):
    """Returns the peak memory that opening a tokenizer adds: the peak of the same command with the smallest tokenizer is subtracted."""
    from tokenizers import Tokenizer, models
    Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")).save(f"{tmp}/small.json")
    pathlib.Path(f"{tmp}/empty.txt").write_text("a\n")
    ours = [peak_memory(a.sapor, "tokenize", p, f"{tmp}/empty.txt", "--threads", "1") for p in (path, f"{tmp}/small.json")]
    theirs = [peak_memory(sys.executable, "-c", "import sys, tokenizers; tokenizers.Tokenizer.from_file(sys.argv[1])", p) for p in (path, f"{tmp}/small.json")]
    return [(x - y) / 1e6 for x, y in (ours, theirs)]


def tokens(a, report, tmp):
    """Compares with encode_batch_fast: ids only, one thread, with and without the caches of words. Its calls take seconds, so one call is one sample."""
    os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests/golden"))
    import tokenizer_kinds
    from tokenizers import Tokenizer
    lines = [" ".join(line.rstrip("\n").split("\t")[1:]) for line in open(f"{a.data}/movielens-1m/items.tsv", encoding="utf-8")][1:]
    pathlib.Path(f"{tmp}/texts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder, size = a.tokenizers or tmp, sum(len(line.encode()) for line in lines) / 1e6
    found = {name: tokenizer_kinds.make(name, folder, lines, vars(a)) for name in TOKENIZERS}
    if found["qwen"]:
        found["qwen compact"] = f"{tmp}/qwen-compact.json"  # the smallest form: merges as "a b", no white space
        smallest = json.load(open(found["qwen"], encoding="utf-8"))
        smallest["model"]["merges"] = [" ".join(pair) for pair in smallest["model"]["merges"]]
        pathlib.Path(found["qwen compact"]).write_text(json.dumps(smallest, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    speed, opening = [], []
    for name, path in found.items():
        if not path:
            report.say(f"\n{name}: skipped: --{tokenizer_kinds.NEEDS[name]} not given")
            continue
        theirs, bare, seen = Tokenizer.from_file(path), Tokenizer.from_file(path), {}
        sides = {"theirs open": lambda: clock(lambda: Tokenizer.from_file(path), 0)}
        if name in TOKENIZERS:
            theirs.encode_batch_fast(lines)
            sides["theirs"] = lambda: once(lambda: theirs.encode_batch_fast(lines))
            if hasattr(bare.model, "_resize_cache"):
                bare.model._resize_cache(0)
                sides["theirs uncached"] = lambda: once(lambda: bare.encode_batch_fast(lines))
        for i in range(a.rounds):
            print(f"  tokenizer {name}: round {i + 1} of {a.rounds}", file=sys.stderr, flush=True)
            ours = {bench: (f["ms_min"], f["ms_median"]) for bench, f in all_figures(a, "tokenizer", path, "--texts", f"{tmp}/texts.txt").items()}
            for side, times in (ours | {k: side() for k, side in sides.items()}).items():
                seen.setdefault(side, Side()).add(times)
        ms = {side: x.median for side, x in seen.items()}

        def cell(side, value):
            return f"{value} ({share(seen[side].spread)})"

        if name in TOKENIZERS:
            rate = {side: cell(side, f"{1e3 * size / t:.2f}") for side, t in ms.items()}
            rest = f"{rate['theirs uncached']} | {ms['theirs uncached'] / ms['tokenizer-uncached']:.1f}" if "theirs uncached" in ms else "none | "
            speed.append(f"| {name} | {rate['tokenizer']} | {rate['theirs']} | {ms['theirs'] / ms['tokenizer']:.1f} | {rate['tokenizer-uncached']} | {rest} |")
        memory, bytes_, ratio = open_memory(a, tmp, path), os.path.getsize(path) / 1e6, ms["theirs open"] / ms["tokenizer-open"]
        times = [cell(side, f"{ms[side]:.1f}") for side in ("tokenizer-open", "theirs open")]
        opening.append(f"| {name} | {bytes_:.2f} | {times[0]} | {times[1]} | {ratio:.1f} | {memory[0]:.1f} | {memory[0] / bytes_:.2f} | {memory[1]:.1f} |")
    report.head(f"Token ids of {len(lines):,} texts, {size:.1f} MB, one thread: MB/s",
                ["sapor", "encode_batch_fast", "ratio", "sapor, no cache", "encode_batch_fast, no cache", "ratio"],
                "In brackets: the spread. Both programs keep the tokens of words that they met. Without this cache Sapor still keeps one byte per "
                "piece, which says whether a word is one piece. WordPiece has no cache in either program.")
    report.say("\n".join(speed))
    report.head("Opening a tokenizer.json", ["file, MB", "sapor, ms", "from_file, ms", "ratio", "sapor, MB", "of the file", "from_file, MB"],
                "In brackets: the spread. Memory: the peak of a process, less the peak with an empty tokenizer.")
    report.say("\n".join(opening))
    report.say(f"\nMedians of {a.rounds} round{'s' * (a.rounds > 1)}; {load()}.")


# ---- the run ----------------------------------------------------------------------------------------------------------------

def own_figures(a):
    """Runs all of `sapor bench` in every weight type that this machine supports. Returns the lines of --json."""
    lines = []
    for words in ([], ["gemm", "--dtype", "bf16"], ["gemm", "--dtype", "f16"], ["gemm", "--dtype", "int8"]):
        command = [a.sapor, "bench", *words, "--threads", str(a.threads), "--json"]
        done = subprocess.run(command, check=not words, capture_output=True, text=True)
        lines += done.stdout.splitlines()
    return lines


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def level(a):
    """Returns the instruction level of sapor's kernels."""
    out = subprocess.run([a.sapor, "bench", "norm", "--seconds", "0.01", "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])["level"]


# name -> the function, and the options that it needs
JOBS = {"minilm": (encoders.minilm, "minilm"), "mpnet": (encoders.mpnet, "minilm"), "bert": (encoders.bert, "minilm"), "narrow": (encoders.narrow, "minilm"),
        "resnet": (encoders.resnet, None), "vit": (encoders.vit, None), "gemm": (gemm, None), "spmm": (spmm, "data"), "rank": (rank, None),
        "texts": (texts, "data"), "posters": (posters, "data"), "start": (start, "minilm"), "tokens": (tokens, "data")}


def write(a, report, lines):
    """Writes the table. A complete run also writes the roofline and the figures; a run of some jobs does not change them."""
    name = cpu_file() + (f"-{a.threads}-threads" if a.threads > 1 else "")
    path = pathlib.Path(a.out, "-".join([name, *(a.only or [])]) + ".md")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not lines:
        path.write_text("\n".join(report.lines) + "\n")
        print(f"\nwritten: {path}")
        return
    path.write_text("\n".join(report.lines) + f"\n\n## Every kernel against the machine\n\n![roofline]({name}.svg)\n\n"
                    f"The figures are in {name}.json; `sapor bench --against {name}.json` shows what changed.\n")
    path.with_name(name + ".json").write_text("\n".join(lines) + "\n")
    drawn = roofline.draw([f for f in map(json.loads, lines) if "bench" in f], f"sapor on {cpu_name()}")
    path.with_name(name + ".svg").write_text(drawn)
    print(f"\nwritten: {path}, and {name}.svg and {name}.json next to it")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--sapor", default="./sapor")
    ap.add_argument("--minilm", help="folder of all-MiniLM-L6-v2")
    ap.add_argument("--mpnet", help="folder of all-mpnet-base-v2 (default: random weights)")
    ap.add_argument("--data", help="folder of movielens-1m/ (train.txt, items.tsv, posters/) and, optionally, gowalla/ (train.txt)")
    ap.add_argument("--clip", help="CLIP's bpe_simple_vocab_16e6.txt.gz")
    ap.add_argument("--qwen", help="Qwen's qwen.tiktoken")
    ap.add_argument("--tokenizers", help="folder that keeps trained tokenizers")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--only", action="append", choices=[*JOBS, "own"], help="may be repeated; own: only sapor's own figures")
    ap.add_argument("--out", help="folder; the report goes to <cpu>.md in it, the roofline to <cpu>.svg")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    report = Report()
    report.say(f"# Sapor and other programs on {cpu_name()}\n")
    lines = own_figures(a) if not a.only or "own" in a.only else []
    report.say(f"{a.threads} thread{'s' * (a.threads > 1)}, kernels {level(a)}; {time.strftime('%Y-%m-%d')}; "
               + ", ".join(f"{p} {version(p)}" for p in PEERS)
               + f"; PyTorch {'with' if torch.backends.mkl.is_available() else 'without'} MKL. Made by `make bench-peers`.\n\n"
               f"The programs run in turn, {a.rounds} round{'s' * (a.rounds > 1)}. `spread`: the distance between the quartiles of the rounds' medians, as a share of their median. "
               "If two medians differ by less than the larger spread, the table says \"no difference\". If a program has several rows, its best row counts. "
               "`of the peak`: the operations of the model, as Sapor counts them, in the time of the fastest call, as a share of the peak of float32 that "
               "`sapor bench peak` measured in this run.")
    with tempfile.TemporaryDirectory() as tmp, torch.no_grad():
        chosen = [name for name in JOBS if not a.only or name in a.only]
        for k, name in enumerate(chosen):
            job, needs = JOBS[name]
            print(f"job {k + 1} of {len(chosen)}: {name}", file=sys.stderr, flush=True)
            if needs and not getattr(a, needs) or name == "texts" and not a.minilm:
                report.say(f"\n## {name}\n\nskipped: --{needs} not given")
            else:
                job(a, report, tmp)
    report.say(f"\nAt the end, the {load()}.")
    if a.out:
        write(a, report, lines)
