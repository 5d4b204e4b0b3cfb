#!/usr/bin/env python3
"""Losses of several recommenders in float64 PyTorch: the reference of tests/recsys_shared_test.c. One safetensors file, float32:

    all.a, all.b [N, D], all.ids [B]   SGL's term: sum over the batch of logsumexp over all n of a_i . b_n / tau, minus a_i . b_i / tau,
                                       with rows of a and b scaled to length 1 (F.normalize), i = ids; all.loss, all.grad_a, all.grad_b
    batch.a, batch.b [B, D]            cross_entropy(a b' / tau, diagonal), rows not scaled: SLMRec's; batch.loss, batch.grad_a, batch.grad_b
    large.*                            the same with logits of some hundreds, where exp alone overflows

N and B are larger than a tile of the product (1024 and 256). The metadata have tau. a and b are drawn (drawn.py): gradients/losses.drawn.

    pip install torch==2.15.0 safetensors numpy
    python tests/golden/losses_float64.py tests/golden          # rewrites losses.safetensors
"""
import os
import sys

import drawn
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)
g = np.random.default_rng(7)
N, B, D = 1100, 300, 4
TAU = {"all": 0.2, "batch": 0.5, "large": 0.1}


def all_nodes(a, b, ids, tau):
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    logits = a[ids] @ b.T / tau
    return (torch.logsumexp(logits, 1) - logits[torch.arange(len(ids)), ids]).sum()


def in_batch(a, b, ids, tau):
    return F.cross_entropy(a @ b.T / tau, torch.arange(len(a)))


out, rows = {}, {}
for name, count, spread, loss in (("all", N, 1, all_nodes), ("batch", B, 1, in_batch), ("large", B, 4, in_batch)):
    made = drawn.rows_of({f"{name}.{x}": ((count, D), 0, drawn.limit_of(spread)) for x in "ab"}, 7)
    rows.update(made)
    a, b = (r.value.double().requires_grad_(True) for r in made.values())
    ids = g.integers(0, count, B)
    value = loss(a, b, torch.tensor(ids), TAU[name])
    value.backward()
    out |= {f"{name}.loss": value.reshape(1), f"{name}.grad_a": a.grad, f"{name}.grad_b": b.grad}
    if name == "all":
        out["all.ids"] = ids.astype(np.int32)
    print(name, value.item())
drawn.write(os.path.join(sys.argv[1], "gradients", "losses"), 7, rows)
save_file({k: v if isinstance(v, np.ndarray) else v.detach().numpy().astype(np.float32) for k, v in out.items()},
          os.path.join(sys.argv[1], "losses.safetensors"), metadata={f"{k}.tau": str(v) for k, v in TAU.items()})
