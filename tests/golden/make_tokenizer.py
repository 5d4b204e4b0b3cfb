#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/: tiny WordPiece and BPE tokenizers in every supported form, and the results of Hugging Face for them: cases.json
has ids, places.json all members of an encoding, of one text and of two, decoded.json texts of ids.

    pip install tokenizers==0.23.3 transformers==5.23.0
    tests/golden/make_tokenizer.py"""
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"
from tokenizers import Regex, Tokenizer, pre_tokenizers  # noqa: E402
from transformers import AutoTokenizer, BertTokenizer, MPNetTokenizer, PreTrainedTokenizerBase  # noqa: E402

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer")
letters = "abcdefghijklmnopqrstuvwxyz0123456789"
words = """the of and to in un run ##ning ##s ##aff ##able token ##ization cafe café naive strasse straße ##ße İs is ##tan ##bul
日 本 語 語 龜 豈 ᄒ ##ᅡ ##ᆫ ᄀ ##ᅮ ##ᆨ हिन ##दी the##x ##ß ﬁ fi ##ne Upper upper ##case don ' t . , ! ? - $ [ ] < > / # & ı ##ı σ ##ς ##σ ά α ##́ й и""".split()
pieces = list(dict.fromkeys(words + list(letters) + ["##" + c for c in letters]))
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + pieces
MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]"] + pieces + ["<mask>"]

TEXTS = ["", " ", "the running", "The RUNNING, café!", "unaffable tokenizations", "naïve Straße İstanbul ΣΑΣ ά й", "日本語 한국 हिन्दी",
         "\u8c48\uf900\U0002f800", "a\u0000b\ufffdc\u200bd\u00ade\tf\u2028g\u0085h\u3000i", "e\u0301\u0323 \u1e17\u0304 q\u0307\u0323",
         "[CLS] the [SEP] [sep] [MASK][UNK]x", "<s> a <mask>  b<mask>c </s> <unk> <UNK> <pad>", "a  <mask>", "x" * 100, "x" * 101, "é" * 100,
         "日" * 120, "don't $3.14 #1 & <b>", "\U0001d158\U0001d165\U0001d16e \U0001f600\ufe0f \u302e\U0001d165", "\u017f\u212a\u2126 \u1e9e \ufb01ne ﬁne",
         "the of and to in the of and to in the of and to in", "zz\u20acz \u4e00", "A\u030a\u0301B", "\u0130\u0131I", "new NEW n\u00e9w newer [X] x"]


def tokenizer_json(vocab, specials, processor, **normalizer):
    added = [dict(id=vocab.index(t), content=t, single_word=False, lstrip=t == "<mask>", rstrip=False, normalized=t == "<unk>", special=True)
             for t in specials]
    settings = dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    settings.update(normalizer)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=settings,
                pre_tokenizer=dict(type="BertPreTokenizer"), post_processor=processor, decoder=None,
                model=dict(type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##", max_input_chars_per_word=100,
                           vocab={t: i for i, t in enumerate(vocab)}))


def write(name, value):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))
    return path


def cases(name, hf, out):
    hf.no_padding()
    for limit in (0, 8, 2):
        hf.enable_truncation(limit) if limit else hf.no_truncation()
        for text in TEXTS if not limit else TEXTS[2:12]:
            out.append(dict(model=name, max=limit, text=text, ids=hf.encode(text).ids))


def settings_of(tokenizer):
    return dict(tokenizer["normalizer"], lowercase=False)


def sequence(members, kinds):
    kinds = [dict(type=k) if isinstance(k, str) else k for k in kinds]
    return dict(type="Sequence", **{members: kinds}) if len(kinds) > 1 else kinds[0]


def encoding(e):
    """ID:BEGIN:END:WORD:TYPE:TEXT:SPECIAL of every token."""
    rows = zip(e.ids, e.offsets, e.word_ids, e.type_ids, e.sequence_ids, e.special_tokens_mask)
    return " ".join("%d:%d:%d:%d:%d:%d:%d" % (i, *o, -1 if w is None else w, t, n or 0, s) for i, o, w, t, n, s in rows)


STAGED = ["nfd.json", "nfc.json", "nfkc.json", "nfkd.json", "twice.json"]
FORMS = ["\ufb01ne \u2460\u00bd\u2167 \uff21\uff42\uff43 \u3392\ufdfa", "e\u0301\u0323\u0302 \u1ec7\u0301 a\u0328\u0301\u0316 \u01b0\u0323\u031b",
         "\u1112\u1161\u11ab\u1100\u116e\u11a8 \ud55c\uad6d \uac00\u11a8\u11a8", "\u212b\u2126\u0958\u0f43\u0f73\u0f71 \u0344\u0301 \u09c7\u09be\u09d7",
         "don't 12,5 $3.14!?? x\u00b2 \u0661\u0662 a1b22", "\u0301\u0323e \u0345\u0334 x\u1e9b\u0323", "\U0001109a\U000110ba \U0001d15f\U0001d400 \u4e00\u2f00\uf900"]
CUTS = ["longest_first", "only_first", "only_second"]


def places(name, hf, out):
    """Writes texts alone and in pairs, truncated by every rule. Without a post-processor, Hugging Face gives no sequence number for the tokens
    of a truncated text."""
    hf.no_padding()
    hf.no_truncation()
    texts = TEXTS + ["the \u3000<mask> \t<mask>", "\u00a0\u2003the\u3000", "e\u0323\u0301\u1e69x \u0f73\u0f71 \uac01\u11a8", "naïve [X]  [X] x  the"]
    if name in STAGED:
        texts = texts[3:12] + texts[18:20] + texts[22:] + FORMS
    for i, text in enumerate(texts):
        out.append(dict(model=name, max=0, cut=0, left=False, bare=False, input=[text], tokens=encoding(hf.encode(text))))
        pair = [text, texts[(i + 7) % len(texts)]]
        if i % 3:
            continue
        out.append(dict(model=name, max=0, cut=0, left=False, bare=i % 2 == 0, input=pair,
                        tokens=encoding(hf.encode(*pair, add_special_tokens=i % 2 != 0))))
    long, short, none = TEXTS[20], TEXTS[2], ""
    for limit in (3, 4, 9, 12) if name in ("pairs.json", "mpnet", "uncut.json") else ():
        for cut in range(3):
            for left in (False, True):
                for pair in ([long], [long, short], [short, long], [long, long], [none, long]):
                    if (cut and limit < 9) or (len(pair) == 1 and (cut or limit % 2)) or (limit == 3 and hf.post_processor is not None):
                        continue
                    hf.enable_truncation(limit, strategy=CUTS[cut], direction="left" if left else "right")
                    try:
                        e = hf.encode(*pair)
                    except Exception:  # nothing would be left of that text
                        continue
                    out.append(dict(model=name, max=limit, cut=cut, left=left, bare=False, input=pair, tokens=encoding(e)))
    hf.no_truncation()


def decoded(name, hf, out):
    vocabulary = hf.get_vocab_size()
    lists = [[], [vocabulary, 5, 1 << 30, 6], list(range(vocabulary)), list(range(vocabulary))[::-1]]
    for text in TEXTS[::3] + ["don't do not say 's , it . ' he 're the 've ' n't ! ? ' m"]:
        lists.append(hf.encode(text).ids)
    for ids in lists:
        for skip in (True, False):
            out.append(dict(model=name, ids=ids, skip=skip, text=hf.decode(ids, skip_special_tokens=skip)))
            cleaned = PreTrainedTokenizerBase.clean_up_tokenization(None, out[-1]["text"])
            if cleaned != out[-1]["text"]:
                out[-1]["cleaned"] = cleaned


def write_cases(name, cases):
    write(name, "[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


# ---- BPE ---------------------------------------------------------------------------------------

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LEARNED = ["the running of the tokenization and the Runner, it's we've don't I'll he'd I'm you're", "café naïve 日本語 日本 हिन्दी  한국", "un able 12 345"]
BPE_TEXTS = ["", " ", "  the  running\n\n of\t\tit ", "it's WE'VE don'T I'LL 'S'\u017fx '", "caf\u00e9 cafe\u0301 12,345.67 \u00bd\u2167 \U00016ff4 x\u00b2", "日本語\u3000한국어 हिन्दी",
             "\U0001f44d\U0001f3fd!! ...\r\n \r\n  <|endoftext|> the<|endoftext|>", "\u00a0the\u2003\u2028 \u0085x", "<mask>  the <s>x</s>", "a_b-c \u0301 _ \u200d\ufeff",
             "running" * 9, "the" + "ing" * 30, "\ufb01 \u1e9b\u0323 \u0130\u1e9e", "e 10e ee1", "<|startoftext|>The!<|endoftext|>'s"]


def made(pre_tokenizer, specials, **model):
    """Returns a model whose merges build the words of LEARNED, from the left and from the right in turn. A trainer's merges would differ between runs."""
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet()) if "ByteLevel" in str(pre_tokenizer) else sorted(set("".join(LEARNED)) - {" "})
    vocab, merges = specials + alphabet + [c + suffix for c in alphabet if suffix] + [prefix + c for c in alphabet if prefix], []
    words = dict.fromkeys(w for line in LEARNED for w, _ in pre_tokenizer.pre_tokenize_str(line))
    for i, word in enumerate(words):
        parts = [(prefix if k else "") + c + (suffix if k == len(word) - 1 else "") for k, c in enumerate(word)]
        while len(parts) > 1:
            k = 0 if i % 2 else len(parts) - 2
            pair = parts[k:k + 2]
            parts[k:k + 2] = [pair[0] + pair[1][len(prefix):]]
            if pair not in merges:
                merges.append(pair)
            vocab.append(parts[k])
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, t in enumerate(specials)]
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, pre_tokenizer=json.loads(pre_tokenizer.__getstate__()),
                post_processor=None, decoder=None,
                model=dict(dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                                byte_fallback=False, ignore_merges=False), **model, vocab={t: i for i, t in enumerate(dict.fromkeys(vocab))}, merges=merges))


def bpe():
    """Yields (name, content of tokenizer.json): GPT-2, CLIP and Qwen2 as published; models of characters with unknown ones; every behaviour of Split."""
    byte = pre_tokenizers.ByteLevel
    gpt2 = made(byte(add_prefix_space=False), ["<|endoftext|>"])
    gpt2.update(decoder=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
                post_processor=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True))
    gpt2["model"]["merges"] = [" ".join(m) for m in gpt2["model"]["merges"]]
    yield "gpt2.json", gpt2
    clip = made(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), byte(add_prefix_space=False)]),
                   ["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    clip.update(normalizer=sequence("normalizers", ["NFC", "Lowercase"]), decoder=gpt2["decoder"],
                post_processor=dict(type="RobertaProcessing", sep=["<|endoftext|>", 1], cls=["<|startoftext|>", 0], trim_offsets=False, add_prefix_space=False))
    yield "clip.json", clip
    qwen = made(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), byte(add_prefix_space=False, use_regex=False)]), ["<|endoftext|>"])
    qwen.update(normalizer=dict(type="NFC"), decoder=gpt2["decoder"])
    qwen["model"].update(ignore_merges=True)
    for piece in ("Ġee", "Ġx"):  # words that no merge makes
        qwen["model"]["vocab"].setdefault(piece, len(qwen["model"]["vocab"]))
    yield "qwen.json", qwen
    template = dict(type="TemplateProcessing", single=[dict(SpecialToken=dict(id="<|endoftext|>", type_id=0)), dict(Sequence=dict(id="A", type_id=0))], pair=[],
                    special_tokens={"<|endoftext|>": dict(id="<|endoftext|>", ids=[0], tokens=["<|endoftext|>"])})
    splits = [pre_tokenizers.Split(Regex(GPT2), "contiguous"), pre_tokenizers.Split("e", "merged_with_next"),
              pre_tokenizers.Split(" t", "merged_with_previous", invert=True), byte(add_prefix_space=True)]
    mixed = dict(gpt2, pre_tokenizer=json.loads(pre_tokenizers.Sequence(splits).__getstate__()),
                 post_processor=dict(type="Sequence", processors=[gpt2["post_processor"], template]))
    yield "mixed.json", mixed
    words = pre_tokenizers.WhitespaceSplit()
    yield "fused.json", made(words, ["[UNK]"], unk_token="[UNK]", fuse_unk=True, continuing_subword_prefix="##")
    fallback = made(words, ["<unk>"], unk_token="<unk>")
    fallback["model"].update(byte_fallback=True)
    for b in range(256):  # all but two: those characters are unknown
        if b not in (0xCC, 0xE6):
            fallback["model"]["vocab"]["<0x%02X>" % b] = len(fallback["model"]["vocab"])
    yield "bytes.json", fallback


def bpe_cases(name, hf, placed, texts):
    hf.no_padding()
    hf.no_truncation()
    few = name in ("fused.json", "bytes.json", "mixed.json") or "." not in name
    for i, text in enumerate(BPE_TEXTS[2 if few else 0:]):
        placed.append(dict(model=name, max=0, cut=0, left=False, bare=False, input=[text], tokens=encoding(hf.encode(text))))
        if i % 6 == 1 and name != "mixed.json":
            pair = [text, BPE_TEXTS[(i + 3) % len(BPE_TEXTS)]]
            placed.append(dict(model=name, max=0, cut=0, left=False, bare=i % 4 == 1, input=pair, tokens=encoding(hf.encode(*pair, add_special_tokens=i % 4 != 1))))
    if hf.decoder is None or name == "mixed.json" or "." not in name:
        return
    every = list(range(hf.get_vocab_size()))
    lists = [[], every[-60:] + every[:8], every[100:200], [1 << 30]] + [hf.encode(t).ids for t in BPE_TEXTS[3:7]]
    lists += [ids[1:-2] for ids in lists[4:]] + [ids[::-1] for ids in lists[4:6]]  # characters that end early, and begin late
    for ids in lists:
        texts.append(dict(model=name, ids=ids, skip=len(ids) % 2 == 0, text=hf.decode(ids, skip_special_tokens=len(ids) % 2 == 0)))
        cleaned = PreTrainedTokenizerBase.clean_up_tokenization(None, texts[-1]["text"])
        if cleaned != texts[-1]["text"]:
            texts[-1]["cleaned"] = cleaned


# ---- truncation and padding --------------------------------------------------------------------

def limits(model):
    """Writes the results of Tokenizer.from_file for batches, with truncation and padding in the file."""
    cut = dict(direction="Right", max_length=8, strategy="LongestFirst", stride=0)
    fill = dict(strategy="BatchLongest", direction="Right", pad_to_multiple_of=None, pad_id=0, pad_type_id=0, pad_token="[PAD]")
    no_side = {k: v for k, v in cut.items() if k != "direction"}
    rows, inputs = [], [["the running"], ["the of and to in the of and to in"], [""], ["日本語 café"], ["the", "of and"], ["the running of the", "in and to the of x"]]
    for truncation, padding in [(cut, None), (no_side, dict(fill, strategy=dict(Fixed=8))), (dict(cut, direction="Left", stride=2), dict(fill, direction="Left")),
                                (dict(cut, max_length=9, strategy="OnlyFirst"), dict(fill, pad_to_multiple_of=5, pad_id=7, pad_type_id=3)), (None, dict(fill, strategy=dict(Fixed=6), pad_to_multiple_of=0)),
                                (None, dict(fill, strategy=dict(Fixed=3), direction="Left", pad_to_multiple_of=4)), (dict(cut, max_length=2), fill)]:
        hf = Tokenizer.from_str(json.dumps(dict(model, truncation=truncation, padding=padding)))
        batch = [i[0] if len(i) == 1 else tuple(i) for i in inputs]
        encodings = hf.encode_batch(batch)
        assert [e.ids for e in hf.encode_batch_fast(batch)] == [e.ids for e in encodings]
        rows.append(dict(truncation=json.dumps(truncation), padding=json.dumps(padding), inputs=inputs, tokens=[encoding(e) for e in encodings],
                         masks=["".join(map(str, e.attention_mask)) for e in encodings]))
    write_cases("limits.json", rows)


def main():
    out, placed, texts = [], [], []
    template = dict(type="TemplateProcessing", single=[dict(SpecialToken=dict(id="[CLS]", type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                                                       dict(SpecialToken=dict(id="[SEP]", type_id=0))], pair=[],
                    special_tokens={t: dict(id=t, ids=[BERT.index(t)], tokens=[t]) for t in ("[CLS]", "[SEP]")})
    template["pair"] = template["single"] + [dict(Sequence=dict(id="B", type_id=0))]
    bert = tokenizer_json(BERT, BERT[:5], template)
    odd = tokenizer_json(BERT, BERT[:5], dict(type="BertProcessing", sep=["[SEP]", 3], cls=["[CLS]", 2]), strip_accents=False)
    for content, flags in [("new", "w"), ("NÉW", "n"), ("[X]", "r"), ("[X] x", "lr"), ("the", "wl")]:
        odd["added_tokens"].append(dict(id=0, content=content, single_word="w" in flags, lstrip="l" in flags, rstrip="r" in flags,
                                        normalized="n" in flags, special=False))
    roberta = dict(type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 0], trim_offsets=True, add_prefix_space=False)
    mpnet = tokenizer_json(MPNET, ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"], roberta)
    plain = dict(tokenizer_json(BERT, [], None), normalizer=None)
    # types, order and number of special tokens that no published tokenizer has; a decoder that cleans; words that begin with ##
    pair = [dict(SpecialToken=dict(id="[SEP]", type_id=3)), dict(Sequence=dict(id="B", type_id=1)), dict(SpecialToken=dict(id="two", type_id=2)),
            dict(Sequence=dict(id="A", type_id=0))]
    special = dict(template["special_tokens"], two=dict(id="two", ids=[2, 3], tokens=["[CLS]", "[SEP]"]))
    pairs = dict(odd, post_processor=dict(template, pair=pair, special_tokens=special), decoder=dict(type="WordPiece", prefix="##", cleanup=True))
    uncut = dict(plain, pre_tokenizer=None, decoder=dict(type="WordPiece", prefix="t", cleanup=False))
    uncut["added_tokens"] = [dict(odd["added_tokens"][0], content="the", special=s) for s in (True, False)]
    one, many = dict(type="Digits", individual_digits=True), dict(type="Digits", individual_digits=False)
    forms = {
        "nfd": (["NFD", "StripAccents", "Lowercase"], ["Whitespace", many], roberta),
        "nfc": (["NFC"], ["WhitespaceSplit", dict(type="Punctuation", behavior="Contiguous")], None),
        "nfkc": (["NFKC", "Lowercase"], [dict(type="Punctuation", behavior="MergedWithNext"), "WhitespaceSplit", one], template),
        "nfkd": (["NFKD"], [dict(type="Punctuation", behavior="MergedWithPrevious")], None),
        "twice": (["Lowercase", settings_of(odd), "NFC"], [dict(type="Punctuation", behavior="Removed"), dict(type="Punctuation"), "BertPreTokenizer"], template),
    }
    staged = {k + ".json": dict(odd, normalizer=sequence("normalizers", a), pre_tokenizer=sequence("pretokenizers", b), post_processor=c)
              for k, (a, b, c) in forms.items()}
    for name, value in [("bert.json", bert), ("odd.json", odd), ("mpnet.json", mpnet), ("plain.json", plain), ("pairs.json", pairs),
                        ("uncut.json", uncut), *staged.items()]:
        hf = Tokenizer.from_file(write(name, value))
        if name in ("bert.json", "odd.json", "mpnet.json", "plain.json"):
            cases(name, hf, out)
        places(name, hf, placed)
        if name in ("pairs.json", "mpnet.json", "uncut.json"):
            decoded(name, hf, texts)
    write("cased/vocab.txt", "\n".join(BERT) + "\n")
    write("cased/tokenizer_config.json", dict(tokenizer_class="BertTokenizer", do_lower_case=False, model_max_length=512))
    hf = BertTokenizer.from_pretrained(os.path.join(HERE, "cased")).backend_tokenizer
    cases("cased", hf, out)
    places("cased", hf, placed)
    decoded("cased", hf, texts)
    write("mpnet/vocab.txt", "\r\n".join(MPNET))
    write("mpnet/tokenizer_config.json", dict(tokenizer_class="MPNetTokenizer", do_lower_case=True, model_max_length=10**30))
    write("mpnet/special_tokens_map.json", dict(cls_token="<s>", sep_token="</s>", unk_token="[UNK]",
                                                mask_token=dict(content="<mask>", lstrip=True, rstrip=False, normalized=False, single_word=False)))
    hf = MPNetTokenizer.from_pretrained(os.path.join(HERE, "mpnet")).backend_tokenizer
    cases("mpnet", hf, out)
    places("mpnet", hf, placed)
    for name, value in bpe():
        bpe_cases(name, Tokenizer.from_file(write(name, value)), placed, texts)
        if name in ("gpt2.json", "clip.json"):  # the same without tokenizer.json
            folder, model = ("roberta", "clip")[name == "clip.json"], value["model"]
            specials = [] if name == "clip.json" else ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
            write(folder + "/vocab.json", {t: i for i, t in enumerate([*model["vocab"], *specials])})
            write(folder + "/merges.txt", "#version: 0.2\n" + "".join((m if isinstance(m, str) else " ".join(m)) + "\n" for m in model["merges"]))
            settings = dict(tokenizer_class="CLIPTokenizer") if name == "clip.json" else dict(add_prefix_space=True)
            write(folder + "/tokenizer_config.json", settings)
            if name != "clip.json":
                write(folder + "/config.json", dict(model_type="roberta"))
            bpe_cases(folder, AutoTokenizer.from_pretrained(os.path.join(HERE, folder)).backend_tokenizer, placed, texts)
    limits(bert)
    write_cases("cases.json", out)
    write_cases("places.json", placed)
    write_cases("decoded.json", texts)


main()
