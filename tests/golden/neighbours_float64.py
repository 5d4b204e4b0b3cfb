#!/usr/bin/env python3
"""Scores of recommenders without epochs in float64 NumPy, written from Elliot's code (recipes.md 7): the reference of
tests/neighbours_test.c. One safetensors file: pairs.user, pairs.item, pairs.rating (not whole numbers), attributes [I, A], and
scores.0, scores.1, ... [U, I]. The metadata have U, I and, as `case.0`, `case.1`, ..., "MODEL key=value ...".

W keeps the k largest similarities of each column. It is made as Elliot makes it:

    standard   of the entries that are not 0, the diagonal among them
    aiolli     of all entries with a diagonal of 0; what is 0 adds nothing. A negative similarity (pearson, adjusted) counts where
               fewer than k entries are larger
    scores     R W for items, W R for users: a user has the scores of those users who have this user among their k largest

Ratings and attributes are drawn again where the k-th largest and the next one are close: jaccard, dice and tversky keep all.

    pip install numpy==2.4.6 safetensors
    python tests/golden/neighbours_float64.py tests/golden          # rewrites neighbours.safetensors
"""
import os
import sys

import numpy as np
from safetensors.numpy import save_file

U, I, A = 14, 12, 8
ALL = 50  # neighbours: more than there are
GAP = 1e-4


class Tie(Exception):
    pass


def largest(column, k):
    """Returns `column` with all entries set to 0 except the k largest."""
    order = np.argsort(-column, kind="stable")
    if k < len(order) and column[order[k - 1]] != 0 and column[order[k - 1]] - column[order[k]] < GAP * np.abs(column).max():
        raise Tie
    out = np.zeros_like(column)
    out[order[:k]] = column[order[:k]]
    return out


def keep(S, k, standard):
    W = np.zeros_like(S)
    for j in range(S.shape[1]):
        there = S[:, j] != 0 if standard else np.full(len(S), True)
        W[there, j] = largest(S[there, j], k)
    return W


def counts(X):
    """Returns counts over the columns of X != 0: entries in both, in the row's column only, in the column's only [n, n]."""
    B = (X != 0).astype(float)
    both, own = B.T @ B, B.sum(0)
    return both, own[:, None] - both, own[None, :] - both


def standard(X, how):
    """Returns the similarities of the columns of X."""
    if how == "dot":
        return X.T @ X
    if how == "cosine":
        length = np.sqrt((X ** 2).sum(0))
        length[length == 0] = 1
        return X.T @ X / np.outer(length, length)
    apart = X.T[:, None, :] - X.T[None, :, :]
    both, one, other = counts(X)
    distance = {"euclidean": lambda: np.sqrt((apart ** 2).sum(2)), "manhattan": lambda: np.abs(apart).sum(2),
                "jaccard": lambda: (one + other) / (both + one + other), "dice": lambda: (one + other) / (2 * both + one + other)}[how]
    return 1 / (1 + distance())


def without_means(X, axis):
    """Subtracts from each entry that is not 0 the mean of the entries that are not 0 in its row (axis 1) or column (axis 0)."""
    there = X != 0
    return np.where(there, X - X.sum(axis, keepdims=True) / np.maximum(there.sum(axis, keepdims=True), 1), 0)


def aiolli(X, how, shrink=0.0, normalize=True, asymmetric_alpha=0.0, tversky_alpha=0.0, tversky_beta=0.0):
    """Returns the similarities of the columns of X, with a diagonal of 0: entry [i, j] is row i of the column of j."""
    if how in ("jaccard", "dice", "tversky"):
        w, one, other = counts(X)
        below = {"jaccard": w + one + other, "dice": 2 * w + one + other, "tversky": w + tversky_alpha * other + tversky_beta * one}[how]
        S = w / (below + shrink + 1e-6)
    else:
        X = without_means(X, 1) if how == "adjusted" else without_means(X, 0) if how == "pearson" else X
        w, squares = X.T @ X, (X ** 2).sum(0)
        if how == "asymmetric":
            S = w / (np.outer(squares ** (1 - asymmetric_alpha), squares ** asymmetric_alpha) + shrink + 1e-6)
        elif normalize:
            S = w / (np.sqrt(np.outer(squares, squares)) + shrink + 1e-6)
        else:
            S = w / shrink if shrink else w
    np.fill_diagonal(S, 0)
    return S


def knn(R, attributes, model, neighbors=40, similarity="cosine", implementation="standard", implicit=False, binary=False, **more):
    """Returns the recommender's scores [U, I]."""
    R = (R != 0).astype(float) if implicit else R
    X = R.T if model == "UserKNN" else attributes.T if model == "AttributeItemKNN" else R
    X = (X != 0).astype(float) if binary else X
    S = standard(X, similarity) if implementation == "standard" else aiolli(X, similarity, **more)
    W = keep(S, neighbors, implementation == "standard")
    return W @ R if model == "UserKNN" else R @ W


def easer(R, l2_norm=1e3, implicit=False):
    """Returns the scores of EASE^R. The diagonal is the number of ratings + l2_norm, for any ratings."""
    R = (R != 0).astype(float) if implicit else R
    G = R.T @ R
    np.fill_diagonal(G, (R != 0).sum(0) + l2_norm)
    P = np.linalg.inv(G)
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0)
    return R @ B


CASES = [("ItemKNN", {"similarity": s, "neighbors": k}) for s, k in
         (("cosine", 3), ("dot", 3), ("euclidean", 3), ("manhattan", 3), ("jaccard", ALL), ("dice", ALL))]
CASES += [("ItemKNN", {"similarity": "cosine", "neighbors": ALL, "implicit": True})]
CASES += [("ItemKNN", {"implementation": "aiolli", "neighbors": k, "similarity": s, **more}) for s, k, more in (
    ("cosine", 3, {}), ("cosine", 3, {"shrink": 2.0}), ("cosine", 3, {"shrink": 2.0, "normalize": False}),
    ("asymmetric", 3, {"asymmetric_alpha": 0.3, "shrink": 1.0}), ("adjusted", 3, {"shrink": 0.5}), ("adjusted", 8, {}), ("adjusted", ALL, {}),
    ("pearson", 3, {}), ("pearson", ALL, {"shrink": 0.5}), ("jaccard", ALL, {"shrink": 0.5}), ("dice", ALL, {}),
    ("tversky", ALL, {"tversky_alpha": 0.7, "tversky_beta": 0.2, "shrink": 0.25}))]
CASES += [("UserKNN", {"similarity": s, "neighbors": k}) for s, k in (("cosine", 3), ("euclidean", 3), ("manhattan", 3), ("jaccard", ALL))]
CASES += [("UserKNN", {"implementation": "aiolli", "neighbors": k, "similarity": s, **more}) for s, k, more in (
    ("cosine", 3, {"shrink": 2.0}), ("asymmetric", 3, {"asymmetric_alpha": 0.3}), ("adjusted", 3, {}), ("pearson", 3, {"shrink": 0.5}),
    ("tversky", ALL, {"tversky_alpha": 0.7, "tversky_beta": 0.2}))]
CASES += [("AttributeItemKNN", {"similarity": s, "neighbors": k, **more}) for s, k, more in (
    ("cosine", 3, {}), ("dot", 3, {}), ("euclidean", 3, {}), ("manhattan", 3, {}), ("cosine", ALL, {"binary": True}), ("jaccard", ALL, {}),
    ("dice", ALL, {}), ("cosine", 3, {"implicit": True}))]
CASES += [("EASER", {"l2_norm": 2.0}), ("EASER", {}), ("EASER", {"l2_norm": 2.0, "implicit": True})]


def nearly_singular(R):
    """Returns an l2_norm with which G is indefinite and has an eigenvalue of 0.001: an inverse in float32 has an error of some percent."""
    G = R.T @ R
    np.fill_diagonal(G, (R != 0).sum(0))
    return round(0.001 - np.sort(np.linalg.eigvalsh(G))[2], 9)


def draw(seed):
    g = np.random.default_rng([11, seed])
    there = g.random((U, I)) < 0.4
    R = np.where(there, g.uniform(0.5, 5, (U, I)), 0).astype(np.float32)
    attributes = np.where(g.random((I, A)) < 0.5, g.uniform(0.2, 2, (I, A)), 0).astype(np.float32)
    if there.sum(0).min() < 1 or there.sum(1).min() < 2 or (attributes != 0).sum(1).min() < 1:
        raise Tie
    exact = R.astype(float), attributes.astype(float)
    cases = CASES + [("EASER", {"l2_norm": nearly_singular(exact[0])})]
    return cases, R, attributes, [easer(exact[0], **set) if model == "EASER" else knn(*exact, model, **set) for model, set in cases]


if __name__ == "__main__":
    for seed in range(100000):
        try:
            cases, R, attributes, scores = draw(seed)
            break
        except Tie:
            continue
    user, item = np.nonzero(R)
    out = {"pairs.user": user.astype(np.int32), "pairs.item": item.astype(np.int32), "pairs.rating": R[user, item], "attributes": attributes}
    meta = {"users": str(U), "items": str(I), "cases": str(len(cases))}
    word = lambda v: str(v).lower() if isinstance(v, bool) else str(v)
    for c, (model, set) in enumerate(cases):
        out[f"scores.{c}"] = scores[c].astype(np.float32)
        meta[f"case.{c}"] = " ".join([model] + [f"{k}={word(v)}" for k, v in set.items()])
    save_file(out, os.path.join(sys.argv[1], "neighbours.safetensors"), metadata=meta)
    print(f"draw {seed}: {len(cases)} cases, {len(user)} pairs")
