#!/usr/bin/env python3
"""Asks the Hugging Face tokenizers about every code point and writes tokenizers/unicode_tables.h.

    pip install tokenizers==0.23.3        (what the committed table was made with; Python 3.11)
    tests/golden/unicode_probe.py > tokenizers/unicode_tables.h

The fast tokenizers mix Unicode versions: unicode_categories for punctuation, marks and "other", an old unicode-normalization
for the normal forms, Rust's own for lower case, white space and numbers, regex-syntax for \\w, Oniguruma for \\p{L} and \\p{N}. So every property is what they
do, not what a standard says. Combining classes and the first step of a decomposition never change once assigned: they come
from Python, for those code points that the fast tokenizers know. tests/golden/check_tokenizer.py proves all of it on every
code point."""
import struct
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
DROP, SPACE, CLEAN, PUNCT, MARK, NFD = 1, 2, 4, 8, 16, 32
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]

bert = normalizers.BertNormalizer
clean, chinese = bert(True, False, False, False), bert(False, True, False, False)
accents, lower = bert(False, False, True, False), bert(False, False, False, True)
nfd, nfc, nfkd, split = normalizers.NFD(), normalizers.NFC(), normalizers.NFKD(), pre_tokenizers.BertPreTokenizer()
marks, numbers = normalizers.StripAccents(), pre_tokenizers.Digits(True)
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
        flags |= NFD
    elif unicodedata.category(ch) != "Cn" and unicodedata.normalize("NFD", ch) == ch and not unicodedata.combining(ch):
        flags |= 2 * NFD  # not determined: either answer is right
    return flags


def flag_ranges():
    out = []
    for c in ALL:
        f = flags_of(c)
        last = out[-1][1] if out else 0
        f = f & ~(2 * NFD) | (last & NFD if f & 2 * NFD else 0)
        if not out or f != last:
            out.append((c, f))
    return out


def bounds(holds):
    """Returns the code points at which a property begins and ends."""
    out, inside = [], False
    for c in ALL:
        now = holds(chr(c))
        if now != inside:
            out.append(c)
            inside = now
    return out + ([0x110000] if inside else [])


def is_word(ch):
    return ch != "|" and "|" not in word.encode(ch + "|").tokens


def is_mark(ch):
    return marks.normalize_str("a" + ch) == "a"


def is_number(ch):
    return len(numbers.pre_tokenize_str("a" + ch + "b")) == 3


# A charsmap with a rule for every first byte: "Z" replaces a grapheme cluster of up to five bytes, and each character of a longer one.
clusters = normalizers.Precompiled(struct.pack("<I512I", 2048, *(c and (256 << 10 | 1 << 8 | c) for c in range(256)), *[0] * 256) + b"Z\0")


def cluster_steps():
    """Returns [(first code point, flags)] of grapheme clusters: 1: whether it joins the text before differs from MARK, 2 PREPENDS, 4 CONTROL."""
    out = [(0, 4)]
    for c in ALL[1:]:
        ch, rest = chr(c), "\u0301" if c < 0x10000 else "\u0301\u0323"
        joins = len(clusters.normalize_str("a" + ch)) == 1
        prepends = len(clusters.normalize_str(ch + "a")) == 1
        control = len(clusters.normalize_str(ch + rest)) == 2
        flags = (joins != is_mark(ch)) | 2 * prepends | 4 * control
        if flags != out[-1][1]:
            out.append((c, flags))
    return out


def utf16(text):
    data = text.encode("utf-16-le")
    return tuple(data[i] | data[i + 1] << 8 for i in range(0, len(data), 2))


def decompositions():
    """Returns (code point, units of its parts, whether for compatibility), without Hangul syllables. In a canonical form, a part with
    a compatibility form is not replaced."""
    out = []
    for c in ALL:
        ch = chr(c)
        canonical, compatible = nfd.normalize_str(ch), nfkd.normalize_str(ch)
        if 0xAC00 <= c <= 0xD7A3:
            assert canonical == compatible == unicodedata.normalize("NFD", ch)
            continue
        if canonical != ch:
            out.append((c, utf16(canonical), False))
            assert "".join(nfkd.normalize_str(p) for p in canonical) == compatible, hex(c)
        elif compatible != ch:
            out.append((c, utf16(compatible), True))
        if canonical != ch or compatible != ch:
            assert nfkd.normalize_str(compatible) == compatible and nfd.normalize_str(compatible) == compatible, hex(c)
    return out


def pool_of(parts):
    """Joins all lists of units into one, each once, inside another list if possible. Returns it, and where each list begins."""
    pool, text, at = [], "", {}
    for p in sorted(set(parts), key=lambda p: (-len(p), p)):
        key = "".join("%04x" % u for u in p)
        i = text.find(key)
        while i >= 0 and i % 4:
            i = text.find(key, i + 1)
        if i < 0:
            i = len(text)
            text += key
        at[p] = i // 4
    pool = [int(text[i : i + 4], 16) for i in range(0, len(text), 4)]
    assert len(pool) < 65536
    return pool, at


def runs_of(table):
    """Returns [(first code point, units of all its parts, number of units of each, whether for compatibility)]: code points that follow each other
    and have as many units each. Short runs share more of the pool; 64 makes the smallest tables."""
    out = []
    for c, parts, compatible in table:
        first, units, n, kind = out[-1] if out else (0, (), 1, None)
        count = len(units) // n
        if c == first + count and (c >> 16, len(parts), compatible) == (first >> 16, n, kind) and count < 64:
            out[-1] = (first, units + parts, n, kind)
        else:
            out.append((c, parts, len(parts), compatible))
    return out


def class_steps():
    """Returns (code point, combining class from there on). A class is found from the reordering of a mark."""
    known = [ch for ch in map(chr, ALL) if unicodedata.combining(ch) and nfd.normalize_str(ch) == ch and
             (nfd.normalize_str("x\u0345" + ch) != "x\u0345" + ch or nfd.normalize_str("x" + ch + "\u0334") != "x" + ch + "\u0334")]
    known = dict.fromkeys(known)
    mark_of = {unicodedata.combining(ch): ch for ch in reversed(known)}
    out = [(0, 0)]
    for c in ALL:
        ch = chr(c)
        k = unicodedata.combining(ch) if ch in known else 0
        if k:
            for other, m in mark_of.items():
                assert nfd.normalize_str("x" + m + ch) == ("x" + ch + m if k < other else "x" + m + ch), hex(c)
        if k != out[-1][1]:
            out.append((c, k))
    return out


def compositions():
    out = []
    for c in ALL:
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            a, b = (int(p, 16) for p in parts)
            if nfc.normalize_str(chr(a) + chr(b)) == chr(c):
                out.append((a, b, c))
    return sorted(out)


def lower_ranges():
    """Returns [(first, last, step, delta)]: the lower case of first, first + step, ..., last is the code point plus delta."""
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


def matches(expression):
    one = pre_tokenizers.Split(Regex(expression), "removed")
    return lambda ch: one.pre_tokenize_str("#" + ch)[-1][1] == (0, 1)


is_letter, is_digit = matches(r"\p{L}"), matches(r"\p{N}")


def letter_differs(ch):
    return is_letter(ch) != (is_word(ch) and not is_mark(ch) and not is_number(ch))


def number_differs(ch):
    return is_digit(ch) != is_number(ch)


def print_list(head, items):
    print(head)
    line = "   "
    for item in items:
        if len(line) + len(item) > 500:
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

runs = runs_of(decompositions())
pool, place = pool_of([units for _, units, _, _ in runs])
pairs = compositions()
print("/* tokenizers/unicode_tables.h: how Hugging Face tokenizers %s treat every code point. Made by\n"
      " * tests/golden/unicode_probe.py; do not edit. */" % tokenizers.__version__)
print("/* clang-format off */")
print(r"""/* Entries are (code point << 8 | flags). The flags apply from this code point up to the code point of the next entry.
 *
 *   DROP 1     removed by clean_text
 *   SPACE 2    white space
 *   CLEAN 4    replaced by a space by clean_text
 *   PUNCT 8    a word of its own
 *   MARK 16    removed with accents
 *   NFD 32     the normal form NFD may replace or reorder it */""")
print_list("static const uint32_t FLAGS[] = {", ["0x%x," % (c << 8 | f) for c, f in flag_ranges()])
print(r"""/* An entry is for the code points `from`, `from` + `step`, ..., `to`. The lower case of each is the code point plus
 * `delta`. U+0130 is not in the table: its lower case has two code points, i and U+0307. */""")
print_list("static const struct { uint32_t from, to; int32_t step, delta; } LOWER[] = {", ["{0x%x,0x%x,%d,%d}," % r for r in lower_ranges()])
print(r"""/* Ranges of characters that handle_chinese_chars puts between two spaces. `from` and `to` are included. */""")
print_list("static const struct { uint32_t from, to; } CHINESE[] = {", ["{0x%x,0x%x}," % r for r in chinese_ranges])
print(r"""/* The code points of \w. The entries are sorted bounds: an entry with an even index is the first code point of a range,
 * and the next entry is the first code point after the range. */""")
print_list("static const uint32_t WORD[] = {", ["0x%x," % c for c in bounds(is_word)])
print(r"""/* The combining marks, and the numbers, as bounds in the same form. */""")
print_list("static const uint32_t MARK[] = {", ["0x%x," % c for c in bounds(is_mark)])
print_list("static const uint32_t NUMBER[] = {", ["0x%x," % c for c in bounds(is_number)])
print(r"""/* \p{L} and \p{N} of regular expressions (Oniguruma) are derived from the tables above, with exceptions:
 * - \p{L}: in \w, but no mark and no number. If the code point is in LETTER_NOT, the opposite holds.
 * - \p{N}: a number. If the code point is in NUMBER_NOT, the opposite holds.
 *
 * Both tables are bounds in the same form. */""")
print_list("static const uint32_t LETTER_NOT[] = {", ["0x%x," % c for c in bounds(letter_differs)])
print_list("static const uint32_t NUMBER_NOT[] = {", ["0x%x," % c for c in bounds(number_differs)])
print(r"""/* Entries are (code point << 8 | flags of grapheme clusters), up to the code point of the next entry.
 *
 *   JOINS 1      A character joins the cluster before it if it is a combining mark. With this flag it is the opposite:
 *                a mark does not join, another character does.
 *   PREPENDS 2   the next character joins the cluster of this character
 *   CONTROL 4    the character is a cluster of its own */""")
print_list("static const uint32_t CLUSTER[] = {", ["0x%x," % (c << 8 | f) for c, f in cluster_steps()])
print(r"""/* Entries are (code point << 8 | combining class), up to the code point of the next entry. */""")
print_list("static const uint32_t CLASS[] = {", ["0x%x," % (c << 8 | k) for c, k in class_steps()])
print(r"""/* Decompositions, without those of Hangul syllables. An entry of FORM describes `count` code points in sequence:
 * - `from`: the low 16 bits of the first code point. The entries of plane p are FORM[FORM_PLANE[p]] to
 *   FORM[FORM_PLANE[p + 1] - 1].
 * - `units`: the length of each decomposition, in units of UTF-16. Bit 0x80 is set if the decompositions are for
 *   compatibility only.
 * - `at`: the first decomposition begins at FORM_UNITS[at]; the others follow it. */""")
planes = [sum(c >> 16 < p for c, _, _, _ in runs) for p in range(18)]
print_list("static const uint16_t FORM_PLANE[] = {", ["%d," % n for n in planes])
print_list("static const struct { uint16_t from, at; uint8_t count, units; } FORM[] = {",
           ["{0x%x,%d,%d,%d}," % (c & 0xFFFF, place[u], len(u) // n, n | 128 * k) for c, u, n, k in runs])
print_list("static const uint16_t FORM_UNITS[] = {", ["0x%x," % u for u in pool])
print(r"""/* Compositions, sorted: {first character, second character, their composition}. PAIR has the compositions whose three
 * numbers are in plane 0, PAIR_FAR has the others. */""")
print_list("static const uint16_t PAIR[][3] = {", ["{0x%x,0x%x,0x%x}," % p for p in pairs if max(p) < 65536])
print_list("static const uint32_t PAIR_FAR[][3] = {", ["{0x%x,0x%x,0x%x}," % p for p in pairs if max(p) >= 65536])
