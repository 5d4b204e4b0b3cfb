"""Encoders at full size, with drawn weights, against transformers and torchvision on real photos and texts: every output that a model has, per item
max|a-b| <= 1e-4 max|b|. A line per architecture and output has the largest difference; the exit status is 1 where one is too large.

Not part of `make test` (needs Python, 14 GB of memory for AltCLIP). Versions used: torch 2.15.0, torchvision 0.29.2, transformers 5.23.0, tokenizers
0.23.3, safetensors 0.8.0, pillow 13.0.0.
    make golden-full DATA=FOLDER [PYTHON=python3] [ONLY="clip-b32 bert"]
    python tests/golden/check_full.py build/libsapor.so FOLDER [--only NAME ...] [--items 3]

FOLDER has fashion/images, movielens-1m/posters and movielens-100k/items.tsv; what is missing is skipped. Weights are drawn as base/random.c does it:
float i of the tensor with this name in the file is word i % 4 of draw4 at index i / 4, with the seed, DRAW_TEST as purpose and the 32-bit FNV-1a hash of
the name as epoch, to 24 bits as in draw_uniform. A seed is used for which torch in float32 and float64 agrees to 1e-5; else the next one is tried. Texts
are read with a WordPiece vocabulary of the texts' own words at ids all over the model's vocabulary: tokenizers have their own tests.
"""
import argparse, ctypes as c, gc, json, os, re, sys, tempfile
import numpy as np
import torch
from PIL import Image as PilImage
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer

p = argparse.ArgumentParser()
p.add_argument("library")
p.add_argument("data")
p.add_argument("--only", nargs="*", default=[])
p.add_argument("--items", type=int, default=3)
p.add_argument("--threads", type=int, default=2)
o = p.parse_args()
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
torch.set_grad_enabled(False)
torch.set_num_threads(o.threads)
TEXTS, IMAGES, POOL_NONE = 2, 1, 4

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


def philox(counter, key):  # Salmon et al. 2011, 10 rounds; counter: four arrays of uint64 with 32 bits
    mask, (a, b, x, y), (k0, k1) = np.uint64(0xffffffff), counter, key
    for _ in range(10):
        high, low = a * np.uint64(0xd2511f53), x * np.uint64(0xcd9e8d57)
        a, b, x, y = (low >> np.uint64(32)) ^ b ^ np.uint64(k0), low & mask, (high >> np.uint64(32)) ^ y ^ np.uint64(k1), high & mask
        k0, k1 = (k0 + 0x9e3779b9) & 0xffffffff, (k1 + 0xbb67ae85) & 0xffffffff
    return a, b, x, y


def uniform(name, count, seed):
    epoch = 0x811c9dc5
    for byte in name.encode():
        epoch = (epoch ^ byte) * 0x01000193 & 0xffffffff
    out = np.empty((count + 3) // 4 * 4, np.float32)
    for first in range(0, len(out) // 4, 1 << 20):
        index = np.arange(first, min(first + (1 << 20), len(out) // 4), dtype=np.uint64)
        zero = np.zeros_like(index)
        words = philox((index & np.uint64(0xffffffff), index >> np.uint64(32), zero + np.uint64(epoch), zero + np.uint64(11 << 24)), (seed, 0))
        out[4 * first:4 * first + 4 * len(index)] = (np.stack(words, 1) >> np.uint64(8)).astype(np.float32).ravel() * np.float32(2.0 ** -24)
    return torch.from_numpy(out[:count])


def drawn(name, x, seed):
    if x.dim() == 0 or not x.is_floating_point():
        return x
    u = uniform(name, x.numel(), seed).reshape(x.shape)
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


def numbered(states):
    return {f"hidden_states.{i}": h for i, h in enumerate(states)}


def of_text(model, ids):  # an encoder of texts alone
    out = model(ids, output_hidden_states=True)
    rows = {"last_hidden_state": out.last_hidden_state, **numbered(out.hidden_states)}
    if getattr(out, "pooler_output", None) is not None:
        rows["pooler_output"] = out.pooler_output
    return rows


def both(model, ids=None, pixels=None):  # CLIP, AltCLIP, ALIGN: the other tower reads something short
    size = 224 if hasattr(model, "logit_scale") else 64
    x = torch.zeros(1, 3, size, size, dtype=next(model.parameters()).dtype) if pixels is None else pixels
    out = model(input_ids=torch.tensor([[0, 2, 3]]) if ids is None else ids, pixel_values=x)
    tower, name = (out.vision_model_output, "image_embeds") if ids is None else (out.text_model_output, "text_embeds")
    inner = model.vision_model(x, output_hidden_states=True) if ids is None else model.text_model(ids, output_hidden_states=True)
    return {name: out[name], "pooler_output": inner.pooler_output, "last_hidden_state": tower.last_hidden_state, **numbered(inner.hidden_states)}


def of_vit(model, ids=None, pixels=None):
    out = model.vit(pixels, output_hidden_states=True)
    return {"cls": out.last_hidden_state[:, 0], "last_hidden_state": out.last_hidden_state, "logits": model(pixels).logits, **numbered(out.hidden_states)}


def nodes(model, ids=None, pixels=None):  # torchvision: what its modules give
    out, hooks = {}, [m.register_forward_hook(lambda _, __, y, n=n: out.__setitem__(n, y.clone())) for n, m in model.named_modules() if n]
    model(pixels)
    for h in hooks:
        h.remove()
    return out


def clip(patch, width=768, heads=12, layers=12, project=512, text=512, text_heads=8, act="quick_gelu", eos=2):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel
    config = CLIPConfig(projection_dim=project, text_config=dict(hidden_size=text, intermediate_size=4 * text, num_attention_heads=text_heads, eos_token_id=eos,
                                                                 hidden_act=act, projection_dim=project),
                        vision_config=dict(hidden_size=width, intermediate_size=4 * width, num_attention_heads=heads, num_hidden_layers=layers,
                                           patch_size=patch, hidden_act=act, projection_dim=project))
    return CLIPModel, config, CLIPImageProcessorPil(), CLIP, 49408, 77, both


def altclip():
    from transformers import AltCLIPConfig, AltCLIPModel, CLIPImageProcessorPil
    config = AltCLIPConfig(text_config={}, vision_config=dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24,
                                                              patch_size=14))
    return AltCLIPModel, config, CLIPImageProcessorPil(), ROBERTA, 250002, 512, both


def align():
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessorPil
    processor = EfficientNetImageProcessorPil(crop_size={"height": 289, "width": 289}, do_center_crop=True, do_normalize=False, include_top=False, resample=2,
                                              rescale_factor=1 / 127.5, rescale_offset=True, size={"height": 346, "width": 346})
    return AlignModel, AlignConfig(text_config={}, vision_config={}), processor, BERT, 30522, 64, both


def text_model(name, vocabulary_kind, V, limit, **settings):
    import transformers
    kind, config = getattr(transformers, name + "Model"), getattr(transformers, name + "Config")(vocab_size=V, **settings)
    return kind, config, None, vocabulary_kind, V, limit, of_text


def vit():
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil
    return ViTForImageClassification, ViTConfig(num_labels=1000), ViTImageProcessorPil(), None, 0, 0, of_vit


def torchvision_model(name, resize, crop, how):
    import torchvision
    t = torchvision.transforms
    transform = t.Compose([t.Resize(resize, interpolation=how), t.CenterCrop(crop), t.ToTensor(), t.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    return getattr(torchvision.models, name), None, transform, None, 0, 0, nodes


def how(name):
    import torchvision
    return torchvision.transforms.InterpolationMode[name]


MODELS = {
    "bert-base": lambda: text_model("Bert", BERT, 30522, 512),
    "distilbert-base": lambda: text_model("DistilBert", BERT, 30522, 512),
    "mpnet-base": lambda: text_model("MPNet", ROBERTA, 30527, 512),
    "roberta-base": lambda: text_model("Roberta", ROBERTA, 50265, 512, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5),
    "xlm-roberta-base": lambda: text_model("XLMRoberta", ROBERTA, 250002, 512, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5),
    "vit-b16": vit,
    "resnet50": lambda: torchvision_model("resnet50", 232, 224, how("BILINEAR")),
    "efficientnet_b0": lambda: torchvision_model("efficientnet_b0", 256, 224, how("BICUBIC")),
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
for f in ("sp_session_open", "sp_encoder_open_with"):
    getattr(lib, f).restype = c.c_void_p
lib.sp_encoder_output_count.restype = c.c_size_t
for f in ("sp_encoder_output", "sp_row_sizes", "sp_text_lengths", "sp_encode_text_batch", "sp_encode_image_batch"):
    getattr(lib, f).restype = c.c_bool


def need(ok):
    if not ok:
        sys.exit(e.message.decode())
    return c.c_void_p(ok)


def ours(encoder, session, modality, item):
    """Every output of one item: {name: floats}"""
    names = []
    for i in range(lib.sp_encoder_output_count(encoder)):
        out = Output(size=c.sizeof(Output))
        need(lib.sp_encoder_output(encoder, c.c_size_t(i), c.byref(out), c.byref(e)))
        if out.modality == modality:
            names.append((out.name, POOL_NONE if out.rows == 1 else 0))
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


def flat(rows):
    return {k: v.double().numpy().ravel() for k, v in rows.items()}


def references(reference, model, inputs):
    """Of each input, (modality, item, tensor): its outputs in the type of the model."""
    out = []
    for modality, _, x in inputs:
        x = x.to(next(model.parameters()).dtype) if modality == IMAGES else x
        out.append(flat(reference(model, x) if reference is of_text else reference(model, pixels=x) if modality == IMAGES else reference(model, ids=x)))
    return out


def published(folder, kind, config):
    """The names, shapes and types of the file, without their values: a model that was saved."""
    if config is None:
        return kind(weights=None).state_dict()
    kind(config).save_pretrained(folder)
    state = load_file(os.path.join(folder, "model.safetensors"))
    return {re.sub(r"^(vision_model\.encoder\.)layer\.", r"\1layers.", k): v for k, v in state.items()}  # AltCLIP, as transformers 5 saves it


def load(folder, kind, config):
    if config is not None:
        return kind.from_pretrained(folder, attn_implementation="eager").eval()
    model = kind(weights=None)
    model.load_state_dict(load_file(os.path.join(folder, "model.safetensors")))
    return model.eval()


def check(name, texts, images, session):
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, name)
        os.makedirs(folder)
        kind, config, processor, tokens, V, limit, reference = MODELS[name]()
        state = published(folder, kind, config)
        inputs = []
        if tokens:
            inputs += [(TEXTS, t, i) for t, i in zip(texts, vocabulary(folder, tokens, V, limit, texts))]
        if processor:
            if config is not None:
                processor.save_pretrained(folder)
            for f in images:
                with PilImage.open(f) as im:
                    im = im.convert("RGB")
                    inputs.append((IMAGES, f, processor(im)[None] if config is None else processor(im, return_tensors="pt").pixel_values))
        if not inputs:
            print(f"{name}: skipped, it has no inputs")
            return 0
        for seed in range(1, 6):
            for k in state:
                state[k] = drawn(k, state[k], seed)
            save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(folder, "model.safetensors"))
            model = load(folder, kind, config)
            b32 = references(reference, model, inputs)
            model = model.double()
            b = references(reference, model, inputs)
            del model
            gc.collect()
            own = max((difference(x[k], y[k]), k) for x, y in zip(b32, b) for k in y)
            if own[0] <= 1e-5:
                break
            print(f"{name}: seed {seed}: float32 and float64 differ by {own[0]:.1e} in {own[1]}", flush=True)
        else:
            print(f"{name}: no seed for which float32 and float64 agree")
            return 1
        del state
        gc.collect()
        path = folder if config is not None else os.path.join(folder, "model.safetensors")
        encoder = need(lib.sp_encoder_open_with(path.encode(), None, None, c.byref(e)))
        worst, unknown = {}, set()
        for (modality, item, _), rows in zip(inputs, b32):
            for k, a in ours(encoder, session, modality, item).items():
                if k not in rows:
                    unknown.add(k)
                    continue
                key = ("text " if modality == TEXTS else "image ") + k
                worst[key] = max(worst.get(key, 0), difference(a, rows[k]))
        lib.sp_encoder_close(encoder)
        for k, d in worst.items():
            print(f"{name:18} {k:32} {d:.1e}{'' if d <= 1e-4 else '  TOO LARGE'}")
        print(f"{name:18} {len(worst)} outputs, {len(inputs)} items, seed {seed}: largest {max(worst.values()):.1e}"
              + (f"; not compared: {', '.join(sorted(unknown))}" if unknown else ""), flush=True)
        return int(max(worst.values()) > 1e-4 or bool(unknown))


texts, images = descriptions(), photos()
session = need(lib.sp_session_open(o.threads, None, c.byref(e)))
sys.exit(sum([check(name, texts, images, session) for name in MODELS if not o.only or name in o.only]) > 0)
