#!/usr/bin/env python3
"""tests/golden/make_elliot_files.py ELLIOT: Elliot's own code names the models of tests/golden/elliot/results.yml at some
points and writes its files of results from invented figures, into tests/golden/elliot/results. ELLIOT: a checkout of
github.com/sisinflab/Ducho-meets-Elliot (70bc0dc).

Versions: Python 3.11, numpy 1.26.3, pandas 2.2.0, PyYAML 6.0.1.

results/figures.txt is what the test gives to Sapor: "MODEL POINT", with a star before the best point of a model and the
point as Sapor writes it, then Recall and nDCG at 2 and at 5; and the p-values of pairs, "p MODEL MODEL FIGURE T W"."""
import ast
import importlib.util
import math
import os
import re
import shutil
import sys
import types
from types import SimpleNamespace

import yaml

CODE = {"BPRMF": "external/models/bprmf/BPRMF", "VBPR": "external/models/vbpr/VBPR", "FREEDOM": "external/models/freedom/FREEDOM",
        "NGCF": "external/models/ngcf/NGCF", "LightGCN": "external/models/lightgcn/LightGCN", "SGL": "external/models/sgl/SGL",
        "SimGCL": "external/models/simgcl/SimGCL", "NGCFM": "external/models/ngcf_m/NGCFM", "GRCN": "external/models/grcn/GRCN",
        "LATTICE": "external/models/lattice/LATTICE", "BM3": "external/models/bm3/BM3", "MMGCN": "external/models/mmgcn/MMGCN",
        "ItemKNN": "elliot/recommender/knn/item_knn/item_knn", "UserKNN": "elliot/recommender/knn/user_knn/user_knn",
        "EASER": "elliot/recommender/autoencoders/EASE_R/ease_r",
        "MostPop": "elliot/recommender/unpersonalized/most_popular/most_popular",
        "Random": "elliot/recommender/unpersonalized/random_recommender/Random"}
ITEMS = 3
STAMP = "2026_01_02_03_04_05"
# points as Sapor writes them, and the values that hyperopt would give; the first of a pair is the best where it has a star
POINTS = {
    "external.BPRMF": [("lr=0.0001 l_w=1e-05", {"lr": 0.0001, "l_w": "1e-5"}), ("lr=0.0001 l_w=0.01", {"lr": 0.0001, "l_w": "1e-2"}),
                       ("*lr=0.01 l_w=1e-05", {"lr": 0.01, "l_w": "1e-5"}), ("lr=0.01 l_w=0.01", {"lr": 0.01, "l_w": "1e-2"})],
    "external.VBPR": [("*lr=0.0034567890123 factors=16", {"lr": 0.0034567890123, "factors": 16.0}),
                      ("lr=0.01 factors=64", {"lr": 0.01, "factors": 64.0})],
    "external.LightGCN": [("n_layers=1", {"n_layers": 1}), ("*n_layers=2", {"n_layers": 2})],
    "external.BM3": [("*dropout=0.3", {"dropout": 0.3}), ("dropout=0.5", {"dropout": 0.5})],
    "ItemKNN": [("neighbors=2 similarity=cosine", {"neighbors": 2, "similarity": "cosine"}),
                ("neighbors=2 similarity=dot", {"neighbors": 2, "similarity": "dot"}),
                ("neighbors=3 similarity=cosine", {"neighbors": 3, "similarity": "cosine"}),
                ("*neighbors=3 similarity=dot", {"neighbors": 3, "similarity": "dot"})],
}


def module(root, name, path):
    spec = importlib.util.spec_from_file_location(name, os.path.join(root, path))
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Test:
    """Replaces scipy's tests: the figures of users are the models' numbers here."""
    kind = 0

    @staticmethod
    def common_users(a, b):
        return None

    @classmethod
    def compare(cls, a, b, users):
        return p_value(a, b, cls.kind)


class Second(Test):
    kind = 1


def p_value(a, b, kind):
    return float("nan") if kind and a + b == 1 else 1 / (3 + a + 2 * b + kind)


def stub(root):
    for name in ("elliot", "elliot.utils", "elliot.evaluation", "elliot.recommender", "elliot.evaluation.evaluator",
                 "elliot.evaluation.statistical_significance", "elliot.utils.logging", "elliot.utils.folder"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["elliot.evaluation.evaluator"].Evaluator = None
    sys.modules["elliot.utils.folder"].build_model_folder = None
    sys.modules["elliot.utils"].logging = sys.modules["elliot.utils.logging"]
    significance = sys.modules["elliot.evaluation.statistical_significance"]
    significance.PairedTTest, significance.WilcoxonTest = Test, Second
    sys.modules["elliot.utils.logging"].get_logger = lambda *a: SimpleNamespace(info=lambda *a: None)
    module(root, "elliot.recommender.early_stopping", "elliot/recommender/early_stopping.py")
    base = module(root, "base", "elliot/recommender/base_recommender_model.py")
    return base, module(root, "results", "elliot/result_handler/result_handler.py")


def name_of(root, base, cls, params, config):
    """Returns the name of a point, by the model's own list of parameters and its property `name`, on an object without a model."""
    tree = ast.parse(open(os.path.join(root, CODE[cls] + ".py")).read())
    me = type("Named", (base.BaseRecommenderModel,), {m: lambda self, *a: None for m in base.BaseRecommenderModel.__abstractmethods__})
    self = me.__new__(me)
    evaluation = SimpleNamespace(cutoffs=config["cutoffs"], simple_metrics=config["simple_metrics"])
    data = SimpleNamespace(config=SimpleNamespace(evaluation=evaluation, top_k=5), num_items=ITEMS)
    base.BaseRecommenderModel.__init__(self, data, None, params)
    self.logger = SimpleNamespace(info=lambda *a: None)
    space = {"self": self, "make_tuple": ast.literal_eval}
    self._params_list = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "self._params_list":
            self._params_list = eval(compile(ast.Expression(node.value), cls, "eval"), space)
    self.autoset_params()
    if cls == "EASER" and self._neighborhood == -1:
        self._neighborhood = self._data.num_items
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "name":
            node.decorator_list = []
            exec(compile(ast.Module([node], []), cls, "exec"), space)
    return space["name"](self)


def main():
    root = sys.argv[1]
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "elliot")
    out = os.path.join(here, "results")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    base, results = stub(root)
    config = yaml.load(open(os.path.join(here, "results.yml")), Loader=yaml.FullLoader)["experiment"]
    handler, study = results.ResultHandler(rel_threshold=0), results.HyperParameterStudy(rel_threshold=0)
    few = results.ResultHandler(rel_threshold=0)  # the tests of significance are of the first models alone
    lines, number, names = [], 0, list(config["models"])
    for m, (key, model) in enumerate(config["models"].items()):
        trials = []
        for point, values in POINTS.get(key, [("*", {})]):
            params = SimpleNamespace(**model)
            params.meta = SimpleNamespace(**model.get("meta", {}))
            for k, v in values.items():
                setattr(params, k, v)
            params.name = name_of(root, base, key.split(".")[-1], params, config["evaluation"])
            if key.startswith("external."):
                params.best_iteration = 2
            number += 1
            figures = [math.sin(number) ** 2, 1 / (number + 2), number * 1e-5, 0.5 if number % 3 else 1.0]
            test = {2: {"Recall": figures[0], "nDCG": figures[1]}, 5: {"Recall": figures[2], "nDCG": figures[3]}}
            stat = {k: {"Recall": m, "nDCG": m} for k in (2, 5)}
            trials.append({"params": params.__dict__, "name": params.name, "test_results": test, "test_statistical_results": stat})
            lines.append("%s\t%s\t%s\n" % (key, point, "\t".join(map(repr, figures))))
            if point[0] == "*":
                handler.add_oneshot_recommender(**trials[-1])
                if m < 3:
                    few.add_oneshot_recommender(**trials[-1])
        if values:
            study.add_trials(SimpleNamespace(results=trials))
    for i in range(3):
        for j in range(i + 1, 3):
            for f in range(4):
                lines.append("p\t%d\t%d\t%d\t%r\t%r\n" % (i, j, f, p_value(i, j, 0), p_value(i, j, 1)))
    study.save_trials(out)
    handler.save_best_results(out)
    handler.save_best_models(out, config["evaluation"]["simple_metrics"][0], config["evaluation"]["cutoffs"])
    handler.save_best_results_as_triplets(out)
    study.save_trials_as_triplets(out)
    few.save_best_statistical_results(results.StatTest.PairedTTest, out)
    few.save_best_statistical_results(results.StatTest.WilcoxonTest, out)
    for name in os.listdir(out):
        os.rename(os.path.join(out, name), os.path.join(out, re.sub(r"\d{4}(_\d\d){5}", STAMP, name)))
    with open(os.path.join(out, "figures.txt"), "w", newline="\n") as file:
        file.write("".join(lines))


if __name__ == "__main__":
    main()
