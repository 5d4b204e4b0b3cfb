#!/usr/bin/env python3
"""Times sapor against ONNX Runtime, PyTorch and scipy on the same weights and inputs, alternating, and prints the ratios.

    python3 -m venv build/peers && . build/peers/bin/activate
    pip install torch==2.15.0 torchvision==0.29.2 transformers==5.23.0 onnx==1.23.2 onnxscript onnxruntime==1.31.1 scipy==1.17.1
    python bench/peers/peers.py encoders --minilm MODEL_FOLDER            # all-MiniLM-L6-v2 at 128 tokens, ResNet-50 (random weights)
    python bench/peers/peers.py spmm --pairs movielens-1m/train.txt       # the LightGCN text; D = 64
    python bench/peers/peers.py start --minilm MODEL_FOLDER               # process start to the first embedding

Every figure is the median of the rounds; a round times each side once, in turn, so that a slow moment hits both.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np


def sapor(a, *words):
    out = subprocess.run([a.sapor, "bench", *words, "--threads", str(a.threads), "--json"], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def clock(f, least=0.5):
    """Milliseconds of one call, the median of those that fit in `least` seconds (three at the least)."""
    f()
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < least:
        t = time.perf_counter()
        f()
        times.append((time.perf_counter() - t) * 1e3)
    return statistics.median(times)


def rounds(a, sides):
    """sides: name -> function giving milliseconds. Prints each median and its ratio to the first."""
    seen = {name: [] for name in sides}
    for _ in range(a.rounds):
        for name, f in sides.items():
            seen[name].append(f())
    middle = {name: statistics.median(v) for name, v in seen.items()}
    first = next(iter(middle.values()))
    for name, ms in middle.items():
        print(f"    {name:28} {ms:10.3f} ms   min {min(seen[name]):10.3f}   x{ms / first:6.2f} of sapor's time")
    return middle


def export(model, inputs, path, names):
    import torch
    torch.onnx.export(model, inputs, path, input_names=names, dynamo=True, verbose=False)


def session(a, path):
    import onnxruntime as ort
    o = ort.SessionOptions()
    o.intra_op_num_threads = a.threads
    o.inter_op_num_threads = 1
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def encoders(a):
    import torch
    import torchvision
    from safetensors.torch import save_file
    from transformers import BertModel
    torch.set_num_threads(a.threads)
    with tempfile.TemporaryDirectory() as tmp, torch.no_grad():
        ids = torch.randint(1000, 30000, (1, 128), generator=torch.Generator().manual_seed(1))
        bert = BertModel.from_pretrained(a.minilm, attn_implementation="eager").eval()
        export(bert, (ids,), f"{tmp}/minilm.onnx", ["ids"])
        onnx = session(a, f"{tmp}/minilm.onnx")
        feed = {onnx.get_inputs()[0].name: ids.numpy()}
        print("all-MiniLM-L6-v2, 128 tokens, batch 1")
        rounds(a, {"sapor": lambda: sapor(a, "encoder", a.minilm, "--tokens", "128")[0]["ms_median"],
                   "onnxruntime": lambda: clock(lambda: onnx.run(None, feed)), "torch": lambda: clock(lambda: bert(ids))})
        torch.manual_seed(1)
        resnet = torchvision.models.resnet50().eval()
        save_file({k: v.contiguous() for k, v in resnet.state_dict().items()}, f"{tmp}/resnet50.safetensors")
        x = torch.rand(1, 3, 224, 224)
        export(resnet, (x,), f"{tmp}/resnet.onnx", ["x"])
        onnx_r = session(a, f"{tmp}/resnet.onnx")
        feed_r = {onnx_r.get_inputs()[0].name: x.numpy()}
        print("ResNet-50, 224 x 224, batch 1")
        rounds(a, {"sapor": lambda: sapor(a, "encoder", f"{tmp}/resnet50.safetensors")[0]["ms_median"],
                   "onnxruntime": lambda: clock(lambda: onnx_r.run(None, feed_r)), "torch": lambda: clock(lambda: resnet(x))})


def spmm(a):
    import scipy.sparse as sp
    import torch
    torch.set_num_threads(a.threads)
    users, items = [], []
    for line in open(a.pairs):
        u, *row = map(int, line.split())
        users += [u] * len(row)
        items += row
    U, I = max(users) + 1, max(items) + 1
    r = sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), (U, I))
    r.data[:] = 1
    adj = sp.bmat([[None, r], [r.T, None]]).tocsr().astype(np.float32)
    d = np.asarray(adj.sum(1)).ravel()
    d = np.where(d > 0, d, 1) ** -0.5
    adj = (sp.diags(d) @ adj @ sp.diags(d)).tocsr().astype(np.float32)
    print(f"SpMM {adj.shape[0]} nodes, {adj.nnz} entries, D 64")
    x = torch.rand(adj.shape[0], 64)
    csr = torch.sparse_csr_tensor(torch.tensor(adj.indptr, dtype=torch.int32), torch.tensor(adj.indices, dtype=torch.int32), torch.tensor(adj.data), adj.shape)
    coo = torch.sparse_coo_tensor(np.stack(adj.nonzero()), adj.data, adj.shape).coalesce()
    xg = x.clone().requires_grad_(True)

    def both(m):
        xg.grad = None
        torch.sparse.mm(m, xg).sum().backward()

    words = ("spmm", "--pairs", a.pairs)
    figure = lambda name: next(f for f in sapor(a, *words) if f["bench"] == name)["ms_median"]
    print("  forward")
    rounds(a, {"sapor": lambda: figure("spmm"), "torch CSR int32": lambda: clock(lambda: torch.sparse.mm(csr, x)),
               "torch COO": lambda: clock(lambda: torch.sparse.mm(coo, x)), "scipy": lambda: clock(lambda: adj @ x.numpy())})
    print("  forward + backward")
    rounds(a, {"sapor": lambda: figure("spmm-train"), "torch CSR int32": lambda: clock(lambda: both(csr)), "torch COO": lambda: clock(lambda: both(coo))})


def start(a):
    with tempfile.TemporaryDirectory() as tmp:
        open(f"{tmp}/one.txt", "w").write("A red woollen scarf, hand-made.\n")

        def once():
            t = time.perf_counter()
            subprocess.run([a.sapor, "encode", a.minilm, f"{tmp}/one.txt", "-o", f"{tmp}/one.npy", "--threads", str(a.threads), "--quiet"], check=True)
            return (time.perf_counter() - t) * 1e3
        once()
        rounds(a, {"sapor encode, one text": once})


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("what", choices=["encoders", "spmm", "start"])
    ap.add_argument("--sapor", default="./sapor")
    ap.add_argument("--minilm")
    ap.add_argument("--pairs")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--rounds", type=int, default=7)
    a = ap.parse_args()
    sys.exit({"encoders": encoders, "spmm": spmm, "start": start}[a.what](a))
