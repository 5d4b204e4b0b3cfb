#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/classes/: tiny folders of models without tokenizer.json, and what transformers gives for them: places.json has all
that an encoding has, decoded.json texts of ids.

    pip install tokenizers==0.23.3 transformers==5.23.0 sentencepiece==0.2.3 protobuf==7.36.2
    tests/golden/make_classes.py"""
import io
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402,F401
from make_sentencepiece import CORPUS, cleaned, encoding  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

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


def main():
    os.makedirs(HERE, exist_ok=True)
    placed, texts = [], []
    for name, (file, options, more) in MODELS.items():
        write(name + "/" + file, train(options))
        for path, value in more.items():
            write(name + "/" + path, value)
        cases(name, AutoTokenizer.from_pretrained(os.path.join(HERE, name)).backend_tokenizer, placed, texts)
    write_cases("places.json", placed)
    write_cases("decoded.json", texts)


main()
