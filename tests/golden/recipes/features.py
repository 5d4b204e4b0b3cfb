"""Recipes of recommenders that read features, of one vector per node: see recommenders_float64.py. attention.py has GRCN and MMGCN."""
import numpy as np
import torch
import torch.nn.functional as F

from recipes.ids import Ngcf
from recipes.parts import (apply, bipartite, binary, bpr, difference, info_nce, knn, laplacian, layers_of, leaky, light_gcn, linear, norms,
                           row_self, set_diagonal, squares, symmetric, tables, uniform, xavier, xavier_normal)

SMALL = {"users": 24, "items": 30, "visual": 9, "textual": 7, "batch": 24}
NAMES = ("visual", "textual")


def trained_features(start, g, visual, textual, width, weight=None):
    """The features are parameters that start at the data's numbers; a Linear of each."""
    for name, x in zip(NAMES, (visual, textual)):
        start[f"features.{name}"] = x
        linear(start, g, f"projection.{name}", width, x.shape[1], weight=weight)


def projected(p, name):
    return apply(p, f"projection.{name}", p[f"features.{name}"])


class Joined:
    """One Linear of all concatenated features, which are constant. It is stored as one weight per modality; the bias has the name of the first."""

    def __init__(self, start, order, parts, W, b):
        self.order = order
        self.features = torch.cat([parts[m] for m in order], 1)
        cut = parts[order[0]].shape[1]
        for m, piece in zip(order, (W[:, :cut], W[:, cut:])):
            start[f"projection.{m}.weight"] = piece
        start["projection.visual.bias"] = b

    def project(self, p, x):
        return self.features[x] @ torch.cat([p[f"projection.{m}.weight"] for m in self.order], 1).T + p["projection.visual.bias"]


class Vbpr:
    """VBPR. elliot = Ducho-meets-Elliot's VBPRModel, mmrec = MMRec's vbpr.py."""
    variants = ("elliot", "mmrec")
    needs_features = True

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        d, D = a.factors, visual.shape[1] + textual.shape[1]
        self.variant, self.a = variant, a
        # elliot concatenates visual then textual, MMRec textual then visual
        if variant == "elliot":
            self.start = tables(a, g) | {"user_visual": g.normal(0, 1, (a.users, d))}
            W, b = uniform(g, D ** -0.5, d, D), uniform(g, D ** -0.5, d)
        else:
            self.start = {"user": xavier(g, a.users, 2 * d), "item": xavier(g, a.items, d)}
            W, b = xavier_normal(g, d, D), np.zeros(d)
        self.joined = Joined(self.start, NAMES if variant == "elliot" else NAMES[::-1], {"visual": visual, "textual": textual}, W, b)

    def loss(self, p, u, i, j, first):
        a, project = self.a, self.joined.project
        if self.variant == "elliot":
            gu, gi, gj, tu = p["user"][u], p["item"][i], p["item"][j], p["user_visual"][u]
            pi, pj = F.normalize(project(p, i), dim=1), F.normalize(project(p, j), dim=1)
            diff = difference(gu, gi, gj) + difference(tu, pi, pj)
            return F.softplus(-diff).mean() + a.reg / 2 * squares(gu, gi, gj, tu, pi, pj) / len(u)
        items = torch.cat([p["item"], project(p, slice(None))], 1)
        x = p["user"][u], items[i], items[j]
        return -torch.log(1e-10 + torch.sigmoid(difference(*x))).mean() + a.reg * norms(*x) / len(u)


class NgcfM:
    """NGCF-M without dropout: Ducho-meets-Elliot's NGCFMModel. NGCF whose layers are averaged, with VBPR's term; users' second table
    is xavier_uniform."""
    model = "NGCF-M"
    variants = ("elliot",)
    needs_features = True
    sizes = SMALL
    layers = 2

    @staticmethod
    def settings(a, variant):
        return {"factors": a.factors, "n_layers": NgcfM.layers, "node_dropout": 0.0, "message_dropout": 0.0, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        d, D = a.factors, visual.shape[1] + textual.shape[1]
        self.a = a
        self.start = tables(a, g) | {"user_visual": xavier(g, a.users, d)} | Ngcf.layer_starts(a, g, self.layers, d)
        self.joined = Joined(self.start, NAMES, {"visual": visual, "textual": textual}, uniform(g, D ** -0.5, d, D),
                             uniform(g, D ** -0.5, d))
        self.adj = row_self(a, users, items)

    def loss(self, p, u, i, j, first):
        a = self.a
        users, items = torch.stack(Ngcf.propagate(self.adj, p, self.layers, "elliot")).mean(0).split([a.users, a.items])
        gu, gi, gj, tu = users[u], items[i], items[j], p["user_visual"][u]
        pi, pj = (F.normalize(self.joined.project(p, x), dim=1) for x in (i, j))
        diff = difference(gu, gi, gj) + difference(tu, pi, pj)
        return F.softplus(-diff).mean() + a.reg / 2 * squares(gu, gi, gj, tu, pi, pj) / len(u)


class Lattice:
    """LATTICE. elliot = Ducho-meets-Elliot's LATTICEModel, mmrec = MMRec's lattice.py. Both rebuild the item graph with gradient on an
    epoch's first batch and use it as a constant afterwards."""
    variants = ("elliot", "mmrec")
    needs_features = True
    decay = 0.96
    convolution = "lightgcn"
    layers = 2

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "factors_multimod": a.factors, "top_k": a.knn, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        d = a.factors
        self.variant, self.a = variant, a
        self.k, self.mix = a.knn, 0.7 if variant == "elliot" else 0.9
        self.start = tables(a, g) | {"modal_weight": np.array([0.5, 0.5]), "features.visual": visual, "features.textual": textual}
        self.original = {}
        for name, x in zip(NAMES, (visual, textual)):
            linear(self.start, g, f"projection.{name}", d, x.shape[1])
            self.original[name] = self.normalized(knn(x, self.k))
        if self.convolution == "ngcf":
            for l in range(self.layers):
                linear(self.start, g, f"sum.{l}", d, d)
                linear(self.start, g, f"product.{l}", d, d)
        adj, degree = bipartite(a, users, items, True)
        self.adj = adj / degree[:, None] / (degree[None, :] if variant == "elliot" else 1)
        self.graph = None

    def normalized(self, g):
        return laplacian(set_diagonal(g) if self.variant == "elliot" else g, 0.5)

    def mine(self, p):
        w = torch.softmax(p["modal_weight"], 0)
        learned = original = 0
        for m, name in enumerate(NAMES):
            learned = learned + w[m] * knn(projected(p, name), self.k)
            original = original + w[m] * self.original[name]
        return (1 - self.mix) * self.normalized(learned) + self.mix * original

    def convolve(self, p):
        """Returns users and items, propagated by the graph of users and items only."""
        x = torch.cat([p["user"], p["item"]])
        layers = [x]
        for l in range(0 if self.convolution == "mf" else self.layers):
            m = self.adj @ layers[-1] if self.convolution == "lightgcn" else self.adj @ x
            if self.convolution == "lightgcn":
                layers.append(F.normalize(m, dim=1) if self.variant == "elliot" else m)
            else:
                x = leaky(apply(p, f"sum.{l}", m), 0.01) + leaky(apply(p, f"product.{l}", m * x), 0.01)
                layers.append(F.normalize(x, dim=1))
        return torch.stack(layers).mean(0).split([self.a.users, self.a.items])

    def loss(self, p, u, i, j, first):
        a = self.a
        self.graph = self.mine(p) if first else self.graph.detach()
        users, items = self.convolve(p)
        items = items + F.normalize(self.graph @ p["item"], dim=1)
        x = users[u], items[i], items[j]
        return bpr(*x) + a.reg / 2 * squares(*x) / len(u)


class LatticeNgcf(Lattice):
    """MMRec's cf_model ngcf without dropout: two activations in a layer, layers not normalised but for their mean."""
    model = "LATTICE"
    variants = ("mmrec",)
    sizes = SMALL
    convolution = "ngcf"

    @staticmethod
    def settings(a, variant):
        return Lattice.settings(a, variant) | {"cf_model": "ngcf", "mess_dropout": 0.0}


class LatticeMf(Lattice):
    """MMRec's cf_model mf: no graph of users and items."""
    model = "LATTICE"
    variants = ("mmrec",)
    sizes = SMALL
    convolution = "mf"

    @staticmethod
    def settings(a, variant):
        return Lattice.settings(a, variant) | {"cf_model": "mf"}


class Bm3:
    """BM3 without dropout: Ducho-meets-Elliot's BM3Model and MMRec's bm3.py have the same loss. No negatives."""
    variants = ("elliot",)
    needs_features = True
    sizes = SMALL
    layers, cl, reg = 2, 2.0, 0.1

    @staticmethod
    def settings(a, variant):
        return {"factors": a.factors, "n_layers": Bm3.layers, "dropout": 0.0, "reg_weight": Bm3.reg, "cl_weight": Bm3.cl}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, self.start = a, tables(a, g)
        trained_features(self.start, g, visual, textual, a.factors, xavier_normal)
        linear(self.start, g, "predictor", a.factors, a.factors, weight=xavier_normal)
        self.adj = symmetric(a, users, items, 1e-7)

    def loss(self, p, u, i, j, first):
        users, items = light_gcn(self.a, self.adj, p, self.layers)
        items = items + p["item"]

        def apart(online, target):
            return 1 - F.cosine_similarity(apply(p, "predictor", online), target.detach(), dim=-1).mean()
        loss = apart(users[u], items[i]) + apart(items[i], users[u]) + self.reg * norms(users, items) / len(items)
        for name in NAMES:
            x = projected(p, name)[i]
            loss = loss + self.cl * (apart(x, items[i]) + apart(x, x))
        return loss


class Freedom:
    """FREEDOM on the whole graph (drop 0): Ducho-meets-Elliot's FREEDOMModel and MMRec's freedom.py have the same loss."""
    variants = ("elliot",)
    needs_features = True
    sizes = SMALL
    layers, ui_layers, image = 1, 2, 0.1

    @staticmethod
    def settings(a, variant):
        return {"factors": a.factors, "n_layers": Freedom.layers, "n_ui_layers": Freedom.ui_layers, "top_k": a.knn,
                "mm_image_weight": Freedom.image, "drop": 0.0, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, self.start = a, tables(a, g)
        trained_features(self.start, g, visual, textual, a.factors)
        self.adj = symmetric(a, users, items, 1e-7)
        self.near = self.image * binary(knn(visual, a.knn)) + (1 - self.image) * binary(knn(textual, a.knn))

    def loss(self, p, u, i, j, first):
        users, items = light_gcn(self.a, self.adj, p, self.ui_layers)
        items = items + layers_of(self.near, p["item"], self.layers)[-1]
        loss = bpr(users[u], items[i], items[j])
        for name in NAMES:
            x = projected(p, name)
            loss = loss + self.a.reg * bpr(users[u], x[i], x[j])
        return loss


class Mgcn:
    """MGCN: MMRec's mgcn.py. `query` weighs the modalities, gate.NAME purifies features by what users did, prefer.NAME weighs what a
    modality has alone."""
    variants = ("mmrec",)
    needs_features = True
    sizes = SMALL
    decay = 0.96
    layers, ui_layers, cl, tau = 1, 2, 0.1, 0.2

    @staticmethod
    def settings(a, variant):
        return {"factors": a.factors, "n_layers": Mgcn.layers, "n_ui_layers": Mgcn.ui_layers, "knn_k": a.knn, "cl_loss": Mgcn.cl,
                "reg_weight": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        d = a.factors
        # tables larger than xavier's, so that the gradient of `query` is not a small difference of large numbers
        self.a, self.start = a, tables(a, g, lambda g, *shape: g.normal(0, 0.7, shape))
        trained_features(self.start, g, visual, textual, d)
        for name in NAMES:
            linear(self.start, g, f"gate.{name}", d, d)
            linear(self.start, g, f"prefer.{name}", d, d)
        linear(self.start, g, "query.0", d, d)
        linear(self.start, g, "query.1", 1, d, bias=False)
        self.adj = symmetric(a, users, items, 0)
        self.near = {name: laplacian(knn(x, a.knn), 0.5) for name, x in zip(NAMES, (visual, textual))}

    def loss(self, p, u, i, j, first):
        a, seen = self.a, {}
        content = torch.cat(light_gcn(a, self.adj, p, self.ui_layers))
        for name in NAMES:
            of_items = p["item"] * torch.sigmoid(apply(p, f"gate.{name}", projected(p, name)))
            of_items = layers_of(self.near[name], of_items, self.layers)[-1]
            seen[name] = torch.cat([self.adj[:a.users, a.users:] @ of_items, of_items])
        share = torch.softmax(torch.cat([apply(p, "query.1", torch.tanh(apply(p, "query.0", seen[name]))) for name in NAMES], 1), 1)
        common = sum(share[:, m:m + 1] * seen[name] for m, name in enumerate(NAMES))
        alone = sum((seen[name] - common) * torch.sigmoid(apply(p, f"prefer.{name}", content)) for name in NAMES)
        side = (alone + common) / 3
        users, items = (content + side).split([a.users, a.items])
        x = users[u], items[i], items[j]
        (side_users, side_items), (own_users, own_items) = (y.split([a.users, a.items]) for y in (side, content))
        contrast = info_nce(side_items[i], own_items[i], self.tau) + info_nce(side_users[u], own_users[u], self.tau)
        return bpr(*x) + a.reg / 2 * squares(*x) / len(u) + self.cl * contrast
