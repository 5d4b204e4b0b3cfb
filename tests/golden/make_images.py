"""Writes tests/golden/images: small images in many modes; pixels.tsv with the FNV-1a hash of the RGB bytes that Pillow gives for each, decoded
and resized, and torchvision ("tv") resized; values.tsv with the hash of the floats that transformers' image processors give. Made with
pillow 13.0.0, numpy 2.4.6, torch 2.15.0, torchvision 0.29.2, transformers 5.23.0, on x86-64 with AVX2:  python tests/golden/make_images.py
"""
import json, os, struct, zlib
import numpy as np, torch, transformers
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images")
os.makedirs(folder, exist_ok=True)
W, H = 29, 41
n = np.random.RandomState(11)
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([(x * 8) % 256, (y * 6) % 256, (3 * x + 2 * y) % 256], -1)
rgb = Image.fromarray(np.clip(smooth + n.randint(-30, 30, smooth.shape), 0, 255).astype(np.uint8))
rgba = rgb.copy()
rgba.putalpha(Image.fromarray(n.randint(0, 256, (H, W), dtype=np.uint8)))


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & (2 ** 64 - 1)
    return h


def hwc(tensor):
    return tensor.permute(1, 2, 0).contiguous().numpy().tobytes()


FILTERS = [(n, getattr(Image, n.upper())) for n in ("bilinear", "bicubic", "nearest", "box", "hamming", "lanczos")]
TORCHVISION = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC, "lanczos": InterpolationMode.LANCZOS,
               "nearest": InterpolationMode.NEAREST_EXACT}


def chunk(t, d):
    return struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))


def png(depth, kind, rows, interlace=0, extra=b""):
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, kind, 0, 0, interlace)) + extra
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows), 9)) + chunk(b"IEND", b""))


def put(name, data):
    open(os.path.join(folder, name), "wb").write(data)


def save(im, name, **how):
    im.save(os.path.join(folder, name), **how)


save(rgb, "baseline.jpg", quality=80)
save(rgb, "progressive.jpg", quality=70, progressive=True)
save(rgb, "full_chroma.jpg", quality=90, subsampling=0)
save(rgb.convert("L"), "grey.jpg")
save(rgb.convert("CMYK"), "cmyk.jpg")
raw = open(os.path.join(folder, "cmyk.jpg"), "rb").read()
at = raw.find(b"Adobe")
put("ycck.jpg", raw[:at + 11] + b"\x02" + raw[at + 12:])
for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
    save((rgba if "A" in mode else rgb).convert(mode), f"{mode}.png")
save(rgb.quantize(4), "P2.png", bits=2, transparency=1)
save(rgb, "trns.png", transparency=(1, 2, 3))
save(Image.fromarray(n.randint(0, 600, (H, W)).astype(np.uint16)), "I16.png")
for kind, channels in ((2, 3), (4, 2), (6, 4)):
    put(f"sixteen{kind}.png", png(16, kind, [n.randint(0, 65536, W * channels).astype(">u2").tobytes() for _ in range(H)]))
put("palette_short.png", png(8, 3, [n.randint(0, 6, W).astype(np.uint8).tobytes() for _ in range(H)], extra=chunk(b"PLTE", n.bytes(12))))
a = np.asarray(rgb)
put("interlaced.png", png(8, 2, [r.tobytes() for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                                                                  (1, 0, 2, 2), (0, 1, 1, 2)) for r in a[y0::dy, x0::dx]], 1))
b = np.asarray(rgba)
put("interlaced_alpha.png", png(8, 6, [r.tobytes() for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                                                                        (1, 0, 2, 2), (0, 1, 1, 2)) for r in b[y0::dy, x0::dx]], 1))
# tRNS: one colour that is transparent, or the alpha of each entry of a palette; Pillow compares 8 bits with the low 8 bits of its numbers
few = rgb.quantize(6)
save(few, "palette_trns.png", transparency=bytes([0, 80, 255, 160, 3]))
save(few.convert("RGB"), "colour_trns.png", transparency=few.convert("RGB").getpixel((3, 4)))
save(few.convert("L"), "grey_trns.png", transparency=few.convert("L").getpixel((3, 4)))
for depth, clear in ((1, 1), (2, 3), (2, 0), (16, 300)):
    rows = [n.randint(0, 600, W).astype(">u2").tobytes() if depth == 16 else n.bytes((W * depth + 7) // 8) for _ in range(H)]
    put(f"grey{depth}_trns{clear}.png", png(depth, 0, rows, extra=chunk(b"tRNS", struct.pack(">H", clear))))
rows = [(n.randint(0, 2, W * 3) * 0x1234 + 0x5500).astype(">u2").tobytes() for _ in range(H)]
put("sixteen2_trns.png", png(16, 2, rows, extra=chunk(b"tRNS", struct.pack(">HHH", 0x7755, 0x0055, 0x5567))))
save(rgb, "lossy.webp", quality=60)
save(rgba, "alpha.webp", lossless=True, exact=True)


def webp_chunk(t, d):
    return t + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2)


def frame(im, left, top, **how):  # Pillow writes first frames of the canvas's size only
    save(im, "frame.webp", **how)
    path = os.path.join(folder, "frame.webp")
    data = open(path, "rb").read()[12:]
    os.remove(path)
    if data[:4] == b"VP8X":
        data = data[18:]
    place = b"".join(struct.pack("<I", v)[:3] for v in (left // 2, top // 2, im.width - 1, im.height - 1, 100))
    return webp_chunk(b"ANMF", place + b"\0" + data)


canvas = b"".join(struct.pack("<I", v)[:3] for v in (W - 1, H - 1))
frames = frame(rgba.crop((0, 0, 20, 30)), 6, 8, quality=80) + frame(rgb, 0, 0, quality=20)
body = b"WEBP" + webp_chunk(b"VP8X", struct.pack("<I", 0x12) + canvas) + webp_chunk(b"ANIM", b"\xff\xff\xff\xff\0\0") + frames
put("animation.webp", b"RIFF" + struct.pack("<I", len(body)) + body)

lines = ["file\tfilter\twidth\theight\tshort\tfnv1a"]
for name in sorted(os.listdir(folder)):
    if name.endswith(".tsv"):
        continue
    im = Image.open(os.path.join(folder, name)).convert("RGB")
    lines.append(f"{name}\tnone\t{W}\t{H}\t0\t{fnv(im.tobytes()):016x}")
    if name not in ("RGB.png", "progressive.jpg"):
        continue
    tensor = torch.from_numpy(np.asarray(im).copy()).permute(2, 0, 1).contiguous()
    for how, filter in FILTERS:
        for w, h in ((16, 16), (64, 20), (29, 10), (50, 80)):
            lines.append(f"{name}\t{how}\t{w}\t{h}\t0\t{fnv(im.resize((w, h), filter).tobytes()):016x}")
            if how in ("bilinear", "bicubic"):  # Pillow to 12: this order always
                across = im.resize((w, H), filter).resize((w, h), filter)
                lines.append(f"{name}\t{how}12\t{w}\t{h}\t0\t{fnv(across.tobytes()):016x}")
            if how in TORCHVISION:
                lines.append(f"{name}\t{how}tv\t{w}\t{h}\t0\t{fnv(hwc(F.resize(tensor, [h, w], TORCHVISION[how], antialias=True))):016x}")
        for s, w, h in ((20, 15, 16), (35, 32, 32), (12, 17, 40)):
            whole = im.resize((s, int(s * H / W)), filter)
            wide = Image.new("RGB", (max(w, whole.width), max(h, whole.height)))
            wide.paste(whole, (max(w - whole.width, 0) // 2, max(h - whole.height, 0) // 2))
            left, top = int(round((wide.width - w) / 2.0)), int(round((wide.height - h) / 2.0))
            lines.append(f"{name}\t{how}\t{w}\t{h}\t{s}\t{fnv(wide.crop((left, top, left + w, top + h)).tobytes()):016x}")
            if how in TORCHVISION:
                part = F.center_crop(F.resize(tensor, [s], TORCHVISION[how], antialias=True), [h, w])
                lines.append(f"{name}\t{how}tv\t{w}\t{h}\t{s}\t{fnv(hwc(part)):016x}")
im = Image.open(os.path.join(folder, "sixteen2.png")).convert("RGB")
for w, h in ((36, 11), (18, 33), (42, 11)):  # bytes that show that Pillow's hamming has its numbers in float32
    lines.append(f"sixteen2.png\thamming\t{w}\t{h}\t0\t{fnv(im.resize((w, h), Image.HAMMING).tobytes()):016x}")
open(os.path.join(folder, "pixels.tsv"), "w").write("\n".join(lines) + "\n")

# The floats of transformers' image processors, on PIL and on torchvision. The first column is the kind of encoders whose
# defaults hold; the configurations state what their class's defaults would be otherwise.
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
ALIGN = {"image_processor_type": "EfficientNetImageProcessor", "crop_size": {"height": 15, "width": 15}, "do_center_crop": True,
         "do_normalize": False, "do_rescale": True, "do_resize": True, "include_top": False, "resample": 2,
         "rescale_factor": 0.00784313725490196, "rescale_offset": True, "size": {"height": 18, "width": 18}}
CONFIGURATIONS = [
    ("clip", transformers.CLIPImageProcessor, {"size": {"shortest_edge": 20}, "crop_size": {"height": 20, "width": 20}}),
    ("clip", transformers.CLIPImageProcessor, {"size": 12, "crop_size": 17, "resample": 2}),
    ("clip", transformers.CLIPImageProcessor, {"size": {"height": 33, "width": 20}, "crop_size": [16, 25], "image_mean": 0.5}),
    ("clip", transformers.CLIPImageProcessor, {"do_resize": False, "crop_size": [20, 40]}),
    ("clip", transformers.CLIPImageProcessor, {"size": 20, "crop_size": 19, "do_normalize": False, "rescale_factor": 0.0123}),
    ("clip", transformers.CLIPImageProcessor, {"size": 20, "crop_size": 19, "do_rescale": False}),
    ("clip", transformers.CLIPImageProcessor, {"size": 20, "crop_size": 19, "do_rescale": False, "do_normalize": False}),
    ("vit", transformers.ViTImageProcessor, {"size": {"height": 18, "width": 22}}),
    ("vit", transformers.ViTImageProcessor, {"size": 18, "resample": 1, **IMAGENET}),
    ("vit", transformers.ViTImageProcessor, {"size": [18, 22], "resample": 0, "rescale_factor": 0.007}),
    ("vit", transformers.ViTImageProcessor, {"size": 24, "crop_size": 15, "do_center_crop": True}),
    ("vit", transformers.EfficientNetImageProcessor, ALIGN),
    ("vit", transformers.EfficientNetImageProcessor, {**ALIGN, "do_normalize": True, "include_top": True, **IMAGENET}),
    ("vit", transformers.EfficientNetImageProcessor, {"image_processor_type": "EfficientNetImageProcessor", "size": 24, "resample": 0, **IMAGENET}),
    ("resnet", transformers.ConvNextImageProcessor, {"size": {"shortest_edge": 21}, "crop_pct": 0.875, "resample": 3, **IMAGENET}),
    ("resnet", transformers.ConvNextImageProcessor, {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 30}, "resample": 2}),
]
lines = ["kind\tresizer\timage\tsize\tfnv1a\tpreprocessor_config.json"]
TRANSPARENT = [f for f in sorted(os.listdir(folder)) if not f.endswith(".tsv") and Image.open(os.path.join(folder, f)).has_transparency_data]
CONFIGURATIONS = [(*c, ("RGB.png", "trns.png")) for c in CONFIGURATIONS] + [
    ("clip", transformers.CLIPImageProcessor, {"size": 20, "crop_size": 20, "do_rescale": False, "do_normalize": False}, TRANSPARENT),
    ("vit", transformers.ViTImageProcessor, {"size": 20, "do_convert_rgb": True}, ("RGBA.png", "grey.jpg", "P.png")),
    ("vit", transformers.ViTImageProcessor, {"size": 20}, ("RGB.png", "RGBA.png")),  # without do_convert_rgb, the user calls convert("RGB")
]
for kind, torchvision_class, config, names in CONFIGURATIONS:
    for resizer, cls in (("pil", getattr(transformers, torchvision_class.__name__ + "Pil")), ("torchvision", torchvision_class)):
        for name in names:
            im = Image.open(os.path.join(folder, name))
            im = im if cls(**config).do_convert_rgb else im.convert("RGB")
            values = np.asarray(cls(**config)(im, return_tensors="np")["pixel_values"][0], dtype=np.float32)
            data = np.ascontiguousarray(np.moveaxis(values, 0, -1))
            lines.append(f"{kind}\t{resizer}\t{name}\t{data.shape[1]}x{data.shape[0]}\t{fnv(data.tobytes()):016x}\t{json.dumps(config)}")
open(os.path.join(folder, "values.tsv"), "w").write("\n".join(lines) + "\n")
print(len(lines) - 1, "of processors", sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)), "bytes")
