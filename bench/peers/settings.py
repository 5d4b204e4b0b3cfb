#!/usr/bin/env python3
"""Runs the five settings of the benchmark from one Ducho configuration, at full size. The weights are random; pretrained ones take the same time.

- tree: compares the names of the files that `sapor extract` writes with Ducho's rules.
- times: items per second, compared with transformers on torch.
- openvino: the image towers compared with OpenVINO (towers.py), both sides in turn.
- table: seconds of two settings by batch size.

    pip install torch transformers torchvision tokenizers pillow numpy openvino
    bench/peers/settings.py models --out FOLDER --vocab vocab.txt --merges bpe_simple_vocab_16e6.txt.gz
    SAPOR_MODELS=FOLDER bench/peers/settings.py tree --data FOLDER --work FOLDER [--items 500]
    SAPOR_MODELS=FOLDER bench/peers/settings.py times --data FOLDER --work FOLDER [--items 16] [--batch 8] [--rounds 5] [--threads 2] [--only NAME]
    SAPOR_MODELS=FOLDER bench/peers/settings.py table --data FOLDER --work FOLDER [--items 50] [--threads 2]
    SAPOR_MODELS=FOLDER bench/peers/settings.py openvino --work FOLDER [--batch 8] [--rounds 5] [--seconds 10] [--threads 2] [--only NAME]

WORK is a new folder, or the folder of an earlier run, which is emptied (openvino keeps its files there). DATA has posters/<item>.jpg (or images/)
and items.tsv with the columns `item` and `description`. vocab.txt is BERT's, the merges are CLIP's. XLM-R's vocabulary is only published
together with its weights. A small Unigram vocabulary replaces it, so AltCLIP's texts have more tokens than with the real one."""
import argparse
import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
SAPOR = os.environ.get("SAPOR", str(pathlib.Path(__file__).resolve().parents[2] / "sapor"))
PAIRS = ("openai/clip-vit-base-patch16", "kakaobrain/align-base", "BAAI/AltCLIP")
TEXTS = "sentence-transformers/all-mpnet-base-v2"
CONFIG = """dataset_path: {work}
gpu list: -1
visual:
  items:
    input_path: images
    output_path: visual_embeddings_{batch}
    model: [
      {{ model_name: ResNet50, output_layers: avgpool, reshape: [224, 224], preprocessing: zscore, backend: torch, batch_size: {batch} }},
      {{ model_name: {mmfashion}, output_layers: avgpool, reshape: [224, 224], preprocessing: zscore, backend: torch, batch_size: {batch} }}
    ]
textual:
  items:
    input_path: meta.tsv
    item_column: asin
    text_column: description
    output_path: textual_embeddings_{batch}
    model: [
      {{ model_name: sentence-transformers/all-mpnet-base-v2, output_layers: 1, clear_text: False, backend: sentence_transformers, batch_size: {batch} }}
    ]
visual_textual:
  items:
    input_path: {{visual: images, textual: meta.tsv}}
    output_path: {{visual: visual_embeddings_{batch}, textual: textual_embeddings_{batch}}}
    item_column: asin
    text_column: description
    model: [
      {{ model_name: openai/clip-vit-base-patch16, backend: transformers, output_layers: 1, batch_size: {batch} }},
      {{ model_name: kakaobrain/align-base, backend: transformers, output_layers: 1, batch_size: {batch} }},
      {{ model_name: BAAI/AltCLIP, backend: transformers, output_layers: 1, batch_size: {batch} }}
    ]
"""


def fill(model, seed):
    """Sets the weights, and the running statistics of batch norms, from a seeded generator. They are so small that no layer overflows."""
    import torch

    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, x in list(model.named_parameters()) + list(model.named_buffers()):
            if not x.is_floating_point():
                continue
            if name.endswith("running_var"):
                x.uniform_(0.8, 1.2, generator=g)
            elif x.dim() == 0:
                x.fill_(2.0)
            elif x.dim() == 1:
                x.uniform_(-0.05, 0.05, generator=g)
                x += 1.0 if name.endswith("weight") else 0.0
            else:
                limit = (3.0 / x[0].numel()) ** 0.5 if x.dim() == 4 else 0.035
                x.uniform_(-limit, limit, generator=g)
    return model.eval()


def write_models(args):
    import torch
    import torchvision
    import transformers as hf
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers, decoders
    from transformers.initialization import no_init_weights

    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    def make(kind, config, seed):
        with no_init_weights():
            return fill(kind(config), seed)

    def done(name):
        return (out / name / "model.safetensors").exists()

    def save(name, model, files):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pathlib.Path):
                shutil.copy(content, path)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        model.save_pretrained(folder, max_shard_size="100GB")
        print(name, flush=True)

    bert = pathlib.Path(args.vocab)
    if not (out / "resnet50-00000000.pth").exists():
        torch.save(fill(torchvision.models.resnet50(weights=None), 1).state_dict(), out / "resnet50-00000000.pth")
        torch.save(fill(torchvision.models.resnet50(weights=None), 2), out / "MMFashion.pt")
    if not done(TEXTS):
        words = bert.read_text().splitlines()
        specials = ["<s>", "<pad>", "</s>", "<unk>"]  # MPNet's vocabulary is four tokens, then BERT's; <mask> is the last
        save(TEXTS, make(hf.MPNetModel, hf.MPNetConfig(vocab_size=30527, max_position_embeddings=514), 3), {
            "vocab.txt": "\n".join(specials + [w for w in words if w not in specials][:30522] + ["<mask>"]) + "\n",
            "tokenizer_config.json": {"tokenizer_class": "MPNetTokenizer", "do_lower_case": True, "model_max_length": 384},
            "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                             {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                             {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}],
            "sentence_bert_config.json": {"max_seq_length": 384, "do_lower_case": False},
            "1_Pooling/config.json": {"word_embedding_dimension": 768, "pooling_mode_mean_tokens": True}})
    clip_images = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 224}, "resample": 3,
                   "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255,
                   "do_normalize": True, "do_convert_rgb": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
                   "image_std": [0.26862954, 0.26130258, 0.27577711]}
    if not done(PAIRS[0]):
        merges = gzip.open(args.merges, "rt", encoding="utf-8").read().split("\n")[1:49152 - 256 - 2 + 1]
        letters = list(hf.models.clip.tokenization_clip.bytes_to_unicode().values()) if hasattr(hf.models.clip.tokenization_clip, "bytes_to_unicode") \
            else sorted(pre_tokenizers.ByteLevel.alphabet())
        pieces = letters + [c + "</w>" for c in letters] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
        config = hf.CLIPConfig(text_config={"eos_token_id": 49407, "bos_token_id": 49406}, vision_config={"patch_size": 16}, projection_dim=512)
        save(PAIRS[0], make(hf.CLIPModel, config, 4), {
            "vocab.json": json.dumps({p: i for i, p in enumerate(pieces)}), "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n",
            "tokenizer_config.json": {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>",
                                      "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
            "preprocessor_config.json": clip_images})
    if not done(PAIRS[1]):
        save(PAIRS[1], make(hf.AlignModel, hf.AlignConfig(), 5), {
            "vocab.txt": bert,
            "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64},
            "preprocessor_config.json": {
                "image_processor_type": "EfficientNetImageProcessor", "do_resize": True, "size": {"height": 346, "width": 346}, "resample": 2,
                "do_center_crop": True, "crop_size": {"height": 289, "width": 289}, "do_rescale": True, "rescale_factor": 1 / 127.5,
                "rescale_offset": True, "do_normalize": False, "include_top": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}})
    if not done(PAIRS[2]):
        config = hf.AltCLIPConfig(projection_dim=768, text_config={"project_dim": 768}, vision_config={
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14, "projection_dim": 768})
        t = Tokenizer(models.Unigram())
        t.normalizer = normalizers.NFKC()
        t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        t.train([str(bert)], trainers.UnigramTrainer(vocab_size=8000, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], unk_token="<unk>"))
        t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
        save(PAIRS[2], make(hf.AltCLIPModel, config, 6), {
            "tokenizer.json": t.to_str(),
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "bos_token": "<s>", "eos_token": "</s>",
                                      "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"},
            "preprocessor_config.json": clip_images})


def prepare(args, items):
    """Empties WORK. Writes WORK/config.yml, and WORK/images and WORK/meta.tsv for the first items that have an image.
    The rows of the table are in reverse order."""
    data, work = pathlib.Path(args.data), pathlib.Path(args.work)
    pictures = data / ("posters" if (data / "posters").is_dir() else "images")
    lines = (data / "items.tsv").read_text(encoding="utf-8").splitlines()
    head = lines[0].split("\t")
    column = head.index("description" if "description" in head else head[-1])
    rows = []
    for line in lines[1:]:
        cells = line.split("\t")
        if (pictures / f"{cells[0]}.jpg").exists() and len(rows) < items:
            rows.append((cells[0], cells[column].replace('"', "'")))
    if work.exists() and any(work.iterdir()) and not (work / "config.yml").exists():
        sys.exit(f"{work}: is not a folder of an earlier run; choose a new one")
    shutil.rmtree(work, ignore_errors=True)
    (work / "images").mkdir(parents=True)
    for item, _ in rows:
        shutil.copy(pictures / f"{item}.jpg", work / "images")
    (work / "meta.tsv").write_text("asin\tdescription\n" + "".join(f"{i}\t{t}\n" for i, t in reversed(rows)), encoding="utf-8")
    (work / "config.yml").write_text(CONFIG.format(work=work, batch=args.batch, mmfashion=os.environ["SAPOR_MODELS"] + "/MMFashion.pt"))
    return rows


def tree(args):
    rows = prepare(args, args.items)
    begun = time.time()
    subprocess.run([SAPOR, "extract", f"{args.work}/config.yml", "--threads", str(args.threads)], check=True)
    print(f"{len(rows)} items, six models: {time.time() - begun:.1f} s")
    b = args.batch
    folders = [f"visual_embeddings_{b}/torch/ResNet50/avgpool", f"visual_embeddings_{b}/torch/MMFashion/avgpool",
               f"textual_embeddings_{b}/sentence_transformers/{TEXTS}/1"]
    folders += [f"{side}_embeddings_{b}/transformers/{name}/1" for side in ("visual", "textual") for name in PAIRS]
    expected = {f"{folder}/{item}.npy" for folder in folders for item, _ in rows}
    found = {str(p.relative_to(args.work)) for p in pathlib.Path(args.work).rglob("*.npy")}
    print(f"{len(expected)} names by Ducho's rules, {len(expected - found)} are missing, {len(found - expected)} are others")
    return 1 if expected != found else 0


def times(args):
    import numpy as np
    import torch
    import transformers as hf
    from PIL import Image

    torch.set_num_threads(args.threads)
    rows = prepare(args, args.items)
    models = pathlib.Path(os.environ["SAPOR_MODELS"])
    files = [f"{args.work}/images/{item}.jpg" for item, _ in rows]
    texts = [text for _, text in rows]
    lines = pathlib.Path(args.work) / "texts.txt"
    lines.write_text("\n".join(t or "." for t in texts) + "\n", encoding="utf-8")

    def batches(list_):
        return [list_[i:i + args.batch] for i in range(0, len(list_), args.batch)]

    def resnet_peer():
        import torchvision
        net = torchvision.models.resnet50(weights=None)
        net.load_state_dict(torch.load(models / "resnet50-00000000.pth"))
        net.fc = torch.nn.Identity()
        net.eval()
        mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

        def image(path):
            x = np.asarray(Image.open(path).convert("RGB").resize((224, 224), Image.BICUBIC), np.float32) / 255
            return torch.from_numpy(((x - mean) / std).transpose(2, 0, 1).copy())
        return lambda: [net(torch.stack([image(p) for p in part])) for part in batches(files)]

    def text_peer():
        model, tokens = hf.MPNetModel.from_pretrained(models / TEXTS), hf.AutoTokenizer.from_pretrained(models / TEXTS)

        def run():
            order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # as SentenceTransformer.encode
            for part in batches(order):
                x = tokens([texts[i] for i in part], padding=True, truncation=True, max_length=384, return_tensors="pt")
                mask = x["attention_mask"].unsqueeze(-1)
                h = (model(**x).last_hidden_state * mask).sum(1) / mask.sum(1)
                torch.nn.functional.normalize(h)
        return run

    def pair_peer(kind, name, longest):
        model = kind.from_pretrained(models / name)
        images, tokens = hf.AutoImageProcessor.from_pretrained(models / name), hf.AutoTokenizer.from_pretrained(models / name)

        def run():
            for paths, part in zip(batches(files), batches(texts)):
                x = tokens(part, padding=True, truncation=True, max_length=longest, return_tensors="pt")
                x.pop("token_type_ids", None) if name == PAIRS[2] else None
                model(**x, **images([Image.open(p).convert("RGB") for p in paths], return_tensors="pt"))
        return run

    sides = {"ResNet50": (resnet_peer, ["visual", "0"]), TEXTS: (text_peer, ["textual", "0"])}
    for i, (kind, longest) in enumerate(((hf.CLIPModel, 77), (hf.AlignModel, 64), (hf.AltCLIPModel, 512))):
        sides[PAIRS[i]] = (lambda kind=kind, i=i, longest=longest: pair_peer(kind, PAIRS[i], longest), ["visual_textual", str(i)])
    print(f"{len(rows)} items, batches of {args.batch}, {args.threads} threads, f32; items a second, medians of {args.rounds} rounds in turn; "
          "spread: of all rounds, by the median\n")
    print("| model | sapor | spread | transformers | spread | ratio |\n|---|---:|---:|---:|---:|---:|", flush=True)
    for name, (peer, (modality, number)) in sides.items():
        if args.only and args.only not in name:
            continue
        run = peer()
        ours, theirs = [], []
        write_one(args, modality, int(number))
        with torch.inference_mode():
            run()
            for _ in range(args.rounds):
                begun = time.time()
                run()
                theirs.append(len(rows) / (time.time() - begun))
                out = subprocess.run([SAPOR, "bench", "extract", f"{args.work}/one.yml", "--items", str(len(rows)), "--batch", str(args.batch),
                                      "--threads", str(args.threads), "--json"], check=True, capture_output=True, text=True).stdout
                ours.append(json.loads(out)["items_per_second"])
        (a, spread_a), (b, spread_b) = middle(ours), middle(theirs)
        print(f"| {name} | {a:.2f} | {100 * spread_a:.0f} % | {b:.2f} | {100 * spread_b:.0f} % | {a / b:.2f} |", flush=True)
    return 0


def middle(rates):
    """Returns the median, and the spread divided by the median."""
    m = statistics.median(rates)
    return m, (max(rates) - min(rates)) / m


def write_one(args, modality, number):
    """Writes WORK/one.yml: one model of the configuration."""
    parts = pathlib.Path(f"{args.work}/config.yml").read_text().split("\n")
    keep, section, model = [], None, -1
    for line in parts:
        if line and not line.startswith(" ") and line.rstrip().endswith(":"):
            section, model = line.rstrip(":"), -1
        if section and section != modality:
            continue
        if "model_name:" in line:
            model += 1
            if model != number:
                continue
            line = line.rstrip(",")
        keep.append(line)
    pathlib.Path(f"{args.work}/one.yml").write_text("\n".join(keep))


def table(args):
    """Prints the seconds by batch size of two settings: ResNet-50 with Sentence-BERT, and CLIP."""
    prepare(args, args.items)
    lines = pathlib.Path(f"{args.work}/config.yml").read_text().split("\n")
    lines = [line for line in lines if not any(name in line for name in ("MMFashion", *PAIRS[1:]))]
    pathlib.Path(f"{args.work}/two.yml").write_text("\n".join(lines))
    subprocess.run([SAPOR, "bench", "extract", f"{args.work}/two.yml", "--items", str(args.items), "--threads", str(args.threads)], check=True)


def openvino(args):
    import towers
    return towers.compare(args, str(pathlib.Path(SAPOR).parent / "libsapor.so"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("models", "tree", "times", "table", "openvino"))
    p.add_argument("--out")
    p.add_argument("--vocab")
    p.add_argument("--merges")
    p.add_argument("--data")
    p.add_argument("--work")
    p.add_argument("--only")
    p.add_argument("--items", type=int, default=16)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    return {"models": write_models, "tree": tree, "times": times, "table": table, "openvino": openvino}[args.what](args) or 0


if __name__ == "__main__":
    sys.exit(main())
