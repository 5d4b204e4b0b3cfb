"""ResNets and ViT-Base with seeded random weights, and EfficientNet-Lite0 with its published ones, against torchvision, transformers and
efficientnet_lite_pytorch on posters: features, per image max|a-b| <= 1e-4 max|b|; the file read, decoded, resized and encoded by `sapor encode`.

Not part of `make test` (needs Python). Versions used: torch 2.15.0, torchvision 0.29.2, transformers 5.23.0, pillow 13.0.0, safetensors,
efficientnet_lite_pytorch 0.1.0 (on the Python path, for EfficientNet).
    python tests/golden/check_image_encoders.py ./sapor SAPOR_DATA [efficientnet-lite0-57934424.pth] [--count 200] [--only NAME]
"""
import argparse, os, random, subprocess, sys, tempfile
import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

p = argparse.ArgumentParser()
p.add_argument("sapor")
p.add_argument("data")
p.add_argument("lite", nargs="?")
p.add_argument("--count", type=int, default=200)
p.add_argument("--only", default="")
o = p.parse_args()
torch.set_grad_enabled(False)


def randomise(model, seed=9):
    """Gives norms random statistics, weights and biases, so that a norm which is omitted or folded wrongly changes the result."""
    g = torch.Generator().manual_seed(seed)
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            n = m.num_features
            m.running_mean.copy_(torch.randn(n, generator=g) * 0.1)
            m.running_var.copy_(torch.rand(n, generator=g) + 0.5)
            m.weight.data.copy_(torch.rand(n, generator=g) * 0.5 + 0.5)
            m.bias.data.copy_(torch.randn(n, generator=g) * 0.1)
        elif isinstance(m, torch.nn.LayerNorm):
            m.weight.copy_(torch.rand(m.weight.shape, generator=g) + 0.5)
            m.bias.copy_(torch.randn(m.bias.shape, generator=g) * 0.1)
        elif isinstance(m, torch.nn.Linear) and m.bias is not None:
            m.bias.copy_(torch.randn(m.bias.shape, generator=g) * 0.1)
    return model.eval()


def pooled(model, x):  # torchvision
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
    return model.avgpool(x).flatten(1)


def preset(resize, crop, how):
    t = torchvision.transforms
    return t.Compose([t.Resize(resize, interpolation=how), t.CenterCrop(crop), t.ToTensor(),
                      t.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])


def posters():
    for name in ("movielens-100k", "movielens-1m"):
        folder = os.path.join(o.data, name, "posters")
        if not os.path.isdir(folder):
            print(f"{name}: skipped, {folder} is missing")
            continue
        files = sorted(os.listdir(folder))
        yield name, [os.path.join(folder, f) for f in random.Random(7).sample(files, min(o.count, len(files)))]


def check(title, weights, transform, features, *flags):
    bad = 0
    for name, files in posters():
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out.npy")
            subprocess.run([o.sapor, "encode", weights, *files, "-o", out, "--quiet", *flags], check=True)
            ours = np.load(out)
        worst = 0.0
        for i in range(0, len(files), 8):
            x = torch.stack([transform(Image.open(f).convert("RGB")) for f in files[i:i + 8]])
            theirs = features(x).numpy()
            worst = max(worst, (np.abs(ours[i:i + 8] - theirs).max(1) / np.abs(theirs).max(1)).max())
        bad += not worst <= 1e-4
        print(f"{title:24} {name:16} {len(files)} posters, {ours.shape[1]} features, worst max|a-b| / max|b| = {worst:.2e}", flush=True)
    return bad


bad = 0
B = torchvision.transforms.InterpolationMode.BILINEAR
C = torchvision.transforms.InterpolationMode.BICUBIC
with tempfile.TemporaryDirectory() as folder:
    for name in ("resnet50", "resnet18"):
        if o.only and o.only != name:
            continue
        torch.manual_seed(5)
        model = randomise(getattr(torchvision.models, name)(weights=None))
        path = os.path.join(folder, name + ".safetensors")
        save_file(model.state_dict(), path)
        bad += check(name, path, preset(232 if name == "resnet50" else 256, 224, B), lambda x: pooled(model, x))
        if name == "resnet50":
            bad += check(name + " fc", path, preset(232, 224, B), lambda x: model(x), "--layer", "fc")
    if not o.only or o.only == "hf":
        from transformers import ResNetConfig, ResNetModel
        torch.manual_seed(5)
        model = randomise(ResNetModel(ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic")))
        model.save_pretrained(os.path.join(folder, "hf"))
        bad += check("transformers ResNet-18", os.path.join(folder, "hf"), preset(256, 224, C),
                     lambda x: model(x).pooler_output.flatten(1))
    if not o.only or o.only == "vit":
        from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil, ViTModel
        processor = ViTImageProcessorPil()
        for model, layer in ((ViTForImageClassification, None), (ViTForImageClassification, "logits"), (ViTModel, "pooler_output"),
                             (ViTModel, "last_hidden_state")):
            torch.manual_seed(5)
            model = randomise(model(ViTConfig(initializer_range=0.04, num_labels=1000)))
            path = os.path.join(folder, "vit")
            model.save_pretrained(path)
            bad += check(f"ViT-Base {layer or 'CLS'}", path, lambda im: processor(im, return_tensors="pt").pixel_values[0],
                         lambda x: model(x)[layer].flatten(1) if layer else model.vit(x).last_hidden_state[:, 0],
                         *(["--layer", layer] if layer else []))
if o.lite and (not o.only or o.only == "lite"):
    from efficientnet_lite_pytorch import EfficientNet
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=o.lite).eval()
    bad += check("EfficientNet-Lite0", o.lite, preset(256, 224, C), lambda x: model.extract_features(x).mean((2, 3)))
sys.exit(bad != 0)
