#!/usr/bin/env python3
"""Torch files: writes the small files under tests/golden/torch/ with a list of their contents (expect.txt), and compares every tensor
of these files and of larger ones with the tensor that weights_torch_test reads.

    pip install torch==2.15.0 torchvision==0.29.2
    make build/tests/weights_torch_test
    tests/golden/make_weights.py [FILE.pth ...]"""
import collections
import os
import subprocess
import sys
import tempfile
import zipfile

import torch

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch")
BINARY = os.environ.get("WEIGHTS_TEST", "build/tests/weights_torch_test")
NAMES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
failures = 0


def read(path):
    p = subprocess.run([BINARY, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        return p.stderr.decode().strip()
    out, at, data = {}, 0, p.stdout
    while at < len(data):
        end = data.index(b"\n", at)
        name, kind, *shape = data[at:end].decode().split("\t")
        dtype = next(d for d, n in NAMES.items() if n == kind)
        shape = [int(x) for x in shape]
        n = torch.Size(shape).numel() * torch.empty((), dtype=dtype).element_size()
        raw = torch.frombuffer(bytearray(data[end + 1 : end + 1 + n]), dtype=torch.uint8) if n else torch.empty(0, dtype=torch.uint8)
        out[name] = (dtype, shape, raw)
        at = end + 1 + n
    return out


def check(what, path, expect):
    global failures
    got = read(path)
    if isinstance(got, str):
        failures += 1
        print("%-40s FAILED: %s" % (what, got))
        return
    wrong = [] if list(got) == list(expect) else ["names: %s" % [n for n in set(got) ^ set(expect)][:5]]
    for name, t in expect.items():
        t = t.detach()
        if name in got:
            dtype, shape, raw = got[name]
            mine = t.contiguous().reshape(-1).view(torch.uint8) if t.numel() else torch.empty(0, dtype=torch.uint8)
            if dtype != t.dtype or shape != list(t.shape) or not torch.equal(raw, mine):
                wrong.append(name)
    failures += len(wrong)
    print("%-40s %5d tensors %4d wrong %s" % (what, len(expect), len(wrong), wrong[:3]))


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2)
        self.register_buffer("seen", torch.tensor([True, False]))
        self.register_buffer("hidden", torch.ones(2), persistent=False)
        self.nothing = None
        self.register_parameter("absent", None)


def small():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(4, 6, generator=g)
    types = collections.OrderedDict((n.lower(), (torch.arange(-3, 5).to(d) if n != "BOOL" else torch.arange(8) % 3 == 0)) for d, n in NAMES.items())
    views = {"whole": x, "transposed": x.t(), "rows": x[1:3], "steps": x[::2, 1::2], "expanded": x[0, :1].expand(5), "scalar": torch.tensor(2.5),
             "empty": torch.empty(0, 3), "permuted": torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1), "one": x[:, 2:3].t()}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        module = torch.nn.Sequential(Block(), torch.nn.Sequential(Block())).eval()
    yield "types", types, types
    yield "views", views, views
    yield "nested", {"epoch": 3, "model": {"state_dict": views}, "optimizer": {"state": {0: {"m": x}}}}, views
    yield "parallel", collections.OrderedDict(("module." + k, v) for k, v in types.items()), types
    yield "tree", {"a": {"b": [x, {"c": torch.nn.Parameter(x[0])}]}, 7: x[1], "text": "x"}, {"a.b.0": x, "a.b.1.c": x[0], "7": x[1]}
    yield "module", module, module.state_dict()


def main():
    os.makedirs(HERE, exist_ok=True)
    torch.serialization.get_source_lines_and_file = lambda o, m=None: (["class source"], 1, "file.py")  # legacy modules carry their source
    lines = []
    for name, value, expect in small():
        for kind, options in (("zip", {}), ("legacy", dict(_use_new_zipfile_serialization=False)), ("zip", dict(pickle_protocol=4)),
                              ("legacy", dict(_use_new_zipfile_serialization=False, pickle_protocol=5))):
            file = "%s.%s%s.pt" % (name, kind, options.get("pickle_protocol", ""))
            path = os.path.join(HERE, file)
            torch.save(value, path, **options)
            if kind == "zip":  # as small as it gets, and deflated: the same archive, packed again
                packed = path.replace(".zip", ".deflated")
                with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
                    for item in old.namelist():
                        if not item.endswith((".data/serialization_id", "/version", ".format_version", ".storage_alignment")):
                            new.writestr(zipfile.ZipInfo(item), old.read(item), zipfile.ZIP_DEFLATED)
                check(os.path.basename(packed), packed, expect)
                os.remove(packed) if "4" in kind + str(options) else None
            check(file, path, expect)
            if options.get("pickle_protocol") or (kind == "zip" and name not in ("types",)):
                os.remove(path)
        for key, t in expect.items():
            t = t.detach().contiguous()
            raw = bytes(t.reshape(-1).view(torch.uint8).tolist()) if t.numel() else b""
            lines.append("\t".join([name, key, NAMES[t.dtype], ",".join(map(str, t.shape)), raw.hex()]))
    open(os.path.join(HERE, "expect.txt"), "w").write("\n".join(lines) + "\n")

    import torchvision

    with tempfile.TemporaryDirectory() as tmp:
        torch.manual_seed(3)
        net = torchvision.models.resnet18().eval()
        half = {k: v.half() for k, v in net.state_dict().items()}
        for what, value, expect in (("module", net, net.state_dict()), ("state dict", net.state_dict(), net.state_dict()), ("half", half, half)):
            for options in ({}, dict(_use_new_zipfile_serialization=False)):
                path = os.path.join(tmp, "x.pth")
                torch.save(value, path, **options)
                check("resnet18 " + what + (" legacy" if options else " zip"), path, expect)
        path = os.path.join(tmp, "big.pth")
        many = {"t%d" % i: torch.full((3,), float(i)) for i in range(70000)}  # more entries than 16 bits count: zip64
        torch.save(many, path)
        check("70,000 tensors, zip64", path, many)
        traced = torch.jit.trace(torchvision.models.resnet18().eval(), torch.zeros(1, 3, 64, 64))
        torch.jit.save(traced, path)
        check("resnet18 TorchScript", path, traced.state_dict())
    for path in sys.argv[1:]:
        check(os.path.basename(path), path, torch.load(path, map_location="cpu", weights_only=False))
    sys.exit(failures > 0)


main()
