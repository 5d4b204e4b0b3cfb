"""Writes tests/golden/layers: nodes inside of models by torchvision's names, models in the layouts of torchvision and timm, and the
results of create_feature_extractor and timm in float32, confirmed in float64. ResNets and EfficientNet have the tensors of tests/golden/encoders.
Versions: torch 2.15.0, torchvision 0.29.2, timm 1.0.31, pillow 13.0.0.
    python tests/golden/make_layers.py
"""
import json, os, shutil, sys, warnings
from functools import partial
import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from timm.models import resnet as timm_resnet
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vision_transformer import VisionTransformer
import drawn
from tiny_efficientnet import tiny_efficientnet

here = os.path.dirname(os.path.abspath(__file__))
double = sys.argv[1:2] == ["--float64"]  # with a folder: the same in float64, into that folder
root, encoders = sys.argv[2] if double else os.path.join(here, "layers"), os.path.join(here, "encoders")
dtype = torch.float64 if double else torch.float32
shutil.rmtree(root, ignore_errors=True)
os.makedirs(root, exist_ok=True)
torch.set_grad_enabled(False)
warnings.simplefilter("ignore")


def round_channels_as_is(channels, *args, **others):
    return round(channels)


expected = {}
picture = Image.open(os.path.join(here, "images", "RGB.png")).convert("RGB")
pixels = torch.from_numpy(np.asarray(picture.resize((32, 32), Image.BICUBIC)).copy()).permute(2, 0, 1).to(dtype) / 255
pixels = ((pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None])[None]


def rule(name, x):
    centre, limit = drawn.usual(name, x)
    return (1 if x.dim() == 1 and name.endswith("weight") else centre), limit


def draw(model, seed, name, rename=lambda k: k):
    """Fills the model and writes its list."""
    rows = drawn.draw(model, seed, rule, {k: k for k, v in model.state_dict().items() if v.dim()})
    drawn.write(os.path.join(root, name), seed, rows, rename)
    return model.to(dtype)


def tiny_resnet(block, depths, planes, groups=1, width=64):
    """Makes torchvision's ResNet with other widths: the stem has planes[0] * block.expansion // 2 channels."""
    m = ResNet(block, [1, 1, 1, 1], num_classes=5, groups=groups, width_per_group=width)
    m.inplanes = 4
    m.conv1, m.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
    for i, (n, p) in enumerate(zip(depths, planes)):
        setattr(m, f"layer{i + 1}", m._make_layer(block, p, n, stride=1 if i == 0 else 2))
    m.fc = nn.Linear(planes[-1] * block.expansion, 5)
    return m.eval()


def nodes(name, model, names):
    known = get_graph_node_names(model)[1]
    for n in names:
        assert n in known or any(k.startswith(n + ".") for k in known), n
    for n in names:  # one by one, as Ducho: later layers would change the result in place
        expected[f"{name}.{n}"] = create_feature_extractor(model, [n])(pixels)[n].flatten().clone()


def load(model, name):
    state = drawn.load(os.path.join(encoders, name))
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and all(k.endswith("num_batches_tracked") for k in missing.missing_keys), missing
    return model.eval().to(dtype)


basic = load(tiny_resnet(BasicBlock, [1, 2, 1, 1], [4, 8, 12, 16]), "resnet_basic.safetensors")
nodes("basic", basic, ("layer2.1.conv1", "layer2.1.relu", "layer2.0.add", "layer2.1.relu_1", "layer3.0.downsample.0", "avgpool"))
bottleneck = load(tiny_resnet(Bottleneck, [1, 1, 2, 1], [1, 2, 3, 4]), "resnet_bottleneck.safetensors")
nodes("bottleneck", bottleneck, ("conv1", "bn1", "relu", "maxpool", "layer2.0.conv2", "layer2.0.bn2", "layer2.0.relu_1", "layer2.0.conv3", "layer2.0.bn3",
                                 "layer2.0.downsample.0", "layer2.0.downsample.1", "layer3.1.add", "layer3.1.relu_2", "layer3.0", "layer4", "flatten", "fc"))
resnext = draw(tiny_resnet(Bottleneck, [1, 1, 1, 1], [2, 3, 4, 4], groups=2), 21, "resnext")
nodes("resnext", resnext, ("layer1.0.conv2", "layer3", "avgpool", "fc"))


def timm_tiny(block, depths, planes, groups=1):
    """Makes timm's ResNet with other widths, as tiny_resnet."""
    m = timm_resnet.ResNet(block, (1, 1, 1, 1), num_classes=5)
    m.conv1, m.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
    options = dict(inplanes=4, cardinality=groups, base_width=64)
    stages = timm_resnet.make_blocks((block,) * 4, tuple(planes), tuple(depths), **options)[0]
    for name, stage in stages:
        setattr(m, name, stage)
    m.fc = nn.Linear(planes[-1] * block.expansion, 5)
    return m.eval()


for name, ours, block, shape in (("basic", basic, timm_resnet.BasicBlock, ([1, 2, 1, 1], [4, 8, 12, 16])),
                                 ("bottleneck", bottleneck, timm_resnet.Bottleneck, ([1, 1, 2, 1], [1, 2, 3, 4])),
                                 ("resnext", resnext, timm_resnet.Bottleneck, ([1, 1, 1, 1], [2, 3, 4, 4], 2))):
    theirs = timm_tiny(block, *shape).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    last = "act3" if block.expansion > 1 else "act2"
    for node in ("layer3.0.act1", f"layer3.0.{last}", "layer4", "global_pool"):
        theirs.get_submodule(node).register_forward_hook(lambda _, x, y, k=f"{name}_timm.{node}": expected.update({k: y.flatten().clone()}))
    expected[name + "_timm.fc"] = theirs(pixels).flatten()
for name in () if double else ("resnet18", "resnet50", "resnext50_32x4d"):  # in float64: without trained norms features grow with the depth
    ours, theirs = getattr(torchvision.models, name)().eval().double(), timm.create_model(name).eval().double()
    theirs.load_state_dict(ours.state_dict())
    a, b = ours(pixels.double()), theirs(pixels.double())
    assert (a - b).abs().max() <= 1e-10 * b.abs().max(), name

# EfficientNet: torchvision's nodes; the same tensors under timm's names, without and with TensorFlow's padding and epsilon
model = load(tiny_efficientnet(), "efficientnet/model.safetensors")
nodes("efficientnet", model, ("features.0", "features.1.0.block.0", "features.1.0.block.1", "features.1.0.block.2", "features.3.1.block.0",
                              "features.3.1.block.1", "features.3.1.block.2", "features.3.1.block.3", "features.3.1.stochastic_depth",
                              "features.3.1.add", "features.4.0", "features.5", "classifier.0", "classifier.1"))


def timm_name(k):
    p = k.split(".")
    if p[0] == "classifier":
        return "classifier." + p[-1]
    if p[1] in "08":
        return (("conv_stem", "bn1"), ("conv_head", "bn2"))[p[1] == "8"][int(p[2])] + "." + p[-1]
    stage, at, part = int(p[1]) - 1, p[2], int(p[4])
    part += stage == 0
    if part == 2:
        name = "se." + {"fc1": "conv_reduce", "fc2": "conv_expand"}[p[5]]
    elif p[5] == "1":
        name = f"bn{min(part, 2) + 1 - (stage == 0)}"
    else:
        name = "conv_dw" if part == 1 else "conv_pw" if part == 0 or stage == 0 else "conv_pwl"
    return f"blocks.{stage}.{at}.{name}.{p[-1]}"


stages = [["ds_r1_k3_s1_e1_c3_se0.25"]] + [[f"ir_r{r}_k{k}_s{s}_e{e}_c{c}_se0.25"] for r, k, s, e, c in
                                           ((2, 3, 2, 2, 4), (2, 5, 2, 6, 4), (3, 3, 2, 2, 3), (3, 5, 1, 2, 4), (4, 5, 2, 2, 5), (1, 3, 1, 2, 6))]
state = {timm_name(k): v for k, v in model.state_dict().items()}
for name, options in (("efficientnet_timm", {}), ("efficientnet_tensorflow", {"pad_type": "same", "norm_layer": partial(nn.BatchNorm2d, eps=1e-3)})):
    theirs = EfficientNet(decode_arch_def(stages), num_classes=3, num_features=10, stem_size=8, fix_stem=True, round_chs_fn=round_channels_as_is,
                          act_layer=nn.SiLU, **options).eval().to(dtype)
    for k, module in list(theirs.named_modules()):
        if k.endswith(("conv_reduce", "conv_expand")):  # timm rounds their widths from the wide channels, which are rounded here
            o, c = state[k + ".weight"].shape[:2]
            setattr(theirs.get_submodule(k.rpartition(".")[0]), k.rpartition(".")[2], nn.Conv2d(c, o, 1, dtype=dtype))
    theirs.load_state_dict(state)
    theirs.blocks[2][1].register_forward_hook(lambda _, x, y, name=name: expected.update({name + ".features.3": y.flatten()}))
    expected[name + ".classifier"] = theirs(pixels).flatten()

# ViT: torchvision's under its first names, timm's as a folder; both with all nodes of a block
vit = draw(VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=1, hidden_dim=8, mlp_dim=12, num_classes=3), 23, "vit_torchvision",
           lambda k: k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."))
block = "encoder.layers.encoder_layer_1."
nodes("vit_torchvision", vit, ("encoder.dropout", "encoder.layers.encoder_layer_0", block + "ln", block + "getitem", block + "add", block + "ln_1",
                               block + "mlp", block + "add_1", "encoder.ln", "getitem_5", "heads.head"))
folder = os.path.join(root, "vit_timm")
os.makedirs(folder, exist_ok=True)
vit = draw(TimmViT(img_size=32, patch_size=8, embed_dim=8, depth=2, num_heads=2, mlp_ratio=1.5, num_classes=3), 24, "vit_timm/model")
json.dump({"architecture": "vit_tiny", "num_classes": 3, "num_features": 8, "model_args": {"img_size": 32, "num_heads": 2}, "pretrained_cfg": {
    "input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.4, 0.5, 0.6], "std": [0.5, 0.6, 0.5],
    "num_classes": 3}}, open(os.path.join(folder, "config.json"), "w"), indent=1)
out = create_feature_extractor(vit, {"blocks.0": "blocks.0", "blocks.1.norm1": "blocks.1.norm1", "blocks.1.attn.proj": "blocks.1.attn.proj",
                                     "blocks.1.add": "blocks.1.add", "blocks.1.norm2": "blocks.1.norm2", "blocks.1.mlp.fc1": "blocks.1.mlp.fc1",
                                     "blocks.1.mlp.act": "blocks.1.mlp.act", "blocks.1.mlp.fc2": "blocks.1.mlp.fc2", "norm": "norm",
                                     "head": "head"})(pixels)
expected.update({"vit_timm." + k: v.flatten() for k, v in out.items()})
config = timm.data.resolve_data_config(dict(input_size=(3, 32, 32), interpolation="bicubic", crop_pct=0.9, mean=(0.4, 0.5, 0.6), std=(0.5, 0.6, 0.5)))
expected["vit_timm.preset"] = vit(timm.data.create_transform(**config, is_training=False)(picture)[None].to(dtype)).flatten()

# A module as Ducho's scripts save MMFashion: torchvision's ResNet, the whole object
if not double:
    torch.save(bottleneck, os.path.join(root, "module.pt"))

drawn.finish(__file__, root, expected, double)
