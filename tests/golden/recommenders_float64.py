#!/usr/bin/env python3
"""Ten training steps of recommenders in float64 PyTorch, written from the papers' recipes: the reference of tests/recipes_test.c.

For each model and variant it draws a small data set, a start and ten batches, and writes one safetensors file with: pairs, features,
`start.NAME`, `batch.user|positive|negative|index` [10, B], `loss` [10], `grad.NAME` (step 1), `after.NAME` (step 10). NAME is the
parameter's name in our store; features that are parameters are in start alone. The metadata have the model's name, the sizes, `settings`:
the key=value words that the test trains with, variant among them where one is not the default, and `without_effect`: parameters whose
gradients are 0 except for rounding, in every step. Single numbers of this kind are NaN in after.NAME.

A new recipe is a class in recipes/, its name in KINDS, and its row in tests/recipes_test.c. A class has `variants`, `settings(a, variant)`,
`start` (the parameters, drawn by the generator g that it is given) and `loss`; where the recipe has them, `model` (the name that it is
registered by, if not the class's), `needs_features`, `decay` (of the learning rate, in 50 epochs), `sizes` (other than those below),
`optimiser` (if not Adam), `constants` (names in start that are not trained) and `rounding` (which numbers have gradients that are
rounding). The random parts of a step (dropout, thinned graphs, noise) are off, because no other program
has the same draws.

Comparisons must have the same result in float32 and float64. Cosines at the k-th place, arguments of activations and other numbers with
ties or kinks are watched (recipes/parts.py). If one is too close, data, start and batches are drawn again.

    pip install torch==2.15.0 safetensors numpy
    python tests/golden/recommenders_float64.py tests/golden        # rewrites recipe_*.safetensors
    python tests/golden/recommenders_float64.py DIR --only Vbpr --users 2000 --items 1500 --visual 4096 --textual 384 --factors 64 \\
        --batch 1024 --near-ties                                    # a large case has ties always

Adam: torch's. elliot: a parameter without a gradient is not updated (zero_grad to None); others: its momentum still changes it (torch
1.11's zero_grad to zero).
"""
import argparse
import os

import numpy as np
import torch
from safetensors.numpy import save_file

from recipes import attention, features, ids
from recipes.parts import CLOSE, f32

KINDS = (features.Vbpr, features.Lattice, ids.LightGcn, ids.Ngcf, ids.Bprmf, ids.Sgl, ids.SimGcl, ids.Dgcf, features.NgcfM, features.Bm3,
         features.Freedom, features.Mgcn, features.LatticeNgcf, features.LatticeMf, attention.Grcn, attention.GrcnOrder,
         attention.Mmgcn)
SIZES = {"users": 40, "items": 50, "visual": 24, "textual": 10, "factors": 8, "batch": 32, "most": 9, "knn": 5, "epoch_batches": 4}


def draw_data(g, a):
    """Every user gets a few distinct items; returns user and item arrays sorted by user, then item."""
    users, items = [], []
    for u in range(a.users):
        n = int(g.integers(3, a.most))
        picked = np.sort(g.choice(a.items, n, replace=False))
        users += [u] * n
        items += picked.tolist()
    return np.array(users, np.int32), np.array(items, np.int32)


def draw_batches(g, a, users, items):
    by_user = {}
    for u, i in zip(users, items):
        by_user.setdefault(int(u), []).append(int(i))
    batch = {k: np.zeros((10, a.batch), np.int32) for k in ("user", "positive", "negative")}
    for s in range(10):
        for b in range(a.batch):
            u = int(g.integers(a.users))
            n = int(g.integers(a.items))
            while n in by_user[u]:
                n = int(g.integers(a.items))
            batch["user"][s, b], batch["positive"][s, b], batch["negative"][s, b] = u, by_user[u][int(g.integers(len(by_user[u])))], n
    batch["index"] = np.array([s % a.epoch_batches for s in range(10)], np.int32)
    return batch


def train(kind, variant, a, g):
    """Returns the arrays of the file, and the parameters without effect."""
    users, items = draw_data(g, a)
    visual, textual = f32(g.normal(0.3, 1, (a.items, a.visual))), f32(g.normal(0, 1, (a.items, a.textual)))
    model = kind(a, g, variant, visual, textual, users, items)
    constants = getattr(model, "constants", ())
    p = {k: f32(v).clone().requires_grad_(k not in constants) for k, v in model.start.items()}
    trained = {k: v for k, v in p.items() if k not in constants}
    batch = draw_batches(g, a, users, items)
    out = {"pairs.user": users, "pairs.item": items}
    if getattr(kind, "needs_features", False):
        out |= {k: v for k, v in (("features.visual", visual), ("features.textual", textual)) if k not in p}
    out |= {f"start.{k}": v.detach().clone() for k, v in p.items()} | {f"batch.{k}": v for k, v in batch.items()}
    lr = kind.settings(a, variant).get("lr", a.lr)
    optim = kind.optimiser(trained.values(), lr, variant) if hasattr(kind, "optimiser") else torch.optim.Adam(trained.values(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optim, lambda e: getattr(kind, "decay", 1.0) ** (e / 50))
    losses, largest = [], dict.fromkeys(trained, 0.0)
    for s in range(10):
        u, i, j = (torch.tensor(batch[k][s]).long() for k in ("user", "positive", "negative"))
        optim.zero_grad(set_to_none=variant == "elliot")
        loss = model.loss(p, u, i, j, batch["index"][s] == 0)
        loss.backward()
        grads = {k: v.grad if v.grad is not None else torch.zeros_like(v) for k, v in trained.items()}
        noise = model.rounding(p) if hasattr(model, "rounding") else {}
        if s == 0:
            out |= {f"grad.{k}": v.clone() for k, v in grads.items()}
            masks = noise
        largest = {k: max(largest[k], v.abs().max().item()) for k, v in grads.items()}
        optim.step()
        losses.append(loss.item())
        if batch["index"][s] == a.epoch_batches - 1:
            schedule.step()
    out["loss"] = np.array(losses)
    out |= {f"after.{k}": torch.where(masks[k], np.nan, v.detach()) if k in masks else v.detach() for k, v in trained.items()}
    return out, [k for k, v in largest.items() if v < 1e-13]


def write(kind, variant, a):
    for attempt in range(1000):
        CLOSE.clear()
        seed = 20 + len(kind.__name__)
        out, without_effect = train(kind, variant, a, np.random.default_rng([seed, attempt] if attempt else seed))
        if a.near_ties or not CLOSE:
            break
    else:
        raise SystemExit(f"{kind.__name__} {variant}: no draw without ties; the last had {CLOSE}")
    exact = lambda v: isinstance(v, np.ndarray) and v.dtype == np.int32
    as_file = {k: np.ascontiguousarray(v if exact(v) else np.asarray(v, np.float32)) for k, v in out.items()}
    name = f"recipe_{kind.__name__.lower()}_{variant}.safetensors"
    meta = {"model": getattr(kind, "model", kind.__name__), "users": str(a.users), "items": str(a.items), "variant": variant,
            "without_effect": " ".join(without_effect)}
    meta["settings"] = " ".join(f"{k}={v}" for k, v in {"lr": a.lr, **kind.settings(a, variant)}.items())
    save_file(as_file, os.path.join(a.folder, name), metadata=meta)
    print(name, f"draw {attempt}, {len(CLOSE)} near ties, loss", " ".join(f"{x:.6f}" for x in out["loss"]))


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("folder")
    for key in SIZES:
        ap.add_argument(f"--{key.replace('_', '-')}", type=int)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--reg", type=float, default=1e-2)
    ap.add_argument("--only", nargs="*", help="names of classes")
    ap.add_argument("--near-ties", action="store_true", help="take the first draw")
    given = vars(ap.parse_args())
    for kind in KINDS:
        if given["only"] and kind.__name__ not in given["only"]:
            continue
        sizes = SIZES | getattr(kind, "sizes", {})
        a = argparse.Namespace(**given | {k: given[k] if given[k] is not None else v for k, v in sizes.items()})
        for variant in kind.variants:
            write(kind, variant, a)
