#!/usr/bin/env python3
"""Every metric of Elliot, MMRec and RecBole in float64 NumPy, written from the definitions (recipes.md 6.2, 6.3): the reference of
tests/metrics_test.c. It writes a folder of small files:

    train.tsv test.tsv   user, item, rating; test has items that train does not have, users without rows, ratings of 0 and below
    recs.tsv             user, item, score: lists of several lengths, equal scores, items that train does not have; some users have none
    full.tsv             the same with every item that is not in train: for metrics of whole lists
    users.tsv items.tsv  id, cluster; some ids are in none, some are unknown
    features.tsv         item, feature, ...
    figures.tsv          protocol, lists, threshold, metric, figure, its values at the cutoffs 1, 3, 8, 50
    by_user.tsv          lists, user, metric, its values at them: elliot, threshold 0

    pip install numpy==2.4.6
    python tests/golden/metrics_float64.py tests/golden/metrics
"""
import os
import sys

import numpy as np

U, I, UNKNOWN = 24, 37, 4  # users, items of train, items that train lacks
CUTOFFS = [1, 3, 8, 50]


# ---- data --------------------------------------------------------------------------------------------------------------

def make(rng):
    weight = 1 / np.arange(1, I + 1) ** 0.8
    train, test = {}, {}
    for u in range(U):
        n = int(rng.integers(2, 9))
        items = rng.choice(I, n, replace=False, p=weight / weight.sum())
        train[u] = {int(i): float(rng.integers(1, 6)) for i in items}
    for i in range(I):  # every item is known to train
        if not any(i in t for t in train.values()):
            train[int(rng.integers(U))][i] = 3.0
    for u in range(U):
        free = [i for i in range(I + UNKNOWN) if i not in train[u]]
        n = int(rng.integers(0, 7)) if u % 6 else 0
        test[u] = {int(i): float(rng.choice([-2, 0, 1, 2, 3, 4, 5])) for i in rng.choice(free, n, replace=False)}
    test[1] = {i: -1.0 for i in [i for i in range(I) if i not in train[1]][:3]}  # rows, none of them relevant
    test[2][[i for i in train[2]][0]] = 4.0  # an item of train, too
    return train, test


def lists_of(rng, train, test, full):
    out = {}
    for u in range(U):
        if u in (3, 7):
            continue
        free = [i for i in range(I + UNKNOWN) if i not in train[u]]
        if full:
            free = [i for i in range(I) if i not in train[u]]
        n = len(free) if full else int(rng.integers(1, 14))
        items = rng.permutation(free)[:n]
        scores = np.round(rng.normal(2, 1.5, n) + np.array([0.8 * (i in test[u]) for i in items]), 1)  # with ties
        order = np.argsort(-scores, kind="stable")
        out[u] = [(int(items[k]), float(scores[k])) for k in order]
    return out


# ---- what the metrics share ----------------------------------------------------------------------------------------------

class World:
    def __init__(self, train, test, recs, k, threshold, mmrec, users, items, features):
        self.train, self.test, self.k, self.threshold, self.mmrec = train, test, k, threshold, mmrec
        self.users, self.items, self.features = users, items, features
        self.recs = recs
        self.lists = {u: [i for i, _ in recs.get(u, [])][:k] for u in self.listed()}
        self.whole = {u: recs.get(u, []) for u in self.listed()}
        self.pop = np.zeros(I + UNKNOWN, int)
        for t in train.values():
            for i in t:
                self.pop[i] += 1
        self.pairs = self.pop.sum()

    def listed(self):
        return [u for u in range(U) if self.test[u] and (self.mmrec or self.recs.get(u))]

    def relevant(self, u):
        return {i for i, r in self.test[u].items() if self.mmrec or r >= self.threshold}

    def judged(self):
        return [u for u in self.listed() if self.relevant(u)]

    def gain(self, u, i):
        return 2 ** (self.test[u][i] - self.threshold + 1) - 1 if i in self.relevant(u) else 0.0

    def hits(self, u, n=None):
        return [int(i in self.relevant(u)) for i in self.lists[u][:n]]

    def tail(self, ratio=0.8):
        order = sorted(range(I), key=lambda i: (-self.pop[i], i))
        left, head = self.pairs * ratio, []
        for i in order:
            head.append(i)
            left -= self.pop[i]
            if left <= 0:
                break
        return set(range(I)) - set(head), set(head)


def discount(n):
    return 1 / np.log2(np.arange(n) + 2)


# ---- metrics of users ------------------------------------------------------------------------------------------------------

def recall(w, u):
    return sum(w.hits(u)) / len(w.relevant(u))


def precision(w, u, k=None):
    k = k or w.k
    return sum(w.hits(u, k)) / k


def hr(w, u):
    return float(any(w.hits(u)))


def mrr(w, u):
    h = w.hits(u)
    return 1 / (h.index(1) + 1) if 1 in h else 0.0


def ndcg(w, u):
    gains = np.array([w.gain(u, i) for i in w.lists[u]])
    ideal = np.sort([w.gain(u, i) for i in w.relevant(u)])[::-1][:w.k]
    best = (ideal * discount(len(ideal))).sum()
    got = (gains * discount(len(gains))).sum()
    return got / best if got > 0 else 0.0


def ndcg_binary(w, u):
    h = np.array(w.hits(u))
    return (h * discount(len(h))).sum() / discount(min(w.k, len(w.relevant(u)))).sum()


def elliot_map(w, u):
    return np.mean([precision(w, u, n) for n in range(1, w.k + 1)])


def mar(w, u):
    return np.mean([sum(w.hits(u, n)) / len(w.relevant(u)) for n in range(1, w.k + 1)])


def ap(w, u):
    h = w.hits(u)
    return sum(sum(h[:r + 1]) / (r + 1) for r in range(len(h)) if h[r]) / min(w.k, len(w.relevant(u)))


def f_beta(a, b, beta):
    def figure(w, u):
        p, r = a(w, u), b(w, u)
        below = beta ** 2 * p + r
        return (1 + beta ** 2) * p * r / below if below else 0.0
    return figure


def areas(w, u, items):
    n = I - len(w.train[u]) - len(w.relevant(u)) + 1
    ranks = [r for r, i in enumerate(items) if i in w.relevant(u)]
    return [(n - r + p) / n for p, r in enumerate(ranks)]


def whole_items(w, u):
    return [i for i, _ in w.whole[u]]


def lauc(w, u):
    return sum(areas(w, u, w.lists[u])) / min(w.k, len(w.relevant(u)))


def gauc(w, u):
    return sum(areas(w, u, whole_items(w, u))) / len(w.relevant(u))


def errors(w, u):
    return np.array([v - w.test[u][i] for i, v in w.whole[u] if i in w.relevant(u)])


def arp(w, u):
    return w.pop[w.lists[u]].mean() if w.lists[u] else 0.0


def aclt(w, u):
    return float(len(set(w.lists[u]) & w.tail()[0]))


def aplt(w, u):
    return aclt(w, u) / max(len(w.lists[u]), 1)


def novelty(kind, gains):
    def figure(w, u):
        known = w.pop > 0
        if kind == "EFD":
            of = np.full(I + UNKNOWN, -np.log2(w.pop[known].min() / w.pairs))
            of[known] = -np.log2(w.pop[known] / w.pairs)
        else:
            of = 1 - w.pop / sum(1 for t in w.train.values() if t)
        l = w.lists[u]
        if not l:
            return 0.0
        rel = np.array([w.gain(u, i) if gains else float(i in w.relevant(u)) for i in l])
        return (rel * discount(len(l)) * of[l]).sum() / discount(len(l)).sum()
    return figure


def srecall(w, u):
    total = len({f for i, fs in w.features.items() if i < I for f in fs})
    return len({f for i in w.lists[u] if i in w.relevant(u) and i < I for f in w.features.get(i, [])}) / total


def recbole_tail(ratio):
    def figure(w, u):
        order = sorted([i for i in range(I) if w.pop[i]], key=lambda i: (w.pop[i], i))
        tail = [i for i in order if w.pop[i] <= ratio] if ratio > 1 else order[:max(int(len(order) * ratio), 1)]
        return len([i for i in w.lists[u] if i in tail]) / w.k
    return figure


USERS = {  # name: (figure, all listed users count)
    "Recall": (recall, False), "Precision": (precision, False), "HR": (hr, False), "MRR": (mrr, False),
    "nDCGRendle2020": (ndcg_binary, False), "MAR": (mar, False), "AP": (ap, False),
    "F1": (f_beta(precision, recall, 1), False), "DSC": (f_beta(precision, recall, 1), False),
    "DSC:beta=2.5": (f_beta(precision, recall, 2.5), False),
    "DSC:metric_0=MRR:beta=0.5": (f_beta(mrr, recall, 0.5), False),
    "ExtendedF1:metric_0=nDCGRendle2020:metric_1=EPC": (f_beta(ndcg_binary, novelty("EPC", False), 1), False),
    "LAUC": (lauc, False), "GAUC": (gauc, False), "NumRetrieved": (lambda w, u: float(len(w.lists[u])), False),
    "ARP": (arp, True), "APLT": (aplt, True), "ACLT": (aclt, True), "SRecall:feature_data=features.tsv": (srecall, False),
    "EFD": (novelty("EFD", False), False), "EPC": (novelty("EPC", False), False),
    "ExtendedEFD:relevance=binary": (novelty("EFD", False), False),
    "ExtendedEPC:relevance=discounted": (novelty("EPC", True), False),
    "ExtendedEFD:relevance=discounted": (novelty("EFD", True), False),
    "elliot.nDCG": (ndcg, False), "mmrec.nDCG": (ndcg_binary, False), "recbole.NDCG": (ndcg_binary, False),
    "elliot.MAP": (elliot_map, False), "mmrec.MAP": (ap, False), "recbole.MAP": (ap, False), "recbole.Hit": (hr, False),
    "AveragePopularity": (lambda w, u: w.pop[w.lists[u]].sum() / w.k, True),
    "TailPercentage": (recbole_tail(0.1), True), "TailPercentage:tail_ratio=0.4": (recbole_tail(0.4), True),
    "TailPercentage:tail_ratio=2": (recbole_tail(2), True),
}


# ---- metrics of all lists ----------------------------------------------------------------------------------------------------

def counts(w, users=None):
    return np.bincount([i for u in (w.listed() if users is None else users) for i in w.lists[u]],
                       minlength=I + UNKNOWN).astype(float)


def items_in_all(c):
    return I + (c[I:] > 0).sum()


def gini(c):
    n = items_in_all(c)
    share = np.sort(c[c > 0]) / c.sum()
    place = np.arange(n - len(share) + 1, n + 1)
    return ((2 * place - n - 1) * share).sum(), n


def elliot_gini(c):
    g, n = gini(c)
    return 1 - g / (n - 1)


def recbole_gini(w):
    g, n = gini(counts(w))
    return g / n


def sentropy(w):
    c = counts(w)
    return sum(-np.log2(c[i] / c.sum()) / len(w.lists[u]) for u in w.listed() for i in w.lists[u]) / len(w.listed())


def shannon(w):
    p = counts(w)
    p = p[p > 0] / p.sum()
    return -(p * np.log(p)).sum() / len(p)


def pooled_auc(w):
    return np.mean([a for u in w.judged() for a in areas(w, u, whole_items(w, u))])


def recbole_gauc(w):
    num = den = 0.0
    for u in w.judged():
        items, scores = whole_items(w, u), np.array([s for _, s in w.whole[u]])
        hit = np.array([i in w.relevant(u) for i in items])
        if not hit.any() or hit.all():
            continue
        pos, neg = scores[hit], scores[~hit]
        auc = np.mean([(p > q) + 0.5 * (p == q) for p in pos for q in neg])
        num, den = num + auc * len(pos), den + len(pos)
    return num / den


def total_error(w, power):
    return sum((np.abs(errors(w, u)) ** power).sum() for u in w.judged()) / sum(len(w.relevant(u)) for u in w.judged())


def share(w, groups, hits_only):
    num, den = np.zeros(len(groups)), np.zeros(len(groups))
    for u in w.judged() if hits_only else w.listed():
        for k, g in enumerate(groups):
            listed = set(w.lists[u]) & g
            could = g - set(w.train[u])
            if hits_only:
                listed, could = listed & w.relevant(u), could & w.relevant(u)
            num[k] += len(listed)
            den[k] += len(could)
    return num / den


def spread(x):
    return np.std(x) / np.mean(x)


def head_tail(w, ratio, hits_only):
    tail, head = w.tail(ratio)
    return spread(share(w, [head, tail], hits_only))


def item_groups(w):
    return [{i for i, c in w.items.items() if c == k} for k in range(max(w.items.values()) + 1)]


def user_groups(w):
    return [[u for u in range(U) if w.users.get(u) == k] for k in range(max(w.users.values()) + 1)]


def mean(x):
    return np.mean(x) if len(x) else np.nan


def differences(x):
    return np.mean([abs(x[i] - x[j]) for i in range(len(x)) for j in range(i + 1, len(x))])


def user_mad(w, figure):
    return differences([mean([figure(w, u) for u in g if u in w.judged()]) for g in user_groups(w)])


def item_mad(w, value):
    times, total = {}, {}
    for u in w.judged():
        for i, s in w.whole[u][:w.k]:
            times[i] = times.get(i, 0) + 1
            total[i] = total.get(i, 0) + value(u, i, s)
    return differences([mean([total[i] / times[i] for i in times if i in g]) for g in item_groups(w)])


def bias(w, rows, by_user, by_item):
    groups = user_groups(w) if by_user else [list(range(U))]
    cats = item_groups(w) if by_item else [set(range(I + UNKNOWN))]
    size = np.array([len(c) for c in cats]) / len(w.items) if by_item else np.ones(1)
    n = np.array([[sum(1 for u in g for i in rows.get(u, []) if i in c) for c in cats] for g in groups], float)
    return n / n.sum(axis=1, keepdims=True) / size


def disparity(w, kind, by_user, by_item):
    br, bs = bias(w, w.lists, by_user, by_item), bias(w, w.train, by_user, by_item)
    value = {"BR": br, "BS": bs, "BD": (br - bs) / bs}[kind]
    return {f"BiasDisparity{kind}_users:{'age' if by_user else ''}-{g}_items:{'genre' if by_item else ''}-{c}": value[g, c]
            for g in range(len(value)) for c in range(len(value[0]))}


def shares(w, name, hits_only):
    x = share(w, item_groups(w), hits_only)
    out = {f"{name}-ProbToBeRanked_items:genre-{k}": v for k, v in enumerate(x)}
    out[f"{name}_items:genre"] = spread(x)
    return out


def clustered(w, name, figure, listed):
    who = w.listed() if listed else w.judged()
    return {f"{name}_users:age-{k}": mean([figure(w, u) for u in g if u in who]) for k, g in enumerate(user_groups(w))}


CLUSTERS = ":clustering_name=%s:clustering_file=%s.tsv"
BOTH = ":user_clustering_name=age:user_clustering_file=users.tsv:item_clustering_name=genre:item_clustering_file=items.tsv"
AGE = ":user_clustering_name=age:user_clustering_file=users.tsv"
ALL = {
    "Recall2": lambda w: sum(sum(w.hits(u)) for u in w.judged()) / sum(len(w.relevant(u)) for u in w.judged()),
    "AUC": pooled_auc, "recbole.GAUC": recbole_gauc,
    "MAE": lambda w: total_error(w, 1), "MSE": lambda w: total_error(w, 2), "RMSE": lambda w: np.sqrt(total_error(w, 2)),
    "elliot.ItemCoverage": lambda w: (counts(w) > 0).sum(),
    "recbole.ItemCoverage": lambda w: (counts(w) > 0).sum() / items_in_all(counts(w)),
    "UserCoverage": lambda w: sum(1 for u in w.listed() if w.whole[u]),
    "UserCoverageAtN": lambda w: sum(1 for u in w.listed() if len(w.whole[u]) >= w.k),
    "Gini": lambda w: elliot_gini(counts(w)), "GiniIndex": recbole_gini, "SEntropy": sentropy, "ShannonEntropy": shannon,
    "PopRSP": lambda w: head_tail(w, 0.8, False), "PopREO": lambda w: head_tail(w, 0.8, True),
    "ExtendedPopRSP:pop_ratio=0.3": lambda w: head_tail(w, 0.3, False),
    "ExtendedPopREO:pop_ratio=0.3": lambda w: head_tail(w, 0.3, True),
    "RSP" + CLUSTERS % ("genre", "items"): lambda w: shares(w, "RSP", False),
    "REO" + CLUSTERS % ("genre", "items"): lambda w: shares(w, "REO", True),
    "UserMADrating" + CLUSTERS % ("age", "users"): lambda w: {
        "UserMADrating_age": user_mad(w, lambda w, u: mean([s for _, s in w.whole[u][:w.k]]))},
    "UserMADranking" + CLUSTERS % ("age", "users"): lambda w: {"UserMADranking_age": user_mad(w, ndcg)},
    "ItemMADrating" + CLUSTERS % ("genre", "items"): lambda w: {
        "ItemMADrating_genre": item_mad(w, lambda u, i, s: s if i in w.relevant(u) else 0)},
    "ItemMADranking" + CLUSTERS % ("genre", "items"): lambda w: {
        "ItemMADranking_genre": item_mad(w, lambda u, i, s: w.gain(u, i))},
    "BiasDisparityBR" + BOTH: lambda w: disparity(w, "BR", True, True),
    "BiasDisparityBS" + BOTH: lambda w: disparity(w, "BS", True, True),
    "BiasDisparityBD" + BOTH: lambda w: disparity(w, "BD", True, True),
    "BiasDisparityBR" + AGE: lambda w: disparity(w, "BR", True, False),
    "clustered_nDCG" + AGE: lambda w: clustered(w, "nDCG", ndcg, False),
    "clustered_Recall" + AGE: lambda w: clustered(w, "Recall", recall, False),
    "clustered_APLT" + AGE: lambda w: clustered(w, "APLT", aplt, True),
    "clustered_GiniIndex" + AGE: lambda w: {
        f"Gini_users:age-{k}": elliot_gini(counts(w, [u for u in g if u in w.listed()])) for k, g in enumerate(user_groups(w))},
}
LABELS = {"ExtendedF1:metric_0=nDCGRendle2020:metric_1=EPC": "ExtendedF1_m0:nDCGRendle2020-m1:EPC",
          "recbole.NDCG": "recbole.nDCG", "recbole.Hit": "recbole.HR"}
SCORED = ("MAE", "MSE", "RMSE", "recbole.GAUC", "UserMADrating", "ItemMADrating")
WHOLE = ("AUC", "GAUC", "recbole.GAUC", "MAE", "MSE", "RMSE")


def user_values(w):
    """Returns the values of users in addition to USERS: the errors."""
    return {"MAE": lambda u: np.abs(errors(w, u)).sum() / len(w.relevant(u)),
            "MSE": lambda u: (errors(w, u) ** 2).sum() / len(w.relevant(u)),
            "RMSE": lambda u: np.sqrt((errors(w, u) ** 2).sum() / len(w.relevant(u)))}


# ---- files -------------------------------------------------------------------------------------------------------------------

def label(metric):
    return LABELS.get(metric, metric.split(":")[0])


def write(path, rows):
    with open(path, "w") as f:
        for row in rows:
            f.write("\t".join(x if isinstance(x, str) else repr(float(x)) for x in row) + "\n")


def main(folder):
    rng = np.random.default_rng(5)
    train, test = make(rng)
    recs, full = lists_of(rng, train, test, False), lists_of(rng, train, test, True)
    users = {u: (u * 7) % 3 for u in range(U + 2) if u % 5}
    items = {i: (i * 5) % 4 for i in range(I + UNKNOWN + 2) if i % 6 != 1}
    features = {i: sorted(set(rng.integers(0, 9, 3).tolist())) for i in range(I + UNKNOWN) if i % 4}
    os.makedirs(folder, exist_ok=True)
    uid, iid = (lambda u: str(100 + u)), (lambda i: str(i + 1))
    for name, part in (("train", train), ("test", test)):
        write(f"{folder}/{name}.tsv", [(uid(u), iid(i), r) for u in part for i, r in part[u].items()])
    for name, part in (("recs", recs), ("full", full)):
        write(f"{folder}/{name}.tsv", [(uid(u), iid(i), s) for u in part for i, s in part[u]])
    write(f"{folder}/users.tsv", [(uid(u), str(c)) for u, c in users.items()])
    write(f"{folder}/items.tsv", [(iid(i), str(c)) for i, c in items.items()])
    write(f"{folder}/features.tsv", [(iid(i), *map(str, f)) for i, f in features.items()])
    rows, by_user = {}, {}

    def put(table, key, value):
        table.setdefault(key, []).append(value)

    for protocol, lists, threshold in (("elliot", "recs", 0), ("elliot", "full", 0), ("elliot", "recs", 3), ("mmrec", "recs", 0)):
        case = (protocol, lists, str(threshold))
        for k in CUTOFFS:
            w = World(train, test, recs if lists == "recs" else full, k, threshold, protocol == "mmrec", users, items, features)
            for metric, (figure, listed) in USERS.items():
                if metric in WHOLE and lists != "full":
                    continue
                values = {u: figure(w, u) for u in (w.listed() if listed else w.judged())}
                put(rows, (*case, metric, label(metric)), np.mean(list(values.values())))
                for u in w.judged()[::5] if case == ("elliot", "recs", "0") else ():
                    put(by_user, ("recs", uid(u), metric), values[u])
            for metric, figure in ALL.items():
                if (metric in WHOLE and lists != "full") or (protocol == "mmrec" and metric.startswith("UserMADrating")):
                    continue
                value = figure(w)
                for name, v in (value if isinstance(value, dict) else {label(metric): value}).items():
                    put(rows, (*case, metric, name), v)
            for metric, figure in user_values(w).items():
                for u in w.judged()[::5] if lists == "full" else ():
                    put(by_user, ("full", uid(u), metric), figure(u))
    rows = [("# made by tests/golden/metrics_float64.py, NumPy " + np.__version__,)] + [(*k, *v) for k, v in rows.items()]
    by_user = [(*k, *v) for k, v in by_user.items()]
    write(f"{folder}/figures.tsv", rows)
    write(f"{folder}/by_user.tsv", by_user)


main(sys.argv[1])
