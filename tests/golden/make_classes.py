#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/classes/: tiny folders of models without tokenizer.json, and the results of transformers for them (tiktoken for
ranks): places.json has all members of an encoding, decoded.json texts of ids, plain.json ids and their text.

    pip install tokenizers==0.23.3 transformers==5.23.0 sentencepiece==0.2.3 protobuf==7.36.2 tiktoken==0.14.0
    tests/golden/make_classes.py"""
import base64
import gzip
import io
import json
import os
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece  # noqa: E402
import tiktoken  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402,F401
from make_sentencepiece import CORPUS, cleaned, encoding  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402
from transformers import AutoTokenizer, CLIPTokenizer  # noqa: E402

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer", "classes")
TEXTS = ["", "  the  red   bag ", "naïve cafe\u0301 STRASSE ``x''", "日本語 のtext日", "a\r\nb\t c\n", "☃☃ the ☃", "<s> the </s> <unk> <0x41> ▁bag<mask>",
         "[CLS] the [SEP]  [MASK]x", "<extra_id_0>the <extra_id_1>  bag", "\u3000the\u00a0red", "the <new>bag"]
UNIGRAM = dict(model_type="unigram", vocab_size=100, character_coverage=0.98)
T5 = dict(UNIGRAM, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
ALBERT = dict(UNIGRAM, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP],[MASK]")
LLAMA = dict(model_type="bpe", vocab_size=300, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)


def token(content, **flags):
    return dict(dict(content=content, lstrip=False, rstrip=False, normalized=False, single_word=False, special=True), **flags)


def named(name, **more):
    return {"tokenizer_config.json": dict(tokenizer_class=name, **more)}


MODELS = {
    "xlmr": ("sentencepiece.bpe.model", UNIGRAM, dict(named("XLMRobertaTokenizer", mask_token="<mask>"), **{"special_tokens_map.json": dict(mask_token=token("<mask>", lstrip=True))})),
    "xlmr_type": ("sentencepiece.bpe.model", dict(UNIGRAM, user_defined_symbols="red"), {"config.json": dict(model_type="xlm-roberta")}),
    "t5": ("spiece.model", T5, named("T5TokenizerFast", extra_ids=2)),
    "t5_listed": ("spiece.model", T5, named("T5Tokenizer", extra_ids=2, additional_special_tokens=["<new>"], add_prefix_space=False)),
    "albert": ("spiece.model", ALBERT, named("AlbertTokenizer")),
    "albert_cased": ("spiece.model", ALBERT, named("AlbertTokenizer", keep_accents=True, do_lower_case=False)),
    "llama": ("tokenizer.model", LLAMA, named("LlamaTokenizer", legacy=False, add_bos_token=True, added_tokens_decoder={"300": token("<new>", special=False)})),
    "llama_legacy": ("tokenizer.model", LLAMA, named("LlamaTokenizer", legacy=True, add_bos_token=True, add_eos_token=True)),
    "llama_type": ("tokenizer.model", LLAMA, {"config.json": dict(model_type="llama")}),
}


def train(options):
    out = io.BytesIO()
    rules = os.path.join(HERE, "rules.tsv")
    with open(rules, "w") as f:
        f.write("65 301\tE9\n3000\t20\nA0\t20\nD\t20\n")
    options = dict(options) if "normalization_rule_name" in options else dict(options, normalization_rule_tsv=rules)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS * 3), model_writer=out, hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
    os.unlink(rules)
    proto = sentencepiece.sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto.SerializeToString()


def write(path, value):
    path = os.path.join(HERE, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(value if isinstance(value, bytes) else json.dumps(value).encode())


def write_cases(name, cases):
    write(name, ("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n").encode())


def cases(name, hf, placed, texts):
    name = "classes/" + name
    for i, text in enumerate(TEXTS):
        for pair in [[text]] + ([[text, TEXTS[(i + 4) % len(TEXTS)]]] if i % 4 == 0 else []):
            placed.append(dict(model=name, max=0, cut=0, left=False, bare=i % 8 == 4, input=pair, tokens=encoding(hf.encode(*pair, add_special_tokens=i % 8 != 4))))
    for ids in [hf.encode(t).ids for t in TEXTS[::2]] + [list(range(hf.get_vocab_size()))]:
        out = hf.decode(ids, skip_special_tokens=len(ids) % 2 == 1)
        texts.append(dict(model=name, ids=ids, skip=len(ids) % 2 == 1, text=out))
        if cleaned(out) != out:
            texts[-1]["cleaned"] = cleaned(out)


QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN_TEXTS = TEXTS + ["<|im_start|>the\n\n<|im_end|>", "<|im_end|>\u0338 the", "<|extra_204|><|extra_205|>", "aaaaaaaa aaaa aaa aaaaaaa", "It's I'LL", "\u0958 e\u0301"]
BYTES = {b: chr(b) if 33 <= b < 127 or 161 <= b < 173 or 174 <= b else None for b in range(256)}
BYTES.update({b: chr(256 + i) for i, b in enumerate(b for b in range(256) if not BYTES[b])})


def byte_pairs(size, **more):
    """Returns trained merges, as "left right"."""
    hf = Tokenizer(models.BPE(**more))
    hf.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    hf.train_from_iterator(CORPUS * 3 + ["aa aaa aaaaaa"] * 9, trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(BYTES.values()), show_progress=False, **more))
    return [" ".join(m) if isinstance(m, list) else m for m in json.loads(hf.to_str())["model"]["merges"]]


def qwen(plain):
    """Writes ranks, and the results of tiktoken with the settings of tokenization_qwen.py."""
    back = {c: b for b, c in BYTES.items()}
    tokens = [bytes([b]) for b in BYTES] + [bytes(back[c] for c in m.replace(" ", "")) for m in byte_pairs(340)]
    ranks = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + ["<|extra_%d|>" % i for i in range(205)]
    t = tiktoken.Encoding("qwen", pat_str=QWEN, mergeable_ranks=ranks, special_tokens={s: i for i, s in enumerate(special, len(ranks))})
    write("qwen/qwen.tiktoken", b"".join(base64.b64encode(t) + b" %d\n" % i for t, i in ranks.items()))
    for text in QWEN_TEXTS:
        ids = t.encode(unicodedata.normalize("NFC", text), allowed_special="all")
        plain.append(dict(model="classes/qwen", text=text, ids=ids, decoded=t.decode([i for i in ids if i < len(ranks)], errors="replace")))


def clip(placed, texts):
    """Writes a list of merges, and the results of CLIPTokenizer with the vocabulary that simple_tokenizer.py makes from it."""
    merges = byte_pairs(600, end_of_word_suffix="</w>")
    merges = list(dict((m.replace(" ", ""), m) for m in merges).values())
    text = "\n".join(["\"bpe_simple_vocab_16e6.txt#version: 0.2"] + merges) + "\n"
    write("clip_gz/bpe_simple_vocab_16e6.txt.gz", gzip.compress(text.encode(), mtime=0))
    write("clip_list/bpe_simple_vocab_16e6.txt", text.encode())
    alphabet = [BYTES[b] for b in sorted(BYTES, key=lambda b: (BYTES[b] != chr(b), b))]
    vocab = alphabet + [c + "</w>" for c in alphabet] + [m.replace(" ", "") for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    whole = CLIPTokenizer(vocab={t: i for i, t in enumerate(vocab)}, merges=[tuple(m.split()) for m in merges])
    cases("clip_list", whole.backend_tokenizer, placed, texts)  # its decode is CLIPTokenizer's, which changes "</w>"


REGEX = {
    "llama3": (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "Isolated", False, None),
    "possessive": (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s", "Removed", True, None),
    "empty": ("x*", "MergedWithNext", False, ("[aeiou]+", "yy")),
    "behind": ("(?<=t)h|\\b", "Contiguous", False, ("(?i)E\u0301?", "")),
}
REGEX_TEXTS = TEXTS + ["12345 It's I'LL x2x", "thth \t\n\n  b ", "xxaxx", "Привет, мир! 日本語 12"]


def regex(placed):
    """Writes expressions for which Sapor has no matcher of its own, in Split and in Replace."""
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False)
    for name, (pattern, behavior, invert, replaced) in REGEX.items():
        split = dict(type="Split", pattern=dict(Regex=pattern), behavior=behavior, invert=invert)
        replace = replaced and dict(type="Replace", pattern=dict(Regex=replaced[0]), content=replaced[1])
        model = dict(type="BPE", vocab={c: b for b, c in BYTES.items()}, merges=[])
        path = "regex/%s.json" % name
        write(path, dict(version="1.0", added_tokens=[], normalizer=replace, pre_tokenizer=dict(type="Sequence", pretokenizers=[split, level]),
                         post_processor=None, decoder=level, model=model))
        hf = Tokenizer.from_file(os.path.join(HERE, path))
        placed += [dict(model="classes/" + path, max=0, cut=0, left=False, bare=False, input=[t], tokens=encoding(hf.encode(t))) for t in REGEX_TEXTS]


def main():
    os.makedirs(HERE, exist_ok=True)
    placed, texts, plain = [], [], []
    qwen(plain)
    clip(placed, texts)
    for name, (file, options, more) in MODELS.items():
        write(name + "/" + file, train(options))
        for path, value in more.items():
            write(name + "/" + path, value)
        cases(name, AutoTokenizer.from_pretrained(os.path.join(HERE, name)).backend_tokenizer, placed, texts)
    write_cases("places.json", placed)
    write_cases("decoded.json", texts)
    write_cases("plain.json", plain)
    placed = []
    regex(placed)
    write_cases("regex.json", placed)


main()
