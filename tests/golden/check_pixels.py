"""Decoding, resizing and cropping against Pillow and torchvision, byte for byte, and what an encoder reads against transformers' image processors,
float for float: posters, product photos, variants that Pillow writes, and images of awkward sizes.

Not part of `make test` (needs Python). Made with pillow 13.0.0, numpy 2.4.6, torch 2.15.0, torchvision 0.29.2, transformers 5.23.0:
    python tests/golden/check_pixels.py build/tests/pixels_test [SAPOR_DATA folder] [--all] [--differences]
--all: the pixels of all images of the folder, not of 200 of each kind; what encoders read is always of 200.
--differences: for a build that decodes by stb_image; prints how much its pixels differ.
"""
import io, json, os, random, struct, subprocess, sys, tempfile, zlib
import numpy as np
import PIL
from PIL import Image, ImageFile, features

words = [w for w in sys.argv[1:] if not w.startswith("--")]
program, data = words[0], words[1] if len(words) > 1 else os.environ.get("SAPOR_DATA", "../shared/data")
rng = random.Random(7)
ImageFile.MAXBLOCK = 1 << 24  # Pillow's room for a progressive JPEG of noise
FILTERS = {n: getattr(Image, n.upper()) for n in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")}


def opened(path):
    """Returns (the image unchanged, the image as convert("RGB") gives it), or None if Pillow refuses the file."""
    try:
        im = Image.open(path)
        rgb = im.convert("RGB")
    except Exception:
        return None
    rgb.info = {}  # without the transparent colour that convert keeps here
    return im, rgb


def split(name):  # "bicubic12" -> "bicubic", "12"
    for how in FILTERS:
        if name.startswith(how):
            return how, name[len(how):]


def torchvision(im, name, size, crop):
    import torch
    from torchvision.transforms import InterpolationMode as M
    from torchvision.transforms.v2 import functional as F
    mode = {"nearest": M.NEAREST_EXACT, "bilinear": M.BILINEAR, "bicubic": M.BICUBIC, "lanczos": M.LANCZOS}[name]
    x = F.resize(torch.from_numpy(np.array(im)).permute(2, 0, 1).contiguous(), size, interpolation=mode, antialias=True)
    return (F.center_crop(x, crop) if crop else x).permute(1, 2, 0).contiguous().numpy()


def reference(im, mode):
    if mode == "decode":
        return np.asarray(im)
    name, *numbers = mode.split()
    (name, kind), (w, h) = split(name), (int(numbers[0]), int(numbers[1]))
    s = int(numbers[2]) if len(numbers) > 2 else 0
    if kind == "tv":
        return torchvision(im, name, [s] if s else [h, w], [h, w] if s else None)
    how = FILTERS[name]
    if kind == "12":  # Pillow 12 and before: the horizontal pass first, always
        return np.asarray(im.resize((w, im.height), how).resize((w, h), how))
    if not s:
        return np.asarray(im.resize((w, h), how))
    a, b = im.size  # torchvision.transforms.functional.resize and center_crop on PIL images
    im = im.resize((s, int(s * b / a)) if a <= b else (int(s * a / b), s), how)
    if im.width < w or im.height < h:
        left, top = max((w - im.width) // 2, 0), max((h - im.height) // 2, 0)
        wide = Image.new("RGB", (max(w, im.width), max(h, im.height)))
        wide.paste(im, (left, top))
        im = wide
    left, top = int(round((im.width - w) / 2.0)), int(round((im.height - h) / 2.0))
    return np.asarray(im.crop((left, top, left + w, top + h)))


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS = {  # the published files of the benchmark's models, and others
    "clip": ("clip", "CLIPImageProcessor", {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
             "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073],
             "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}),
    "align": ("vit", "EfficientNetImageProcessor", {"crop_size": {"height": 289, "width": 289}, "do_center_crop": True, "do_normalize": False,
              "do_rescale": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "EfficientNetImageProcessor",
              "image_std": [0.47853944, 0.4732864, 0.47434163], "include_top": False, "resample": 2, "rescale_factor": 0.00784313725490196,
              "rescale_offset": True, "size": {"height": 346, "width": 346}}),
    "efficientnet": ("vit", "EfficientNetImageProcessor", {"crop_size": {"height": 289, "width": 289}, "do_center_crop": False, "do_normalize": True,
                     "do_rescale": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "EfficientNetImageProcessor",
                     "image_std": [0.47853944, 0.4732864, 0.47434163], "include_top": True, "resample": 0, "rescale_factor": 0.00392156862745098,
                     "rescale_offset": False, "size": {"height": 224, "width": 224}}),
    "vit": ("vit", "ViTImageProcessor", {"size": 224, "resample": 2}),
    "resnet": ("resnet", "ConvNextImageProcessor", {"crop_pct": 0.875, "feature_extractor_type": "ConvNextFeatureExtractor", "resample": 3,
               "size": 224, **IMAGENET}),
}


def processors(mode):  # "values NAME RESIZER" -> what it takes
    _, name, resizer = mode.split()
    import transformers
    kind, cls, config = PROCESSORS[name]
    sizes = {"size": {"shortest_edge": config["size"]}} if name in ("clip", "resnet") else {}
    cls = getattr(transformers, cls + ("Pil" if resizer == "pil" else ""))(**{**config, **sizes})

    def values(im):  # without do_convert_rgb, transformers fails on transparent images, on grey ones and on palettes
        x = cls(im[0] if cls.do_convert_rgb else im[1], return_tensors="np")["pixel_values"][0]
        return np.ascontiguousarray(np.moveaxis(np.asarray(x, np.float32), 0, -1))
    return kind, config, values


class Count:
    def __init__(self):
        self.total, self.different, self.largest, self.refused, self.bad = 0, 0, 0.0, 0, []


def compare(c, path, im, got, expect):
    """Compares an image. got None: our program refused it; im None: Pillow refused it."""
    if got is None or im is None:
        c.refused += 1
        if (got is None) != (im is None):
            c.bad.append((path, "refused by one only: ours" if got is None else "refused by one only: Pillow"))
        return
    expected = expect(im)
    if got.shape != expected.shape:
        c.bad.append((path, f"{got.shape} and {expected.shape}"))
        return
    c.total += got.size
    if got.tobytes() == expected.tobytes():
        return
    apart = np.abs(got.astype(np.float64) - expected)
    c.different += int((apart != 0).sum())
    c.largest = max(c.largest, apart.max())
    c.bad.append((path, f"{(apart != 0).sum()} of {got.size}"))


def check(title, paths, modes):
    """Prints one line per mode: images, images that both refuse, images that differ, bytes (or floats) that differ, the largest difference."""
    counts = {m: Count() for m in modes}
    pixels = [m for m in modes if not m.startswith("values")]
    runs = ([(pixels, np.uint8, None, None)] if pixels else []) + [([m], np.float32, *processors(m)[:2]) for m in modes if m not in pixels]
    expect = {m: (lambda im, m=m: reference(im[1], m)) if m in pixels else processors(m)[2] for m in modes}
    with tempfile.TemporaryDirectory() as folder:
        listing, out = os.path.join(folder, "list"), os.path.join(folder, "out")
        for begin in range(0, len(paths), 20):
            part = paths[begin:begin + 20]
            open(listing, "w").write("\n".join(part) + "\n")
            images = {path: opened(path) for path in part}
            for names, dtype, kind, config in runs:
                how = ["--pixels", ",".join(names)]
                if kind:
                    json.dump(config, open(os.path.join(folder, "preprocessor_config.json"), "w"))
                    how = ["--values", kind, folder, names[0].split()[2]]
                subprocess.run([program, *how, listing, out], check=True, stderr=subprocess.DEVNULL)
                blob, at = open(out, "rb").read(), 0
                for path in part:
                    for mode in names:
                        w, h = struct.unpack_from("<ii", blob, at)
                        at += 8
                        got = np.frombuffer(blob, dtype, w * h * 3, at).reshape(h, w, 3) if w >= 0 else None
                        at += got.nbytes if w >= 0 else 0
                        compare(counts[mode], path, images[path], got, expect[mode])
    for mode, c in counts.items():
        print(f"{title:16} {mode:28} {len(paths):5} images ({c.refused} refused by both), {len(c.bad)} differ; {c.different} of {c.total} "
              f"{'bytes' if mode in pixels else 'floats'}, largest difference {c.largest:g}", flush=True)
        if "--differences" not in sys.argv:
            for b in c.bad[:10]:
                print("   ", *b)
    return 0 if "--differences" in sys.argv else sum(len(c.bad) for c in counts.values())


def png(w, h, depth, kind, rows, extra=b""):
    def chunk(t, d):
        return struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, 0)) + extra
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows))) + chunk(b"IEND", b""))


def variants(folder):
    n = np.random.RandomState(3)
    y, x = np.mgrid[0:61, 0:83]
    smooth = np.stack([(x * 3) % 256, (y * 4) % 256, (x + 2 * y) % 256], -1).astype(np.uint8)
    noisy = np.clip(smooth.astype(int) + n.randint(-40, 40, smooth.shape), 0, 255).astype(np.uint8)
    rgb, paths = Image.fromarray(noisy), []

    def save(im, name, **how):
        paths.append(os.path.join(folder, name))
        im.save(paths[-1], **how)

    def put(data, name):
        paths.append(os.path.join(folder, name))
        open(paths[-1], "wb").write(data)

    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(n.randint(0, 256, (61, 83), dtype=np.uint8)))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        source = rgba if "A" in mode else rgb
        save(source.convert(mode), f"{mode}.png")
    save(rgb.convert("P").copy(), "P_trns.png", transparency=3)
    save(rgb.convert("L"), "L_trns.png", transparency=7)
    save(rgb, "RGB_trns.png", transparency=(1, 2, 3))
    for bits in (1, 2, 4):
        save(rgb.quantize(2 ** bits), f"P{bits}.png", bits=bits)
    save(Image.fromarray(n.randint(0, 700, (61, 83)).astype(np.uint16)), "I16.png")
    for kind, channels in ((2, 3), (4, 2), (6, 4)):
        rows = [n.randint(0, 65536, 83 * channels).astype(">u2").tobytes() for _ in range(61)]
        put(png(83, 61, 16, kind, rows), f"sixteen{kind}.png")
    for depth in (1, 2, 4):
        put(png(83, 61, depth, 0, [n.bytes((83 * depth + 7) // 8) for _ in range(61)]), f"grey{depth}.png")
    # Adam7 by hand: Pillow reads interlaced files but does not write them
    def adam7(a):
        rows = []
        for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
            part = a[y0::dy, x0::dx]
            rows += [r.tobytes() for r in part if part.size]
        return rows
    def interlaced(a, kind):
        b = bytearray(png(a.shape[1], a.shape[0], 8, kind, adam7(a)))
        b[28] = 1
        b[29:33] = struct.pack(">I", zlib.crc32(bytes(b[12:29])))
        return bytes(b)
    put(interlaced(noisy, 2), "interlaced_rgb.png")
    put(interlaced(np.asarray(rgb.convert("L")), 0), "interlaced_grey.png")
    for quality in (5, 30, 75, 95, 100):
        for sub in (0, 1, 2):
            for progressive in (False, True):
                save(rgb, f"j{quality}_{sub}_{progressive}.jpg", quality=quality, subsampling=sub, progressive=progressive)
    save(rgb.convert("L"), "grey.jpg")
    save(rgb.convert("L"), "grey_progressive.jpg", progressive=True)
    save(rgb.convert("CMYK"), "cmyk.jpg")
    save(rgb.convert("CMYK"), "cmyk_progressive.jpg", progressive=True, quality=60)
    # YCCK: the same samples with the Adobe marker's transform 2; and CMYK without a marker
    raw = open(os.path.join(folder, "cmyk.jpg"), "rb").read()
    at = raw.find(b"Adobe")
    put(raw[:at + 11] + b"\x02" + raw[at + 12:], "ycck.jpg")
    start = raw.find(b"\xff\xee")
    put(raw[:start] + raw[start + 2 + struct.unpack(">H", raw[start + 2:start + 4])[0]:], "cmyk_bare.jpg")
    save(rgb, "keep_rgb.jpg", keep_rgb=True)
    save(rgb, "restart.jpg", restart_marker_blocks=3)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    tables = [i for i in range(len(whole) - 1) if whole[i:i + 2] == b"\xff\xc4"]
    if "--smoothing" in sys.argv:  # scans missing, end marked: libjpeg-turbo 2.1 and 3.2 smooth such files differently
        for k in tables[2:]:
            put(whole[:k] + b"\xff\xd9", f"few_scans_{k}.jpg")
    for cut in (3, 200, 1500):
        put(whole[:-cut], f"cut{cut}.jpg")
    buffer = io.BytesIO()
    rgb.save(buffer, "PNG")
    put(buffer.getvalue()[:-600], "cut.png")
    save(rgb, "lossy.webp", quality=70)
    save(rgb, "lossless.webp", lossless=True)
    save(rgba, "alpha.webp", quality=70)
    save(rgba, "alpha_lossless.webp", lossless=True, exact=True)
    for w, h in ((1, 1), (1, 300), (300, 1), (7, 5), (224, 224), (3, 2000)):
        save(Image.fromarray(n.randint(0, 256, (h, w, 3), dtype=np.uint8)), f"size{w}x{h}.png")
    return paths


def awkward(folder):
    """Makes 200 images of difficult sizes: one pixel, one row, one column, primes, almost a square, as PNG, JPEG and WebP."""
    n, r, paths = np.random.RandomState(5), random.Random(11), []
    sizes = [(1, 1), (1, 4000), (4000, 1), (7, 3), (3, 7), (2, 2), (1, 2), (2, 1), (15, 17), (16, 16), (17, 15), (223, 225), (224, 223), (256, 257),
             (2, 3000), (3000, 2), (5, 1999), (1021, 13), (225, 224), (448, 447)]
    while len(sizes) < 200:
        sizes.append((r.choice((r.randint(1, 20), r.randint(1, 400), r.randint(300, 1500))), r.choice((r.randint(1, 20), r.randint(1, 400), r.randint(300, 1500)))))
    for i, (w, h) in enumerate(sizes):
        y, x = np.mgrid[0:h, 0:w]
        pixels = np.stack([(x * 7 + i) % 256, (y * 5) % 256, (x * y + i) % 256], -1) if i % 3 == 0 else n.randint(0, 256, (h, w, 3))
        if i % 3 == 2:  # black and white: the largest overshoot of a filter
            pixels = np.where(pixels > 127, 255, 0)
        im, kind = Image.fromarray(pixels.astype(np.uint8)), ("png", "jpg", "webp", "png")[i % 4]
        how = {"png": {}, "jpg": {"quality": 60 + i % 40, "progressive": i % 8 == 1, "subsampling": i % 3}, "webp": {"lossless": i % 8 == 2}}[kind]
        paths.append(os.path.join(folder, f"{i}_{w}x{h}.{kind}"))
        im.save(paths[-1], **how)
    return paths


def sample(folder):
    names = sorted(os.listdir(folder))
    rng.shuffle(names)
    return [os.path.join(folder, f) for f in names]


ALL = ["decode"] + [f"{f} {g}" for f in FILTERS for g in ("224 224", "224 224 256")]
ALL += ["bilinear 224 224 232", "bicubic 280 280", "bicubic 346 289", "bilinear 64 96", "lanczos 300 500", "bicubic12 224 224"]
ALL += [f"{f}tv {g}" for f in ("nearest", "bilinear", "bicubic", "lanczos") for g in ("224 224", "224 224 256")]
VALUES = [f"values {p} {r}" for p in PROCESSORS for r in ("pil", "torchvision")]
print("pillow", PIL.__version__, "with libjpeg-turbo", features.version("libjpeg_turbo"), "libwebp", features.version("webp"), "zlib", features.version("zlib"), flush=True)
bad = 0
with tempfile.TemporaryDirectory() as folder:
    bad += check("variants", variants(folder), ALL + VALUES + ["bicubic 33 47", "bilinear 16 16 12", "bilinear 17 40 12"])
with tempfile.TemporaryDirectory() as folder:
    paths = awkward(folder)
    long = [p for p in paths if max(Image.open(p).size) > 100 * min(Image.open(p).size)]  # Pillow makes the complete resized image
    others = [p for p in paths if p not in long]
    bad += check("awkward sizes", others, ALL + VALUES + ["box 5 3", "hamming 1 1", "lanczos 2 700", "nearest 13 11 17", "bicubictv 5 3"])
    bad += check("long", long, [m for m in ALL if len(m.split()) < 4] + [m for m in VALUES if "clip" not in m and "resnet" not in m] +
                 [f"{f} 7 9 11" for f in FILTERS] + ["bicubictv 7 9 11"])
for title, folder in (("movielens-100k", "movielens-100k/posters"), ("movielens-1m", "movielens-1m/posters"), ("fashion", "fashion/images")):
    folder = os.path.join(data, folder)
    if os.path.isdir(folder):
        paths = sample(folder)
        bad += check(title, paths if "--all" in sys.argv else paths[:200], ALL)
        bad += check(title, paths[:200], VALUES)
    else:
        print(f"{title}: skipped, {folder} is missing")
sys.exit(bad != 0)
