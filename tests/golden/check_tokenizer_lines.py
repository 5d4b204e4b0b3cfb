#!/usr/bin/env python3
"""Compares ids and places of many lines with Hugging Face's tokenizers and with sentencepiece, for every kind of tokenizer at full size.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
    make build/tests/tokenizers_test sapor
    tests/golden/check_tokenizer_lines.py [--lines 1000000] [--data FOLDER] [--clip bpe_simple_vocab_16e6.txt.gz] [--qwen qwen.tiktoken]
        [--wordpiece tokenizer.json] [--kinds NAME ...] [--models FOLDER] [--from N] [--to N]

Nothing is downloaded: --data has text files, the others are vocabularies (tokenizer_kinds.py). Ids are compared with encode_batch_fast, places,
words, types and masks with encode_batch; where a line is UTF-8 without line ends and NUL bytes, also the ids that `sapor tokenize` prints. Lines of bytes that are not
UTF-8 are compared with Python's errors="replace". The lines are the same for every kind: they depend on --seed and --lines only. --from and --to
(multiples of 10000) run a part of the lines. Prints lines and mismatches per kind. The exit status is 1 if there is a mismatch."""
import argparse
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata

import sentencepiece
import tokenizer_kinds
from tokenizers import Tokenizer

BLOCK = 10000
EVERY = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
SCRIPTS = [ # first and last code point; those that are not assigned are left out
    (0x41, 0x7A), (0xC0, 0x24F), (0x250, 0x2AF), (0x370, 0x3FF), (0x1F00, 0x1FFF), (0x400, 0x52F), (0x531, 0x58A), (0x5B0, 0x5F4), (0x600, 0x6FF),
    (0x750, 0x77F), (0xFB50, 0xFDFF), (0x700, 0x74F), (0x780, 0x7B1), (0x7C0, 0x7FA), (0x800, 0x83E), (0x900, 0x97F), (0x980, 0x9FE), (0xA01, 0xA76),
    (0xA81, 0xAFF), (0xB01, 0xB77), (0xB82, 0xBFA), (0xC00, 0xC7F), (0xC80, 0xCF2), (0xD00, 0xD7F), (0xD81, 0xDF4), (0xE01, 0xE5B), (0xE81, 0xEDF),
    (0xF00, 0xFDA), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0xAC00, 0xD7A3), (0x1200, 0x139F), (0x13A0, 0x13FD), (0x1400, 0x167F),
    (0x1680, 0x169C), (0x16A0, 0x16F8), (0x1700, 0x1773), (0x1780, 0x17F9), (0x1800, 0x18AA), (0x1900, 0x194F), (0x1950, 0x19DF), (0x1A20, 0x1AAD),
    (0x1B00, 0x1B7F), (0x1B80, 0x1C4F), (0x1C50, 0x1C7F), (0x1E00, 0x1EFF), (0x2C00, 0x2C5F), (0x2C80, 0x2CFF), (0x2D30, 0x2D7F), (0x3041, 0x309F),
    (0x30A0, 0x30FF), (0x3105, 0x312F), (0x3131, 0x318E), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4C6), (0xA4D0, 0xA62B), (0xA6A0, 0xA6F7),
    (0xA880, 0xA8D9), (0xA900, 0xA95F), (0xA980, 0xA9DF), (0xAA00, 0xAA5F), (0xABC0, 0xABF9), (0xF900, 0xFAD9), (0xFF01, 0xFFDC), (0x10000, 0x100FA),
    (0x10330, 0x1034A), (0x10400, 0x104FF), (0x11000, 0x1107F), (0x11100, 0x11147), (0x11680, 0x116C9), (0x12000, 0x123FF), (0x13000, 0x1342F),
    (0x1E900, 0x1E95F), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF)]
MARKS = [chr(c) for c in EVERY if unicodedata.category(chr(c))[0] == "M"]
CONTROLS = [chr(c) for c in EVERY if unicodedata.category(chr(c)) in ("Cc", "Cf", "Zl", "Zp", "Zs")]
WORDS = """the of running tokenization unaffable café naïve Ångström İstanbul ﬁne don't I'LL we'Ve they're U.S. 3.14 1,000,000 a_b user@example.com
https://example.com/a?b=c&d=%20 C++ f(x)=x² H₂O ½ Ⅷ № ™ ﷺ ß ẞ ŉ ǆ straße weiß ΑΣ όσος ﬀﬁﬂ e\u0301\u0323 q\u0307\u0323 각 한국어 日本語 中文 हिन्दी ไทย עִבְרִית العَرَبِيَّة ქართული
<|endoftext|> <|startoftext|> <|im_start|> <s> </s> <unk> <mask> [CLS] [MASK] [UNK] ##s </w> <0x41> ▁ ▁▁the Ġ""".split()
RIGHT_TO_LEFT = [*range(0x5D0, 0x5EB), *range(0x620, 0x64B), *range(0x710, 0x730), *range(0x780, 0x7A6), *range(0x7CA, 0x7EB)]
DIRECTIONS = [chr(c) for c in (0x200E, 0x200F, 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\r\n", "\r", " \u00a0", "\u3000", "\u2003", "\u2028", "\u0085", "\n", "\n\n ", " \n \n"]


# ---- lines ------------------------------------------------------------------------------------------------------------------

def letters(r, low, high, n):
    some = [chr(r.randint(low, high)) for _ in range(n)]
    return "".join(c for c in some if unicodedata.category(c) not in ("Cn", "Co", "Cs"))


def script(r):
    low, high = r.choice(SCRIPTS)
    words = [letters(r, low, high, r.randint(1, 9)) for _ in range(r.randint(1, 12))]
    return "".join(w + r.choice([" ", " ", " ", ", ", ". ", "! ", "-", " 12 "]) for w in words)


def emoji(r):
    one = lambda: chr(r.choice([r.randint(0x1F300, 0x1FAFF), r.randint(0x2600, 0x27BF)]))  # noqa: E731
    parts = [lambda: one() + chr(r.randint(0x1F3FB, 0x1F3FF)), lambda: "\u200d".join(one() + r.choice(["", "\ufe0f"]) for _ in range(r.randint(2, 4))),
             lambda: chr(r.randint(0x1F1E6, 0x1F1FF)) + chr(r.randint(0x1F1E6, 0x1F1FF)), lambda: r.choice("0123456789#*") + "\ufe0f\u20e3",
             lambda: "\U0001f3f4" + "".join(chr(r.randint(0xE0061, 0xE007A)) for _ in range(5)) + "\U000e007f", one, lambda: one() * r.randint(2, 5),
             lambda: r.choice(WORDS)]
    return "".join(r.choice(parts)() + r.choice(["", "", " "]) for _ in range(r.randint(1, 8)))


def marked(r):
    base = lambda: r.choice([r.choice("aeiouyAEIOUsnNc"), chr(r.randint(*r.choice(SCRIPTS))), r.choice("\u1100\u1161\u11a8\uac00\u1112\u1175\u11c2\ud7a3")])  # noqa: E731
    return "".join(base() + "".join(r.choice(MARKS) for _ in range(r.randint(0, 4))) + r.choice(["", "", " "]) for _ in range(r.randint(1, 12)))


def right_to_left(r):
    words = ["".join(chr(r.choice(RIGHT_TO_LEFT)) + r.choice(["", "", "", chr(r.randint(0x5B0, 0x5BD)), chr(r.randint(0x64B, 0x652))])
                     for _ in range(r.randint(1, 8))) for _ in range(r.randint(1, 8))]
    return "".join(w + r.choice([" ", " ", "، ", r.choice(DIRECTIONS), " 123 ", " abc "]) for w in words)


def chinese(r):
    pools = [(0x4E00, 0x9FFF), (0x4E00, 0x4FFF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0xAC00, 0xD7A3), (0x3400, 0x4DBF), (0x3000, 0x303F), (0xFF01, 0xFF9D), (0x20000, 0x2A6DF), (0x61, 0x7A)]
    return "".join(letters(r, *r.choice(pools), r.randint(1, 8)) + r.choice(["", "", "。", "、", " ", "「", "」", "1"]) for _ in range(r.randint(1, 10)))


def controlled(r):
    return "".join(r.choice([r.choice(WORDS), r.choice(CONTROLS), r.choice(CONTROLS) * r.randint(1, 4), r.choice(SPACES)]) for _ in range(r.randint(1, 14)))


def any_unicode(r):
    return "".join(chr(r.choice(EVERY)) for _ in range(r.randint(1, 24)))


def mixed(r):
    parts = []
    for _ in range(r.randint(1, 12)):
        n = r.random()
        if n < 0.45:
            parts.append(r.choice(WORDS))
        elif n < 0.5:
            parts.append(r.choice(["a", "é", "日", "ab", "'s", " ", "e", "!", "1", "\u0301", "😀"]) * r.choice([3, 39, 40, 41, 99, 100, 101, 128, 300]))
        elif n < 0.55:
            parts.append("".join(r.choice("etaoinsrhl") for _ in range(r.choice([20, 45, 200]))))
        else:
            parts.append(letters(r, *r.choice(SCRIPTS), r.randint(1, 8)))
        parts.append(r.choice(SPACES + [""] * 8))
    return "".join(parts)


def invalid(r):
    kind = r.random()
    if kind < 0.3:
        return bytes(r.randrange(256) for _ in range(r.randint(1, 30)))
    data = bytearray(r.choice([mixed, script, emoji, marked])(r).encode())
    for _ in range(r.randint(1, 6)):
        at = r.randrange(len(data) + 1)
        bad = r.choice([b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xff", b"\xfe", b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xf5\x80"])
        if r.random() < 0.5:
            data[at:at] = bad
        else:
            del data[at:at + 1]
    return bytes(data)


def code_points():
    """Returns every code point alone between letters, in lines of 16, in an order in which near and distant code points are neighbours."""
    r = random.Random(1)
    order = EVERY[:]
    r.shuffle(order)
    for list_ in (EVERY, order):
        for i in range(0, len(list_), 16):
            yield " ".join("a" + chr(c) + "b" for c in list_[i:i + 16])


DRAWN = [(script, 26), (emoji, 7), (marked, 12), (right_to_left, 6), (chinese, 10), (controlled, 6), (any_unicode, 12), (mixed, 14), (invalid, 7)]


def data_texts(folder):
    """Returns the cells and lines of the text files that have a letter, without duplicates."""
    texts = set()
    for root, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            data = open(os.path.join(root, name), "rb").read()
            if b"\0" in data[:4096] or data[:2] == b"\xff\xd8":
                continue
            for line in data.decode("utf-8", "replace").split("\n"):
                if re.search("[^\\W\\d_]{2}", line):
                    texts.update([line, *re.split(r"[\t|]", line)])
    return sorted(t for t in texts if t)


def lines_of(a):
    """Yields blocks of lines, as (number of the first, lines): texts of the data, every code point, then drawn lines."""
    texts = data_texts(a.data) if a.data else []
    random.Random(2).shuffle(texts)
    texts = texts[:a.lines // 5]
    fixed = texts + list(code_points())
    rng = random.Random(a.seed)
    kinds = [k for k, n in DRAWN for _ in range(n)]
    for begin in range(0, a.lines, BLOCK):
        block = fixed[begin:begin + BLOCK]
        r = random.Random(rng.random())
        if a.first <= begin < a.end:
            block += [r.choice(kinds)(r) for _ in range(min(BLOCK, a.lines - begin) - len(block))]
            yield begin, block[:a.lines - begin]


# ---- comparison -------------------------------------------------------------------------------------------------------------

def run(model, blobs, mode):
    with tempfile.TemporaryFile() as f:
        for b in blobs:
            f.write(struct.pack("<I", len(b)) + b)
        f.seek(0)
        p = subprocess.run([os.environ.get("TOKENIZERS_TEST", "build/tests/tokenizers_test"), model, "0", mode], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        sys.exit(p.stderr.decode())
    return p.stdout.decode().split("\n")[:-1]


def printed(model, blobs, texts):
    """Returns the output of `sapor tokenize` by line number, for lines that its files may have. A byte order mark in a first line is kept."""
    plain = [i for i, (b, t) in enumerate(zip(blobs, texts)) if b == t.encode() and not re.search(b"[\r\n\0]", b)]
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"x\n" + b"".join(blobs[i] + b"\n" for i in plain))
        f.flush()
        p = subprocess.run([os.environ.get("SAPOR", "./sapor"), "tokenize", model, f.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        sys.exit(p.stderr.decode())
    return dict(zip(plain, p.stdout.decode().split("\n")[1:-1], strict=True))


def encoding(e):
    rows = zip(e.ids, e.offsets, e.word_ids, e.type_ids, e.sequence_ids, e.special_tokens_mask)
    return " ".join("%d:%d:%d:%d:%d:%d:%d" % (i, *o, -1 if w is None else w, t, n or 0, s) for i, o, w, t, n, s in rows)


def joined(ids):
    return " ".join(map(str, ids))


class HuggingFace:
    def __init__(self, path):
        self.t = Tokenizer.from_file(path)
        self.t.no_padding()
        self.t.no_truncation()

    def rows(self, texts):
        fast = [joined(e.ids) for e in self.t.encode_batch_fast(texts)]
        return fast, [encoding(e) for e in self.t.encode_batch(texts)]


class SentencePiece:
    """A .model file: ids only. sentencepiece accepts every character in a text, but counts bytes that are not UTF-8 differently: they are
    replaced before."""
    def __init__(self, path):
        self.t = sentencepiece.SentencePieceProcessor(model_file=path)

    def rows(self, texts):
        return [joined(i) for i in self.t.encode(texts)], None


class Kind:
    def __init__(self, name, path):
        self.name, self.path, self.lines, self.seconds = name, path, 0, 0
        self.theirs = (SentencePiece if path.endswith(".model") else HuggingFace)(path)
        self.bad = {"ids": 0, "sapor tokenize": 0} | ({} if path.endswith(".model") else {"places": 0})

    def check(self, begin, blobs, texts):
        begun = time.time()
        fast, places = self.theirs.rows(texts)
        found = [("ids", dict(enumerate(x.rstrip() for x in run(self.path, blobs, "ids"))), fast), ("sapor tokenize", printed(self.path, blobs, texts), fast)]
        if places:
            found.append(("places", dict(enumerate(run(self.path, blobs, "places"))), places))
        for what, ours, expected in found:
            assert what == "sapor tokenize" or len(ours) == len(texts), (what, len(ours))
            for i, x in ours.items():
                if x != expected[i]:
                    self.bad[what] += 1
                    if self.bad[what] <= 3:
                        print("  %s, line %d, %s: %s\n     ours   %s\n     theirs %s" % (self.name, begin + i, what, ascii(texts[i])[:300], x[:200], expected[i][:200]))
        self.lines += len(texts)
        self.seconds += time.time() - begun

    def __str__(self):
        return "%-16s %8d lines   mismatches: %s   (%.0f s)" % (self.name, self.lines, ", ".join("%s %d" % b for b in self.bad.items()), self.seconds)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lines", type=int, default=1000000)
    p.add_argument("--from", type=int, default=0, dest="first")
    p.add_argument("--to", type=int, default=1 << 40, dest="end")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--data")
    p.add_argument("--clip")
    p.add_argument("--qwen")
    p.add_argument("--wordpiece", help="a published tokenizer.json, besides the trained one")
    p.add_argument("--kinds", nargs="*")
    p.add_argument("--models", help="a folder that keeps the trained tokenizers")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = a.models or scratch
        os.makedirs(folder, exist_ok=True)
        r = random.Random(3)
        corpus = (data_texts(a.data) if a.data else [])[:20000] + [k(r) for k in (script, mixed, chinese, right_to_left) for _ in range(3000)]
        models = {name: tokenizer_kinds.make(name, folder, corpus, vars(a)) for name in tokenizer_kinds.KINDS if not a.kinds or name in a.kinds}
        models |= {name: os.path.join(folder, name) for name in ("unigram.model", "bpe.model") if os.path.exists(os.path.join(folder, name))
                   and (not a.kinds or name in a.kinds)}
        models |= {"published": a.wordpiece} if a.wordpiece and (not a.kinds or "published" in a.kinds) else {}
        kinds = [Kind(name, path) for name, path in models.items() if path]
        for begin, lines in lines_of(a):
            blobs = [x if isinstance(x, bytes) else x.encode() for x in lines]
            texts = [b.decode("utf-8", "replace") for b in blobs]
            for kind in kinds:
                kind.check(begin, blobs, texts)
            if (begin // BLOCK + 1) % 10 == 0:
                print("\n".join(map(str, kinds)), file=sys.stderr, flush=True)
    for name, path in models.items():
        if not path:
            print("%-16s skipped: --%s not given" % (name, tokenizer_kinds.NEEDS[name]))
    print("\n".join(map(str, kinds)))
    sys.exit(any(n for k in kinds for n in k.bad.values()))


main()
