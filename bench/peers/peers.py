#!/usr/bin/env python3
"""Times sapor against ONNX Runtime, PyTorch and scipy: same machine, same weights and inputs, same run, in turn.

`make bench-peers` makes the environment (requirements.txt) and calls this. By hand:
    python bench/peers/peers.py --minilm FOLDER --pairs movielens-1m/train.txt [--threads N] [--rounds N] [--out bench/results]

A round times every side once, so that a slow moment of the machine hits all; each side repeats its work for about half a second.
Reported: the fastest of all calls, and the median over rounds of a round's median.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import re
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

PEERS = ("onnxruntime", "torch", "torchvision", "transformers", "scipy")


class Report:
    """Lines to the terminal, and the same as Markdown."""

    def __init__(self):
        self.lines = []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def compare(self, title, sides, rounds, goal):
        """sides: name -> function that gives (least, median) in ms; the first is sapor. Ratios are of medians."""
        seen = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                seen[name].append(side())
        middle = {name: statistics.median(m for _, m in v) for name, v in seen.items()}
        least = {name: min(m for m, _ in v) for name, v in seen.items()}
        ours, *others = sides
        self.say(f"\n## {title}\n")
        if goal:
            self.say(f"Goal: {goal}.\n")
        self.say("| | fastest, ms | median, ms | of sapor's median |\n|---|---:|---:|---:|")
        for name in sides:
            self.say(f"| {name} | {least[name]:.3f} | {middle[name]:.3f} | {middle[name] / middle[ours]:.2f} |")
        if others:
            best = min(others, key=middle.get)
            self.say(f"\nsapor: {middle[best] / middle[ours]:.2f} times as fast as {best} (fastest calls: {least[best] / least[ours]:.2f}).")


def figures(a, *words):
    """name -> (least, median) of `sapor bench WORDS`"""
    command = [a.sapor, "bench", *words, "--threads", str(a.threads), "--seconds", "0.5", "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {f["bench"]: (f["ms_min"], f["ms_median"]) for f in map(json.loads, out.splitlines())}


def clock(f, seconds=0.5):
    f()
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < seconds:
        t = time.perf_counter()
        f()
        times.append((time.perf_counter() - t) * 1e3)
    return min(times), statistics.median(times)


def onnx_session(a, model, inputs, path):
    import onnxruntime as ort
    torch.onnx.export(model, inputs, path, dynamo=True, verbose=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: inputs[0].numpy()}
    return lambda: session.run(None, feed)


def minilm(a, report, tmp):
    from transformers import BertModel
    ids = torch.randint(1000, 30000, (1, 128), generator=torch.Generator().manual_seed(1))
    model = BertModel.from_pretrained(a.minilm, attn_implementation="eager").eval()
    fused = BertModel.from_pretrained(a.minilm, attn_implementation="sdpa").eval()
    onnx = onnx_session(a, model, (ids,), f"{tmp}/minilm.onnx")
    report.compare("all-MiniLM-L6-v2, one text of 128 tokens", {
        "sapor": lambda: figures(a, "encoder", a.minilm, "--tokens", "128")["encoder"],
        "ONNX Runtime": lambda: clock(onnx),
        "PyTorch": lambda: clock(lambda: fused(ids))}, a.rounds, "at most 2.0 times ONNX Runtime's time")


def resnet(a, report, tmp):
    import torchvision
    from safetensors.torch import save_file
    torch.manual_seed(1)
    model = torchvision.models.resnet50().eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, f"{tmp}/resnet50.safetensors")
    model.fc = torch.nn.Identity()
    x = torch.rand(1, 3, 224, 224)
    onnx = onnx_session(a, model, (x,), f"{tmp}/resnet.onnx")
    report.compare("ResNet-50, one picture of 224 x 224", {
        "sapor": lambda: figures(a, "encoder", f"{tmp}/resnet50.safetensors")["encoder"],
        "ONNX Runtime": lambda: clock(onnx),
        "PyTorch": lambda: clock(lambda: model(x))}, a.rounds, "at most 2.0 times ONNX Runtime's time")


def spmm(a, report, tmp):
    import scipy.sparse as sp
    users, items = [], []
    for line in open(a.pairs):
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
        return figures(a, "spmm", "--pairs", a.pairs, "--shape", "d64")[name]

    size = f"movielens-1m, {adjacency.shape[0]} nodes, {adjacency.nnz} entries, 64 columns"
    report.compare(f"Sparse times dense, forward: {size}", {
        "sapor": lambda: ours("spmm"), "PyTorch CSR": lambda: clock(lambda: forward(csr)),
        "PyTorch COO": lambda: clock(lambda: forward(coo)), "scipy": lambda: clock(lambda: adjacency @ dense)},
        a.rounds, "not slower than the better of PyTorch's two")
    report.compare("The same, forward and backward", {
        "sapor": lambda: ours("spmm-train"), "PyTorch CSR": lambda: clock(lambda: train(csr)),
        "PyTorch COO": lambda: clock(lambda: train(coo))}, a.rounds, "3 times as fast as the better of PyTorch's two")


def start(a, report, tmp):
    pathlib.Path(f"{tmp}/one.txt").write_text("A red woollen scarf, hand-made.\n")
    command = [a.sapor, "encode", a.minilm, f"{tmp}/one.txt", "-o", f"{tmp}/one.npy", "--threads", str(a.threads), "--quiet"]
    report.compare("From the command line to the first embedding of all-MiniLM-L6-v2", {
        "sapor encode": lambda: clock(lambda: subprocess.run(command, check=True))}, a.rounds, "under 150 ms")


def own_figures(a):
    """All of `sapor bench`, in every type of weights that this machine multiplies: the lines of --json."""
    lines = []
    for words in ([], ["gemm", "--dtype", "bf16"], ["gemm", "--dtype", "f16"], ["gemm", "--dtype", "int8"]):
        command = [a.sapor, "bench", *words, "--threads", str(a.threads), "--json"]
        done = subprocess.run(command, check=not words, capture_output=True, text=True)
        lines += done.stdout.splitlines()
    return lines


def cpu_name():
    try:
        return re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())[1].strip()
    except (OSError, TypeError):
        return platform.machine()


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--sapor", default="./sapor")
    ap.add_argument("--minilm", help="folder of all-MiniLM-L6-v2")
    ap.add_argument("--pairs", help="movielens-1m's train.txt: a user and its items a line")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--rounds", type=int, default=7)
    ap.add_argument("--only", choices=["minilm", "resnet", "spmm", "start"])
    ap.add_argument("--out", help="folder; the report goes to <cpu>.md in it, the roofline to <cpu>.svg")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    report = Report()
    report.say(f"# sapor and its peers on {cpu_name()}\n")
    lines = own_figures(a)
    info = json.loads(lines[-1])
    report.say(f"{a.threads} thread{'s' * (a.threads > 1)}, float32, kernels {info['level']}; {time.strftime('%Y-%m-%d')}; "
               + ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PEERS) + ". Made by `make bench-peers`.")
    jobs = {"minilm": (minilm, a.minilm), "resnet": (resnet, True), "spmm": (spmm, a.pairs), "start": (start, a.minilm)}
    with tempfile.TemporaryDirectory() as tmp:
        for name, (job, there) in jobs.items():
            if a.only not in (None, name):
                continue
            if not there:
                report.say(f"\n## {name}\n\nskipped: {'--pairs' if name == 'spmm' else '--minilm'} not given")
            elif name == "spmm":
                job(a, report, tmp)
            else:
                with torch.no_grad():
                    job(a, report, tmp)
    if a.out:
        name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-") + (f"-{a.threads}-threads" if a.threads > 1 else "")
        path = pathlib.Path(a.out, name + ".md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(report.lines) + f"\n\n## Every kernel against the machine\n\n![roofline]({name}.svg)\n\n"
                        f"The figures are in {name}.json: `sapor bench --against` it says what changed.\n")
        path.with_name(name + ".json").write_text("\n".join(lines) + "\n")
        drawn = roofline.draw([f for f in map(json.loads, lines) if "bench" in f], f"sapor on {cpu_name()}")
        path.with_name(name + ".svg").write_text(drawn)
        print(f"\nwritten: {path}, and {name}.svg and {name}.json beside it")
