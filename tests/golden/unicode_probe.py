#!/usr/bin/env python3
"""Asks the Hugging Face tokenizers about every code point and writes tokenizers/unicode_tables.h.

    pip install tokenizers==0.23.3        (what the committed table was made with; Python 3.11)
    tests/golden/unicode_probe.py > tokenizers/unicode_tables.h

The fast tokenizers mix Unicode versions: unicode_categories for punctuation, marks and "other", an old unicode-normalization
for NFD, Rust's own for lower case and white space, regex-syntax for \\w. So every property is what they do, not what a
standard says. Decompositions and combining classes never change once assigned, so they come from utf8proc; the table only
says for which code points (KNOWN), and the answer does not depend on utf8proc's version.
tests/golden/check_tokenizer.py proves all of it on every code point."""
import unicodedata

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
DROP, SPACE, CLEAN, PUNCT, MARK, KNOWN = 1, 2, 4, 8, 16, 32
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]

bert = normalizers.BertNormalizer
clean, chinese = bert(True, False, False, False), bert(False, True, False, False)
accents, lower = bert(False, False, True, False), bert(False, False, False, True)
nfd, split = normalizers.NFD(), pre_tokenizers.BertPreTokenizer()
word = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
word.add_tokens([AddedToken("|", single_word=True, normalized=False)])
strip = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
strip.add_tokens([AddedToken("|", rstrip=True, normalized=False)])


def flags_of(c):
    ch, flags = chr(c), 0
    cleaned = clean.normalize_str("a" + ch + "b")
    assert cleaned in ("ab", "a b", "a" + ch + "b"), hex(c)
    flags |= DROP if cleaned == "ab" else CLEAN if cleaned == "a b" else 0
    words = [w for w, _ in split.pre_tokenize_str("a" + ch + "b")]
    assert words in (["a", "b"], ["a", ch, "b"], ["a" + ch + "b"]), hex(c)
    flags |= SPACE if words == ["a", "b"] else PUNCT if len(words) == 3 else 0
    assert (strip.encode("|" + ch).offsets[0][1] == 2) == bool(flags & SPACE), hex(c)
    alone = nfd.normalize_str(ch)
    combines = alone == ch and any(nfd.normalize_str(s) != s for s in ("x\u0345" + ch, "x" + ch + "\u0334"))
    stripped = accents.normalize_str("a" + ch)
    flags |= MARK if alone == ch and stripped == "a" else 0
    if alone != ch or combines:
        flags |= KNOWN
    elif unicodedata.category(ch) != "Cn" and unicodedata.normalize("NFD", ch) == ch and not unicodedata.combining(ch):
        flags |= 2 * KNOWN  # nothing to know: either answer will do
    return flags


def flag_ranges():
    out = []
    for c in ALL:
        f = flags_of(c)
        last = out[-1][1] if out else 0
        f = f & ~(2 * KNOWN) | (last & KNOWN if f & 2 * KNOWN else 0)
        if not out or f != last:
            out.append((c, f))
    return out


def word_bounds():
    out, inside = [], False
    for c in ALL:
        now = c != ord("|") and len([t for t in word.encode(chr(c) + "|").tokens if t == "|"]) == 0
        if now != inside:
            out.append(c)
            inside = now
    return out + ([0x110000] if inside else [])


def lower_ranges():
    """(first, last, step, delta): first, first + step, ..., last become themselves + delta."""
    out = []
    for c in ALL:
        low = lower.normalize_str(chr(c))
        if low == chr(c) or c == 0x130:
            continue
        assert len(low) == 1, hex(c)
        delta = ord(low) - c
        if out and out[-1][3] == delta and c - out[-1][1] in (1, 2) and out[-1][2] in (0, c - out[-1][1]):
            out[-1] = (out[-1][0], c, c - out[-1][1], delta)
        else:
            out.append((c, c, 0, delta))
    return [(a, b, s or 1, d) for a, b, s, d in out]


def print_list(head, items):
    print(head)
    line = "   "
    for item in items:
        if len(line) + len(item) > 122:
            print(line)
            line = "   "
        line += " " + item
    print(line + "\n};")


assert lower.normalize_str("\u0130") == "i\u0307"
pads = [c for c in ALL if chinese.normalize_str(chr(c)) != chr(c)]
chinese_ranges = []
for c in pads:
    assert chinese.normalize_str(chr(c)) == " " + chr(c) + " "
    if chinese_ranges and chinese_ranges[-1][1] == c - 1:
        chinese_ranges[-1] = (chinese_ranges[-1][0], c)
    else:
        chinese_ranges.append((c, c))

print("/* tokenizers/unicode_tables.h: how Hugging Face tokenizers %s treat every code point. Made by\n"
      " * tests/golden/unicode_probe.py; do not edit. */" % tokenizers.__version__)
print("/* clang-format off */")
print("/* Flags hold from their code point to the next. DROP 1: removed by clean_text. SPACE 2: white space. CLEAN 4: made a\n"
      " * space by clean_text. PUNCT 8: a word of its own. MARK 16: removed with accents. KNOWN 32: NFD may change or move\n"
      " * it. */")
print_list("static const struct { uint32_t from; uint8_t flags; } FLAGS[] = {", ["{0x%x,%d}," % r for r in flag_ranges()])
print("/* Lower case: from, from + step, ..., to become themselves + delta. U+0130 alone becomes two, i and U+0307. */")
print_list("static const struct { uint32_t from, to; int32_t step, delta; } LOWER[] = {", ["{0x%x,0x%x,%d,%d}," % r for r in lower_ranges()])
print("/* Characters that get a space on either side (handle_chinese_chars), both ends included. */")
print_list("static const struct { uint32_t from, to; } CHINESE[] = {", ["{0x%x,0x%x}," % r for r in chinese_ranges])
print("/* \\w: from an even entry up to the odd one behind it. */")
print_list("static const uint32_t WORD[] = {", ["0x%x," % c for c in word_bounds()])
