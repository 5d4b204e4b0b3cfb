#!/usr/bin/env python3
"""Times sapor, ONNX Runtime, PyTorch, sentence-transformers, PIL and scipy: same machine, weights, inputs and run, in turn.

`make bench-peers` creates the environment (requirements.txt) and calls this. By hand:
    python bench/peers/peers.py --minilm FOLDER [--mpnet FOLDER] --data FOLDER [--threads N] [--rounds N] [--only JOB] [--out bench/results]

A round times every side (a program) once, so that a slow moment of the machine affects all of them. Each side repeats its work for about half
a second; work that takes seconds runs once. The report has the fastest of all calls, and the median over all rounds of the median of each round.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, next((sys.argv[i + 1] for i, w in enumerate(sys.argv[:-1]) if w == "--threads"), "1"))

import numpy as np
import roofline
import torch

PEERS = ("onnxruntime", "torch", "torchvision", "transformers", "sentence-transformers", "tokenizers", "pillow", "scipy")
POSTERS = 500


class Report:
    """Prints lines to the terminal and collects them for the Markdown report."""

    def __init__(self):
        self.lines = []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def head(self, title, goal, columns):
        self.say(f"\n## {title}\n")
        if goal:
            self.say(f"Goal: {goal}.\n")
        self.say("| | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))

    def compare(self, title, sides, rounds, goal, items=0):
        """sides: name -> function that returns (fastest, median) in ms; the first is sapor. Ratios are of medians. items: the items of one call."""
        fastest, middle = measure(sides, rounds)
        ours, *others = sides
        self.head(title, goal, ["fastest, ms", "median, ms", "of sapor's median"] + ["a second"] * bool(items))
        for name in sides:
            rate = f" {1e3 * items / middle[name]:.1f} |" if items else ""
            self.say(f"| {name} | {fastest[name]:.3f} | {middle[name]:.3f} | {middle[name] / middle[ours]:.2f} |{rate}")
        others = [name for name in others if not name.startswith("sapor")]
        if others:
            best = min(others, key=middle.get)
            self.say(f"\nsapor: {middle[best] / middle[ours]:.2f} times as fast as {best} (fastest calls: {fastest[best] / fastest[ours]:.2f}).")


def measure(sides, rounds):
    """Returns name -> fastest and name -> median, in ms. Every side runs once per round."""
    seen = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            seen[name].append(side())
    return ({name: min(m for m, _ in v) for name, v in seen.items()},
            {name: statistics.median(m for _, m in v) for name, v in seen.items()})


def all_figures(a, *words):
    """Returns bench -> (fastest, median) of the figures of `sapor bench WORDS`."""
    command = [a.sapor, "bench", *words, "--threads", str(a.threads), "--seconds", "0.5", "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {f["bench"]: (f["ms_min"], f["ms_median"]) for f in map(json.loads, out.splitlines()) if "ms_min" in f}


def figures(a, *words, name=None):
    """Returns (fastest, median) of `sapor bench WORDS`. If it prints several figures, `name` chooses one."""
    return all_figures(a, *words)[name or words[0]]


def clock(f, seconds=0.5, calls=3):
    """Calls f for at least this number of seconds and of calls. Returns (fastest, median) in ms."""
    f()
    times, begun = [], time.perf_counter()
    while len(times) < calls or time.perf_counter() - begun < seconds:
        t = time.perf_counter()
        f()
        times.append((time.perf_counter() - t) * 1e3)
    return min(times), statistics.median(times)


def once(f):
    """For work that takes seconds: one call is one sample."""
    t = time.perf_counter()
    f()
    ms = (time.perf_counter() - t) * 1e3
    return ms, ms


# ---- ONNX Runtime ----------------------------------------------------------------------------------------------------------

def onnx_file(model, inputs, path):
    torch.onnx.export(model, inputs, path, dynamo=True, verbose=False)
    return path


def onnx_run(a, path, x):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


# ---- encoders ---------------------------------------------------------------------------------------------------------------

def token_ids(batch, tokens):
    return torch.randint(1000, 30000, (batch, tokens), generator=torch.Generator().manual_seed(1))


def bert_base(a, tmp):
    """Creates BERT-base with random weights, and with MiniLM's tokenizer, which is BERT's."""
    from transformers import BertConfig, BertModel
    folder = pathlib.Path(tmp, "bert-base")
    if not folder.exists():
        torch.manual_seed(1)
        BertModel(BertConfig()).save_pretrained(folder)
        for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(pathlib.Path(a.minilm, name), folder)
    return str(folder)


def text_encoder(a, report, tmp, folder, title, batch, tokens, goal):
    from transformers import AutoModel
    ids = token_ids(batch, tokens)
    eager = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    fused = AutoModel.from_pretrained(folder, attn_implementation="eager" if eager.config.model_type == "mpnet" else "sdpa").eval()
    onnx = onnx_run(a, onnx_file(eager, (ids,), f"{tmp}/model.onnx"), ids)
    report.compare(f"{title}, {batch} text{'s' * (batch > 1)} of {tokens} tokens", {
        "sapor": lambda: figures(a, "encoder", folder, "--tokens", str(tokens), "--batch", str(batch)),
        "ONNX Runtime": lambda: clock(onnx),
        "PyTorch": lambda: clock(lambda: fused(ids))}, a.rounds, goal, batch)


def minilm(a, report, tmp):
    text_encoder(a, report, tmp, a.minilm, "all-MiniLM-L6-v2", 1, 128, "1.15 times as fast as ONNX Runtime, or 92 % of the measured peak")
    text_encoder(a, report, tmp, a.minilm, "all-MiniLM-L6-v2", 16, 128, "ahead, and not slower for each text than one alone")


def mpnet(a, report, tmp):
    for tokens in (128, 197):
        text_encoder(a, report, tmp, a.mpnet, "all-mpnet-base-v2", 1, tokens, "1.15 times as fast as ONNX Runtime, or 92 % of the measured peak")


def bert(a, report, tmp):
    for tokens in (128, 197):
        text_encoder(a, report, tmp, bert_base(a, tmp), "BERT-base", 1, tokens, "1.15 times as fast as ONNX Runtime, or 92 % of the measured peak")


def narrow(a, report, tmp):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import BertModel
    folder, ids = bert_base(a, tmp), token_ids(1, 128)
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    exact = onnx_file(model, (ids,), f"{tmp}/exact.onnx")
    quantize_dynamic(exact, f"{tmp}/int8.onnx", weight_type=QuantType.QInt8)
    onnx = onnx_run(a, f"{tmp}/int8.onnx", ids)
    half = BertModel.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.bfloat16).eval()
    sides = {}
    for dtype in ("int8", "bf16", "f16", "f32"):
        command = [a.sapor, "bench", "encoder", folder, "--dtype", dtype, "--seconds", "0.001", "--threads", "1", "--json"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            sides[f"sapor {dtype}"] = lambda dtype=dtype: figures(a, "encoder", folder, "--tokens", "128", "--dtype", dtype)
    sides |= {"ONNX Runtime, dynamic int8": lambda: clock(onnx), "PyTorch bf16": lambda: clock(lambda: half(ids))}
    report.compare("BERT-base in narrow types, one text of 128 tokens", sides, a.rounds,
                   "16 bits at least 1.6 times as fast as f32 where their peak is doubled; int8 2.3 times, and ahead of ONNX Runtime's")


def resnet_model(tmp):
    import torchvision
    from safetensors.torch import save_file
    torch.manual_seed(1)
    model = torchvision.models.resnet50().eval()
    path = f"{tmp}/resnet50.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    model.fc = torch.nn.Identity()
    return model, path


def resnet(a, report, tmp):
    model, path = resnet_model(tmp)
    for batch in (1, 16):
        x = torch.rand(batch, 3, 224, 224)
        onnx = onnx_run(a, onnx_file(model, (x,), f"{tmp}/resnet.onnx"), x)
        report.compare(f"ResNet-50, {batch} picture{'s' * (batch > 1)} of 224 x 224", {
            "sapor": lambda: figures(a, "encoder", path, "--batch", str(batch)),
            "ONNX Runtime": lambda: clock(onnx),
            "PyTorch": lambda: clock(lambda: model(x))}, a.rounds,
            "1.2 times as fast as ONNX Runtime" if batch == 1 else "ahead, and not slower for each picture than one alone", batch)


# ---- kernels ----------------------------------------------------------------------------------------------------------------

def gemm(a, report, tmp):
    weights = [(197, 768, 768), (197, 3072, 768), (197, 768, 3072), (128, 1536, 384), (49, 2048, 512), (49, 512, 2048), (1, 768, 768),
               (1024, 1024, 1024)]
    plain = {(2048, 7050, 64): "B'", (2048, 64, 7050): "", (7050, 64, 2048): "A'", (2800, 64, 4480): "B'", (2800, 4480, 64): "",
             (64, 4480, 2800): "A'"} # a recommender's scores and projection, and their backward products
    blas = "MKL" if torch.backends.mkl.is_available() else "without MKL"
    report.head(f"Matrix products, M x N x K, against PyTorch ({blas})", "88 % of peak from M = 128 on, 93 % at 1024; never behind",
                ["sapor, GFLOP/s", "PyTorch, GFLOP/s", "sapor's speed over PyTorch's"])
    for shape in [*weights, *plain]:
        M, N, K = shape
        transposed = "B'" if shape in weights else plain[shape]
        A = torch.rand(K, M).T if transposed == "A'" else torch.rand(M, K)
        B = torch.rand(N, K).T if transposed == "B'" else torch.rand(K, N)
        out = torch.empty(M, N)
        name = "x".join(map(str, shape))
        _, middle = measure({"sapor": lambda: figures(a, "gemm", "--shape", name), "PyTorch": lambda: clock(lambda: torch.mm(A, B, out=out))},
                                a.rounds)
        speed = {side: 2e-6 * M * N * K / ms for side, ms in middle.items()}
        report.say(f"| {name} {'weights' if shape in weights else transposed} | {speed['sapor']:.1f} | {speed['PyTorch']:.1f} | "
                   f"{speed['sapor'] / speed['PyTorch']:.2f} |")


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
            a.rounds, "1.2 times as fast as the better of PyTorch's two, 2.5 times as fast as scipy")
        report.compare("The same, forward and backward", {
            "sapor": lambda: ours("spmm-train"), "PyTorch CSR": lambda: clock(lambda: train(csr)),
            "PyTorch COO": lambda: clock(lambda: train(coo))}, a.rounds, "5 times as fast as the better of PyTorch's two")


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
    report.compare("The 50 best of 3,260 items for 6,040 users, 64 features, without those a user has", sides, a.rounds, "5 times as fast as the best of PyTorch's")
    sides = {"sapor": lambda: figures(a, "topk", "--shape", "knn-1024x7050x384-k10")}
    sides |= {f"PyTorch, {c} rows at a time": lambda c=c: clock(lambda: best(features[:1024], features, 10, c)) for c in (128, 512, 1024)}
    report.compare("The 10 nearest of 7,050 rows for 1,024 of them, 384 features", sides, a.rounds, "at the speed of its product")
    features = torch.nn.functional.normalize(torch.rand(7050, 4096))
    report.compare("The graph of the 10 nearest of 7,050 rows, 4,096 features", {
        "sapor": lambda: figures(a, "topk", "--shape", "knn-7050x4096-k10"), "sapor, the product alone": lambda: figures(a, "gemm", "--shape", "7050x7050x4096"),
        "PyTorch, 1024 rows at a time": lambda: once(lambda: best(features, features, 10, 1024)),
        "PyTorch, the product alone": lambda: once(lambda: features @ features.T)}, min(a.rounds, 3), "at the speed of its product")


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
        min(a.rounds, 3), "1.5 times as fast in f32, 2.2 times in 16 bits where their peak is doubled", len(lines))


def posters(a, report, tmp):
    from PIL import Image
    import torchvision
    model, path = resnet_model(tmp)
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
        "PIL and torchvision": lambda: once(theirs)}, min(a.rounds, 3), "2.5 times as fast", len(files))


def start(a, report, tmp):
    pathlib.Path(f"{tmp}/one.txt").write_text("A red woollen scarf, hand-made.\n")
    command = [a.sapor, "encode", a.minilm, f"{tmp}/one.txt", "-o", f"{tmp}/one.npy", "--threads", str(a.threads), "--quiet"]
    report.compare("From the command line to the first embedding of all-MiniLM-L6-v2", {
        "sapor encode": lambda: clock(lambda: subprocess.run(command, check=True))}, a.rounds, "under 60 ms")


# ---- tokenizers -------------------------------------------------------------------------------------------------------------

TOKEN_GOALS = {"wordpiece": 10, "gpt2": 5, "clip": 5, "qwen": 5, "unigram": 5, "xlmr": 5, "llama": 5}
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
    found = {name: tokenizer_kinds.make(name, folder, lines, vars(a)) for name in TOKEN_GOALS}
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
        if name in TOKEN_GOALS:
            theirs.encode_batch_fast(lines)
            sides["theirs"] = lambda: once(lambda: theirs.encode_batch_fast(lines))
            if hasattr(bare.model, "_resize_cache"):
                bare.model._resize_cache(0)
                sides["theirs uncached"] = lambda: once(lambda: bare.encode_batch_fast(lines))
        for _ in range(a.rounds):
            for side, (_, ms) in (all_figures(a, "tokenizer", path, "--texts", f"{tmp}/texts.txt") | {k: side() for k, side in sides.items()}).items():
                seen.setdefault(side, []).append(ms)
        ms = {side: statistics.median(times) for side, times in seen.items()}
        if name in TOKEN_GOALS:
            rate = {side: 1e3 * size / t for side, t in ms.items()}
            rest = f"{rate['theirs uncached']:.2f} | {ms['theirs uncached'] / ms['tokenizer-uncached']:.1f}" if "theirs uncached" in ms else "none | "
            speed.append(f"| {name} | {rate['tokenizer']:.1f} | {rate['theirs']:.2f} | {ms['theirs'] / ms['tokenizer']:.1f} | {rate['tokenizer-uncached']:.1f} | {rest} | {TOKEN_GOALS[name]} |")
        memory, bytes_, ratio = open_memory(a, tmp, path), os.path.getsize(path) / 1e6, ms["theirs open"] / ms["tokenizer-open"]
        opening.append(f"| {name} | {bytes_:.2f} | {ms['tokenizer-open']:.1f} | {ms['theirs open']:.1f} | {ratio:.1f} | {memory[0]:.1f} | {memory[0] / bytes_:.2f} | {memory[1]:.1f} |")
    report.head(f"Token ids of {len(lines):,} texts, {size:.1f} MB, one thread: MB/s", "as in the last column, with caches. Both keep the tokens of words that they met; without that cache Sapor still "
                "remembers, a byte for each piece, which words are one piece. WordPiece has no cache on either side", ["sapor", "encode_batch_fast", "ratio", "sapor, no cache", "encode_batch_fast, no cache", "ratio", "goal"])
    report.say("\n".join(speed))
    report.head("Opening a tokenizer.json", "3 times as fast as Tokenizer.from_file, and less memory than 3 times the file. Memory: of a process at its highest, less that with an empty "
                "tokenizer", ["file, MB", "sapor, ms", "from_file, ms", "ratio", "sapor, MB", "of the file", "from_file, MB"])
    report.say("\n".join(opening))
    report.say(f"\nMedians of {a.rounds} round{'s' * (a.rounds > 1)}. Load of the machine: {', '.join(f'{x:.1f}' for x in os.getloadavg())} over 1, 5, 15 minutes.")


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


def cpu_name():
    try:
        return re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())[1].strip()
    except (OSError, TypeError):
        return platform.machine()


JOBS = {"minilm": (minilm, "minilm"), "mpnet": (mpnet, "mpnet"), "bert": (bert, "minilm"), "narrow": (narrow, "minilm"), "resnet": (resnet, None),
        "gemm": (gemm, None), "spmm": (spmm, "data"), "rank": (rank, None), "texts": (texts, "data"), "posters": (posters, "data"),
        "start": (start, "minilm"), "tokens": (tokens, "data")}


def write(a, report, lines):
    """Writes the table. A complete run also writes the roofline and the figures; a run of some jobs does not change them."""
    name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-") + (f"-{a.threads}-threads" if a.threads > 1 else "")
    path = pathlib.Path(a.out, "-".join([name, *(a.only or [])]) + ".md")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not lines:
        path.write_text("\n".join(report.lines) + "\n")
        print(f"\nwritten: {path}")
        return
    path.write_text("\n".join(report.lines) + f"\n\n## Every kernel against the machine\n\n![roofline]({name}.svg)\n\n"
                    f"The figures are in {name}.json: `sapor bench --against` it says what changed.\n")
    path.with_name(name + ".json").write_text("\n".join(lines) + "\n")
    drawn = roofline.draw([f for f in map(json.loads, lines) if "bench" in f], f"sapor on {cpu_name()}")
    path.with_name(name + ".svg").write_text(drawn)
    print(f"\nwritten: {path}, and {name}.svg and {name}.json next to it")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--sapor", default="./sapor")
    ap.add_argument("--minilm", help="folder of all-MiniLM-L6-v2")
    ap.add_argument("--mpnet", help="folder of all-mpnet-base-v2")
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
    report.say(f"# sapor and its peers on {cpu_name()}\n")
    lines = own_figures(a) if not a.only or "own" in a.only else []
    report.say(f"{a.threads} thread{'s' * (a.threads > 1)}, kernels {level(a)}; {time.strftime('%Y-%m-%d')}; "
               + ", ".join(f"{p} {version(p)}" for p in PEERS)
               + f"; PyTorch {'with' if torch.backends.mkl.is_available() else 'without'} MKL. Made by `make bench-peers`.")
    with tempfile.TemporaryDirectory() as tmp, torch.no_grad():
        for name, (job, needs) in JOBS.items():
            if a.only and name not in a.only:
                continue
            if needs and not getattr(a, needs) or name == "texts" and not a.minilm:
                report.say(f"\n## {name}\n\nskipped: --{needs} not given")
            else:
                job(a, report, tmp)
    if a.out:
        write(a, report, lines)
