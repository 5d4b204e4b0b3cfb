#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/sentencepiece/: tiny models trained by sentencepiece, unchanged and as tokenizer.json, and the
results of sentencepiece (plain.json) and Hugging Face (places.json, decoded.json) for them.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
    tests/golden/make_sentencepiece.py

The charsmap has only some rules of nmt_nfkc, because all of them are 240 KB."""
import base64
import io
import json
import os
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer", "sentencepiece")
CORPUS = ["the running of the tokens", "a red leather bag and the blue bag", "unaffable tokenizations of running texts", "the tokens and the text of the bag",
          "naïve café straße", "日本語 の 日本 語", "Привет мир", "12 red bags, 3 blue bags.", "the end of the red text!"]
NFKC = "\ufb01\u2460\u00bd\u2167\uff21\uff42\u3392\ufdfa\u2126\u212b\u00b2\u3000\u00a0\u2122\u2139\u0344\uff76\u0958\u0132\uff01"
RULES = {c: unicodedata.normalize("NFKC", c) for c in NFKC}
RULES.update({"e\u0301": "é", "E\u0301": "É", "a\u0308": "ä", "\u0061\u0323": "ạ", "\r": " ", "\n": " ", "\t": " ", "\u200b": " ", "\u2028": " ",
              "\u007f": "", "\u00ad": "", "\u0001": "", "\u0600": "x"})
TEXTS = ["", " ", "the running", "  the  red   bag ", "naïve cafe\u0301 STRASSE", "日本語 のtext日", "a\r\nb\r\r\n c\td\n", "\ufb01\u2460\u00bd \u2167\uff21\uff42 \u3392\ufdfa",
         "\u007fthe\u00ad red\u0001", "\ufb01\u007f\u007fx\u00ad\u00ad", "e\u0301\u0323 e\u0323\u0301 a\u0308\u0301\u0308 \u0301e\u0301", "\u0344\u0301 \u0600e\u0301 \u0600a x\u0344\u0301",
         "☃☃ the ☃", "<s> the </s> <unk> <0x41> ▁bag ▁▁bag▁", "😀👍🏽 👨\u200d👩\u200d👧 1\ufe0f\u20e3", "unaffabletokenizationsredbag" * 3, "x" * 150, "\u3000the\u00a0\u2003red", "\u0000a\u0000",
         "\u2122\u0301 \u2139\ufe0f the\u200bred\u2028bag", "\u212b\u2126\u00b2\u0132\uff76\uff01 क\u0958\u094d", "Привет, мир!? 12,3", "bag</s>the", "the\uff01red  <s>  bag", "\U0001d15f\u110bd \ue000"]


def train(name, **options):
    out = io.BytesIO()
    rules = os.path.join(HERE, "rules.tsv")
    with open(rules, "w") as f:
        for a, b in RULES.items():
            f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS * 3), model_writer=out, hard_vocab_limit=False, minloglevel=2, num_threads=1,
                                             **dict(dict(normalization_rule_tsv=rules), **options))
    os.unlink(rules)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    write(name, proto.SerializeToString())
    return proto


def write(name, value):
    path = os.path.join(HERE, name)
    with open(path, "wb") as f:
        f.write(value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode())
    return path


def write_cases(name, cases):
    write(name, "[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


def encoding(e):
    """ID:BEGIN:END:WORD:TYPE:TEXT:SPECIAL of every token."""
    rows = zip(e.ids, e.offsets, e.word_ids, e.type_ids, e.sequence_ids, e.special_tokens_mask)
    return " ".join("%d:%d:%d:%d:%d:%d:%d" % (i, *o, -1 if w is None else w, t, n or 0, s) for i, o, w, t, n, s in rows)


def cleaned(text):
    """transformers' clean_up_tokenization."""
    for a, b in [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")]:
        text = text.replace(a, b)
    return text


def metaspace(scheme="always", split=True):
    return dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=split)


def replace(pattern, content):
    return dict(type="Replace", pattern=dict(Regex=pattern) if "{" in pattern or "\\" in pattern else dict(String=pattern), content=content)


def sequence(members, *kinds):
    return dict(type="Sequence", **{members: list(kinds)})


def tokenizers(uni, bytes_):
    precompiled = dict(type="Precompiled", precompiled_charsmap=base64.b64encode(uni.normalizer_spec.precompiled_charsmap).decode())
    added = [("<s>", False), ("</s>", False), ("bag", True)]
    template = dict(type="TemplateProcessing", single=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                                                       dict(SpecialToken=dict(id="</s>", type_id=0))], pair=[],
                    special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"]), "</s>": dict(id="</s>", ids=[2], tokens=["</s>"])})
    template["pair"] = template["single"] + [dict(Sequence=dict(id="B", type_id=0)), dict(SpecialToken=dict(id="</s>", type_id=0))]
    llama = sequence("decoders", replace("▁", " "), dict(type="ByteFallback"), dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0))
    strip = dict(type="Strip", strip_left=True, strip_right=True)
    kinds = {
        "xlmr": (uni, sequence("normalizers", precompiled, replace(" {2,}", " ")),
                 sequence("pretokenizers", dict(type="WhitespaceSplit"), metaspace()), metaspace(), template, added[:2]),
        "t5": (uni, sequence("normalizers", precompiled, dict(type="Strip", strip_left=False, strip_right=True), replace(" {2,}", "▁")),
               metaspace("first"), metaspace("first"), None, added),
        "odd": (uni, sequence("normalizers", dict(type="Nmt"), strip, dict(type="Prepend", prepend="a▁"), replace("th", "日xy"), replace("e", "")),
                metaspace("never", False), sequence("decoders", replace("e", "▁▁"), metaspace("never"), dict(type="Strip", content=" ", start=2, stop=0)), None, []),
        "spaces": (uni, sequence("normalizers", dict(type="NFC"), replace(r"\s+", " "), dict(type="Lowercase")), metaspace(), metaspace(), None, added[1:]),
        "bytes": (bytes_, sequence("normalizers", dict(type="Prepend", prepend="▁"), replace(" ", "▁")), None, llama, None, added[:1]),
    }
    for name, (proto, normalizer, split, decoder, post, tokens) in kinds.items():
        yield name + ".json", dict(
            version="1.0", truncation=None, padding=None, normalizer=normalizer, pre_tokenizer=split, post_processor=post, decoder=decoder,
            added_tokens=[dict(id=0, content=c, single_word=False, lstrip=False, rstrip=False, normalized=n, special=not n) for c, n in tokens],
            model=dict(type="Unigram", unk_id=0, vocab=[[p.piece, p.score] for p in proto.pieces], byte_fallback=proto.trainer_spec.byte_fallback))


    # scores whose sums are equal or not by the last bit, which Hugging Face's reader of JSON does not always get right
    ties = [["<unk>", 0], ["x", -8.573941187928101], ["xxxx", -10.013114189588903], ["xxxxxxx", -17.21672980046385]]
    yield "ties.json", dict(version="1.0", truncation=None, padding=None, added_tokens=[], normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None,
                            model=dict(type="Unigram", unk_id=0, vocab=ties, byte_fallback=False))


def main():
    os.makedirs(HERE, exist_ok=True)
    placed, texts, plain = [], [], []
    protos = {
        "unigram.model": train("unigram.model", model_type="unigram", vocab_size=120, character_coverage=0.98),
        "bytes.model": train("bytes.model", model_type="unigram", vocab_size=330, byte_fallback=True, normalization_rule_tsv="", normalization_rule_name="identity",
                             remove_extra_whitespaces=False, user_defined_symbols=["red", "  "]),
    }
    for name, value in tokenizers(protos["unigram.model"], protos["bytes.model"]):
        hf = Tokenizer.from_file(write(name, value))
        name = "sentencepiece/" + name
        for i, text in enumerate(TEXTS):
            for pair in [[text]] + ([[text, TEXTS[(i + 7) % len(TEXTS)]]] if i % 4 == 0 else []):
                placed.append(dict(model=name, max=0, cut=0, left=False, bare=i % 8 == 4, input=pair,
                                   tokens=encoding(hf.encode(*pair, add_special_tokens=i % 8 != 4))))
        everything = list(range(hf.get_vocab_size()))
        for ids in [hf.encode(t).ids for t in TEXTS] + [[], everything, everything[::-1], everything[::3]]:
            for skip in (True, False):
                out = hf.decode(ids, skip_special_tokens=skip)
                texts.append(dict(model=name, ids=ids, skip=skip, text=out))
                if cleaned(out) != out:
                    texts[-1]["cleaned"] = cleaned(out)
    protos["bpe.model"] = train("bpe.model", model_type="bpe", vocab_size=330, byte_fallback=True, user_defined_symbols=["red", "  "], add_dummy_prefix=False)
    protos["suffix.model"] = train("suffix.model", model_type="bpe", vocab_size=90, treat_whitespace_as_suffix=True)
    for name, proto in protos.items():
        sp = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        for text in TEXTS:
            ids = sp.encode(text)
            plain.append(dict(model="sentencepiece/" + name, text=text, ids=ids, decoded=sp.decode(ids)))
    write_cases("places.json", placed)
    write_cases("decoded.json", texts)
    write_cases("plain.json", plain)


if __name__ == "__main__":
    main()
