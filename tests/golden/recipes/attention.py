"""Recipes of recommenders that send features along the edges between users and items. See recommenders_float64.py."""
import torch
import torch.nn.functional as F

from recipes.features import NAMES, SMALL
from recipes.parts import KINK, apply, bipartite, bpr, leaky, linear, relu, tables, watch, xavier, xavier_normal


def means(rows, u, i, j):
    """Returns the mean of squares over 2B rows and all columns: users' rows (each user twice) plus rows of positives and negatives."""
    user, item = rows
    return (user[torch.cat([u, u])] ** 2 + item[torch.cat([i, j])] ** 2).mean()


class Grcn:
    """GRCN. elliot = Ducho-meets-Elliot's GRCNModel, mmrec = MMRec's grcn.py.

    Each modality has users' preferences and items' projected features as rows of length 1. elliot moves a user's preference num_routings
    times towards its items; MMRec's routing sends messages to items only, so that users' rows do not change. Then one step of attention
    on all edges, both ways. The weights of the id part: the largest over modalities of attention x confidence, 0 where that is negative.
    Confidence is that of the node that receives the message under elliot, of the node that sends it in MMRec's code.

    Under elliot rows are normalised after each hop, so a confidence that scales all edges of its node has no effect: its gradient is rounding,
    of which Adam makes steps. `rounding` finds these numbers; they are NaN in after.confidence, and no maximum may be so close that they
    decide it.

    The code of elliot makes the second half of its weights (of edges to items) in the order of users and uses them in the order of items:
    GrcnOrder. Here each weight stays with its edge."""
    variants = ("elliot", "mmrec")
    needs_features = True
    sizes = SMALL
    layers, routings, width = 2, 2, 6  # MMRec's id part always has two layers
    edge_order = "paper"

    @classmethod
    def settings(cls, a, variant):
        order = {"edge_order": cls.edge_order} if variant == "elliot" else {}
        return {"variant": variant, "factors": a.factors, "factors_multimod": cls.width, "num_layers": cls.layers,
                "num_routings": cls.routings, "l_w": a.reg} | order

    def __init__(self, a, g, variant, visual, textual, users, items):
        draw = xavier if variant == "elliot" else xavier_normal
        self.a, self.variant, self.start = a, variant, tables(a, g, draw)
        self.features = {"visual": visual, "textual": textual}
        for name, x in self.features.items():
            self.start[f"preference.{name}"] = draw(g, a.users, self.width)
            linear(self.start, g, f"projection.{name}", self.width, x.shape[1], weight=None if variant == "elliot" else draw)
        self.start["confidence"] = draw(g, a.users + a.items, len(NAMES))
        self.to, self.source = bipartite(a, users, items, False)[0].nonzero().T  # by receiving node: the first half is users
        self.ends = self.to, self.source  # the nodes whose rows give the attention
        self.sure = self.to if variant == "elliot" else self.source  # the node whose confidence is used
        if self.edge_order == "elliot":
            user, item = self.to[:len(users)], self.source[:len(users)]
            self.ends, self.sure = (torch.cat([user, user]), torch.cat([item, item])), torch.cat([user, item])

    def attend(self, x, count):
        """Returns, for the first edges: alpha, the softmax over a node's edges of x_one . x_other, and the sums of alpha x_source."""
        to, source, one, other = (y[:count] for y in (self.to, self.source, *self.ends))
        logits = torch.exp((x[one] * x[other]).sum(1))
        alpha = logits / torch.zeros(len(x)).index_add(0, to, logits)[to]
        return alpha, torch.zeros_like(x).index_add(0, to, alpha[:, None] * x[source])

    def refine(self, p, name):
        a = self.a
        user = F.normalize(p[f"preference.{name}"], dim=1)
        item = F.normalize(leaky(apply(p, f"projection.{name}", self.features[name]), 0.01), dim=1)
        for _ in range(self.routings if self.variant == "elliot" else 0):
            _, message = self.attend(torch.cat([user, item]), len(self.to) // 2)
            user = F.normalize(user + message[:a.users], dim=1)
        x = torch.cat([user, item])
        alpha, message = self.attend(x, len(self.to))
        return alpha, x + message

    def loss(self, p, u, i, j, first):
        a, elliot = self.a, self.variant == "elliot"
        alphas, contents = zip(*(self.refine(p, name) for name in NAMES))
        self.alphas = torch.stack(alphas, 1)
        weights = self.alphas * p["confidence"][self.sure]
        watch("maximum", (weights[:, 0] - weights[:, 1]).abs(), KINK)
        weight = relu(weights.max(1).values)
        x = F.normalize(torch.cat([p["user"], p["item"]]), dim=1)
        out = x
        for _ in range(self.layers):
            x = torch.zeros_like(x).index_add(0, self.to, weight[:, None] * x[self.source])
            x = F.normalize(x, dim=1) if elliot else x
            out = out + x
        users, items = torch.cat([out, *contents], 1).split([a.users, a.items])
        preference = [p[f"preference.{name}"] for name in NAMES]
        content = sum((x[torch.cat([u, u])] ** 2).mean() for x in preference)
        ids = means((p["user"], p["item"]), u, i, j)
        reg = content + a.reg * ids if elliot else a.reg * (ids + (preference[0] ** 2).mean() + content)
        return bpr(users[u], items[i], items[j]) + reg

    def rounding(self, p):
        """Returns names and masks of numbers whose gradients are rounding errors, after the backward pass."""
        if self.variant != "elliot":
            return {}
        grad, alphas = p["confidence"].grad, self.alphas.detach()
        weights = alphas * p["confidence"].detach()[self.sure]
        largest, modality = weights.max(1)
        at = self.sure[largest > 0], modality[largest > 0]
        mask = torch.zeros_like(grad, dtype=torch.bool).index_put(at, torch.tensor(True)) & (grad.abs() < 1e-9 * grad.abs().max())
        moved = 12 * self.a.lr * alphas.max(1).values  # how far ten steps of rounding can move a weight
        held = mask[self.sure, modality] & (largest > 0)
        watch("weight", torch.minimum(largest, largest - weights.min(1).values)[held] / moved[held], 1)
        return {"confidence": mask}


class GrcnOrder(Grcn):
    """The order of edges that Ducho-meets-Elliot's GRCNModel has: entry k of the second half has the attention and the confidence of the
    k-th pair by users, its softmax is over the entries of the k-th pair by items, and it weighs that pair."""
    model = "GRCN"
    variants = ("elliot",)
    edge_order = "elliot"


class Mmgcn:
    """MMGCN. mmrec = MMRec's mmgcn.py: three layers always; ids and preferences are drawn and never trained. elliot = Ducho-meets-Elliot's
    MMGCNModel: both are trained. The loss is the same. Visual features are projected, textual ones are read as they are."""
    variants = ("elliot", "mmrec")
    needs_features = True
    sizes = SMALL
    widths = {"visual": 5, "textual": 0}
    layers = {"elliot": 2, "mmrec": 3}

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "factors_multimod": Mmgcn.widths["visual"], "n_layers": Mmgcn.layers[variant],
                "train_id": str(variant == "elliot").lower(), "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        draw = xavier if variant == "elliot" else xavier_normal
        d, layers = a.factors, self.layers[variant]
        self.a, self.features, self.count = a, {"visual": visual, "textual": textual}, layers
        self.start = {f"identity.{k}": v for k, v in tables(a, g, draw).items()}
        for name, x in self.features.items():
            width = self.widths[name] or x.shape[1]
            self.start[f"preference.{name}"] = draw(g, a.users, width)
            if self.widths[name]:
                linear(self.start, g, f"projection.{name}", width, x.shape[1])
            for l in range(layers):
                n = d if l else width
                linear(self.start, g, f"conv.{name}.{l}", n, n, bias=False, weight=draw)
                linear(self.start, g, f"linear.{name}.{l}", d, n, weight=draw)
                linear(self.start, g, f"combine.{name}.{l}", d, n + d, weight=draw)
        self.constants = [] if variant == "elliot" else [k for k in self.start if k.startswith(("identity.", "preference."))]
        adj, degree = bipartite(a, users, items, False)
        self.mean = adj / degree.clamp_min(1)[:, None]

    def loss(self, p, u, i, j, first):
        a, out = self.a, 0
        ids = torch.cat([p["identity.user"], p["identity.item"]])
        for name, features in self.features.items():
            if self.widths[name]:
                features = apply(p, f"projection.{name}", features)
            x = F.normalize(torch.cat([p[f"preference.{name}"], features]), dim=1)
            for l in range(self.count):
                near = leaky(self.mean @ apply(p, f"conv.{name}.{l}", x), 0.01)
                own = leaky(apply(p, f"linear.{name}.{l}", x), 0.01) + ids
                x = leaky(apply(p, f"combine.{name}.{l}", torch.cat([near, own], 1)), 0.01)
            out = out + x / len(NAMES)
        users, items = out.split([a.users, a.items])
        reg = means((p["identity.user"], p["identity.item"]), u, i, j) + (p["preference.visual"] ** 2).mean()
        return bpr(users[u], items[i], items[j]) + a.reg * reg
