"""Draws the numbers of models, which are not committed: the generator of base/random.c, and the lists of tensors that tests/drawn.c reads.

Number i of a tensor is word i % 4 of draw4 at index i / 4, with the seed, DRAW_TEST as purpose and the 32-bit FNV-1a hash of the tensor's name as epoch,
to 24 bits as in draw_uniform. A list, NAME.drawn, stands for NAME.safetensors; its layout is in tests/drawn.h. Float32 is computed as in C: the bits are
the same, and the sum in the first line is compared by both.
"""
import os, subprocess, sys, tempfile
from collections import namedtuple
import numpy as np
import torch
from safetensors.torch import load_file, save_file

Row = namedtuple("Row", "shape centre limit drawn_as type value", defaults=(None, "F32", None))
TYPES = {"F32": torch.float32, "F16": torch.float16, "I64": torch.int64}


def philox(counter, key):  # Salmon et al. 2011, 10 rounds; counter: four arrays of uint64 with 32 bits
    mask, (a, b, x, y), (k0, k1) = np.uint64(0xffffffff), counter, key
    for _ in range(10):
        high, low = a * np.uint64(0xd2511f53), x * np.uint64(0xcd9e8d57)
        a, b, x, y = (low >> np.uint64(32)) ^ b ^ np.uint64(k0), low & mask, (high >> np.uint64(32)) ^ y ^ np.uint64(k1), high & mask
        k0, k1 = (k0 + 0x9e3779b9) & 0xffffffff, (k1 + 0xbb67ae85) & 0xffffffff
    return a, b, x, y


def fnv(data, value=0x811c9dc5):
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value


def uniform(name, count, seed):
    """Returns `count` numbers in [0, 1) with 24 bits."""
    out = np.empty((count + 3) // 4 * 4, np.float32)
    for first in range(0, len(out) // 4, 1 << 14):  # fits into a cache
        index = np.arange(first, min(first + (1 << 14), len(out) // 4), dtype=np.uint64)
        zero = np.zeros_like(index)
        words = philox((index & np.uint64(0xffffffff), index >> np.uint64(32), zero + np.uint64(fnv(name.encode())), zero + np.uint64(11 << 24)), (seed, 0))
        out[4 * first:4 * first + 4 * len(index)] = (np.stack(words, 1) >> np.uint64(8)).astype(np.float32).ravel() * np.float32(2.0 ** -24)
    return torch.from_numpy(out[:count])


def numbers(name, shape, centre, limit, seed, type="F32"):
    if type == "I64":
        return torch.full(shape, int(centre), dtype=torch.int64)
    u = uniform(name, int(np.prod(shape)), seed).numpy() * np.float32(2) - np.float32(1)
    x = np.float32(centre) + np.float32(limit) * u
    assert x.dtype == np.float32
    return torch.from_numpy(x).reshape(shape).to(TYPES[type])


def sum_of(tensors):
    value = 0x811c9dc5
    for t in tensors:
        value = fnv(t.contiguous().numpy().tobytes(), value)
    return f"{value:08x}"


def limit_of(spread):
    """Returns the limit of uniform numbers with about this standard deviation: a multiple of 1/32, which is exact in float32."""
    return max(1, round(spread * 3 ** 0.5 * 32)) / 32


# ---- lists ------------------------------------------------------------------------------------------------------------------------------------------------


def write(path, seed, rows, rename=lambda k: k):
    """Writes a list. rows: {name: Row}, each with its numbers. `rename` gives the names in the file; numbers are still drawn by the old name."""
    rows = {rename(k): r._replace(drawn_as=r.drawn_as or k) for k, r in rows.items()}
    lines = [f"seed {seed} sum {sum_of(r.value for r in rows.values())}"]
    for k, r in rows.items():
        line = [k, ",".join(map(str, r.shape)), f"{r.centre:g}", repr(float(r.limit)) if r.limit % 1 else str(int(r.limit))]
        assert float(line[2]) == r.centre
        if r.type != "F32":
            line += ["" if r.drawn_as == k else r.drawn_as, r.type]
        elif r.drawn_as != k:
            line.append(r.drawn_as)
        lines.append("\t".join(line))
    open(path + ".drawn", "w").write("\n".join(lines) + "\n")


def load(path):
    """Returns {name: tensor} of NAME.safetensors, from NAME.drawn."""
    path = os.path.splitext(path)[0] if path.endswith((".safetensors", ".drawn")) else path
    first, *lines = open(path + ".drawn").read().split("\n")[:-1]
    _, seed, _, total = first.split(" ")
    out = {}
    for line in lines:
        name, shape, centre, limit, drawn_as, type = (line.split("\t") + ["", ""])[:6]
        out[name] = numbers(drawn_as or name, [int(n) for n in shape.split(",") if n], float(centre), float(limit), int(seed), type or "F32")
    assert sum_of(out.values()) == total, f"{path}: the numbers are not those of the script that wrote the list"
    return out


# ---- models -----------------------------------------------------------------------------------------------------------------------------------------------


def published(model):
    """Returns {name in state_dict: name in the file of save_pretrained}."""
    state = model.state_dict()
    kept = {k: v.clone() for k, v in state.items()}
    for i, v in enumerate(state.values()):
        v.fill_(i)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        saved = load_file(os.path.join(scratch, "model.safetensors"))
    for k, v in state.items():
        v.copy_(kept[k])
    return {list(state)[int(v.flatten()[0])]: k for k, v in saved.items() if v.is_floating_point()}


def draw(model, seed, rule, names=None):
    """Draws all that rule(name, tensor) gives (centre, limit) for, by the name in the file; returns the rows. Counters of batches are rows of zeros."""
    rows = {}
    for k, v in model.state_dict().items():
        name = k if names is None else names.get(k)
        if name is None:
            continue
        if not v.is_floating_point():
            rows[name] = Row(list(v.shape), 0, 0, None, "I64", torch.zeros_like(v))
            continue
        centre, limit = rule(name, v)
        x = numbers(name, list(v.shape), centre, limit, seed)
        rows[name] = Row(list(v.shape), centre, limit, None, "F32", x)
        with torch.no_grad():
            v.copy_(x)
    model.eval()
    return rows


def rows_of(shapes, seed):
    """Returns {name: (shape, centre, limit)} as rows, for tensors outside of modules."""
    return {k: Row(list(s), c, l, None, "F32", numbers(k, list(s), c, l, seed)) for k, (s, c, l) in shapes.items()}


def usual(name, x):
    """Rule: numbers with a spread of 0.4; norms around 1, positive statistics of batch norms."""
    if name.endswith("running_mean"):
        return 0, limit_of(0.1)
    if name.endswith("running_var"):
        return 1, 0.5
    return int("norm" in name.lower() and name.endswith("weight")), limit_of(0.4)


def by_inputs(name, x):
    """Rule: the output of a convolution has the magnitude of its input. For deep networks."""
    if name.endswith("running_mean"):
        return 0, limit_of(0.1)
    if x.dim() > 1:
        return 0, limit_of((2 / x[0].numel()) ** 0.5)
    return (1, 0.5) if name.endswith(("weight", "running_var")) else (0, limit_of(0.3))


def agree(single, double):
    """Checks that float32 is within 1e-5 of float64 in every output. If not, another seed is needed."""
    assert single.keys() == double.keys()
    for k, a in single.items():
        b = double[k].double()
        off = (a.double() - b).abs().max() / b.abs().max()
        assert off <= 1e-5, f"{k}: float32 and float64 differ by {off:.1e}; another seed is needed"


def finish(script, root, expected, double):
    """Writes ROOT/expected.safetensors. In float32 runs the script again with --float64, compares both, and prints the bytes of ROOT."""
    save_file({k: v.clone().contiguous() for k, v in expected.items()}, os.path.join(root, "expected.safetensors"))
    if double:
        sys.exit()
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, script, "--float64", scratch], check=True)
        agree(expected, load_file(os.path.join(scratch, "expected.safetensors")))
    print(sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(root) for f in fs), "bytes")
