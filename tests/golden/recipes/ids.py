"""Recipes of recommenders that read no features. See recommenders_float64.py."""
import torch
import torch.nn.functional as F

from recipes.parts import (apply, bipartite, bpr, difference, info_nce, leaky, light_gcn, norms, row_self, squares, symmetric, tables,
                           watch, xavier, xavier_normal)


class Bprmf:
    """BPR-MF. elliot = Ducho-meets-Elliot's BPRMFModel, mmrec = MMRec's bpr.py, paper = Rendle et al. 2009: sums, steps of SGD."""
    variants = ("elliot", "mmrec", "paper")
    sizes = {"users": 24, "items": 30, "batch": 24}

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "l_w": a.reg} | ({"lr": 0.05} if variant == "paper" else {})

    @staticmethod
    def optimiser(parameters, lr, variant):
        return (torch.optim.SGD if variant == "paper" else torch.optim.Adam)(parameters, lr=lr)

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.variant, self.a = variant, a
        self.start = tables(a, g, xavier_normal if variant == "mmrec" else xavier)

    def loss(self, p, u, i, j, first):
        x, a = (p["user"][u], p["item"][i], p["item"][j]), self.a
        if self.variant == "paper":
            return -F.logsigmoid(difference(*x)).sum() + a.reg / 2 * squares(*x)
        if self.variant == "elliot":
            return bpr(*x) + a.reg / 2 * squares(*x) / len(u)
        return -torch.log(1e-10 + torch.sigmoid(difference(*x))).mean() + a.reg * norms(*x) / len(u)


class LightGcn:
    """LightGCN. elliot = Ducho-meets-Elliot's LightGCNModel, mmrec = MMRec's lightgcn.py. The authors' loss and graph are elliot's."""
    variants = ("elliot", "mmrec")

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "n_layers": 3, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.variant, self.a = variant, a
        self.start = tables(a, g, (lambda g, *shape: g.normal(0, 0.1, shape)) if variant == "elliot" else xavier)
        self.adj = symmetric(a, users, items, 0 if variant == "elliot" else 1e-7)

    def loss(self, p, u, i, j, first):
        a = self.a
        users, items = light_gcn(a, self.adj, p, 3)
        diff = difference(users[u], items[i], items[j])
        ego = p["user"][u], p["item"][i], p["item"][j]
        if self.variant == "elliot":
            return F.softplus(-diff).mean() + a.reg / 2 * squares(*ego) / len(u)
        return -torch.log(1e-10 + torch.sigmoid(diff)).mean() + a.reg * norms(*ego) / len(u)


class Ngcf:
    """NGCF without dropout. elliot = Ducho-meets-Elliot's NGCFModel, paper = the authors' NGCF.py (two activations in a layer, and
    the next layer starts from rows that are not normalised)."""
    variants = ("elliot", "paper")
    layers, width = 2, 12  # not as wide as the embeddings

    @staticmethod
    def settings(a, variant):
        named = {} if variant == "elliot" else {"variant": variant}
        return named | {"factors": a.factors, "n_layers": Ngcf.layers, "weight_size": Ngcf.width, "node_dropout": 0.0,
                        "message_dropout": 0.0, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, self.variant = a, variant
        self.start = tables(a, g) | self.layer_starts(a, g, self.layers, self.width)
        self.adj = row_self(a, users, items)

    @staticmethod
    def layer_starts(a, g, layers, width):
        start = {}
        for l in range(layers):
            for name in ("sum", "product"):
                start[f"{name}.{l}.weight"] = xavier(g, width, width if l else a.factors)
                start[f"{name}.{l}.bias"] = xavier(g, 1, width)[0]
        return start

    @staticmethod
    def propagate(adj, p, layers, variant):
        x = torch.cat([p["user"], p["item"]])
        out = [x]
        for l in range(layers):
            m = adj @ x
            if variant == "elliot":
                x = F.normalize(leaky(apply(p, f"sum.{l}", m) + apply(p, f"product.{l}", m * x), 0.2), dim=1)
                out.append(x)
            else:
                x = leaky(apply(p, f"sum.{l}", m), 0.2) + leaky(apply(p, f"product.{l}", m * x), 0.2)
                out.append(F.normalize(x, dim=1))
        return out

    def loss(self, p, u, i, j, first):
        a = self.a
        users, items = torch.cat(self.propagate(self.adj, p, self.layers, self.variant), 1).split([a.users, a.items])
        x = users[u], items[i], items[j]
        return bpr(*x) + a.reg / 2 * squares(*x) / len(u)


class Sgl:
    """SGL whose views have all pairs (ssl_ratio 0). elliot = Ducho-meets-Elliot's SGLModel; the authors' SGL-Torch has the same loss.
    All terms are sums over the batch."""
    variants = ("elliot",)
    sizes = {"users": 24, "items": 30, "batch": 24}
    layers, temp, ssl = 2, 0.2, 0.1

    @staticmethod
    def settings(a, variant):
        return {"factors": a.factors, "n_layers": Sgl.layers, "ssl_temp": Sgl.temp, "ssl_reg": Sgl.ssl, "ssl_ratio": 0.0,
                "sampling": "ed", "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, self.start = a, tables(a, g)
        self.adj = symmetric(a, users, items, 0)

    def contrast(self, x, ids):
        """The sum over ids of logsumexp over all n of (v_i . v_n - v_i . v_i) / temp; both views are the same here."""
        one, two = F.normalize(x, dim=1), F.normalize(x, dim=1)
        own = (one[ids] * two[ids]).sum(1)
        return torch.logsumexp((one[ids] @ two.T - own[:, None]) / self.temp, 1).sum()

    def loss(self, p, u, i, j, first):
        a = self.a
        users, items = light_gcn(a, self.adj, p, self.layers)
        ranking = -F.logsigmoid(difference(users[u], items[i], items[j])).sum()
        ego = p["user"][u], p["item"][i], p["item"][j]
        return ranking + self.ssl * (self.contrast(users, u) + self.contrast(items, i)) + a.reg / 2 * squares(*ego)


class SimGcl:
    """SimGCL without noise (eps 0). elliot = Ducho-meets-Elliot's SimGCLModel, paper = the authors' in QRec. Layer 0 is not part of the
    mean; each user and each item of the batch is contrasted once, with those of the batch. elliot: means, and l_w weighs norms of the
    batch's users and positive items. paper: sums, and l_w weighs half the squares of all three."""
    variants = ("elliot", "paper")
    sizes = {"users": 24, "items": 30, "batch": 24}
    layers, cl, temp = 2, 0.5, 0.2

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "n_layers": SimGcl.layers, "eps": 0.0, "reg_cl": SimGcl.cl, "l_w": a.reg}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, self.variant, self.start = a, variant, tables(a, g)
        self.adj = symmetric(a, users, items, 0)

    def view(self, p):
        x, layers = torch.cat([p["user"], p["item"]]), []
        for _ in range(self.layers):
            x = self.adj @ x
            layers.append(x)
        return torch.stack(layers).mean(0).split([self.a.users, self.a.items])

    def loss(self, p, u, i, j, first):
        users, items = self.view(p)
        x = users[u], items[i], items[j]
        (users1, items1), (users2, items2) = self.view(p), self.view(p)
        each_user, each_item = torch.unique(u), torch.unique(i)
        of_users = info_nce(users1[each_user], users2[each_user], self.temp)
        of_items = info_nce(items1[each_item], items2[each_item], self.temp)
        if self.variant == "elliot":
            ranking = -torch.log(10e-6 + torch.sigmoid(difference(*x))).mean()
            return ranking + self.a.reg * norms(x[0], x[1]) / len(u) + self.cl * (of_users + of_items)
        ranking = -torch.log(10e-8 + torch.sigmoid(difference(*x))).sum()
        return ranking + self.a.reg / 2 * squares(*x) + self.cl * (len(each_user) * of_users + len(each_item) * of_items)


class Dgcf:
    """DGCF. elliot = sisinflab/Graph-RSs-Reproducibility's DGCFModel (after RecBole), paper = the authors' DGCF_v1. All pairs are one
    batch, so the users and items that the distance correlation samples are all of them. Squared distances, r = |x|^2: paper has
    r_i - 2 x_i . x_j + r_j; elliot has r_i - 2 x_i . (x_j + r_j), r_j added to each number of x_j."""
    variants = ("elliot", "paper")
    sizes = {"users": 16, "items": 16, "most": 4, "batch": 48, "factors": 12, "epoch_batches": 1}  # 3 pairs per user
    layers, intents, routings, ind = 2, 3, 2, 0.5

    @staticmethod
    def settings(a, variant):
        return {"variant": variant, "factors": a.factors, "n_layers": Dgcf.layers, "intents": Dgcf.intents, "routing_iterations": Dgcf.routings,
                "l_w_bpr": a.reg, "l_w_ind": Dgcf.ind}

    def __init__(self, a, g, variant, visual, textual, users, items):
        self.a, self.variant, self.start, self.begun = a, variant, tables(a, g), False
        self.edge = bipartite(a, users, items, False)[0].nonzero().T  # [2, 2E]: heads, tails

    def propagate(self, p):
        head, tail = self.edge
        x = torch.cat([p["user"], p["item"]])
        layers, routing = [x], torch.ones(len(head), self.intents)
        for _ in range(self.layers):
            chunks = torch.chunk(x, self.intents, 1)
            for _ in range(self.routings):
                share = torch.softmax(routing, 1)
                degree = torch.zeros(len(x), self.intents).index_add(0, head, share).clamp_min(1e-8) ** -0.5
                weight = share * degree[head] * degree[tail]
                factor = [torch.zeros_like(c).index_add(0, head, weight[:, k:k + 1] * c[tail]) for k, c in enumerate(chunks)]
                alike = [(F.normalize(f, dim=1)[head] * torch.tanh(F.normalize(c[tail], dim=1))).sum(1) for f, c in zip(factor, chunks)]
                routing = routing + torch.stack(alike, 1)
            x = torch.cat(factor, 1)
            layers.append(x)
        return torch.stack(layers).mean(0)

    def centred(self, x):
        r = (x * x).sum(1, keepdim=True)
        v = r - 2 * x @ (x.T + r.T) if self.variant == "elliot" else r - 2 * x @ x.T + r.T
        # of the square root's slope near 0; gradients are compared in the first step alone
        watch("distance", v.abs() + torch.eye(len(v)), 2e-6 if self.begun else 1e-4)
        D = torch.sqrt(v.clamp_min(0) + 1e-8)
        return D - D.mean(0, keepdim=True) - D.mean(1, keepdim=True) + D.mean()

    @staticmethod
    def covariance(one, two):
        return torch.sqrt(((one * two).sum() / len(one) ** 2).clamp_min(0) + 1e-8)

    def dependence(self, x, y):
        """Distance correlation."""
        x, y = self.centred(x), self.centred(y)
        own = self.covariance(x, x) * self.covariance(y, y)
        return self.covariance(x, y) / (torch.sqrt(own.clamp_min(0)) + 1e-10)

    def loss(self, p, u, i, j, first):
        a, K = self.a, self.intents
        nodes = self.propagate(p)
        users, items = nodes.split([a.users, a.items])
        ego = p["user"][u], p["item"][i], p["item"][j]
        ranking = F.softplus(-difference(users[u], items[i], items[j])).mean() + a.reg / 2 * squares(*ego) / len(u)
        chunks = torch.chunk(nodes, K, 1)
        alike = sum(self.dependence(chunks[k], chunks[k + 1]) for k in range(K - 1))
        self.begun = True
        return ranking + self.ind * alike / ((K + 1) * K / 2)
