"""Writes tests/golden/adapters_{bert,vit}.safetensors: gradients of low-rank adapters over packed weights, by transformers in float64.
The models are tests/golden/encoders/{bert,vit} (make_encoders.py). For each type of packed weights P (KINDS) every linear layer
of the blocks computes W x + b + 2 / RANK B A x. W are the weights after packing; A and B are random and the same for all P. The
loss is the sum of `c` times the hidden states (bert) or the class token (vit). Tensors: `ids` and `offsets` of texts; `P.loss`, `P.grad.NAME`, where
NAME is a parameter's name in our store. gradients/adapters_{bert,vit}.drawn lists the drawn tensors (drawn.py): `c`, `pixels` [B, H, W, 3], `start.NAME`.
Versions: torch 2.15.0, transformers 5.23.0, safetensors 0.8.0, numpy 2.4.6.
    python tests/golden/adapters.py
"""
import os

import drawn
import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

here = os.path.dirname(os.path.abspath(__file__))
RANK, ALPHA, SEED = 3, 2.0, 17
KINDS = ("f32", "bf16", "int8", "int8_avx2")  # AVX2 packs int8 with other scales


def packed(w, kind):
    """Returns a weight [N, K] after packing as a type, in float64 (kernels/kernels.h, Pack)."""
    w = w.astype(np.float32)
    if kind == "bf16":
        return torch.from_numpy(w).to(torch.bfloat16).to(torch.float64)
    if kind == "int8":
        most = np.abs(w).max(axis=1, keepdims=True)
        byte = np.rint(np.clip(w / most * np.float32(127), -127, 127)).astype(np.float64)
        return torch.from_numpy(byte * (most / np.float32(127)).astype(np.float64))
    if kind == "int8_avx2":  # in float32 and in the kernel's order: a scale for which 16-bit sums of four products do not overflow (kernels/cpu/vec.h)
        n, k = w.shape
        eight = np.pad(w, ((0, 0), (0, -k % 8))).reshape(n, -1, 8) / np.float32(256)
        scale = np.abs(w).max(axis=1) / np.float32(127)
        for first in (0, 2):
            for sign in (1, -1):
                x = np.maximum(sign * eight, 0)
                four = x[..., first] + x[..., first + 1] + x[..., first + 4] + x[..., first + 5]
                scale = np.maximum(scale, four.max(axis=1))
        scale = scale[:, None]
        return torch.from_numpy(np.rint(np.clip(w / scale, -127, 127)).astype(np.float64) * scale.astype(np.float64))
    return torch.from_numpy(w.astype(np.float64))


class Adapted(nn.Module):
    def __init__(self, linear, w, a, b):
        super().__init__()
        self.w, self.bias = w, linear.bias.detach()
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def forward(self, x):
        return x @ self.w.T + self.bias + ALPHA / RANK * (x @ self.a.T) @ self.b.T


def adapt(model, published, raw, kind, start):
    """Replaces the linear layers of the blocks. `published` returns the name of a module in the file."""
    made = {}
    for name, module in list(model.named_modules()):
        if not isinstance(module, nn.Linear) or "pooler" in name:
            continue
        own = published(name)
        n, k = module.weight.shape
        rows = drawn.rows_of({f"start.{own}.lora_A.weight": ((RANK, k), 0, drawn.limit_of(1)),
                              f"start.{own}.lora_B.weight": ((n, RANK), 0, drawn.limit_of(0.3))}, SEED)
        start.update(rows)
        made[own] = Adapted(module, packed(raw[own + ".weight"], kind), *(r.value.double() for r in rows.values()))
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], made[own])
    return made


def run(kind, model, published, raw, forward, rows, out):
    made = adapt(model, published, raw, kind, rows)
    loss = (forward(model) * rows["c"].value.double()).sum()
    loss.backward()
    out[f"{kind}.loss"] = np.array([loss.item()])
    for own, m in made.items():
        for part, p in (("A", m.a), ("B", m.b)):
            out[f"{kind}.grad.{own}.lora_{part}.weight"] = p.grad.numpy()


def config_of(folder, kind):
    import json
    settings = json.load(open(os.path.join(folder, "config.json")))
    settings.pop("model_type")
    return kind(**settings, attn_implementation="sdpa", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def loaded(model, raw, renamed):
    """Returns the numbers of the file, with the names of the modules in this version of transformers."""
    state = {renamed(n): torch.from_numpy(w.astype(np.float64)) for n, w in raw.items()}
    missing, _ = model.load_state_dict(state, strict=False)
    assert not [m for m in missing if "pooler" not in m and "position_ids" not in m], missing
    return model


def bert():
    folder = os.path.join(here, "encoders", "bert")
    raw = {k: v.numpy() for k, v in drawn.load(os.path.join(folder, "model")).items()}
    words = raw["embeddings.word_embeddings.weight"].shape[0]
    lengths, g = [5, 1, 9], np.random.default_rng(1)
    ids = g.integers(0, words, sum(lengths)).astype(np.int32)
    offsets = np.cumsum([0] + lengths).astype(np.int32)
    rows = drawn.rows_of({"c": ((sum(lengths), 8), 0, drawn.limit_of(1))}, SEED)
    out = {"ids": ids, "offsets": offsets}
    for kind in KINDS:
        cfg = config_of(folder, BertConfig)
        cfg.vocab_size = words
        model = loaded(BertModel(cfg).double().eval(), raw, lambda n: n)
        run(kind, model, lambda n: n, raw, lambda m: torch.cat(
            [m(torch.from_numpy(ids[a:b].astype(np.int64))[None]).last_hidden_state[0] for a, b in zip(offsets, offsets[1:])]), rows, out)
    save_file(out, os.path.join(here, "adapters_bert.safetensors"))
    drawn.write(os.path.join(here, "gradients", "adapters_bert"), SEED, rows)


def vit():
    folder = os.path.join(here, "encoders", "vit")
    raw = {k: v.numpy() for k, v in drawn.load(os.path.join(folder, "model")).items()}
    prefix = "vit." if any(n.startswith("vit.") for n in raw) else ""
    raw = {n[4:] if n.startswith("vit.") else n: w for n, w in raw.items()}
    pairs = (("encoder.layer.", "layers."), ("attention.attention.query", "attention.q_proj"), ("attention.attention.key", "attention.k_proj"),
             ("attention.attention.value", "attention.v_proj"), ("attention.output.dense", "attention.o_proj"),
             ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2"))

    def swap(name, pairs):
        for a, b in pairs:
            name = name.replace(a, b)
        return name
    rows = drawn.rows_of({"pixels": ((2, 32, 32, 3), 0, drawn.limit_of(1)), "c": ((2, 8), 0, drawn.limit_of(1))}, SEED)
    out = {}
    x = rows["pixels"].value.double().permute(0, 3, 1, 2)
    for kind in KINDS:
        model = ViTModel(config_of(folder, ViTConfig), add_pooling_layer=False).double().eval()
        modules = any(n.startswith("layers.") for n, _ in model.named_parameters())
        model = loaded(model, raw, (lambda n: swap(n, pairs)) if modules else (lambda n: n))
        back = (lambda n: prefix + swap(n, [(b, a) for a, b in pairs])) if modules else (lambda n: prefix + n)
        run(kind, model, back, {prefix + n: w for n, w in raw.items()}, lambda m: m(x).last_hidden_state[:, 0], rows, out)
    save_file(out, os.path.join(here, "adapters_vit.safetensors"))
    drawn.write(os.path.join(here, "gradients", "adapters_vit"), SEED, rows)


bert()
vit()
