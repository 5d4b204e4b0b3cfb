"""Text encoders against sentence-transformers in float32: `sapor encode MODEL texts.txt` on descriptions of films.

Not part of `make test` (needs Python). Versions used: torch 2.15.0, transformers 5.23.0, sentence-transformers 6.2.0, numpy 2.4.6.
    python tests/golden/check_text_encoders.py ./sapor ITEMS.tsv MODEL_FOLDER... [--count 200] [--column description]

Prints, for each model, the largest absolute difference. The exit status is 1 if one is above 2e-5. An embedding has length 1."""
import argparse, os, subprocess, sys, tempfile
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

p = argparse.ArgumentParser()
p.add_argument("sapor")
p.add_argument("items")
p.add_argument("models", nargs="+")
p.add_argument("--count", type=int, default=200)
p.add_argument("--column", default="description")
o = p.parse_args()

rows = [line.split("\t") for line in open(o.items, encoding="utf-8", newline="").read().split("\n") if line]
column = rows[0].index(o.column)
texts = [row[column] for row in rows[1:o.count + 1]]
bad = 0
for folder in o.models:
    with tempfile.TemporaryDirectory() as scratch:
        listing, out = os.path.join(scratch, "texts.txt"), os.path.join(scratch, "out.npy")
        open(listing, "w", encoding="utf-8", newline="").write("\n".join(texts) + "\n")
        subprocess.run([o.sapor, "encode", folder, listing, "-o", out, "--quiet"], check=True)
        ours = np.load(out)
    reference = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.float32})
    theirs = reference.encode(texts, batch_size=16, convert_to_numpy=True)
    tokens = [len(ids) for ids in reference.tokenizer(texts, truncation=True, max_length=reference.max_seq_length)["input_ids"]]
    worst = np.abs(ours - theirs).max()
    bad += not (ours.dtype == theirs.dtype == np.float32 and worst <= 2e-5)
    print(f"{os.path.basename(os.path.normpath(folder)):12} {len(texts)} texts of {min(tokens)} to {max(tokens)} tokens, {ours.shape[1]} features, "
          f"largest |a-b| = {worst:.2e} (root mean square {np.sqrt(np.square(ours - theirs).mean()):.1e})", flush=True)
sys.exit(bad != 0)
