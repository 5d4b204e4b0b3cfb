#!/usr/bin/env python3
"""Fifty steps of torch's optimisers in float64, and the rates of its schedules: the reference of tests/optimisers_test.c.

Two parameters, "table.rows" [6, 5] and "head" [7], start from given numbers and get given gradients (rows of the table are zero in
most steps, as a gather leaves them). The file has: start.NAME, grad.NAME [50, ...]; for each optimiser in CASES after.CASE.NAME; for
each schedule in SCHEDULES rate.SCHEDULE [40], the factor of the first rate in steps 0 to 39.

    pip install torch==2.15.0 transformers==5.23.0 safetensors numpy
    python tests/golden/optimisers_float64.py tests/golden        # rewrites optimisers.safetensors
"""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)
STEPS = 50
ADAM, SGD = torch.optim.Adam, torch.optim.SGD
CASES = {
    "adam": (ADAM, dict(lr=0.01, betas=(0.9, 0.99))),
    "adam_decay": (ADAM, dict(lr=0.01, weight_decay=0.05)),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.1)),
    "sgd": (SGD, dict(lr=0.01)),
    "sgd_decay": (SGD, dict(lr=0.01, weight_decay=0.1)),
    "sgd_momentum": (SGD, dict(lr=0.01, momentum=0.9, dampening=0.25, weight_decay=0.05)),
    "sgd_nesterov": (SGD, dict(lr=0.01, momentum=0.8, nesterov=True)),
    "adagrad": (torch.optim.Adagrad, dict(lr=0.05)),
    "adagrad_decay": (torch.optim.Adagrad, dict(lr=0.05, lr_decay=0.02, weight_decay=0.1, eps=1e-8)),
    "rmsprop": (torch.optim.RMSprop, dict(lr=0.005)),
    "rmsprop_centred": (torch.optim.RMSprop, dict(lr=0.005, alpha=0.9, centered=True, momentum=0.7, weight_decay=0.05, eps=1e-4)),
    "adam_groups": (ADAM, dict(lr=0.01)),  # the table at a tenth of the rate
    "adam_clipped": (ADAM, dict(lr=0.01)),  # the norm of all gradients together at most 1.5
    "sgd_clipped": (SGD, dict(lr=0.05, momentum=0.9)),
}
CLIP = 1.5


def run(case, start, grads):
    make, options = CASES[case]
    p = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    groups = list(p.values())
    if case.endswith("_groups"):
        groups = [dict(params=[p["table.rows"]], lr=options["lr"] / 10), dict(params=[p["head"]])]
    optimiser = make(groups, **options)
    for t in range(STEPS):
        for k in p:
            p[k].grad = torch.tensor(grads[k][t])
        if case.endswith("_clipped"):
            torch.nn.utils.clip_grad_norm_(list(p.values()), CLIP)
        optimiser.step()
    return {f"after.{case}.{k}": v.detach().numpy() for k, v in p.items()}


def rates():
    from torch.optim import lr_scheduler as ls
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

    schedules = {
        "step": lambda o: ls.StepLR(o, 7, 0.3),
        "exponential": lambda o: ls.ExponentialLR(o, 0.9),
        "cosine": lambda o: ls.CosineAnnealingLR(o, 39, eta_min=0.05),
        "cosine_warm": lambda o: get_cosine_schedule_with_warmup(o, 5, 30),
        "linear_warm": lambda o: get_linear_schedule_with_warmup(o, 5, 30),
    }
    out = {}
    for name, make in schedules.items():
        o = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        s, list_ = make(o), []
        for _ in range(40):
            list_.append(o.param_groups[0]["lr"])
            o.step()
            s.step()
        out[f"rate.{name}"] = np.array(list_)
    return out


g = np.random.default_rng(7)
start = {"table.rows": g.normal(size=(6, 5)), "head": g.normal(size=7)}
start = {k: v.astype(np.float32).astype(np.float64) for k, v in start.items()}  # the test computes in float32
grads = {k: (0.5 * g.normal(size=(STEPS, *v.shape))).astype(np.float32).astype(np.float64) for k, v in start.items()}
grads["table.rows"] *= (g.random(size=(STEPS, 6, 1)) < 0.4)
out = {f"start.{k}": v for k, v in start.items()} | {f"grad.{k}": v.astype(np.float32) for k, v in grads.items()}
for case in CASES:
    out |= run(case, start, grads)
out |= rates()
save_file(out, sys.argv[1] + "/optimisers.safetensors", metadata={"torch": torch.__version__})
