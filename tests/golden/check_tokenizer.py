#!/usr/bin/env python3
"""Compares token ids, words, places and decoded texts with Hugging Face tokenizers on real texts, on every code point and on hostile ones.

    pip install tokenizers==0.23.3 transformers==5.23.0
    make build/tests/tokenizers_test
    tests/golden/check_tokenizer.py MODEL_FOLDER [DATA_FOLDER] [--data-only]

MODEL_FOLDER has tokenizer.json, vocab.txt or both: each is checked separately on every line and every cell of every text
file below DATA_FOLDER, whole and truncated; tokenizer.json on hostile texts also. Prints the number of texts and of mismatches for each part. The exit status is 1 if there is a mismatch."""
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

BINARY = os.environ.get("TOKENIZERS_TEST", "build/tests/tokenizers_test")
failures = 0


def run(model, texts, limit, mode):
    with tempfile.TemporaryFile() as f:  # a pipe is read as text, which has no NUL bytes
        for b in (t if isinstance(t, bytes) else t.encode() for t in texts):
            f.write(struct.pack("<I", len(b)) + b)
        f.seek(0)
        p = subprocess.run([BINARY, model, str(limit), mode], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        sys.exit(p.stderr.decode())
    return p.stdout, p.stderr.decode().split("\n")[1]


def report(name, texts, ours, theirs, note=""):
    global failures
    bad = [i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b]
    bad += [None] * (len(ours) != len(theirs))
    failures += len(bad)
    print("%-44s %8d texts %6d mismatches  %s" % (name, len(texts), len(bad), note), flush=True)
    for i in bad[:5]:
        print("   ", repr(texts[i])[:200], "\n     ours ", ours[i][:40], "\n     theirs", theirs[i][:40])


def check_ids(name, model, hf, texts, limit=0):
    out, note = run(model, texts, limit, "ids")
    ours = [[int(x) for x in line.split()] for line in out.decode().split("\n")[:-1]]
    hf.no_padding()
    hf.enable_truncation(limit) if limit else hf.no_truncation()
    theirs = [e.ids for e in hf.encode_batch(texts)]
    report(name, texts, ours, theirs, note)


def encoding(e):
    rows = zip(e.ids, e.offsets, e.word_ids, e.type_ids, e.sequence_ids, e.special_tokens_mask)
    return " ".join("%d:%d:%d:%d:%d:%d:%d" % (i, *o, -1 if w is None else w, t, n or 0, s) for i, o, w, t, n, s in rows)


def check_places(name, model, hf, texts, limit=0):
    """Checks one text and pairs of texts, whole and truncated; then their ids are decoded."""
    hf.no_padding()
    for mode, direction in (("places", "right"), ("places-left", "left"), ("places-pair", "right"), ("places-pair-left-bare", "left")):
        inputs = list(zip(texts[::2], texts[1::2])) if "pair" in mode else texts
        flat = [t for pair in inputs for t in pair] if "pair" in mode else texts
        hf.enable_truncation(limit, direction=direction) if limit else hf.no_truncation()
        theirs = [encoding(e) for e in hf.encode_batch(inputs, add_special_tokens="bare" not in mode)]
        out, _ = run(model, flat, limit, mode)
        report("%s, %s" % (name, mode), inputs, out.decode().split("\n")[:-1], theirs)
    hf.no_truncation()
    ids = [e.ids for e in hf.encode_batch(texts)]
    for mode in ("decode", "decode-special"):
        out, _ = run(model, [struct.pack("<%di" % len(i), *i) for i in ids], 0, mode)
        report("%s, %s" % (name, mode), ids, blocks(out), [hf.decode(i, skip_special_tokens=mode == "decode") for i in ids])


def blocks(out):
    at, texts = 0, []
    while at < len(out):
        (n,) = struct.unpack_from("<I", out, at)
        texts.append(out[at + 4 : at + 4 + n].decode())
        at += 4 + n
    return texts


def check_words(name, model, hf, texts):
    out, note = run(model, texts, 0, "words")
    ours, words = [], []
    for word in blocks(out):
        if word:
            words.append(word)
        else:
            ours.append(words)
            words = []
    theirs = [[w for w, _ in hf.pre_tokenizer.pre_tokenize_str(hf.normalizer.normalize_str(t))] for t in texts]
    report(name, texts, ours, theirs)


def variants(model, folder):
    """Returns the same tokenizer with every relevant combination of the normaliser's switches."""
    source = json.load(open(model))
    for clean, chinese, strip, lower in [(1, 1, None, 1), (1, 1, None, 0), (0, 0, True, 0), (0, 1, False, 1), (1, 0, True, 1)]:
        source["normalizer"].update(clean_text=bool(clean), handle_chinese_chars=bool(chinese), strip_accents=strip, lowercase=bool(lower))
        path = os.path.join(folder, "tokenizer.json")
        json.dump(source, open(path, "w"))
        yield "clean %d chinese %d strip %s lower %d" % (clean, chinese, strip, lower), path


def hostile(rng, count, tokens):
    every = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    pools = [every, range(1, 0x250), range(0x300, 0x370), range(0x590, 0x700), range(0x900, 0xE00), range(0x1100, 0x1200),
             range(0x1E00, 0x2100), range(0x3040, 0x3100), range(0x4E00, 0x4F00), range(0xAC00, 0xAD00), range(0xF900, 0xFB50),
             range(0x1D150, 0x1D200), range(0x1F300, 0x1F700), [0x200B, 0x200C, 0x200D, 0xFEFF, 0xFE0F, 0xAD, 0x2028, 0x85, 0xA0],
             [ord(c) for c in "etaoin shrdlu"], [ord(c) for c in "[]<>/#'-_ .,!?"], [0x302E, 0x1D165, 0x1D16E, 0x1D17B, 0x334, 0x345]]
    words = "the of running tokenization unaffable café naïve Ångström İstanbul ﬁne don't U.S. 3.14 日本語 한국어 हिन्दी ไทย עברית".split()
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.25:
                parts.append(rng.choice(words))
            elif kind < 0.45:
                parts.append(rng.choice(tokens))
            elif kind < 0.48:
                parts.append(rng.choice("aé日") * rng.choice([99, 100, 101, 300]))
            else:
                pool = rng.choice(pools)
                parts.append("".join(chr(rng.choice(pool)) for _ in range(rng.randint(1, 10))))
            if rng.random() < 0.6:
                parts.append(rng.choice([" ", "  ", "\t", "\n", "\u3000"]))
        yield "".join(parts)


NORMALIZERS = ["NFD", "NFC", "NFKD", "NFKC", "Lowercase", "StripAccents"]
PRE_TOKENIZERS = [dict(type=t) for t in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")]
PRE_TOKENIZERS += [dict(type="Punctuation", behavior=b) for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")]
PRE_TOKENIZERS += [dict(type="Digits", individual_digits=b) for b in (False, True)]


def check_stages(model, folder, rng):
    """Checks every normaliser alone and some in sequence, on every code point, on all marks in random order and on hostile texts;
    and every pre-tokeniser after them."""
    source = json.load(open(model))
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    moving = [c for c in points if unicodedata.combining(c)] + list("\u1100\u1161\u11a8\uac00\u1112\u1175\u11c2\ud7a3")
    moving += [c for c in points if unicodedata.normalize("NFD", c) != c and not "\uac00" <= c <= "\ud7a3"] + list("aeiouAEIOU") * 30
    runs = ["".join(rng.choice(moving) for _ in range(rng.randint(2, 6))) for _ in range(100000)]
    runs += [rng.choice("aeiouy") + "".join(rng.choice(moving[:900]) for _ in range(rng.randint(1, 4))) for _ in range(100000)]
    path = os.path.join(folder, "tokenizer.json")
    for names in [[n] for n in NORMALIZERS] + [rng.sample(NORMALIZERS + ["BertNormalizer"], 3) for _ in range(4)]:
        kinds = [dict(source["normalizer"], lowercase=False, strip_accents=False) if n == "BertNormalizer" else dict(type=n) for n in names]
        source["normalizer"] = dict(type="Sequence", normalizers=kinds)
        source["pre_tokenizer"] = dict(type="WhitespaceSplit")
        json.dump(source, open(path, "w"))
        hf, name = Tokenizer.from_file(path), " ".join(names)
        for what, texts in (("code points", ["a" + c + "B" for c in points]), ("with marks", ["a\u0345" + c + "\u0334\u0301" for c in points]), ("runs", runs)):
            out, _ = run(path, texts, 0, "normal")
            report("%s, %s" % (name, what), texts, blocks(out), [hf.normalizer.normalize_str(t) for t in texts])
        check_places(name, path, hf, list(hostile(rng, 3000, ["\ufb01", "\u1e9b\u0323"])) + runs[:3000])
        for kind in rng.sample(PRE_TOKENIZERS, 3):
            source["pre_tokenizer"] = dict(type="Sequence", pretokenizers=[rng.choice(PRE_TOKENIZERS), kind])
            json.dump(source, open(path, "w"))
            name = "%s, %s" % (" ".join(names), [v for k in source["pre_tokenizer"]["pretokenizers"] for v in k.values()])
            check_places(name, path, Tokenizer.from_file(path), list(hostile(rng, 3000, ["1", "12", "!?", "\u2167x"])))
        source = json.load(open(model))
    for kind in PRE_TOKENIZERS:
        source.update(pre_tokenizer=kind, normalizer=None)
        json.dump(source, open(path, "w"))
        check_places("code points, %s" % list(kind.values()), path, Tokenizer.from_file(path), [c + "a" + c + c + "b" for c in points])


def odd_added_tokens(model, folder, rng):
    """Returns tokens with every combination of flags, overlapping, new and old."""
    source = json.load(open(model))
    contents = ["<x>", "<xy>", "x", "word", "<X>", "café", " lead", "trail ", "..", "é", "日本", "the", "[new]", "İ", "a b", "##x", "W"]
    for round in range(12):
        added = source["added_tokens"][:]
        for content in rng.sample(contents, 8):
            f = [rng.random() < 0.4 for _ in range(5)]
            added.append(dict(id=0, content=content, single_word=f[0], lstrip=f[1], rstrip=f[2], normalized=f[3], special=f[4]))
        path = os.path.join(folder, "tokenizer.json")
        json.dump(dict(source, added_tokens=added), open(path, "w"))
        yield "added tokens, round %d" % round, path, contents


def forms(folder, scratch):
    """Returns the tokenizers of the folder: tokenizer.json unchanged; vocab.txt as transformers uses it if there is no tokenizer.json."""
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        yield "tokenizer.json", folder, Tokenizer.from_file(path)
    if os.path.exists(os.path.join(folder, "vocab.txt")):
        for name in ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "config.json"):
            if os.path.exists(os.path.join(folder, name)):
                shutil.copy(os.path.join(folder, name), scratch)
        yield "vocab.txt", scratch, AutoTokenizer.from_pretrained(scratch).backend_tokenizer


def text_files(folder):
    """Returns every UTF-8 file below the folder. Images and arrays are recognised by their content and left out."""
    for root, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(root, name)
            data = open(path, "rb").read()
            if b"\0" in data[:4096] or data[:2] == b"\xff\xd8":
                continue
            try:
                lines = data.decode().split("\n")
            except UnicodeDecodeError:
                lines = data.decode("latin-1").split("\n")
            yield os.path.relpath(path, folder), sorted({cell for line in lines for cell in re.split(r"[\t|]", line)} | set(lines))


def check_data(folder, data, scratch):
    for form, model, hf in forms(folder, scratch):
        texts = set()
        for name, some in text_files(data):
            check_ids("%s, %s" % (form, name), model, hf, some)
            texts |= set(some)
        texts = sorted(texts)
        check_places("%s, all of them" % form, model, hf, texts)
        for limit in (384, 256, 16):
            check_ids("%s, all of them, at most %d" % (form, limit), model, hf, texts, limit)


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    folder = arguments[0]
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as tmp:
        if len(arguments) > 1:
            check_data(folder, arguments[1], tmp)
        if "--data-only" not in sys.argv:
            check_hostile(folder, tmp, rng)
            check_stages(os.path.join(folder, "tokenizer.json"), tmp, rng)
    sys.exit(failures > 0)


def check_hostile(folder, tmp, rng):
    model = os.path.join(folder, "tokenizer.json")
    hf = Tokenizer.from_file(model)
    tokens = [t["content"] for t in json.load(open(model))["added_tokens"]]
    tokens += [t.upper() for t in tokens] + ["[MASK]", "<mask>", " <mask> "]
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for name, path in variants(model, tmp):
        changed = Tokenizer.from_file(path)
        check_words("code points, " + name, path, changed, ["a" + c + "B" for c in points])
        check_words("with marks, " + name, path, changed, ["a\u0345" + c + "\u0334\u0301" for c in points])
        check_words("hostile words, " + name, path, changed, list(hostile(rng, 5000, tokens)))
    check_ids("hostile", folder, hf, list(hostile(rng, 30000, tokens)))
    check_ids("hostile, at most 12", folder, hf, list(hostile(rng, 10000, tokens)), 12)
    check_places("hostile", folder, hf, list(hostile(rng, 10000, tokens)))
    check_places("hostile, at most 12", folder, hf, list(hostile(rng, 5000, tokens)), 12)
    for name, path, contents in odd_added_tokens(model, tmp, rng):
        changed = Tokenizer.from_file(path)
        check_ids(name, path, changed, list(hostile(rng, 3000, contents + tokens)))
        check_places(name, path, changed, list(hostile(rng, 1000, contents + tokens)))


main()
