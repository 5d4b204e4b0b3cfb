"""Decoding and resizing against Pillow, byte for byte: posters, product photos and variants that Pillow writes.

Not part of `make test` (needs Python). Made with pillow 13.0.0, numpy 2.4.6:
    python tests/golden/check_pixels.py build/tests/extractors_test [SAPOR_DATA folder] [--all]
"""
import io, os, random, struct, subprocess, sys, tempfile, zlib
import numpy as np
from PIL import Image

program, data = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else os.environ.get("SAPOR_DATA", "../shared/data")
rng = random.Random(7)


def reference(path, mode):
    try:
        im = Image.open(path)
        im = im.convert("RGB")
    except Exception:
        return None
    parts = mode.split()
    if mode != "decode":
        how = Image.BICUBIC if parts[0].startswith("bicubic") else Image.BILINEAR
        w, h = int(parts[1]), int(parts[2])
        if parts[0].endswith("12"):  # Pillow 12 and before: the horizontal pass first, always
            im = im.resize((w, im.height), how).resize((w, h), how)
        elif len(parts) == 3:
            im = im.resize((w, h), how)
        else:  # torchvision.transforms.functional.resize and center_crop on PIL images
            s = int(parts[3])
            a, b = im.size
            size = (s, int(s * b / a)) if a <= b else (int(s * a / b), s)
            im = im.resize(size, how)
            if im.width < w or im.height < h:
                left, top = max((w - im.width) // 2, 0), max((h - im.height) // 2, 0)
                wide = Image.new("RGB", (max(w, im.width), max(h, im.height)))
                wide.paste(im, (left, top))
                im = wide
            left, top = int(round((im.width - w) / 2.0)), int(round((im.height - h) / 2.0))
            im = im.crop((left, top, left + w, top + h))
    return np.asarray(im)


def check(title, paths, modes):
    with tempfile.TemporaryDirectory() as folder:
        listing = os.path.join(folder, "list")
        open(listing, "w").write("\n".join(paths) + "\n")
        for mode in modes:
            out = os.path.join(folder, "out")
            subprocess.run([program, "--pixels", mode, listing, out], check=True, stderr=subprocess.DEVNULL)
            blob, at, bad, refused = open(out, "rb").read(), 0, [], 0
            for path in paths:
                w, h = struct.unpack_from("<ii", blob, at)
                at += 8
                expected = reference(path, mode)
                if w < 0 or expected is None:
                    refused += 1
                    if (w < 0) != (expected is None):
                        bad.append((path, "refused by one only: ours" if w < 0 else "refused by one only: Pillow"))
                    at += max(w, 0) * max(h, 0) * 3
                    continue
                got = np.frombuffer(blob, np.uint8, w * h * 3, at).reshape(h, w, 3)
                at += w * h * 3
                if got.shape != expected.shape or (got != expected).any():
                    bad.append((path, "%d of %d bytes" % ((got != expected).sum(), got.size) if got.shape == expected.shape else "shape"))
            print(f"{title:32} {mode:24} {len(paths)} pictures ({refused} refused by both), {len(bad)} differ")
            for b in bad[:10]:
                print("   ", *b)
    return len(bad)


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


def sample(folder, count):
    names = sorted(f for f in os.listdir(folder))
    if "--all" not in sys.argv:
        names = rng.sample(names, min(count, len(names)))
    return [os.path.join(folder, f) for f in names]


MODES = ["decode", "bicubic 224 224", "bilinear 224 224", "bilinear 224 224 256", "bilinear 224 224 232", "bicubic 280 280",
         "bicubic 224 224 256", "bicubic 346 289", "bilinear 64 96", "bicubic12 224 224"]
bad = 0
for title, folder in (("movielens-100k", "movielens-100k/posters"), ("movielens-1m", "movielens-1m/posters"), ("fashion", "fashion/images")):
    folder = os.path.join(data, folder)
    if os.path.isdir(folder):
        bad += check(title, sample(folder, 200), MODES)
    else:
        print(f"{title}: skipped, {folder} is missing")
with tempfile.TemporaryDirectory() as folder:
    bad += check("variants", variants(folder), MODES + ["bicubic 33 47", "bilinear 16 16 12", "bilinear 17 40 12"])
sys.exit(bad != 0)
