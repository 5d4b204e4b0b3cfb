"""Writes tests/golden/gradients: the gradients of tiny encoders in float64, the reference of tests/encoder_gradients_test.c.

The loss is the sum of some outputs, each times fixed weights. MODEL.expected.safetensors has the input (ids and offsets of texts, pixels of
images [B, H, W, 3]), `by.OUTPUT` (the fixed weights), `loss` and `grad.NAME` of every tensor. BERT, MPNet, XLM-R, ViT and EfficientNet are those of
tests/golden/encoders; resnet18.safetensors, with torchvision's names, is made here. resnet18_batch is the same with batch norm in training
mode: it has running.NAME, too, as they are after the pass. Versions: torch 2.15.0, torchvision 0.29.2, transformers 5.23.0, safetensors 0.8.0.
    python tests/golden/make_gradients.py
"""
import json, os
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel, ResNetConfig, ResNetModel, ViTConfig, ViTModel, XLMRobertaConfig, XLMRobertaModel
from tiny_efficientnet import tiny_efficientnet

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "gradients")
os.makedirs(root, exist_ok=True)
torch.set_default_dtype(torch.float64)


def numbers(g, *shape):
    return torch.randn(*shape, generator=g).float().double()  # exact in float32


def published(kind, config, folder):
    path = os.path.join(here, "encoders", folder)
    settings = json.load(open(os.path.join(path, "config.json")))
    state = load_file(os.path.join(path, "model.safetensors"))
    model = kind(config(**{"vocab_size": state[WORDS].shape[0] if WORDS in state else 0, **settings}, attn_implementation="eager"))
    model.load_state_dict(state, strict=False)
    return model.double().eval()


WORDS = "embeddings.word_embeddings.weight"


def write(name, inputs, outputs, model, rename=lambda k: k):
    """outputs: of texts lists of one tensor per text"""
    g = torch.Generator().manual_seed(99)
    out, loss = dict(inputs), 0
    for key, y in outputs.items():
        y = torch.cat(y) if isinstance(y, list) else y
        by = numbers(g, *y.shape)
        loss = loss + (y * by).sum()
        out["by." + key] = by.float()
    model.zero_grad()
    loss.backward()
    out["loss"] = loss.detach().float().reshape(1)
    for k, p in model.named_parameters():
        out["grad." + rename(k)] = (torch.zeros_like(p) if p.grad is None else p.grad).float()
    save_file({k: v.clone().contiguous() for k, v in out.items()}, os.path.join(root, name + ".expected.safetensors"))
    print(name, loss.item(), os.path.getsize(os.path.join(root, name + ".expected.safetensors")), "bytes")


# texts: each alone, as nothing is padded
for name, kind, config, lengths in (("bert", BertModel, BertConfig, (5, 9, 1)), ("mpnet", MPNetModel, MPNetConfig, (6, 150)),
                                    ("xlm_roberta", XLMRobertaModel, XLMRobertaConfig, (4, 32))):
    model = published(kind, config, name)
    g = torch.Generator().manual_seed(5)
    ids = [torch.randint(5, model.config.vocab_size, (n,), generator=g) for n in lengths]
    found = [model(x[None]) for x in ids]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    write(name, {"ids": torch.cat(ids).int(), "offsets": offsets.int()},
          {"last_hidden_state": [y.last_hidden_state[0] for y in found], "pooler_output": [y.pooler_output for y in found]}, model)

g = torch.Generator().manual_seed(6)
model = published(ViTModel, ViTConfig, "vit_modules")
pixels = numbers(g, 3, 24, 40, 3)
y = model(pixels.permute(0, 3, 1, 2))
write("vit", {"pixels": pixels.float()}, {"last_hidden_state": y.last_hidden_state.flatten(0, 1), "pooler_output": y.pooler_output}, model)

model = tiny_efficientnet()
model.load_state_dict(load_file(os.path.join(here, "encoders", "efficientnet", "model.safetensors")), strict=False)
model.double()
pixels = numbers(torch.Generator().manual_seed(7), 2, 29, 34, 3)
y = model.avgpool(model.features(pixels.permute(0, 3, 1, 2))).flatten(1)
write("efficientnet", {"pixels": pixels.float()}, {"avgpool": y, "classifier.1": model.classifier(y)}, model)


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
        self.body = ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4, 6, 8, 10], depths=[2, 2, 2, 2], layer_type="basic"))
        self.fc = torch.nn.Linear(10, 3)


def name_of(k):
    return torchvision_name(k[5:]) if k.startswith("body.") else k


model = Classifier().double()
with torch.no_grad():
    for k, p in model.named_parameters():
        x = numbers(g, *p.shape) * (0.3 if p.dim() == 1 else (2 / p[0].numel()) ** 0.5)
        p.copy_((x + (1 if k.endswith("normalization.weight") else 0)).float())
    for k, b in model.named_buffers():
        if k.endswith("running_mean"):
            b.copy_((numbers(g, *b.shape) * 0.1).float())
        elif k.endswith("running_var"):
            b.copy_((numbers(g, *b.shape).abs() + 0.5).float())
save_file({name_of(k): v.float() if v.is_floating_point() else v for k, v in model.state_dict().items()},
          os.path.join(root, "resnet18.safetensors"))
pixels = numbers(g, 2, 37, 41, 3)
for name, train in (("resnet18", False), ("resnet18_batch", True)):
    y = model.train(train).body(pixels.permute(0, 3, 1, 2)).pooler_output.flatten(1)
    inputs = {"pixels": pixels.float()}
    if train:
        inputs.update({"running." + name_of(k): b.float() for k, b in model.named_buffers() if "running" in k})
    write(name, inputs, {"pooler_output": y, "logits": model.fc(y)}, model, name_of)
