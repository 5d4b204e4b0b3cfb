#!/usr/bin/env python3
"""Ten training steps of recommenders in float64 PyTorch, written from the papers' recipes: the reference of tests/recipes_test.c.

For each model and variant it draws a small data set, a start and ten batches, and writes one safetensors file with: pairs, features,
`start.NAME`, `batch.user|positive|negative|index` [10, B], `loss` [10], `grad.NAME` (step 1), `after.NAME` (step 10). NAME is the
parameter's name in our store. The metadata have the model's name, the sizes, and `settings`: the key=value words that the test trains
with, variant among them where the model has variants.

A new recipe is a class here, its name in KINDS, and its row in tests/recipes_test.c. A class has `variants`, `settings(a, variant)`,
`start` (the parameters, drawn by the generator g that it is given) and `loss`; `needs_features` and `decay` (of the learning rate, in 50
epochs) where the recipe has them.

    pip install torch==2.15.0 safetensors numpy
    python tests/golden/recommenders_float64.py tests/golden        # rewrites recipe_*.safetensors
    python tests/golden/recommenders_float64.py DIR --users 2000 --items 1500 --visual 4096 --textual 384 --factors 64 --batch 1024

Recipes: VBPR, elliot = Ducho-meets-Elliot's VBPRModel, mmrec = MMRec's vbpr.py. LATTICE and LightGCN likewise; NGCF is elliot's alone,
without dropout, whose draws no other program has. Both LATTICE variants rebuild the item graph with gradient on an epoch's first batch
and use it as a constant afterwards. Adam: torch's. elliot: a parameter without a gradient is not stepped (zero_grad to None); mmrec: it
goes on by its momentum (torch 1.11's zero_grad to zero).
"""
import argparse
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)


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


def uniform(g, a, *shape):
    return g.uniform(-a, a, shape)


def xavier(g, rows, cols):
    return uniform(g, np.sqrt(6 / (rows + cols)), rows, cols)


def f32(x):
    """The start is what float32 can hold, so that both sides begin at the same numbers."""
    return torch.tensor(np.asarray(x, np.float32).astype(np.float64))


def cosine_rows(x):
    return x / x.norm(dim=1, keepdim=True)


def knn(x, k):
    """Dense [I, I] with the k largest cosines of each row kept, zeros elsewhere."""
    sim = cosine_rows(x) @ cosine_rows(x).T
    value, index = torch.topk(sim, k, dim=1)
    return torch.zeros_like(sim).scatter(1, index, value)


def laplacian(g, power):
    s = g.sum(1)
    d = torch.where(s > 0, s ** -power, torch.zeros_like(s))
    return d[:, None] * g * d[None, :]


def bipartite(a, users, items, self_loops):
    """Dense adjacency [U + I, U + I], users first, and its degrees."""
    N = a.users + a.items
    adj = torch.zeros(N, N)
    adj[torch.tensor(users).long(), a.users + torch.tensor(items).long()] = 1
    adj = adj + adj.T + (torch.eye(N) if self_loops else 0)
    return adj, adj.sum(1)


def set_diagonal(g):
    eye = torch.eye(g.shape[0])
    return g * (1 - eye) + eye


class Vbpr:
    variants = ("elliot", "mmrec")
    needs_features = True

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        d = a.factors
        self.variant, self.a = variant, a
        # elliot concatenates visual then textual, MMRec textual then visual; W is drawn whole and kept in one piece a modality
        parts = {"visual": visual, "textual": textual}
        self.order = ("visual", "textual") if variant == "elliot" else ("textual", "visual")
        self.features = torch.cat([parts[m] for m in self.order], 1)
        D = self.features.shape[1]
        if variant == "elliot":
            self.start = {"user": xavier(g, a.users, d), "item": xavier(g, a.items, d), "user_visual": g.normal(0, 1, (a.users, d))}
            W, b = uniform(g, D ** -0.5, d, D), uniform(g, D ** -0.5, d)
        else:
            self.start = {"user": xavier(g, a.users, 2 * d), "item": xavier(g, a.items, d)}
            W, b = g.normal(0, np.sqrt(2 / (d + D)), (d, D)), np.zeros(d)
        cut = parts[self.order[0]].shape[1]
        for m, piece in zip(self.order, (W[:, :cut], W[:, cut:])):
            self.start[f"projection.{m}.weight"] = piece
        self.start["projection.visual.bias"] = b

    def project(self, p, x):
        return self.features[x] @ torch.cat([p[f"projection.{m}.weight"] for m in self.order], 1).T + p["projection.visual.bias"]

    def loss(self, p, u, i, j, first):
        a = self.a
        if self.variant == "elliot":
            gu, gi, gj, tu = p["user"][u], p["item"][i], p["item"][j], p["user_visual"][u]
            pi, pj = F.normalize(self.project(p, i), dim=1), F.normalize(self.project(p, j), dim=1)
            diff = (gu * gi).sum(1) + (tu * pi).sum(1) - (gu * gj).sum(1) - (tu * pj).sum(1)
            reg = sum((x ** 2).sum() for x in (gu, gi, gj, tu, pi, pj))
            return F.softplus(-diff).mean() + a.reg / 2 * reg / len(u)
        items = torch.cat([p["item"], self.project(p, slice(None))], 1)
        eu, ei, ej = p["user"][u], items[i], items[j]
        bpr = -torch.log(1e-10 + torch.sigmoid((eu * ei).sum(1) - (eu * ej).sum(1))).mean()
        return bpr + a.reg * (eu.norm() + ei.norm() + ej.norm()) / len(u)


class Lattice:
    variants = ("elliot", "mmrec")
    needs_features = True
    decay = 0.96

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "factors_multimod": a.factors, "top_k": a.knn, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        d = a.factors
        self.variant, self.a = variant, a
        self.k, self.mix = a.knn, 0.7 if variant == "elliot" else 0.9
        self.start = {"user": xavier(g, a.users, d), "item": xavier(g, a.items, d), "modal_weight": np.array([0.5, 0.5]),
                      "features.visual": visual, "features.textual": textual}
        self.original = {}
        for name, x in (("visual", visual), ("textual", textual)):
            b = x.shape[1] ** -0.5
            self.start[f"projection.{name}.weight"] = uniform(g, b, d, x.shape[1])
            self.start[f"projection.{name}.bias"] = uniform(g, b, d)
            self.original[name] = self.normalized(knn(x, self.k))
        adj, degree = bipartite(a, users, items, True)
        self.adj = adj / degree[:, None] / (degree[None, :] if variant == "elliot" else 1)
        self.graph = None

    def normalized(self, g):
        return laplacian(set_diagonal(g) if self.variant == "elliot" else g, 0.5)

    def loss(self, p, u, i, j, first):
        a = self.a
        if first:
            w = torch.softmax(p["modal_weight"], 0)
            learned = original = 0
            for m, name in enumerate(("visual", "textual")):
                h = p[f"features.{name}"] @ p[f"projection.{name}.weight"].T + p[f"projection.{name}.bias"]
                learned = learned + w[m] * knn(h, self.k)
                original = original + w[m] * self.original[name]
            self.graph = (1 - self.mix) * self.normalized(learned) + self.mix * original
        else:
            self.graph = self.graph.detach()
        h = self.graph @ p["item"]
        layers = [torch.cat([p["user"], p["item"]])]
        for _ in range(2):
            x = self.adj @ layers[-1]
            layers.append(F.normalize(x, dim=1) if self.variant == "elliot" else x)
        out = sum(layers) / 3
        users, items = out[:a.users], out[a.users:] + F.normalize(h, dim=1)
        eu, ei, ej = users[u], items[i], items[j]
        bpr = -F.logsigmoid((eu * ei).sum(1) - (eu * ej).sum(1)).mean()
        return bpr + a.reg / 2 * sum((x ** 2).sum() for x in (eu, ei, ej)) / len(u)


class LightGcn:
    variants = ("elliot", "mmrec")

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "n_layers": 3, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.variant, self.a = variant, a
        if variant == "elliot":
            self.start = {"user": g.normal(0, 0.1, (a.users, a.factors)), "item": g.normal(0, 0.1, (a.items, a.factors))}
        else:
            self.start = {"user": xavier(g, a.users, a.factors), "item": xavier(g, a.items, a.factors)}
        adj, degree = bipartite(a, users, items, False)
        if variant == "elliot":  # an item that nobody has keeps its layer 0 alone
            d = torch.where(degree > 0, degree, torch.ones_like(degree)) ** -0.5
        else:
            d = (degree + 1e-7) ** -0.5
        self.adj = d[:, None] * adj * d[None, :]

    def loss(self, p, u, i, j, first):
        a = self.a
        layers = [torch.cat([p["user"], p["item"]])]
        for _ in range(3):
            layers.append(self.adj @ layers[-1])
        users, items = torch.stack(layers).mean(0).split([a.users, a.items])
        diff = (users[u] * items[i]).sum(1) - (users[u] * items[j]).sum(1)
        ego = p["user"][u], p["item"][i], p["item"][j]
        if self.variant == "elliot":
            return F.softplus(-diff).mean() + a.reg / 2 * sum((x ** 2).sum() for x in ego) / len(u)
        return -torch.log(1e-10 + torch.sigmoid(diff)).mean() + a.reg * sum(x.norm() for x in ego) / len(u)


class Ngcf:
    variants = ("elliot",)
    layers, width = 2, 12  # not as wide as the embeddings

    @staticmethod
    def settings(a, variant):
        return {"factors": a.factors, "n_layers": Ngcf.layers, "weight_size": Ngcf.width, "node_dropout": 0.0, "message_dropout": 0.0,
                "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, width = a, self.width
        self.start = {"user": xavier(g, a.users, a.factors), "item": xavier(g, a.items, a.factors)}
        for l in range(self.layers):
            for name in ("sum", "product"):
                self.start[f"{name}.{l}.weight"] = xavier(g, width, width if l else a.factors)
                self.start[f"{name}.{l}.bias"] = xavier(g, 1, width)[0]
        adj, degree = bipartite(a, users, items, True)
        self.adj = adj / degree[:, None]

    def loss(self, p, u, i, j, first):
        a, x = self.a, torch.cat([p["user"], p["item"]])
        layers = [x]
        for l in range(self.layers):
            m = self.adj @ x
            y = m @ p[f"sum.{l}.weight"].T + p[f"sum.{l}.bias"] + (m * x) @ p[f"product.{l}.weight"].T + p[f"product.{l}.bias"]
            x = F.normalize(F.leaky_relu(y, 0.2), dim=1)
            layers.append(x)
        users, items = torch.cat(layers, 1).split([a.users, a.items])
        eu, ei, ej = users[u], items[i], items[j]
        bpr = -F.logsigmoid((eu * ei).sum(1) - (eu * ej).sum(1)).mean()
        return bpr + a.reg / 2 * sum((x ** 2).sum() for x in (eu, ei, ej)) / len(u)


KINDS = (Vbpr, Lattice, LightGcn, Ngcf)


def run(kind, variant, a):
    g = np.random.default_rng(20 + len(kind.__name__))
    users, items = draw_data(g, a)
    visual, textual = f32(g.normal(0.3, 1, (a.items, a.visual))), f32(g.normal(0, 1, (a.items, a.textual)))
    model = kind(a, g, variant, visual, textual, users, items)
    p = {k: f32(v).clone().requires_grad_(True) for k, v in model.start.items()}
    batch = draw_batches(g, a, users, items)
    out = {"pairs.user": users, "pairs.item": items}
    if getattr(kind, "needs_features", False):
        out |= {"features.visual": visual, "features.textual": textual}
    out |= {f"start.{k}": v.detach().clone() for k, v in p.items()} | {f"batch.{k}": v for k, v in batch.items()}
    optim = torch.optim.Adam(p.values(), lr=a.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optim, lambda e: getattr(kind, "decay", 1.0) ** (e / 50))
    losses = []
    for s in range(10):
        u, i, j = (torch.tensor(batch[k][s]).long() for k in ("user", "positive", "negative"))
        optim.zero_grad(set_to_none=variant == "elliot")
        loss = model.loss(p, u, i, j, batch["index"][s] == 0)
        loss.backward()
        if s == 0:
            out |= {f"grad.{k}": (v.grad if v.grad is not None else torch.zeros_like(v)).clone() for k, v in p.items()}
        optim.step()
        losses.append(loss.item())
        if batch["index"][s] == a.epoch_batches - 1:
            schedule.step()
    out["loss"] = np.array(losses)
    out |= {f"after.{k}": v.detach() for k, v in p.items()}
    exact = lambda v: isinstance(v, np.ndarray) and v.dtype == np.int32
    as_file = {k: np.ascontiguousarray(v if exact(v) else np.asarray(v, np.float32)) for k, v in out.items()}
    name = f"recipe_{kind.__name__.lower()}_{variant}.safetensors"
    meta = {"model": kind.__name__, "users": str(a.users), "items": str(a.items), "variant": variant}
    meta["settings"] = " ".join(f"{k}={v}" for k, v in {"lr": a.lr, **kind.settings(a, variant)}.items())
    save_file(as_file, os.path.join(a.folder, name), metadata=meta)
    print(name, "loss", " ".join(f"{x:.6f}" for x in losses))


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("folder")
    for key, default in (("users", 40), ("items", 50), ("visual", 24), ("textual", 10), ("factors", 8), ("batch", 32), ("most", 9), ("knn", 5),
                         ("epoch_batches", 4)):
        ap.add_argument(f"--{key.replace('_', '-')}", type=int, default=default)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--reg", type=float, default=1e-2)
    a = ap.parse_args()
    for kind in KINDS:
        for variant in kind.variants:
            run(kind, variant, a)
