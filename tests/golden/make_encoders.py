"""Writes tests/golden/encoders: tiny models with drawn weights (drawn.py) in the published layouts, and the results of transformers,
sentence-transformers and torch for them in float32, confirmed in float64. Versions: torch 2.15.0, torchvision 0.29.2, transformers 5.23.0, sentence-transformers
6.2.0, pillow 13.0.0.
    python tests/golden/make_encoders.py
"""
import json, os, shutil, sys
import numpy as np
import torch
from PIL import Image
from tokenizers import BertWordPieceTokenizer
from torch.nn import functional as F
from transformers import (AlignConfig, AlignModel, AltCLIPConfig, AltCLIPModel, BertConfig, BertModel, CLIPConfig, CLIPImageProcessorPil, CLIPModel, DistilBertConfig, DistilBertModel, EfficientNetConfig,
                          EfficientNetForImageClassification, EfficientNetImageProcessorPil, MPNetConfig,
                          MPNetModel, ResNetConfig, ResNetModel,
                          RobertaConfig, RobertaForMaskedLM, ViTConfig, ViTForImageClassification, ViTImageProcessorPil, ViTModel, XLMRobertaConfig,
                          XLMRobertaModel)
import drawn
from tiny_efficientnet import tiny_efficientnet

here = os.path.dirname(os.path.abspath(__file__))
double = sys.argv[1:2] == ["--float64"]  # with a folder: the same in float64, into that folder
root = sys.argv[2] if double else os.path.join(here, "encoders")
dtype = torch.float64 if double else torch.float32
shutil.rmtree(root, ignore_errors=True)
torch.set_grad_enabled(False)
WORDS = "a the red blue shirt shoe of leather cotton for men women kids , . ##s ##y soft warm light".split()
TEXTS = ["the red shirt", "A soft, warm cotton shirt for women.", "", "blue leathers unknownword", "the shoe of the kids " * 40,
         "shirts, shoes.", "light " * 7]
expected = {}


def folder(name):
    path = os.path.join(root, name)
    os.makedirs(path)
    return path


def dump(path, name, value):
    os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
    json.dump(value, open(os.path.join(path, name), "w"), indent=1)


def pipeline(path, mode, normalize, limit):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    if normalize:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
    dump(path, "modules.json", modules)
    dump(path, "1_Pooling/config.json", {"word_embedding_dimension": 8, **{f"pooling_mode_{m}": m == mode for m in
                                         ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}})
    dump(path, "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})


def text_outputs(name, model, ids, limit, only=None):
    rows = {"mean": [], "cls": [], "max": [], "pooler": []}
    for i, x in enumerate(ids):
        out = model(torch.tensor([x[:limit - 1] + [x[-1]] if len(x) > limit else x]))
        h = out.last_hidden_state[0]
        rows["mean"].append(h.mean(0))
        rows["cls"].append(h[0])
        rows["max"].append(h.max(0).values)
        if "pooler_output" in out:
            rows["pooler"].append(out.pooler_output[0])
        if i == 1 and not only:
            expected[name + ".hidden"] = h
    for k, v in [r for r in rows.items() if r[1] and r[0] in (only or r[0])]:
        expected[f"{name}.{k}"] = torch.stack(v)
    if not only:
        expected[name + ".unit"] = F.normalize(torch.stack(rows["mean"]), dim=1)


# BERT, once bare and once under "bert." with old LayerNorm names and half-precision words
vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS
path = folder("bert")
open(os.path.join(path, "vocab.txt"), "w").write("\n".join(vocab) + "\n")
config = BertConfig(vocab_size=len(vocab), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
                    max_position_embeddings=48)
bert = BertModel(config)
rows = drawn.draw(bert, 1, drawn.usual)
drawn.write(os.path.join(path, "model"), 1, rows)
dump(path, "config.json", {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                           "intermediate_size": 12, "max_position_embeddings": 48, "layer_norm_eps": 1e-12})
dump(path, "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 48, "tokenizer_class": "BertTokenizer"})
pipeline(path, "mean_tokens", True, 32)
wordpiece = BertWordPieceTokenizer(os.path.join(path, "vocab.txt"), lowercase=True)
text_outputs("bert", bert.to(dtype), [wordpiece.encode(t).ids for t in TEXTS], 32)
other = folder("bert_prefixed")
for f in ("vocab.txt", "config.json", "tokenizer_config.json"):
    shutil.copy(os.path.join(path, f), other)
words = "embeddings.word_embeddings.weight"
rows[words] = rows[words]._replace(type="F16", value=rows[words].value.half())
drawn.write(os.path.join(other, "model"), 1, rows,
            lambda k: "bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"))
bert.embeddings.word_embeddings.weight.copy_(rows[words].value)
text_outputs("bert_prefixed", bert, [wordpiece.encode(t).ids for t in TEXTS], 32, ["mean"])

# DistilBERT, once bare and once as the published one for masked words: under "distilbert.", with its head; there with another activation
path = folder("distilbert")
config = dict(vocab_size=len(vocab), dim=8, n_layers=2, n_heads=2, hidden_dim=12, max_position_embeddings=48)
distil = DistilBertModel(DistilBertConfig(**config))
rows = drawn.draw(distil, 6, drawn.usual)
drawn.write(os.path.join(path, "model"), 6, rows)
dump(path, "config.json", {"model_type": "distilbert", "activation": "gelu", **config})
shutil.copy(os.path.join(root, "bert", "vocab.txt"), path)
dump(path, "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 48, "tokenizer_class": "DistilBertTokenizer"})
pipeline(path, "cls_token", False, 32)
text_outputs("distilbert", distil.to(dtype), [wordpiece.encode(t).ids for t in TEXTS], 32)
other = folder("distilbert_prefixed")
for f in ("vocab.txt", "tokenizer_config.json"):
    shutil.copy(os.path.join(path, f), other)
dump(other, "config.json", {"model_type": "distilbert", "activation": "relu", "architectures": ["DistilBertForMaskedLM"], **config})
rows.update(drawn.rows_of({"vocab_transform.weight": ((8, 8), 0, 0), "vocab_transform.bias": ((8,), 0, 0)}, 6))
drawn.write(os.path.join(other, "model"), 6, rows, lambda k: k if "vocab" in k else "distilbert." + k)
relu = DistilBertModel(DistilBertConfig(**config, activation="relu")).eval().to(dtype)
relu.load_state_dict(distil.state_dict())
text_outputs("distilbert_relu", relu, [wordpiece.encode(t).ids for t in TEXTS], 48)

# MPNet: one layer, texts longer than the last exact and the last bucket of relative positions
vocab = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"] + WORDS
path = folder("mpnet")
open(os.path.join(path, "vocab.txt"), "w").write("\n".join(vocab) + "\n")
mpnet = MPNetModel(MPNetConfig(vocab_size=len(vocab), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
                               max_position_embeddings=162, layer_norm_eps=1e-5))
drawn.write(os.path.join(path, "model"), 2, drawn.draw(mpnet, 2, drawn.usual))
dump(path, "config.json", {"model_type": "mpnet", "hidden_act": "gelu", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
                           "intermediate_size": 12, "max_position_embeddings": 162, "layer_norm_eps": 1e-5,
                           "relative_attention_num_buckets": 32})
dump(path, "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 160, "tokenizer_class": "MPNetTokenizer", "cls_token": "<s>",
                                     "sep_token": "</s>", "unk_token": "[UNK]", "pad_token": "<pad>", "mask_token": "<mask>"})
pipeline(path, "max_tokens", False, 160)
piece = BertWordPieceTokenizer(os.path.join(path, "vocab.txt"), lowercase=True, cls_token="<s>", sep_token="</s>", pad_token="<pad>",
                               mask_token="<mask>")
text_outputs("mpnet", mpnet.to(dtype), [piece.encode(t).ids for t in TEXTS], 160)

# RoBERTa as published for masked words: under "roberta.", with its head and without a pooler, the padding token elsewhere; XLM-R bare
ROBERTA = dict(vocab_size=len(vocab), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, type_vocab_size=1,
               bos_token_id=0, eos_token_id=2)
SPECIAL = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "[UNK]",
           "pad_token": "<pad>", "mask_token": "<mask>"}
for name, kind, config, seed, settings in (
        ("roberta", RobertaForMaskedLM, RobertaConfig, 11, dict(max_position_embeddings=36, pad_token_id=3, hidden_act="relu", layer_norm_eps=1e-5)),
        ("xlm_roberta", XLMRobertaModel, XLMRobertaConfig, 12, dict(max_position_embeddings=34))):
    path = folder(name)
    shutil.copy(os.path.join(root, "mpnet", "vocab.txt"), path)
    model = kind(config(**ROBERTA, **settings))
    names = {k: k for k in model.state_dict() if not k.startswith("lm_head.decoder")}
    drawn.write(os.path.join(path, "model"), seed, drawn.draw(model, seed, drawn.usual, names))
    model.to(dtype)
    dump(path, "config.json", {"model_type": config.model_type, **ROBERTA, **settings})
    dump(path, "tokenizer_config.json", {**SPECIAL, "model_max_length": 32})
    text_outputs(name, getattr(model, "roberta", model), [piece.encode(t).ids for t in TEXTS], 32)

# ResNets: Hugging Face's names, and the same tensors under torchvision's
picture = Image.open(os.path.join(here, "images", "RGB.png")).convert("RGB")
IMAGENET = (torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None])


def prepared(w, h, resample=Image.BICUBIC):
    return normalised(picture.resize((w, h), resample))


def normalised(im):
    x = torch.from_numpy(np.asarray(im).copy()).permute(2, 0, 1).to(dtype) / 255
    return ((x - IMAGENET[0]) / IMAGENET[1])[None]


def torchvision_name(k):
    if k.startswith("classifier.1."):
        return "fc." + k.rpartition(".")[2]
    k = k.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1")
    p = k.split(".")
    if p[0] == "encoder":
        stage, block, rest = int(p[2]) + 1, p[4], p[5:]
        norm = rest[-2] == "normalization"
        middle = f"downsample.{int(norm)}" if rest[0] == "shortcut" else ("bn" if norm else "conv") + str(int(rest[1]) + 1)
        k = f"layer{stage}.{block}.{middle}.{rest[-1]}"
    return k


for kind, depths in (("basic", [1, 2, 1, 1]), ("bottleneck", [1, 1, 2, 1])):
    sizes = [4, 8, 12, 16]
    model = ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=sizes, depths=depths, layer_type=kind))
    name = "resnet_" + kind
    path = folder(name)
    rows = drawn.draw(model, 3, drawn.usual, {k: "resnet." + k for k in model.state_dict()})
    rows.update(drawn.rows_of({"classifier.1.weight": ((5, 16), 0, 1.75), "classifier.1.bias": ((5,), 0, 1.75)}, 3))
    head = {k: rows["classifier.1." + k].value.to(dtype) for k in ("weight", "bias")}
    drawn.write(os.path.join(path, "model"), 3, rows)
    drawn.write(path, 3, rows, lambda k: torchvision_name(k.removeprefix("resnet.")))
    model.to(dtype)
    dump(path, "config.json", {"model_type": "resnet", "layer_type": kind, "downsample_in_bottleneck": False})
    dump(path, "preprocessor_config.json", {"crop_pct": 0.875, "do_normalize": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
                                            "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 56})
    out = model(prepared(40, 56), output_hidden_states=True)
    expected[name + ".pooled"] = out.pooler_output.flatten(1)
    expected[name + ".fc"] = out.pooler_output.flatten(1) @ head["weight"].T + head["bias"]
    expected[name + ".map"] = out.last_hidden_state.flatten(1)
    expected[name + ".layer2"] = out.hidden_states[2].flatten(1)
    whole = picture.resize((64, int(64 * picture.height / picture.width)), Image.BICUBIC)  # 56 / 0.875
    top, left = (whole.height - 56) // 2, (whole.width - 56) // 2
    expected[name + ".preset"] = model(normalised(whole.crop((left, top, left + 56, top + 56)))).pooler_output.flatten(1)

# ViT: a classifier of squares; a model with a pooler and without QKV biases for other rectangles, once under the names of transformers 5's modules
vit = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "patch_size": 8}
classifier = {**vit, "image_size": 32, "hidden_act": "gelu", "qkv_bias": True, "layer_norm_eps": 1e-12}
bare = {**vit, "image_size": [24, 40], "hidden_act": "gelu_new", "qkv_bias": False, "layer_norm_eps": 1e-6, "pooler_output_size": 5,
        "pooler_act": "relu"}


def draw_published(model, path, seed, rule=drawn.usual):  # save_pretrained writes the published names, state_dict has others
    names = drawn.published(model)
    rows = drawn.draw(model, seed, rule, names)
    drawn.write(os.path.join(path, "model"), seed, rows)
    model.to(dtype)
    return {v: k for k, v in names.items()}, rows


path = folder("vit")
dump(path, "config.json", classifier)
dump(path, "preprocessor_config.json", {"do_normalize": True, "do_resize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.5, 0.6, 0.5],
                                        "resample": 3, "size": 32})
model = ViTForImageClassification(ViTConfig(**classifier, num_labels=3))
draw_published(model, path, 7)
x = ViTImageProcessorPil.from_pretrained(path)(picture, return_tensors="pt").pixel_values.to(dtype)
hidden = model.vit(x).last_hidden_state
expected.update({"vit.cls": hidden[:, 0], "vit.hidden": hidden.flatten(1), "vit.logits": model(x).logits})
x = ViTImageProcessorPil.from_dict({"size": 32})(picture, return_tensors="pt").pixel_values.to(dtype)  # all else are the class's defaults
expected["vit.size_only"] = model.vit(x).last_hidden_state[:, 0]
path = folder("vit_pooler")
dump(path, "config.json", bare)
model = ViTModel(ViTConfig(**bare))
names, rows = draw_published(model, path, 8)
other = folder("vit_modules")
dump(other, "config.json", bare)
drawn.write(os.path.join(other, "model"), 8, rows, lambda k: names[k])
out = model(ViTImageProcessorPil(size={"height": 24, "width": 40})(picture, return_tensors="pt").pixel_values.to(dtype))
hidden = out.last_hidden_state
expected.update({"vit_pooler.cls": hidden[:, 0], "vit_pooler.hidden": hidden.flatten(1), "vit_pooler.pooler": out.pooler_output})

# CLIP: two towers of different widths and activations, with a WordPiece vocabulary and without preprocessor_config.json (the usual preset is used);
# and an old file: eos_token_id 2 stands for the largest id, and text_config_dict is read instead of text_config
vision = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, image_size=24, patch_size=8)
text = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, max_position_embeddings=48, vocab_size=len(vocab),
            bos_token_id=2, eos_token_id=3, pad_token_id=0, hidden_act="gelu", layer_norm_eps=1e-6)
for name, sections in (("clip", {"text_config": text}),
                       ("clip_old", {"text_config": {**text, "num_attention_heads": 2}, "text_config_dict": {**text, "eos_token_id": 2}})):
    path = folder(name)
    dump(path, "config.json", {"model_type": "clip", "projection_dim": 6, "vision_config": vision, **sections})
    for f in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(os.path.join(root, "bert", f), path)
    model = CLIPModel(CLIPConfig.from_pretrained(path))
    draw_published(model, path, 9)
    x = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)(picture, return_tensors="pt").pixel_values.to(dtype)
    ids = [wordpiece.encode(t).ids for t in TEXTS]
    ids = [torch.tensor([i[:47] + i[-1:] if len(i) > 48 else i]) for i in ids]
    rows = [model(input_ids=i, pixel_values=x) for i in ids]
    texts = [model.text_model(i) for i in ids]  # CLIPModel's own pooler_output is projected
    expected[name + ".text_embeds"] = torch.cat([r.text_embeds for r in rows])
    expected[name + ".text_pooled"] = torch.cat([t.pooler_output for t in texts])
    expected[name + ".text_mean"] = torch.stack([t.last_hidden_state[0].mean(0) for t in texts])
    expected[name + ".image_embeds"] = rows[0].image_embeds
    expected[name + ".image_hidden"] = rows[0].vision_model_output.last_hidden_state.flatten(1)

# AltCLIP: CLIP's images, an XLM-R with a mapping for texts, as transformers 5 saves it: blocks of images are "layer", "layers" in the published file. ALIGN: an EfficientNet of three stages, the first without an expansion, block 2 with even
# padding, a BERT, and the published image processor with other sizes
settings = dict(vocab_size=len(vocab), num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
altclip = {"model_type": "altclip", "projection_dim": 6, "logit_scale_init_value": 1.5,
           "text_config": dict(**settings, hidden_size=8, max_position_embeddings=34, pad_token_id=1, project_dim=10),
           "vision_config": {**vision, "num_hidden_layers": 1}}
align = {"model_type": "align", "projection_dim": 6, "text_config": dict(**settings, hidden_size=8, max_position_embeddings=34),
         "vision_config": dict(width_coefficient=0.125, depth_coefficient=1.1, depth_divisor=2, kernel_sizes=[3, 5, 3], in_channels=[32, 32, 48],
                               out_channels=[32, 48, 48], depthwise_padding=[2], strides=[1, 2, 2], num_block_repeats=[1, 1, 1],
                               expand_ratios=[1, 4, 3], hidden_dim=128)}
processor = {"crop_size": {"height": 33, "width": 33}, "do_center_crop": True, "do_normalize": False, "do_rescale": True, "do_resize": True,
             "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "EfficientNetImageProcessor", "image_std": [0.5, 0.5, 0.5], "include_top": False,
             "resample": 2, "rescale_factor": 0.00784313725490196, "rescale_offset": True, "size": {"height": 40, "width": 40}}
for name, config, kind, seed, tokens, source in (("altclip", altclip, AltCLIPConfig, 14, piece, "xlm_roberta"), ("align", align, AlignConfig, 15, wordpiece, "bert")):
    path = folder(name)
    dump(path, "config.json", config)
    for f in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(os.path.join(root, source, f), path)
    model = {"altclip": AltCLIPModel, "align": AlignModel}[name](kind.from_pretrained(path))
    fixed = {"logit_scale": (1.5, 0), "temperature": (0.296875, 0)}
    draw_published(model, path, seed, lambda k, v: fixed.get(k) or drawn.usual(k, v))
    reader = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)
    if name == "align":
        dump(path, "preprocessor_config.json", processor)
        reader = EfficientNetImageProcessorPil.from_pretrained(path)
    x = reader(picture, return_tensors="pt").pixel_values.to(dtype)
    ids = [tokens.encode(t).ids for t in TEXTS]
    ids = [torch.tensor([i[:31] + i[-1:] if len(i) > 32 else i]) for i in ids]
    rows = [model(input_ids=i, pixel_values=x, output_hidden_states=True) for i in ids]
    texts, image = [r.text_model_output for r in rows], rows[0].vision_model_output
    expected[name + ".logits"] = torch.cat([r.logits_per_image for r in rows], 1)
    expected[name + ".text_embeds"] = torch.cat([r.text_embeds for r in rows])
    expected[name + ".text_pooled"] = torch.cat([t.pooler_output for t in texts])
    expected[name + ".text_mean"] = torch.stack([t.last_hidden_state[0].mean(0) for t in texts])
    hidden = [model.text_model(i, output_hidden_states=True).hidden_states for i in ids]
    expected[name + ".text_hidden"] = torch.stack([h[1][0].mean(0) for h in hidden])
    expected[name + ".image_embeds"] = rows[0].image_embeds
    expected[name + ".image_pooled"] = image.pooler_output
    expected[name + ".image_hidden"] = image.last_hidden_state.flatten(1)
    expected[name + ".image_first"] = model.vision_model(x, output_hidden_states=True).hidden_states[1].flatten(1)

# EfficientNet: Hugging Face's, eight blocks in four stages, the first stage without an expansion, block 4 with even padding, images of odd sizes; of its
# image processor all but the size is the class's
config = {"model_type": "efficientnet", "image_size": 33, "width_coefficient": 0.125, "depth_coefficient": 1.1, "depth_divisor": 2, "hidden_dim": 160,
          "kernel_sizes": [3, 5, 3, 5], "in_channels": [32, 32, 48, 64], "out_channels": [32, 48, 64, 64], "depthwise_padding": [4],
          "strides": [1, 2, 2, 1], "num_block_repeats": [1, 1, 1, 1], "expand_ratios": [1, 4, 3, 2]}
path = folder("efficientnet_hf")
dump(path, "config.json", config)
model = EfficientNetForImageClassification(EfficientNetConfig(**config, num_labels=3))
draw_published(model, path, 16, drawn.by_inputs)
size = {"height": 33, "width": 41}
dump(path, "preprocessor_config.json", {"size": size})
x = EfficientNetImageProcessorPil(size=size)(picture, return_tensors="pt").pixel_values.to(dtype)
out = model.efficientnet(x, output_hidden_states=True)
expected.update({"efficientnet_hf.pooled": out.pooler_output, "efficientnet_hf.logits": model(x).logits,
                 "efficientnet_hf.hidden": out.last_hidden_state.flatten(1), "efficientnet_hf.fifth": out.hidden_states[5].flatten(1)})

# EfficientNet: torchvision's
model = tiny_efficientnet()
path = folder("efficientnet")
drawn.write(os.path.join(path, "model"), 13, drawn.draw(model, 13, drawn.by_inputs, {k: k for k, v in model.state_dict().items() if v.dim()}))
model.to(dtype)
dump(path, "preprocessor_config.json", {"size": {"height": 32, "width": 32}})
x = prepared(37, 50)
expected["efficientnet.pooled"] = model.avgpool(model.features(x)).flatten(1)
expected["efficientnet.logits"] = model(x)
for name, part in (("0", model.features[:1]), ("1", model.features[:2]), ("3", model.features[:4]), ("8", model.features)):
    expected["efficientnet.features." + name] = part(x).flatten(1)
expected["efficientnet.features.4.0"] = model.features[4][0](model.features[:4](x)).flatten(1)

# EfficientNet-Lite: the published layout at a fortieth of the width, computed here
rows = {}


def lite(shapes):
    made = drawn.rows_of(shapes, 5)
    rows.update(made)
    return [r.value.to(dtype) for r in made.values()]


def conv_bn(x, conv, norm, o, k, stride=1, groups=1, act=True):
    c = x.shape[1]
    w, *n = lite({conv + ".weight": ((o, c // groups, k, k), 0, drawn.limit_of((2 * groups / (c * k * k)) ** 0.5)), norm + ".weight": ((o,), 1, 0.5),
                  norm + ".bias": ((o,), 0, drawn.limit_of(0.3)), norm + ".running_mean": ((o,), 0, drawn.limit_of(0.1)),
                  norm + ".running_var": ((o,), 1, 0.5)})
    pads = []
    for size in (x.shape[3], x.shape[2]):
        p = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [p // 2, p - p // 2]
    y = F.batch_norm(F.conv2d(F.pad(x, pads), w, stride=stride, groups=groups), n[2], n[3], n[0], n[1], eps=1e-3)
    return F.relu6(y) if act else y


x = conv_bn(prepared(37, 50), "_conv_stem", "_bn0", 4, 3, 2)
at = 0
for repeats, k, s, expand, o in ((1, 3, 1, 1, 2), (2, 3, 2, 6, 3), (2, 5, 2, 6, 4), (3, 3, 2, 6, 5), (3, 5, 1, 6, 6), (4, 5, 2, 6, 7), (1, 3, 1, 6, 8)):
    for r in range(repeats):
        b, c, before, stride = f"_blocks.{at}.", x.shape[1], x, s if r == 0 else 1
        if expand > 1:
            x = conv_bn(x, b + "_expand_conv", b + "_bn0", c * expand, 1)
        x = conv_bn(x, b + "_depthwise_conv", b + "_bn1", c * expand, k, stride, c * expand)
        x = conv_bn(x, b + "_project_conv", b + "_bn2", o, 1, act=False)
        x = x + before if r else x
        at += 1
x = conv_bn(x, "_conv_head", "_bn1", 10, 1)
expected["lite.features"] = x.flatten(1)
expected["lite.pooled"] = x.mean((2, 3))
w, b = lite({"_fc.weight": ((3, 10), 0, 1.75), "_fc.bias": ((3,), 0, 1.75)})
expected["lite.fc"] = expected["lite.pooled"] @ w.T + b
drawn.write(os.path.join(root, "efficientnet_lite"), 5, rows)

open(os.path.join(root, "texts.txt"), "w").write("\n".join(TEXTS) + "\n")
drawn.finish(__file__, root, expected, double)
