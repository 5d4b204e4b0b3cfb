"""Writes tests/golden/gradients: the gradients of tiny encoders in float64, the reference of tests/encoder_gradients_test.c.

The loss is the sum of some outputs, each times fixed weights. MODEL.expected.safetensors has ids and offsets of texts, `loss` and `grad.NAME` of every
tensor that the outputs depend on; MODEL.inputs has what is drawn (drawn.py): pixels of images [B, H, W, 3] and `by.OUTPUT`, the fixed weights. The models
are those of tests/golden/encoders, but for resnet18, with torchvision's names, which is made here. resnet18_batch is the same with batch norm in
training mode: it has running.NAME, too, as they are after the pass. Versions: torch 2.15.0, torchvision 0.29.2, transformers 5.23.0, safetensors 0.8.0.
    python tests/golden/make_gradients.py
"""
import json, os
import torch
from safetensors.torch import save_file
from transformers import (AlignConfig, AlignModel, AltCLIPConfig, AltCLIPModel, BertConfig, BertModel, MPNetConfig, MPNetModel, ResNetConfig, ResNetModel,
                          ViTConfig, ViTModel, XLMRobertaConfig, XLMRobertaModel)
import drawn
from tiny_efficientnet import tiny_efficientnet

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "gradients")
os.makedirs(root, exist_ok=True)
torch.set_default_dtype(torch.float64)
softmax = torch.nn.functional.softmax
torch.nn.functional.softmax = lambda x, dim, dtype=None: softmax(x, dim)  # some models of transformers ask for float32


def published(kind, config, folder):
    path = os.path.join(here, "encoders", folder)
    settings = json.load(open(os.path.join(path, "config.json")))
    state = drawn.load(os.path.join(path, "model"))
    model = kind(config(**{"vocab_size": state[WORDS].shape[0] if WORDS in state else 0, **settings}, attn_implementation="eager"))
    model.load_state_dict(state, strict=False)
    return model.double().eval()


WORDS = "embeddings.word_embeddings.weight"


def drawn_pixels(*shape):
    return drawn.rows_of({"pixels": (shape, 0, drawn.limit_of(1))}, 99)


def write(name, inputs, outputs, model, rename=lambda k: k, pixels={}):
    """outputs: {name: tensor}; for texts, a list of one tensor per text instead."""
    out, loss, rows = dict(inputs), 0, dict(pixels)
    for key, y in outputs.items():
        y = torch.cat(y) if isinstance(y, list) else y
        rows.update(drawn.rows_of({"by." + key: (y.shape, 0, drawn.limit_of(1))}, 99))
        loss = loss + (y * rows["by." + key].value.double()).sum()
    drawn.write(os.path.join(root, name + ".inputs"), 99, rows)
    model.zero_grad(set_to_none=True)
    loss.backward()
    out["loss"] = loss.detach().float().reshape(1)
    for k, p in model.named_parameters():
        if p.grad is not None:
            out["grad." + rename(k)] = p.grad.float()
    save_file({k: v.clone().contiguous() for k, v in out.items()}, os.path.join(root, name + ".expected.safetensors"))
    print(name, loss.item(), os.path.getsize(os.path.join(root, name + ".expected.safetensors")), "bytes")


def some_ids(vocabulary, lengths):
    g = torch.Generator().manual_seed(5)
    ids = [torch.randint(5, vocabulary, (n,), generator=g) for n in lengths]
    return ids, {"ids": torch.cat(ids).int(), "offsets": torch.tensor([0, *lengths]).cumsum(0).int()}


# texts: each alone, as nothing is padded
for name, kind, config, lengths in (("bert", BertModel, BertConfig, (5, 9, 1)), ("mpnet", MPNetModel, MPNetConfig, (6, 150)),
                                    ("xlm_roberta", XLMRobertaModel, XLMRobertaConfig, (4, 32))):
    model = published(kind, config, name)
    ids, inputs = some_ids(model.config.vocab_size, lengths)
    found = [model(x[None]) for x in ids]
    write(name, inputs,
          {"last_hidden_state": [y.last_hidden_state[0] for y in found], "pooler_output": [y.pooler_output for y in found]}, model)

model = published(ViTModel, ViTConfig, "vit_modules")


def channels_first(pixels):
    return pixels["pixels"].value.double().permute(0, 3, 1, 2)


pixels = drawn_pixels(3, 24, 40, 3)
y = model(channels_first(pixels))
write("vit", {}, {"last_hidden_state": y.last_hidden_state.flatten(0, 1), "pooler_output": y.pooler_output}, model, pixels=pixels)

# AltCLIP and ALIGN: a tower at a time, its output that is projected
for name, kind, config, side in (("altclip", AltCLIPModel, AltCLIPConfig, 24), ("align", AlignModel, AlignConfig, 33)):
    path = os.path.join(here, "encoders", name)
    model = kind(config.from_pretrained(path, attn_implementation="eager"))
    names, state = drawn.published(model), drawn.load(os.path.join(path, "model"))
    model.load_state_dict({k: state[v] for k, v in names.items()}, strict=False)
    model.double().eval()
    ids, inputs = some_ids(model.config.text_config.vocab_size, (5, 9))
    texts = torch.cat([model.get_text_features(x[None]).pooler_output for x in ids])
    outputs = {"text_embeds": texts, "pooler_output": torch.cat([model.text_model(x[None]).pooler_output for x in ids])}
    write(name + "_text", inputs, outputs, model, names.get)
    pixels = drawn_pixels(2, side, side, 3)
    images = model.get_image_features(channels_first(pixels)).pooler_output
    write(name + "_image", {}, {"image_embeds": images}, model, names.get, pixels)

model = tiny_efficientnet()
model.load_state_dict(drawn.load(os.path.join(here, "encoders", "efficientnet", "model")), strict=False)
model.double()
pixels = drawn_pixels(2, 29, 34, 3)
y = model.avgpool(model.features(channels_first(pixels))).flatten(1)
write("efficientnet", {}, {"avgpool": y, "classifier.1": model.classifier(y)}, model, pixels=pixels)


def torchvision_name(k):
    k = k.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1")
    p = k.split(".")
    if p[0] == "encoder":
        norm = p[-2] == "normalization"
        middle = f"downsample.{int(norm)}" if p[5] == "shortcut" else ("bn" if norm else "conv") + str(int(p[6]) + 1)
        k = f"layer{int(p[2]) + 1}.{p[4]}.{middle}.{p[-1]}"
    return k


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 6, 8], depths=[2, 2, 2, 2], layer_type="basic"))
        self.fc = torch.nn.Linear(8, 3)


def name_of(k):
    return torchvision_name(k[5:]) if k.startswith("body.") else k


model = Classifier().double()
drawn.write(os.path.join(root, "resnet18"), 6, drawn.draw(model, 6, drawn.by_inputs, {k: name_of(k) for k in model.state_dict()}))
pixels = drawn_pixels(2, 37, 41, 3)
for name, train in (("resnet18", False), ("resnet18_batch", True)):
    y = model.train(train).body(channels_first(pixels)).pooler_output.flatten(1)
    inputs = {"running." + name_of(k): b.float() for k, b in model.named_buffers() if train and "running" in k}
    write(name, inputs, {"pooler_output": y, "logits": model.fc(y)}, model, name_of, pixels)
