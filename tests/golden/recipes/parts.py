"""What the recipes of recommenders_float64.py share: draws, graphs, losses, and a watch over numbers that float32 may decide otherwise."""
import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

"""What was too close to a tie or a kink since the last clear(): float32 may then take the other side. The caller draws again."""
CLOSE = []
TIE, KINK = 2e-4, 1e-6  # limits for cosines at the k-th place, and for the arguments of LeakyReLU, ReLU or a maximum


def watch(what, distance, limit):
    """Watches numbers that are close to a kink. Exact zeros belong to nodes without pairs and are equal on both sides."""
    distance = distance.detach()
    least = distance[distance > 0].min().item() if (distance > 0).any() else limit
    if least < limit:
        CLOSE.append(f"{what} {least:.1e}")


# ---- draws: initial numbers are exact in float32, so that both sides begin with the same numbers -----


def f32(x):
    return torch.tensor(np.asarray(x, np.float32).astype(np.float64))


def uniform(g, a, *shape):
    return g.uniform(-a, a, shape)


def xavier(g, rows, cols):
    return uniform(g, np.sqrt(6 / (rows + cols)), rows, cols)


def xavier_normal(g, rows, cols):
    return g.normal(0, np.sqrt(2 / (rows + cols)), (rows, cols))


def linear(start, g, name, rows, cols, bias=True, weight=None):
    """Draws NAME.weight [rows, cols] and NAME.bias as nn.Linear does, or the weight by another rule."""
    start[f"{name}.weight"] = weight(g, rows, cols) if weight else uniform(g, cols ** -0.5, rows, cols)
    if bias:
        start[f"{name}.bias"] = uniform(g, cols ** -0.5, rows)


def tables(a, g, draw=xavier):
    return {"user": draw(g, a.users, a.factors), "item": draw(g, a.items, a.factors)}


def apply(p, name, x):
    """Returns x W' + b of the Linear `name`; b if it has a bias."""
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


# ---- activations ---------------------------------------------------------------------------------


def leaky(x, slope):
    watch("LeakyReLU", x.abs(), KINK)
    return F.leaky_relu(x, slope)


def relu(x):
    watch("ReLU", x.abs(), KINK)
    return F.relu(x)


# ---- graphs of items -----------------------------------------------------------------------------


def cosine_rows(x):
    return x / x.norm(dim=1, keepdim=True)


def knn(x, k):
    """Returns a dense graph [I, I] with the k largest cosines of each row, and zeros elsewhere."""
    sim = cosine_rows(x) @ cosine_rows(x).T
    value, index = torch.topk(sim, k + 1, dim=1)
    watch("cosine", value[:, k - 1] - value[:, k], TIE)
    return torch.zeros_like(sim).scatter(1, index[:, :k], value[:, :k])


def laplacian(g, power):
    s = g.sum(1)
    d = torch.where(s > 0, s ** -power, torch.zeros_like(s))
    return d[:, None] * g * d[None, :]


def binary(g):
    """FREEDOM's graph of g's pattern: ones, normalised by row sums (+ 1e-7) at both ends."""
    ones = (g != 0).double()
    d = (ones.sum(1) + 1e-7) ** -0.5
    return d[:, None] * ones * d[None, :]


def set_diagonal(g):
    eye = torch.eye(g.shape[0])
    return g * (1 - eye) + eye


# ---- graphs of users and items -------------------------------------------------------------------


def bipartite(a, users, items, self_loops):
    """Returns the dense adjacency matrix [U + I, U + I], users first, and its degrees."""
    N = a.users + a.items
    adj = torch.zeros(N, N)
    adj[torch.tensor(users).long(), a.users + torch.tensor(items).long()] = 1
    adj = adj + adj.T + (torch.eye(N) if self_loops else 0)
    return adj, adj.sum(1)


def symmetric(a, users, items, eps):
    """D^-1/2 A D^-1/2, eps added to D. eps 0: a node without pairs has weight 0."""
    adj, degree = bipartite(a, users, items, False)
    d = torch.where(degree + eps > 0, (degree + eps).clamp_min(1e-300) ** -0.5, torch.zeros_like(degree))
    return d[:, None] * adj * d[None, :]


def row_self(a, users, items):
    """D^-1 (A + I)."""
    adj, degree = bipartite(a, users, items, True)
    return adj / degree[:, None]


def layers_of(graph, x, count):
    """Returns x, A x, A A x, ...: count + 1 tensors."""
    layers = [x]
    for _ in range(count):
        layers.append(graph @ layers[-1])
    return layers


def light_gcn(a, graph, p, count):
    """Returns the mean of LightGCN's layers 0 to count: users [U, D], items [I, D]."""
    return torch.stack(layers_of(graph, torch.cat([p["user"], p["item"]]), count)).mean(0).split([a.users, a.items])


# ---- losses --------------------------------------------------------------------------------------


def difference(eu, ei, ej):
    return (eu * ei).sum(1) - (eu * ej).sum(1)


def bpr(eu, ei, ej):
    return -F.logsigmoid(difference(eu, ei, ej)).mean()


def squares(*x):
    return sum((y ** 2).sum() for y in x)


def norms(*x):
    return sum(y.norm() for y in x)


def info_nce(a, b, tau):
    """Returns the mean over rows of -log softmax(a_i . b / tau) at i. The rows of a and b are scaled to length 1."""
    return F.cross_entropy(F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau, torch.arange(len(a)))
