#!/usr/bin/env python3
"""Times PyTorch or ONNX Runtime on a GPU, at the shapes of `sapor bench --device cuda`; bench/gpu.sh calls it.

    python bench/peers/gpu.py torch|onnxruntime [--minilm FOLDER]

Prints rows for the result file of bench/gpu.sh, from the column `name` on: name, status, seconds, variant, dtype, ms_min, ms_median, spread, gflops.
Exit status 77: the package or the card is missing, and the last line of standard error says which.
"""
import argparse
import pathlib
import statistics
import sys
import time


def missing(why):
    """Ends the program with the status that means: skipped."""
    print(why, file=sys.stderr)
    sys.exit(77)


def show(name, variant, dtype, times, flops):
    """Prints one row. times: the seconds per call, one number per round. flops: the operations of a call; 0: not counted."""
    times.sort()
    n = len(times)
    least, median = times[0], statistics.median(times)
    spread = (times[3 * n // 4] - times[n // 4]) / median
    print("\t".join([name, "measured", "", variant, dtype, f"{least * 1e3:.6g}", f"{median * 1e3:.6g}", f"{spread:.4f}",
                     f"{flops / least / 1e9:.5g}" if flops else "", "", "", "", ""]), flush=True)


def torch_times(torch, call):
    """Times calls as `sapor bench` does: in rounds of at least 2 ms between two events of the card."""
    for _ in range(3):
        call()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def span(runs):
        begin.record()
        for _ in range(runs):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / runs

    runs = max(1, int(2e-3 / max(span(1), 1e-7)))
    begun, times = time.monotonic(), []
    while len(times) < 3 or time.monotonic() - begun < 0.3:
        times.append(span(runs))
    return times


def run_torch(_):
    try:
        import torch
    except ImportError as e:
        missing(f"no torch: {e}")
    if not torch.cuda.is_available():
        missing(f"torch {torch.__version__} finds no card")
    f = torch.nn.functional
    version = f"torch {torch.__version__}"
    torch.backends.cudnn.benchmark = True
    draw = torch.Generator(device="cuda").manual_seed(1)

    def numbers(*shape, dtype=torch.float32):
        return (2 * torch.rand(shape, generator=draw, device="cuda") - 1).to(dtype)

    types = (("f32", torch.float32, False), ("tf32", torch.float32, True), ("bf16", torch.bfloat16, False), ("f16", torch.float16, False))
    with torch.inference_mode():
        for dtype, kind, allow_tf32 in types:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allow_tf32
            for M, N, K in ((197, 768, 768), (197, 3072, 768), (128, 1536, 384), (1024, 1024, 1024), (6304, 768, 768), (6304, 3072, 768),
                            (4096, 4096, 4096)):
                a, b = numbers(M, K, dtype=kind), numbers(N, K, dtype=kind)
                show(f"gemm {M}x{N}x{K}", version, dtype, torch_times(torch, lambda: f.linear(a, b)), 2 * M * N * K)
            for B, T, H, D in ((1, 197, 12, 64), (16, 128, 12, 64), (32, 197, 12, 64)):
                q, k, v = (numbers(B, H, T, D, dtype=kind) for _ in range(3))
                show(f"attention B{B}-T{T}-H{H}-D{D}", version, dtype,
                     torch_times(torch, lambda: f.scaled_dot_product_attention(q, k, v)), 4 * B * T * T * H * D)
        for dtype, allow_tf32 in (("f32", False), ("tf32", True)):
            torch.backends.cudnn.allow_tf32 = allow_tf32
            for side, C, O, k, stride in ((224, 3, 64, 7, 2), (112, 128, 128, 3, 1), (56, 64, 64, 3, 1), (56, 64, 256, 1, 1), (28, 128, 128, 3, 1),
                                          (14, 256, 256, 3, 1), (7, 512, 512, 3, 1), (7, 512, 2048, 1, 1)):
                x = numbers(32, C, side, side).to(memory_format=torch.channels_last)
                w = numbers(O, C, k, k).to(memory_format=torch.channels_last)
                out = (side + 2 * (k // 2) - k) // stride + 1
                show(f"conv B32-{side}x{side}x{C}-{k}x{k}x{O}-s{stride}", version, dtype,
                     torch_times(torch, lambda: f.conv2d(x, w, stride=stride, padding=k // 2)), 2 * 32 * out * out * O * C * k * k)
        users, items, edges = 6040, 3260, 801218  # the graph of `sapor bench spmm`: items are squares of uniform draws
        user = torch.arange(edges, device="cuda") * users // edges
        item = (torch.rand(edges, generator=draw, device="cuda") ** 2 * items).long()
        pair = torch.unique(user * items + item)
        row, col, n = pair // items, users + pair % items, users + items
        graph = torch.sparse_coo_tensor(torch.stack([torch.cat([row, col]), torch.cat([col, row])]), torch.full((2 * len(pair),), 0.01, device="cuda"),
                                        (n, n)).coalesce().to_sparse_csr()
        for D in (64, 128):
            x = numbers(n, D)
            show(f"spmm {n}x{n}-{2 * len(pair)}-d{D}", f"{version}: cuSPARSE", "f32", torch_times(torch, lambda: graph @ x), 2 * 2 * len(pair) * D)
        x = numbers(7050, 384)
        show("norm softmax-2048x512", version, "f32", torch_times(torch, lambda rows=numbers(2048, 512): f.softmax(rows, -1)), 0)
        show("topk knn-7050x384-k10", version, "f32", torch_times(torch, lambda: torch.topk(x @ x.T, 10)), 2 * 7050 * 7050 * 384)


def run_onnxruntime(minilm):
    try:
        import numpy as np
        import onnxruntime as ort
    except ImportError as e:
        missing(f"no onnxruntime: {e}")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        missing(f"onnxruntime {ort.__version__} has no CUDAExecutionProvider: install onnxruntime-gpu")
    model = next(pathlib.Path(minilm).rglob("*.onnx"), None) if minilm else None
    if not model:
        missing("no model.onnx next to the weights of MiniLM")
    session = ort.InferenceSession(str(model), providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        missing(f"onnxruntime {ort.__version__} finds no card")
    for batch in (1, 32, 256):
        ids = np.random.default_rng(1).integers(1000, 30000, (batch, 128), dtype=np.int64)
        feed = {i.name: np.zeros_like(ids) if "type" in i.name else np.ones_like(ids) if "mask" in i.name else ids for i in session.get_inputs()}
        times, begun = [], time.monotonic()
        for _ in range(3):
            session.run(None, feed)
        while len(times) < 3 or time.monotonic() - begun < 1:
            start = time.perf_counter()
            session.run(None, feed)  # with both copies, as `sapor bench encoder`
            times.append(time.perf_counter() - start)
        show(f"encoder MiniLM-B{batch}-T128", f"onnxruntime {ort.__version__}", "f32", times, 0)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("peer", choices=("torch", "onnxruntime"))
    args.add_argument("--minilm", default="")
    given = args.parse_args()
    {"torch": run_torch, "onnxruntime": run_onnxruntime}[given.peer](given.minilm)


if __name__ == "__main__":
    main()
