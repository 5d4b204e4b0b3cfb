#!/usr/bin/env python3
"""Compares the image towers of the five settings with OpenVINO, in float32: the same weights and the same pixels in memory, batch by batch in turn,
at the machine's instruction level and at AVX2. `settings.py openvino` calls this.

Each side is a separate process, because both read the level when they start (SAPOR_CPU, ONEDNN_MAX_CPU_ISA). A batch of Sapor begins with bytes
and ends with features, so its time includes the crop and the normalisation. A batch of OpenVINO begins with normalised floats. The features of
both are compared: a cosine below 0.9999 is an error."""
import ctypes as c
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# title -> model, kind, side of the input, side of its crop
TOWERS = {
    "ResNet-50": ("ResNet50", "resnet", 232, 224),
    "CLIP ViT-B/16": ("openai/clip-vit-base-patch16", "clip", 224, 224),
    "ALIGN EfficientNet-B7": ("kakaobrain/align-base", "align", 346, 289),
    "AltCLIP ViT-L/14": ("BAAI/AltCLIP", "altclip", 224, 224),
}
LEVELS = {"machine": {}, "avx2": {"SAPOR_CPU": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}


def images(tower, batch):
    """Returns [batch, side, side, 3] bytes, the same in every process."""
    import numpy as np
    side = TOWERS[tower][2]
    return np.random.default_rng(1).integers(0, 256, (batch, side, side, 3), np.uint8)


def pixels(tower, batch):
    """Applies the model's image processor to the pixels. Returns [batch, 3, crop, crop] floats."""
    import numpy as np
    _, kind, side, crop = TOWERS[tower]
    first = (side - crop) // 2
    x = images(tower, batch)[:, first:first + crop, first:first + crop].astype(np.float32)
    if kind == "align":
        x = x / np.float32(127.5) - 1
    else:
        mean, std = (([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if kind == "resnet" else
                     ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]))
        x = (x / np.float32(255) - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


# ---- processes -------------------------------------------------------------------------------------------------------------

def convert(tower, models, batch, path):
    """Writes the tower as OpenVINO's file, in float32."""
    import openvino as ov
    import openvino_side
    import torch
    import transformers as hf
    name, kind, _, crop = TOWERS[tower]
    if kind == "resnet":
        import torchvision
        net = torchvision.models.resnet50(weights=None)
        net.load_state_dict(torch.load(pathlib.Path(models, "resnet50-00000000.pth")))
        net.fc = torch.nn.Identity()
    else:
        whole = {"clip": hf.CLIPModel, "align": hf.AlignModel, "altclip": hf.AltCLIPModel}[kind].from_pretrained(
            pathlib.Path(models, name), dtype=torch.float32, **({} if kind == "align" else {"attn_implementation": "sdpa"}))

        if kind == "align":  # its AvgPool2d is larger than the map, which is an error in OpenVINO
            whole.vision_model.pooler = torch.nn.AdaptiveAvgPool2d(1)

        class Tower(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.vision = whole.vision_model
                self.projection = torch.nn.Identity() if kind == "align" else whole.visual_projection

            def forward(self, x):
                return torch.nn.functional.normalize(self.projection(self.vision(pixel_values=x).pooler_output))
        net = Tower()
    model = openvino_side.converted(net, pixels(tower, batch))
    ov.save_model(model, path, compress_to_fp16=False)


def serve(run, features, note):
    """Runs one batch for each line of standard input. Prints its seconds and processor seconds."""
    run()
    print(json.dumps({"note": note, "features": features().tolist()}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)


def serve_openvino(tower, batch, threads, path):
    import openvino_side
    net = openvino_side.compiled(path, threads)
    ways = {}  # the implementations of the products: jit_avx512, brgemm_avx2, ...
    for op in net.get_runtime_model().get_ops():
        info = {k: str(v.astype(str) if hasattr(v, "astype") else v) for k, v in op.get_rt_info().items()}
        if any(word in info.get("layerType", "") for word in ("Convolution", "MatMul", "FullyConnected")):
            way = info.get("primitiveType", "?")
            ways[way] = ways.get(way, 0) + 1
    run = openvino_side.runner(net, pixels(tower, batch))
    serve(run, lambda: run().reshape(batch, -1), " ".join(sorted(ways, key=ways.get, reverse=True)))


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1024)]


class Options(c.Structure):
    _fields_ = [("size", c.c_size_t), ("dtype", c.c_char_p), ("device", c.c_char_p), ("arch", c.c_char_p), ("modalities", c.c_uint),
                ("outputs", c.POINTER(c.c_char_p)), ("output_count", c.c_size_t), ("pool", c.c_int), ("normalize", c.c_int),
                ("max_length", c.c_size_t), ("resize", c.c_char_p)]


class Image(c.Structure):
    _fields_ = [("path", c.c_char_p), ("data", c.c_void_p), ("bytes", c.c_size_t), ("width", c.c_size_t), ("height", c.c_size_t)]


class CallOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("outputs", c.c_void_p), ("output_count", c.c_size_t), ("max_length", c.c_size_t), ("progress", c.c_void_p),
                ("user", c.c_void_p)]


IMAGES = 1


def serve_sapor(tower, batch, threads, library):
    import numpy as np
    lib, e = c.CDLL(library), Error()
    for name in ("sp_session_open", "sp_encoder_open_with"):
        getattr(lib, name).restype = c.c_void_p
    for name in ("sp_row_sizes", "sp_encode_image_batch"):
        getattr(lib, name).restype = c.c_bool
    usual = (c.c_char_p * 1)(None)
    options = Options(size=c.sizeof(Options), modalities=IMAGES, outputs=usual, output_count=1)
    session = c.c_void_p(lib.sp_session_open(threads, None, c.byref(e)))
    model = c.c_void_p(lib.sp_encoder_open_with(TOWERS[tower][0].encode(), c.byref(options), None, c.byref(e)))
    call, width = CallOptions(size=c.sizeof(CallOptions)), c.c_size_t()
    if not session or not model or not lib.sp_row_sizes(model, c.c_uint(IMAGES), c.byref(call), c.byref(width), c.byref(e)):
        sys.exit(e.message.decode())
    x = images(tower, batch)
    list_ = (Image * batch)(*(Image(None, i.ctypes.data, i.nbytes, i.shape[1], i.shape[0]) for i in x))
    out = np.zeros((batch, width.value), np.float32)
    rows = (c.c_void_p * 1)(out.ctypes.data)

    def run():
        if not lib.sp_encode_image_batch(model, session, list_, c.c_size_t(batch), None, rows, None, c.byref(e)):
            sys.exit(e.message.decode())
    serve(run, lambda: out, "")


class Side:
    """A process that runs one batch per request."""

    def __init__(self, words, level):
        self.process = subprocess.Popen([sys.executable, __file__, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **LEVELS[level]})
        hello = json.loads(self.process.stdout.readline() or sys.exit("towers.py: " + " ".join(map(str, words)) + " ended"))
        self.note, self.features, self.seconds, self.cpu = hello["note"], hello["features"], [], []

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, cpu = json.loads(self.process.stdout.readline())
        self.seconds.append(wall)
        self.cpu.append(cpu / wall)

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    def figures(self):
        middle = statistics.median(self.seconds)
        return middle, (max(self.seconds) - min(self.seconds)) / middle, statistics.median(self.cpu)


# ---- the comparison --------------------------------------------------------------------------------------------------------

def smallest_cosine(a, b):
    import numpy as np
    a, b = np.array(a, np.float64), np.array(b, np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def compare(args, library):
    """args: work, only, batch, rounds, threads, seconds (of each side of a tower at a level)."""
    work, models = pathlib.Path(args.work), os.environ["SAPOR_MODELS"]
    work.mkdir(parents=True, exist_ok=True)
    print(f"image towers, f32, batches of {args.batch}, {args.threads} threads; medians of {args.rounds} batches in turn or more, ms; spread: of all, by "
          "the median\n", flush=True)
    print("| tower | level | sapor | spread | OpenVINO | spread | sapor's speed over OpenVINO's | processors used | OpenVINO's products |\n"
          "|---|---|---:|---:|---:|---:|---:|---:|---|", flush=True)
    behind = 0
    for tower in TOWERS:
        if args.only and args.only not in tower:
            continue
        path = work / f"{TOWERS[tower][1]}-{args.batch}.xml"
        if not path.exists():
            subprocess.run([sys.executable, __file__, "convert", tower, models, str(args.batch), str(path)], check=True, stdout=sys.stderr)
        for level in LEVELS:
            ours = Side(["sapor", tower, args.batch, args.threads, library], level)
            theirs = Side(["openvino", tower, args.batch, args.threads, path], level)
            cosine = smallest_cosine(ours.features, theirs.features)
            if cosine < 0.9999:
                sys.exit(f"{tower}: the features differ: cosine {cosine:.6f}")
            begun = time.perf_counter()
            for i in range(25 * args.rounds):
                (ours, theirs)[i % 2].run(), (theirs, ours)[i % 2].run()
                if i + 1 >= args.rounds and time.perf_counter() - begun > args.seconds:
                    break
            ours.end()
            theirs.end()
            (a, spread_a, cpu_a), (b, spread_b, cpu_b) = ours.figures(), theirs.figures()
            print(f"| {tower} | {level} | {1e3 * a:.1f} | {100 * spread_a:.0f} % | {1e3 * b:.1f} | {100 * spread_b:.0f} % | {b / a:.2f} | "
                  f"{cpu_a:.1f}, {cpu_b:.1f} | {theirs.note} |", flush=True)
            behind += a > b
    return 1 if behind else 0


if __name__ == "__main__":
    what, tower, *rest = sys.argv[1:]
    if what == "convert":
        convert(tower, rest[0], int(rest[1]), rest[2])
    elif what == "openvino":
        serve_openvino(tower, int(rest[0]), int(rest[1]), rest[2])
    else:
        serve_sapor(tower, int(rest[0]), int(rest[1]), rest[2])
