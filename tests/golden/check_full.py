"""Encoders at full size, with drawn weights, against transformers, torchvision and timm on real photos and texts: every output that a model has, nodes
inside blocks and logits of images and texts included, per item max|a-b| <= 1e-4 max|b|. Prints a line per architecture with its largest difference, and a line
per output that differs too much. The exit status is 1 if an output differs too much, or has no reference.

Not part of `make test` (needs Python; 8 GB of memory and 4 GB of $TMPDIR for AltCLIP). Versions used: torch 2.15.0, torchvision 0.29.2, timm 1.0.31,
transformers 5.23.0, tokenizers 0.23.3, safetensors 0.8.0, pillow 13.0.0.
    make golden-full DATA=FOLDER [PYTHON=python3] [ONLY="clip-b32 bert-base"]
    python tests/golden/check_full.py build/libsapor.so FOLDER [--only NAME ...] [--items 3] [--all]       (--all: a line for each output)

FOLDER has fashion/images, movielens-1m/posters and movielens-100k/items.tsv; what is missing is skipped. Weights are drawn (drawn.py)
by the name in the file. The first seed is used for which float32 and float64 of torch agree to 1e-5. Texts
are read with a WordPiece vocabulary of the texts' own words at ids all over the model's vocabulary: tokenizers have their own tests.
"""
import argparse, ctypes as c, gc, json, os, re, struct, sys, tempfile
from types import SimpleNamespace
import numpy as np
import torch
from PIL import Image as PilImage
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer
import drawn

p = argparse.ArgumentParser()
p.add_argument("library")
p.add_argument("data")
p.add_argument("--only", nargs="*", default=[])
p.add_argument("--items", type=int, default=3)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--all", action="store_true")
o = p.parse_args()
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
torch.set_grad_enabled(False)
torch.set_num_threads(o.threads)
TEXTS, IMAGES, POOL_NONE, PAIR = 2, 1, 4, "logits_per_image"

# ---- inputs -------------------------------------------------------------------------------------------------------------------------------------------


def photos():
    out = []
    for folder in ("fashion/images", "movielens-1m/posters"):
        path = os.path.join(o.data, folder)
        if not os.path.isdir(path):
            print(f"skipped: {path} is missing")
            continue
        names = sorted(os.listdir(path))
        out += [os.path.join(path, n) for n in names[::max(1, len(names) // o.items)][:o.items]]
    return out


def descriptions():
    path = os.path.join(o.data, "movielens-100k/items.tsv")
    if not os.path.isfile(path):
        print(f"skipped: {path} is missing")
        return []
    rows = [line.split("\t") for line in open(path, encoding="utf-8", newline="").read().split("\n") if line]
    texts = [r[rows[0].index("description")] for r in rows[1:]]
    return ["a photo of a red shirt"] + texts[::max(1, len(texts) // o.items)][:o.items] + [" ".join(texts[:40])]  # the last one is too long


# ---- weights ------------------------------------------------------------------------------------------------------------------------------------------


def drawn_values(name, x, seed):
    if name == "logit_scale":  # the initial value in the configuration; transformers 5.23 does not initialise AltCLIP's
        return torch.full_like(x, 2.6592)
    if x.dim() == 0 or not x.is_floating_point():
        return x
    u = drawn.uniform(name, x.numel(), seed).reshape(x.shape)
    if name.endswith("running_var"):
        return u + 0.5
    if name.endswith("bias") or name.endswith("running_mean"):
        return (u - 0.5) * 0.2
    if x.dim() == 1:
        return u * 0.5 + 0.75 if name.endswith("weight") else u - 0.5
    if "embed" in name and x.dim() < 4:
        return (u - 0.5) * 0.3
    return (u - 0.5) * (12 / x[0].numel()) ** 0.5


# ---- models -------------------------------------------------------------------------------------------------------------------------------------------
BERT = dict(start=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], settings={"do_lower_case": True, "tokenizer_class": "BertTokenizer"})
SPECIAL = {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "[UNK]", "pad_token": "<pad>", "mask_token": "<mask>"}
ROBERTA = dict(start=["<s>", "<pad>", "</s>", "[UNK]", "<mask>"], settings={"do_lower_case": True, "tokenizer_class": "BertTokenizer", **SPECIAL})
CLIP = dict(start=["[PAD]", "[UNK]", "[MASK]"], end=["[CLS]", "[SEP]"], settings=BERT["settings"])  # the largest id ends a text


def vocabulary(folder, kind, V, limit, texts):
    words = sorted({w for t in texts for w in re.findall(r"\w+|[^\w\s]", t.lower())} - set(kind["start"]))
    fixed, end = list(kind["start"]), kind.get("end", [])
    room = V - len(fixed) - len(end)
    middle = [f"[unused{i}]" for i in range(room)]
    for i, w in enumerate(words[:room]):
        middle[i * (room // len(words)) if room > len(words) else i] = w
    open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8").write("\n".join(fixed + middle + end) + "\n")
    json.dump({**kind["settings"], "model_max_length": limit}, open(os.path.join(folder, "tokenizer_config.json"), "w"))
    names = {k: v for k, v in kind["settings"].items() if k.endswith("_token")}
    t = BertWordPieceTokenizer(os.path.join(folder, "vocab.txt"), lowercase=True, **names)
    ids = [t.encode(x).ids for x in texts]
    return [torch.tensor([i[:limit - 1] + i[-1:] if len(i) > limit else i]) for i in ids]


# ---- outputs of the libraries: {our name: tensor} ----------------------------------------------------------------------------------------------------


def numbered(states):
    return {f"hidden_states.{i}": h for i, h in enumerate(states)}


def of_text(model, wanted, ids=None, pixels=None):  # an encoder of texts alone
    out = model(ids, output_hidden_states=True)
    rows = {"last_hidden_state": out.last_hidden_state, **numbered(out.hidden_states)}
    if getattr(out, "pooler_output", None) is not None:
        rows["pooler_output"] = out.pooler_output
    return rows


def of_text_tower(model, wanted, ids=None, pixels=None):  # CLIP, AltCLIP, ALIGN
    out = model(input_ids=ids, pixel_values=pixels)
    inner = model.text_model(ids, output_hidden_states=True)
    return {"text_embeds": out.text_embeds, "pooler_output": inner.pooler_output, "last_hidden_state": out.text_model_output.last_hidden_state,
            **numbered(inner.hidden_states), PAIR: out.logits_per_image}


def of_image_tower(model, wanted, ids=None, pixels=None):
    out = model(input_ids=ids, pixel_values=pixels)
    inner = model.vision_model(pixels, output_hidden_states=True)
    return {"image_embeds": out.image_embeds, "pooler_output": inner.pooler_output, "last_hidden_state": out.vision_model_output.last_hidden_state,
            **numbered(inner.hidden_states), PAIR: out.logits_per_image}


def of_vit(model, wanted, ids=None, pixels=None):
    out = model.vit(pixels, output_hidden_states=True)
    return {"cls": out.last_hidden_state[:, 0], "last_hidden_state": out.last_hidden_state, "logits": model(pixels).logits, **numbered(out.hidden_states)}


def of_efficientnet(model, wanted, ids=None, pixels=None):
    out = model.efficientnet(pixels, output_hidden_states=True)
    return {"pooler_output": out.pooler_output, "last_hidden_state": out.last_hidden_state, "logits": model(pixels).logits, **numbered(out.hidden_states)}


def of_resnet(model, wanted, ids=None, pixels=None):
    """Returns the outputs of modules of transformers, with torchvision's names."""
    out, hooks, modules = {}, [], dict(model.named_modules())
    for w in wanted:
        name = renamed(w, TRANSFORMERS_RESNET)
        if name in modules:
            hooks.append(modules[name].register_forward_hook(lambda _, __, y, w=w: out.__setitem__(w, getattr(y, "last_hidden_state", y).clone())))
    model(pixels)
    for h in hooks:
        h.remove()
    return out


def renamed(name, theirs):
    """Returns the library's name for our name. theirs: [(ours, theirs)], where ours is a regular expression and theirs its replacement."""
    return next((re.sub(a, b, name) for a, b in theirs if re.fullmatch(a, name)), name)


class Nodes(torch.fx.Interpreter):
    """Keeps a copy of the output of each node when it is computed, because a later node may change it in place."""
    def __init__(self, graph, names, kept):
        super().__init__(graph)
        self.names, self.kept, self.rows = names, kept, {}

    def run_node(self, n):
        out = super().run_node(n)
        if self.names.get(n.name) in self.kept:
            self.rows[self.names[n.name]] = out.clone()
        return out


def of_nodes(theirs):
    """Returns the nodes of torchvision and timm by name. A prefix of several names means the last of them."""
    def run(model, wanted, ids=None, pixels=None):
        from torchvision.models.feature_extraction import NodePathTracer
        leaves = []
        if type(model).__module__.startswith("timm."):
            from timm.models._features_fx import get_notrace_modules
            leaves = get_notrace_modules()
        tracer = NodePathTracer(leaf_modules=leaves)
        graph = tracer.trace(model)
        graph = torch.fx.GraphModule(tracer.root, graph)
        names = {n.name: q for n, q in tracer.node_to_qualname.items()}
        last = {w: next((q for q in reversed(list(names.values())) if (q + ".").startswith(renamed(w, theirs) + ".")), None) for w in wanted}
        nodes = Nodes(graph, names, set(last.values()) - {None})
        nodes.run(pixels)
        rows = {w: nodes.rows[q] for w, q in last.items() if q}
        return {w: x[:, 0] if w == "cls" else x for w, x in rows.items()}
    return run


def before(m, i=1):
    return str(int(m[i]) - 1)


def stage(m):
    return f"resnet.encoder.stages.{before(m)}" + (f".layers.{m[2]}" if m.re.groups > 1 else "")


TRANSFORMERS_RESNET = [("maxpool", "resnet.embedder.pooler"), ("avgpool", "resnet.pooler"), ("fc", "classifier"), (r"layer(\d)", stage),
                       ("conv1", "resnet.embedder.embedder.convolution"), ("bn1", "resnet.embedder.embedder.normalization"),
                       ("relu", "resnet.embedder.embedder.activation"), (r"layer(\d)\.(\d+)", stage),
                       (r"layer(\d)\.(\d+)\.conv(\d)", lambda m: f"{stage(m)}.layer.{before(m, 3)}.convolution"),
                       (r"layer(\d)\.(\d+)\.bn(\d)", lambda m: f"{stage(m)}.layer.{before(m, 3)}.normalization"),
                       (r"layer(\d)\.(\d+)\.relu(_1|)", lambda m: f"{stage(m)}.layer.{len(m[3]) // 2}.activation"),
                       (r"layer(\d)\.(\d+)\.downsample\.0", lambda m: stage(m) + ".shortcut.convolution"),
                       (r"layer(\d)\.(\d+)\.downsample\.1", lambda m: stage(m) + ".shortcut.normalization")]
TORCHVISION_VIT = [("cls|last_hidden_state", "encoder.ln"), ("logits", "heads.head"), (r"hidden_states\.0", "encoder.dropout"),
                   (r"hidden_states\.(\d+)", lambda m: "encoder.layers.encoder_layer_" + before(m))]
TIMM_VIT = [("cls|last_hidden_state", "norm"), ("logits", "head"), (r"hidden_states\.0", "norm_pre"), (r"hidden_states\.(\d+)", lambda m: "blocks." + before(m))]
TIMM_RESNET = [("avgpool", "global_pool"), (r"(.*)relu_1", r"\1act2"), (r"(.*)relu", r"\1act1")]
TIMM_EFFICIENTNET = [("features.0", "bn1"), ("features.8", "bn2"), ("avgpool", "global_pool"), (r"classifier\.1", "classifier"),
                     (r"features\.1\.(\d+)\.block\.(\d)", lambda m: f"blocks.0.{m[1]}.{('bn1', 'se', 'bn2')[int(m[2])]}"),
                     (r"features\.(\d)\.(\d+)\.block\.(\d)", lambda m: f"blocks.{int(m[1]) - 1}.{m[2]}.{('bn1', 'bn2', 'se', 'bn3')[int(m[3])]}"),
                     (r"features\.(\d)(.*)", lambda m: f"blocks.{before(m)}{m[2]}")]

# ---- models: how they are made, what reads images and texts ----------------------------------------------------------------------------------------------


def of_transformers(kind, config, texts=None, image_processor=None, of_texts=None, of_images=None, none={}):
    """texts: (kind of vocabulary, its size, the most tokens); none: {regular expression of outputs that transformers does not have: why}."""
    return SimpleNamespace(kind=kind, config=config, texts=texts, processor=image_processor, of_texts=of_texts, of_images=of_images, none=none)


def clip(patch, width=768, heads=12, layers=12, project=512, text=512, text_heads=8, act="quick_gelu", eos=2):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel
    config = CLIPConfig(projection_dim=project, text_config=dict(hidden_size=text, intermediate_size=4 * text, num_attention_heads=text_heads, eos_token_id=eos,
                                                                 hidden_act=act, projection_dim=project),
                        vision_config=dict(hidden_size=width, intermediate_size=4 * width, num_attention_heads=heads, num_hidden_layers=layers,
                                           patch_size=patch, hidden_act=act, projection_dim=project))
    return of_transformers(CLIPModel, config, (CLIP, 49408, 77), CLIPImageProcessorPil(), of_text_tower, of_image_tower)


def altclip():
    from transformers import AltCLIPConfig, AltCLIPModel, CLIPImageProcessorPil
    config = AltCLIPConfig(text_config={}, vision_config=dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24,
                                                              patch_size=14))
    return of_transformers(AltCLIPModel, config, (ROBERTA, 250002, 512), CLIPImageProcessorPil(), of_text_tower, of_image_tower)


def align():
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessorPil
    processor = EfficientNetImageProcessorPil(crop_size={"height": 289, "width": 289}, do_center_crop=True, do_normalize=False, include_top=False, resample=2,
                                              rescale_factor=1 / 127.5, rescale_offset=True, size={"height": 346, "width": 346})
    return of_transformers(AlignModel, AlignConfig(text_config={}, vision_config={}), (BERT, 30522, 64), processor, of_text_tower, of_image_tower)


def text_model(name, vocabulary_kind, V, limit, **settings):
    import transformers
    kind, config = getattr(transformers, name + "Model"), getattr(transformers, name + "Config")(vocab_size=V, **settings)
    return of_transformers(kind, config, (vocabulary_kind, V, limit), of_texts=of_text)


def vit():
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil
    return of_transformers(ViTForImageClassification, ViTConfig(num_labels=1000), None, ViTImageProcessorPil(), of_images=of_vit)


def resnet():
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification
    processor = ConvNextImageProcessorPil(crop_pct=0.875, size={"shortest_edge": 224}, resample=3, image_mean=[0.485, 0.456, 0.406],
                                          image_std=[0.229, 0.224, 0.225])
    return of_transformers(ResNetForImageClassification, ResNetConfig(num_labels=1000), None, processor, of_images=of_resnet,
                           none={r".*\.add": "no module of transformers gives sums"})


def efficientnet(width, depth, size, features, even):
    from transformers import EfficientNetConfig, EfficientNetForImageClassification, EfficientNetImageProcessorPil
    config = EfficientNetConfig(width_coefficient=width, depth_coefficient=depth, image_size=size, hidden_dim=features, depthwise_padding=even, num_labels=1000)
    processor = EfficientNetImageProcessorPil(size={"height": size, "width": size}, resample=0, image_mean=[0.485, 0.456, 0.406],
                                              image_std=[0.47853944, 0.4732864, 0.47434163])
    return of_transformers(EfficientNetForImageClassification, config, None, processor, of_images=of_efficientnet)


def torchvision_model(name, theirs=()):
    import torchvision
    return SimpleNamespace(make=lambda: getattr(torchvision.models, name)(weights=None), config=None, texts=None, of_texts=None, none={},
                           processor=torchvision.models.get_model_weights(name).DEFAULT.transforms(), of_images=of_nodes(theirs))


def timm_model(name, theirs):
    import timm
    from timm.models._hub import save_config_for_hf
    model = timm.create_model(name)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model), is_training=False)
    return SimpleNamespace(make=lambda: timm.create_model(name), config=None, texts=None, of_texts=None, none={}, processor=transform,
                           of_images=of_nodes(theirs), settings=lambda folder: save_config_for_hf(model, os.path.join(folder, "config.json")))


RESNETS = ("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2")
MODELS = {
    "bert-base": lambda: text_model("Bert", BERT, 30522, 512),
    "distilbert-base": lambda: text_model("DistilBert", BERT, 30522, 512),
    "mpnet-base": lambda: text_model("MPNet", ROBERTA, 30527, 512, max_position_embeddings=514),
    "roberta-base": lambda: text_model("Roberta", ROBERTA, 50265, 512, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5),
    "xlm-roberta-base": lambda: text_model("XLMRoberta", ROBERTA, 250002, 512, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5),
    "vit-b16": vit,
    "vit_b_16": lambda: torchvision_model("vit_b_16", TORCHVISION_VIT),
    "timm-vit_base_patch16_224": lambda: timm_model("vit_base_patch16_224", TIMM_VIT),
    **{name: lambda name=name: torchvision_model(name) for name in RESNETS},
    "resnet-50": resnet,
    "timm-resnet50": lambda: timm_model("resnet50", TIMM_RESNET),
    **{name: lambda name=name: torchvision_model(name) for name in (f"efficientnet_b{i}" for i in range(8))},
    "efficientnet-b0": lambda: efficientnet(1.0, 1.0, 224, 1280, []),
    "efficientnet-b7": lambda: efficientnet(2.0, 3.1, 600, 2560, [18]),
    "timm-efficientnet_b0": lambda: timm_model("efficientnet_b0", TIMM_EFFICIENTNET),
    "timm-tf_efficientnet_b0": lambda: timm_model("tf_efficientnet_b0", TIMM_EFFICIENTNET),
    "clip-b32": lambda: clip(32),
    "clip-b16": lambda: clip(16, eos=49407),
    "clip-l14": lambda: clip(14, 1024, 16, 24, 768, 768, 12),
    "clip-b32-gelu": lambda: clip(32, act="gelu"),
    "align-base": align,
    "altclip": altclip,
}

# ---- the library, by the structs of sapor.h -------------------------------------------------------------------------------------------------------------


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1024)]


class EncoderOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("dtype", c.c_char_p), ("device", c.c_char_p), ("arch", c.c_char_p), ("modalities", c.c_uint),
                ("outputs", c.POINTER(c.c_char_p)), ("output_count", c.c_size_t), ("pool", c.c_int), ("normalize", c.c_int), ("max_length", c.c_size_t),
                ("resize", c.c_char_p)]


class Output(c.Structure):
    _fields_ = [("size", c.c_size_t), ("name", c.c_char_p), ("modality", c.c_uint), ("rows", c.c_int), ("width", c.c_size_t), ("pool", c.c_int),
                ("normalized", c.c_bool), ("usual", c.c_bool), ("loaded", c.c_bool)]


class OutputOptions(c.Structure):
    _fields_ = [("name", c.c_char_p), ("pool", c.c_int), ("normalize", c.c_int)]


class CallOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("outputs", c.POINTER(OutputOptions)), ("output_count", c.c_size_t), ("max_length", c.c_size_t),
                ("progress", c.c_void_p), ("user", c.c_void_p)]


class Text(c.Structure):
    _fields_ = [("text", c.c_char_p), ("bytes", c.c_size_t)]


class TextInfo(c.Structure):
    _fields_ = [("tokens", c.c_size_t), ("truncated", c.c_bool)]


class Image(c.Structure):
    _fields_ = [("path", c.c_char_p), ("data", c.c_char_p), ("bytes", c.c_size_t), ("width", c.c_size_t), ("height", c.c_size_t)]


lib, e = c.CDLL(os.path.abspath(o.library)), Error()
for f in ("sp_session_open", "sp_encoder_open", "sp_encoder_open_with"):
    getattr(lib, f).restype = c.c_void_p
lib.sp_encoder_output_count.restype = c.c_size_t
lib.sp_encoder_logit_scale.restype = c.c_double
for f in ("sp_encoder_output", "sp_row_sizes", "sp_text_lengths", "sp_encode_text_batch", "sp_encode_image_batch"):
    getattr(lib, f).restype = c.c_bool


def need(ok):
    if not ok:
        sys.exit(e.message.decode())
    return c.c_void_p(ok)


def opened(path, names):
    """Opens the encoder; calls may request these outputs."""
    names = sorted(set(names))
    options = EncoderOptions(size=c.sizeof(EncoderOptions), outputs=(c.c_char_p * len(names))(*names), output_count=len(names))
    return need(lib.sp_encoder_open_with(path.encode(), c.byref(options), None, c.byref(e)))


def outputs_of(encoder):
    """Returns [(name, modality, kind of rows)], one per output of the encoder."""
    out = []
    for i in range(lib.sp_encoder_output_count(encoder)):
        o = Output(size=c.sizeof(Output))
        need(lib.sp_encoder_output(encoder, c.c_size_t(i), c.byref(o), c.byref(e)))
        out.append((o.name, o.modality, o.rows))
    return out


def ours(encoder, session, modality, item):
    """Returns every output of one item: {name: floats}."""
    names = [(name, POOL_NONE if rows == 1 else 0) for name, m, rows in outputs_of(encoder) if m == modality]
    asked = (OutputOptions * len(names))(*(OutputOptions(n, pool, 0) for n, pool in names))
    call = CallOptions(size=c.sizeof(CallOptions), outputs=asked, output_count=len(names))
    sizes = (c.c_size_t * len(names))()
    need(lib.sp_row_sizes(encoder, modality, c.byref(call), sizes, c.byref(e)))
    tokens = 1
    if modality == TEXTS:
        data = item.encode()
        one, info = Text(data, len(data)), TextInfo()
        need(lib.sp_text_lengths(encoder, session, c.byref(one), c.c_size_t(1), None, c.byref(info), None, c.byref(e)))
        tokens = info.tokens
    rows = [np.empty(size * (tokens if modality == TEXTS and pool else 1), np.float32) for size, (_, pool) in zip(sizes, names)]
    out = (c.POINTER(c.c_float) * len(rows))(*(r.ctypes.data_as(c.POINTER(c.c_float)) for r in rows))
    if modality == TEXTS:
        need(lib.sp_encode_text_batch(encoder, session, c.byref(one), c.c_size_t(1), c.byref(call), out, None, None, c.byref(e)))
    else:
        one = Image(path=item.encode())
        need(lib.sp_encode_image_batch(encoder, session, c.byref(one), c.c_size_t(1), c.byref(call), out, None, c.byref(e)))
    return {n.decode(): r for (n, _), r in zip(names, rows)}


# ---- the comparison -------------------------------------------------------------------------------------------------------------------------------------


def difference(a, b):
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return np.abs(a - b).max() / np.abs(b).max() if len(a) == len(b) and np.isfinite(b).all() else float("inf")


def header(path):
    """Returns {name: (shape, tensor)} of a file. tensor None: its numbers are drawn; integers and single numbers are read instead."""
    with safe_open(path, "pt") as f:
        out = {}
        for k in f.keys():
            part = f.get_slice(k)
            drawn_later = part.get_dtype() == "F32" and part.get_shape()
            out[re.sub(r"^(vision_model\.encoder\.)layer\.", r"\1layers.", k)] = (part.get_shape(), None if drawn_later else f.get_tensor(k))
        return out  # AltCLIP's blocks of images: "layers" in the published file, "layer" as transformers 5 saves it


def write_drawn(path, tensors, seed):
    """Writes one tensor after the other: the file may be larger than half of the memory."""
    values = lambda k: drawn_values(k, torch.empty(tensors[k][0]) if tensors[k][1] is None else tensors[k][1], seed).contiguous().numpy()
    head, at = {}, 0
    for k, (shape, value) in tensors.items():
        n = int(np.prod(shape)) * (4 if value is None else value.element_size())
        head[k] = {"dtype": {4: "F32", 8: "I64"}[4 if value is None else value.element_size()], "shape": list(shape), "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k in tensors:
            values(k).tofile(f)


def published(path, subject):
    """Returns the names and shapes of the tensors in the published file of a model."""
    if subject.config is None:
        return {k: (list(v.shape), None if v.is_floating_point() and v.dim() else v) for k, v in subject.make().state_dict().items()}
    subject.kind(subject.config).save_pretrained(os.path.dirname(path))
    return header(path)


def load(path, subject):
    if subject.config is not None:
        return subject.kind.from_pretrained(os.path.dirname(path), attn_implementation="eager").eval()
    model = subject.make()
    model.load_state_dict(load_file(path))
    return model.eval()


def read_inputs(subject, folder, texts, images):
    """Returns [(modality, text or file, tensor)]: what our encoder reads, and what the model reads."""
    inputs = []
    if subject.texts:
        inputs += [(TEXTS, t, i) for t, i in zip(texts, vocabulary(folder, *subject.texts, texts))]
    if subject.processor:
        if subject.config is not None:
            subject.processor.save_pretrained(folder)
        for f in images:
            with PilImage.open(f) as im:
                im = im.convert("RGB")
                x = subject.processor(im)[None] if subject.config is None else subject.processor(im, return_tensors="pt").pixel_values
                inputs.append((IMAGES, f, x))
    return inputs


def references(subject, model, inputs, wanted):
    """Yields the outputs of each input, in the type of the model. If the model has two towers, the other tower reads its first input."""
    first = {m: next((x for k, _, x in inputs if k == m), None) for m in (TEXTS, IMAGES)}
    real = lambda x: x if x is None else x.to(next(model.parameters()).dtype)
    for modality, _, x in inputs:
        pair = subject.of_texts and subject.of_images
        ids, pixels = (x if modality == TEXTS else pair and first[TEXTS]), (x if modality == IMAGES else pair and first[IMAGES])
        rows = (subject.of_texts if modality == TEXTS else subject.of_images)(model, wanted[modality], ids=ids, pixels=real(pixels))
        yield {k: v.numpy().ravel() for k, v in rows.items()}


def pairs(rows):
    """Returns the outputs that are compared for all items together: with one number per item, a relative difference would compare the number with itself."""
    return np.concatenate([r.pop(PAIR) for r in rows]) if rows and PAIR in rows[0] else None


def draw_and_run(name, subject, path, tensors, inputs, wanted):
    """Returns the outputs in float32 with the first seed for which float64 agrees: (seed, rows, logits of pairs), or None."""
    for seed in range(1, 6):
        if seed > 1:
            write_drawn(path, tensors, seed)
        model = load(path, subject)
        rows = list(references(subject, model, inputs, wanted))
        logits, exact, own = pairs(rows), [], (0, "")
        model = model.double()
        for a, b in zip(rows, references(subject, model, inputs, wanted)):
            exact.append({k: b.pop(k) for k in list(b) if k == PAIR})
            own = max(own, max((difference(a[k], b[k]), k) for k in b))
        own = max(own, (difference(logits, pairs(exact)), "logits")) if logits is not None else own
        del model
        gc.collect()
        if own[0] <= 1e-5:
            return seed, rows, logits
        print(f"{name}: seed {seed}: float32 and float64 differ by {own[0]:.1e} in {own[1]}", flush=True)
    print(f"{name}: no seed for which float32 and float64 agree")
    return None


def check(name, texts, images, session):
    with tempfile.TemporaryDirectory() as scratch:
        folder, subject = os.path.join(scratch, name), MODELS[name]()
        os.makedirs(folder)
        path = os.path.join(folder, "model.safetensors")
        inputs = read_inputs(subject, folder, texts, images)
        if {m for m, _, _ in inputs} != {m for m, of in ((TEXTS, subject.of_texts), (IMAGES, subject.of_images)) if of}:
            print(f"{name}: skipped, some of its inputs are missing")
            return 0
        tensors = published(path, subject)
        write_drawn(path, tensors, 1)
        if subject.config is None and hasattr(subject, "settings"):
            subject.settings(folder)
        model = folder if subject.config is not None or hasattr(subject, "settings") else path
        encoder = need(lib.sp_encoder_open(model.encode(), None, c.byref(e)))  # the usual output is loaded, the others are listed
        names = outputs_of(encoder)
        lib.sp_encoder_close(encoder)
        run = draw_and_run(name, subject, path, tensors, inputs, {m: [n.decode() for n, k, _ in names if k == m] for m in (TEXTS, IMAGES)})
        if not run:
            return 1
        seed, rows, logits = run
        encoder = opened(model, [n for n, _, _ in names])
        worst, unknown, embeds = {}, set(), {TEXTS: [], IMAGES: []}
        for (modality, item, _), b in zip(inputs, rows):
            a = ours(encoder, session, modality, item)
            embeds[modality].append(a.get("text_embeds" if modality == TEXTS else "image_embeds"))
            for k in a:
                if k in b:
                    key = ("text " if modality == TEXTS else "image ") + k
                    worst[key] = max(worst.get(key, 0), difference(a[k], b[k]))
                else:
                    unknown.add(k)
        if logits is not None:  # each text with the first image, then the first text with each image
            scale = lib.sp_encoder_logit_scale(encoder)
            a = [scale * np.dot(t, embeds[IMAGES][0]) for t in embeds[TEXTS]] + [scale * np.dot(embeds[TEXTS][0], i) for i in embeds[IMAGES]]
            worst["logits"] = difference(a, logits)
        lib.sp_encoder_close(encoder)
        for k, d in worst.items():
            if o.all or not d <= 1e-4:
                print(f"{name:26} {k:44} {d:.1e}{'' if d <= 1e-4 else '  TOO LARGE'}")
        top = max(worst, key=worst.get)
        print(f"{name:26} {len(worst)} outputs, {len(inputs)} items, seed {seed}: largest {worst[top]:.1e} in {top}")
        for pattern, why in subject.none.items():
            none = [k for k in unknown if re.fullmatch(pattern, k)]
            print(f"{name:26} {len(none)} outputs as {sorted(none)[0]} are not compared: {why}")
            unknown -= set(none)
        if unknown:
            print(f"{name:26} nothing to compare with: {', '.join(sorted(unknown))}")
        sys.stdout.flush()
        return int(not worst[top] <= 1e-4 or bool(unknown))


texts, images = descriptions(), photos()
session = need(lib.sp_session_open(o.threads, None, c.byref(e)))
sys.exit(sum([check(name, texts, images, session) for name in MODELS if not o.only or name in o.only]) > 0)
