"""Jobs of peers.py: complete encoders, compared with ONNX Runtime, OpenVINO and PyTorch."""
import pathlib
import shutil
import subprocess

import onnx_side
import openvino_side
import torch
from measuring import all_figures, clock, figures, peak

CALIBRATION = 8  # the number of inputs from which NNCF takes the ranges of the activations


def compare(a, report, title, words, batch, peers, notes):
    """words: the arguments of `sapor bench`; peers: name -> a function of one call that returns the features. All features must be near PyTorch's."""
    expected = torch.as_tensor(peers["PyTorch"]()).flatten()
    for name, run in peers.items():
        near = torch.nn.functional.cosine_similarity(torch.as_tensor(run()).flatten(), expected, dim=0).item()
        if near < 0.9999:
            raise SystemExit(f"{title}: the features of {name} differ from PyTorch's: cosine {near:.6f}")
    f = all_figures(a, *words, seconds=0.01)["encoder"]
    sides = {"sapor": lambda: figures(a, *words)} | {name: lambda run=run: clock(run) for name, run in peers.items()}
    report.compare(title, sides, a.rounds, batch, f["gflops"] * f["ms_min"], lambda: peak(a), notes)


def fused_note(found):
    """The line of a table about the fusions of ONNX Runtime."""
    if not found:
        return "ONNX Runtime's fusions for transformers found nothing."
    absent = "" if "attention" in found else ". They do not recognise this attention"
    return "ONNX Runtime's fusions for transformers: " + ", ".join(f"{name} ({count})" for name, count in found.items()) + absent + "."


# ---- texts ------------------------------------------------------------------------------------------------------------------

def token_ids(batch, tokens, seed=1):
    return torch.randint(1000, 30000, (batch, tokens), generator=torch.Generator().manual_seed(seed))


def random_model(a, tmp, name):
    """Creates BERT-base or all-mpnet-base-v2 with random weights, and with MiniLM's tokenizer, which is BERT's."""
    from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel
    folder = pathlib.Path(tmp, name)
    if not folder.exists():
        torch.manual_seed(1)
        (BertModel(BertConfig()) if name == "bert-base" else MPNetModel(MPNetConfig())).save_pretrained(folder)
        for file in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(pathlib.Path(a.minilm, file), folder)
    return str(folder)


def opened(folder, **options):
    """Returns a model of texts twice: with operators that can be exported and fused, and with PyTorch's fused attention if the model has it."""
    from transformers import AutoModel
    eager = AutoModel.from_pretrained(folder, attn_implementation="eager", **options).eval()
    if eager.config.model_type == "mpnet":
        return eager, eager
    return eager, AutoModel.from_pretrained(folder, attn_implementation="sdpa", **options).eval()


def text_encoder(a, report, tmp, folder, title, batch, tokens):
    ids = token_ids(batch, tokens)
    eager, best = opened(folder)
    plain = onnx_side.runner(onnx_side.export(eager, (ids,), f"{tmp}/model.onnx"), a.threads, ids)
    path, inputs, found = onnx_side.fused_text_model(eager, ids, f"{tmp}/fused.onnx")
    fused = {"ONNX Runtime, fused": onnx_side.runner(path, a.threads, *inputs)} if found else {}
    theirs = openvino_side.runner(openvino_side.compiled(openvino_side.converted(best, ids), a.threads), ids)
    compare(a, report, f"{title}, {batch} text{'s' * (batch > 1)} of {tokens} tokens", ["encoder", folder, "--tokens", str(tokens), "--batch", str(batch)],
            batch, {"ONNX Runtime": plain} | fused | {"OpenVINO": theirs, "PyTorch": lambda: best(ids).last_hidden_state}, [fused_note(found)])


def minilm(a, report, tmp):
    for batch in (1, 16):
        text_encoder(a, report, tmp, a.minilm, "all-MiniLM-L6-v2", batch, 128)


def mpnet(a, report, tmp):
    folder = a.mpnet or random_model(a, tmp, "mpnet-base")
    for tokens in (128, 197):
        text_encoder(a, report, tmp, folder, "all-mpnet-base-v2" if a.mpnet else "all-mpnet-base-v2 (random weights)", 1, tokens)


def bert(a, report, tmp):
    for tokens in (128, 197):
        text_encoder(a, report, tmp, random_model(a, tmp, "bert-base"), "BERT-base", 1, tokens)


def narrow(a, report, tmp):
    """BERT-base in int8, and in 16 bits."""
    folder, ids = random_model(a, tmp, "bert-base"), token_ids(1, 128)
    eager, best = opened(folder)
    path, inputs, _ = onnx_side.fused_text_model(eager, ids, f"{tmp}/fused.onnx")
    plain = onnx_side.runner(onnx_side.int8(onnx_side.export(eager, (ids,), f"{tmp}/exact.onnx"), f"{tmp}/int8.onnx"), a.threads, ids)
    fused = onnx_side.runner(onnx_side.int8(path, f"{tmp}/fused-int8.onnx"), a.threads, *inputs)
    model = openvino_side.converted(best, ids)
    bytes_ = openvino_side.runner(openvino_side.compiled(openvino_side.int8(model, [token_ids(1, 128, 2 + i) for i in range(CALIBRATION)]), a.threads), ids)

    def ours(dtypes):
        sides = {}
        for dtype in dtypes:
            words = ["encoder", folder, "--tokens", "128", "--dtype", dtype]
            command = [a.sapor, "bench", *words, "--seconds", "0.001", "--threads", "1", "--json"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                sides[f"sapor {dtype}"] = lambda words=words: figures(a, *words)
        return sides

    report.compare("BERT-base in int8, one text of 128 tokens", ours(("int8", "f32")) | {
        "ONNX Runtime": lambda: clock(plain), "ONNX Runtime, fused": lambda: clock(fused), "OpenVINO": lambda: clock(bytes_)}, a.rounds,
        notes=[f"ONNX Runtime: `quantize_dynamic`. OpenVINO: `nncf.quantize` of weights and activations with {CALIBRATION} texts for calibration."])
    half = opened(folder, dtype=torch.bfloat16)[1]
    sides = ours(("bf16", "f16", "f32")) | {"PyTorch bf16": lambda: clock(lambda: half(ids))}
    if openvino_side.has("BF16"):
        run = openvino_side.runner(openvino_side.compiled(model, a.threads, "bf16"), ids)
        sides["OpenVINO bf16"] = lambda: clock(run)
    report.compare("BERT-base in 16 bits, one text of 128 tokens", sides, a.rounds,
                   notes=[] if "OpenVINO bf16" in sides else ["OpenVINO does not compute in bf16 on this machine."])


# ---- images -----------------------------------------------------------------------------------------------------------------

def image_model(tmp, name):
    """Creates a model of torchvision with random weights. Returns it without its classifier, and the path of its weights."""
    import torchvision
    from safetensors.torch import save_file
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)().eval()
    path = f"{tmp}/{name}.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    setattr(model, "fc" if name.startswith("resnet") else "heads", torch.nn.Identity())
    return model, path


def image_encoder(a, report, tmp, name, title, batches, fusions=None):
    """fusions: model_type, num_heads and hidden_size of onnxruntime.transformers."""
    model, path = image_model(tmp, name)
    for batch in batches:
        x = torch.rand(batch, 3, 224, 224)
        torch.backends.mha.set_fastpath_enabled(False)  # its operator cannot be exported
        peers, notes = {"ONNX Runtime": onnx_side.runner(onnx_side.export(model, (x,), f"{tmp}/{name}.onnx"), a.threads, x)}, []
        torch.backends.mha.set_fastpath_enabled(True)
        if fusions:
            found = onnx_side.fuse(f"{tmp}/{name}.onnx", f"{tmp}/{name}-fused.onnx", *fusions)
            notes = [fused_note(found)]
            if found:
                peers["ONNX Runtime, fused"] = onnx_side.runner(f"{tmp}/{name}-fused.onnx", a.threads, x)
        peers["OpenVINO"] = openvino_side.runner(openvino_side.compiled(openvino_side.converted(model, x), a.threads), x)
        peers["PyTorch"] = lambda: model(x)
        compare(a, report, f"{title}, {batch} image{'s' * (batch > 1)} of 224 x 224", ["encoder", path, "--batch", str(batch)], batch, peers, notes)


def resnet(a, report, tmp):
    image_encoder(a, report, tmp, "resnet50", "ResNet-50", (1, 16))


def vit(a, report, tmp):
    image_encoder(a, report, tmp, "vit_b_16", "ViT-B/16", (1, 4), ("vit", 12, 768))
