"""Writes tests/golden/sentence: folders with sentence-transformers' modules for the tiny BERT of tests/golden/encoders/bert, and the results of
that package for its texts. Versions: torch 2.15.0, transformers 5.23.0, sentence-transformers 6.2.0.
    python tests/golden/make_sentence.py
"""
import glob, json, os, shutil, tempfile
import drawn
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

here = os.path.dirname(os.path.abspath(__file__))
root, bert = os.path.join(here, "sentence"), os.path.join(here, "encoders", "bert")
shutil.rmtree(root, ignore_errors=True)
MODES = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
texts = open(os.path.join(here, "encoders", "texts.txt")).read().split("\n")[:-1]
expected = {}


def dump(folder, name, value):
    path = os.path.join(root, folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    json.dump(value, open(path, "w"), indent=1)


def make(folder, pooling, steps, settings=None, package="sentence_transformers.models.", lower=False):
    """steps: "Normalize" or (in, out, bias, activation). lower: do_lower_case of the module, while the tokenizer has do_lower_case false."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    dump(folder, "1_Pooling/config.json", {"word_embedding_dimension": 8, **pooling})
    dump(folder, "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": lower})
    if lower:
        dump(folder, "tokenizer_config.json", json.load(open(os.path.join(bert, "tokenizer_config.json"))) | {"do_lower_case": False})
    for i, step in enumerate(steps):
        kind = step if isinstance(step, str) else "Dense"
        name = f"{i + 2}_{kind}"
        modules.append((name, kind))
        if kind != "Dense":
            continue
        n, o, bias, activation = step
        dump(folder, name + "/config.json", {"in_features": n, "out_features": o, "bias": bias, "activation_function": activation})
        shapes = {"linear.weight": ((o, n), 0, drawn.limit_of(0.4)), **({"linear.bias": ((o,), 0, drawn.limit_of(0.3))} if bias else {})}
        drawn.write(os.path.join(root, folder, name, "model"), 31 + i, drawn.rows_of(shapes, 31 + i))
    dump(folder, "modules.json", [{"idx": i, "name": str(i), "path": p, "type": package + k} for i, (p, k) in enumerate(modules)])
    if settings:
        dump(folder, "config_sentence_transformers.json", settings)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(bert, scratch, dirs_exist_ok=True)
        shutil.copytree(os.path.join(root, folder), scratch, dirs_exist_ok=True)
        for list in glob.glob(os.path.join(scratch, "**", "*.drawn"), recursive=True):
            save_file(drawn.load(list), list.replace(".drawn", ".safetensors"))
        config = os.path.join(scratch, "config.json")
        settings = json.load(open(config)) | {"vocab_size": len(open(os.path.join(bert, "vocab.txt")).readlines())}
        json.dump(settings, open(config, "w"))
        for i, kind in enumerate(modules):
            os.makedirs(os.path.join(scratch, kind[0]), exist_ok=True)
        model = SentenceTransformer(scratch, device="cpu")
        expected[folder] = torch.tensor(model.encode(texts)).contiguous()


for mode in MODES[3:]:
    make(mode, {f"pooling_mode_{m}": m == mode for m in MODES}, [])
make("all", {f"pooling_mode_{m}": True for m in MODES}, [(48, 5, True, "torch.nn.modules.activation.Tanh"), "Normalize"])
make("words", {"pooling_mode": ["mean", "lasttoken", "cls"]},
     [(24, 6, False, "torch.nn.modules.activation.GELU"), "Normalize", (6, 3, True, "torch.nn.modules.linear.Identity")])
make("prompt", {"pooling_mode_mean_tokens": True, "include_prompt": True}, ["Normalize"],
     {"prompts": {"query": "the soft shoe: ", "document": ""}, "default_prompt_name": "query"})
make("without_prompt", {**{f"pooling_mode_{m}": True for m in MODES}, "include_prompt": False}, ["Normalize"],
     {"prompts": {"query": "the soft shoe: "}, "default_prompt_name": "query"})
make("long_prompt", {"pooling_mode": "mean", "include_prompt": False}, [],
     {"prompts": {"query": "the soft shoe " * 20}, "default_prompt_name": "query"})
make("lower", {"pooling_mode_mean_tokens": True}, [], lower=True)
save_file(expected, os.path.join(root, "expected.safetensors"))
print({k: tuple(v.shape) for k, v in expected.items()})
