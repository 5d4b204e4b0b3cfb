#!/usr/bin/env python3
"""tests/golden/make_elliot_splits.py ELLIOT: runs Elliot's own prefilters and splitters on small random data and writes
tests/golden/elliot/splits.txt. ELLIOT: a checkout of github.com/sisinflab/elliot (fc27efe; the two files are the same in
sisinflab/Ducho-meets-Elliot 70bc0dc).

Versions: Python 3.11, numpy 1.26.3, pandas 2.2.0. Elliot calls rank(axis=1) on a column. Versions of pandas before 2
ignored the argument, and pandas 2 refuses it: this script removes it.

splits.txt: "data NAME N" and N rows; "case DATA SEED", a line with prefiltering as JSON, a line with splitting as JSON, then
a line for each fold: "i.j LETTERS", a letter for each row of the data: t train, v validation, s test, - none."""
import importlib.util
import json
import os
import sys
import types
import contextlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
from pandas.core.groupby import SeriesGroupBy

rank = SeriesGroupBy.rank
SeriesGroupBy.rank = lambda self, axis=None, **keys: rank(self, **keys)


def load(root, name):
    """Loads a module of Elliot without the packages above it, which import TensorFlow."""
    for part in ("elliot", "elliot.utils"):
        sys.modules.setdefault(part, types.ModuleType(part))
    for module in ("elliot.utils.folder", name):
        spec = importlib.util.spec_from_file_location(module, os.path.join(root, *module.split(".")) + ".py")
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[name]


def make(random, users, items, rows, times, text, half):
    """Makes rows without duplicate pairs. times: the number of distinct times; 0: no times."""
    pairs = [(u, i) for u in range(users) for i in range(items)]
    random.shuffle(pairs)
    pairs = [p for p in pairs if p[0] % 3 or random.random() < 0.5][:rows]
    out = []
    for u, i in pairs:
        user = "u%d" % (u * 7 % 23) if text else str(100 - u * 9)
        rating = random.randint(1, 6) - (0.5 if half and random.random() < 0.5 else 0)
        out.append([user, "i%02d" % i if text else str(i), str(float(rating)) if half else str(rating)] + ([str(random.randint(1, times + 1))] if times else []))
    return out


def one(root, rows, seed, filters, splitting):
    names = ["userId", "itemId", "rating", "timestamp"]
    frame = pd.DataFrame([r + [None] * (4 - len(r)) for r in rows], columns=names)
    for name in names:
        with contextlib.suppress(ValueError, TypeError):
            frame[name] = pd.to_numeric(frame[name])
    if frame["timestamp"].isna().all():
        frame = frame.drop(columns=["timestamp"])
    key = {(str(u), str(i)): k for k, (u, i) in enumerate(zip(frame["userId"], frame["itemId"]))}
    prefilter = load(root, "elliot.prefiltering.standard_prefilters").PreFilter
    splitter = load(root, "elliot.splitter.base_splitter").Splitter
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        if filters:
            frame = prefilter.filter(frame, SimpleNamespace(prefiltering=[SimpleNamespace(**f) for f in filters]))
        ns = SimpleNamespace(**{k: SimpleNamespace(**{a: str(b) if a == "timestamp" else b for a, b in v.items()})
                                for k, v in splitting.items()})
        folds = splitter(frame, ns, seed).process_splitting()
    lines = []
    for i, (train, test) in enumerate(folds):
        for j, (inner, val) in enumerate(train if isinstance(train, list) else [(train, None)]):
            letters = ["-"] * len(rows)
            for part, letter in ((inner, "t"), (val, "v"), (test, "s")):
                if part is not None:
                    for u, k in zip(part["userId"], part["itemId"]):
                        letters[key[str(u), str(k)]] = letter
            lines.append("%d.%d %s" % (i, j, "".join(letters)))
    return lines


def main():
    root = sys.argv[1]
    random = np.random.RandomState(20260101)
    data = {"ties": make(random, 9, 14, 70, 5, True, True), "times": make(random, 8, 12, 60, 100000, False, False),
            "plain": make(random, 10, 10, 60, 0, True, True), "numbers": make(random, 12, 9, 60, 40, False, True)}
    sub, hold, cross, at = "random_subsampling", "temporal_hold_out", "random_cross_validation", "fixed_timestamp"
    plain = {"strategy": sub, "test_ratio": 0.2}
    cases = [
        ("plain", 42, [], {"test_splitting": plain}),
        ("plain", 42, [], {"test_splitting": plain, "validation_splitting": {"strategy": sub, "test_ratio": 0.1}}),
        ("ties", 7, [], {"test_splitting": {"strategy": sub, "test_ratio": 0.3, "folds": 3}}),
        ("numbers", 1, [], {"test_splitting": {"strategy": sub, "test_ratio": 0.3, "folds": 2},
                            "validation_splitting": {"strategy": sub, "test_ratio": 0.25, "folds": 2}}),
        ("numbers", 4294967295, [], {"test_splitting": {"strategy": sub, "leave_n_out": 1, "folds": 2}}),
        ("ties", 42, [], {"test_splitting": {"strategy": sub, "leave_n_out": 1},
                          "validation_splitting": {"strategy": sub, "leave_n_out": 1}}),
        ("plain", 42, [], {"test_splitting": {"strategy": cross, "folds": 4}}),
        ("ties", 42, [], {"test_splitting": {"strategy": cross, "folds": 2},
                          "validation_splitting": {"strategy": cross, "folds": 3}}),
        ("numbers", 3, [], {"test_splitting": {"strategy": cross, "folds": 2},
                            "validation_splitting": {"strategy": sub, "test_ratio": 0.3}}),
    ]
    for name in ("ties", "times", "numbers"):
        cases += [
            (name, 42, [], {"test_splitting": {"strategy": hold, "test_ratio": 0.25}}),
            (name, 42, [], {"test_splitting": {"strategy": hold, "test_ratio": 0.3},
                            "validation_splitting": {"strategy": hold, "test_ratio": 0.2}}),
            (name, 42, [], {"test_splitting": {"strategy": hold, "leave_n_out": 2},
                            "validation_splitting": {"strategy": hold, "leave_n_out": 1}}),
            (name, 42, [], {"test_splitting": {"strategy": at, "timestamp": "best"}}),
            (name, 42, [], {"test_splitting": {"strategy": at, "timestamp": "best", "min_below": 2, "min_over": 3},
                            "validation_splitting": {"strategy": at, "timestamp": "best", "min_below": 1, "min_over": 2}}),
            (name, 42, [], {"test_splitting": {"strategy": at, "timestamp": {"ties": 4, "times": 70000, "numbers": 30}[name]},
                            "validation_splitting": {"strategy": sub, "test_ratio": 0.2}}),
        ]
    for name in ("ties", "times", "plain"):
        for filters in ([{"strategy": "global_threshold", "threshold": 3}], [{"strategy": "global_threshold", "threshold": "average"}],
                        [{"strategy": "user_average"}], [{"strategy": "user_k_core", "core": 7}],
                        [{"strategy": "item_k_core", "core": 6}], [{"strategy": "iterative_k_core", "core": 4}],
                        [{"strategy": "n_rounds_k_core", "core": 5, "rounds": 1}], [{"strategy": "cold_users", "threshold": 7}],
                        [{"strategy": "global_threshold", "threshold": 2}, {"strategy": "n_rounds_k_core", "core": 4, "rounds": 2},
                         {"strategy": "user_average"}]):
            cases.append((name, 42, filters, {"test_splitting": plain}))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "elliot", "splits.txt")
    with open(path, "w", newline="\n") as out:
        for name, rows in data.items():
            out.write("data %s %d\n" % (name, len(rows)) + "".join("\t".join(r) + "\n" for r in rows))
        for name, seed, filters, splitting in cases:
            out.write("case %s %d\n%s\n%s\n" % (name, seed, json.dumps(filters), json.dumps(splitting)))
            out.write("".join(l + "\n" for l in one(root, data[name], seed, filters, splitting)))


if __name__ == "__main__":
    main()
