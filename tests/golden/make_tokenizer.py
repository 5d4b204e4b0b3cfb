#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/: tiny WordPiece tokenizers in every form that is read, and cases.json with the ids that Hugging
Face gives for them.

    pip install tokenizers==0.23.3 transformers==5.23.0
    tests/golden/make_tokenizer.py"""
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"
from tokenizers import Tokenizer  # noqa: E402
from transformers import BertTokenizer, MPNetTokenizer  # noqa: E402

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


def main():
    out = []
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
    for name, value in [("bert.json", bert), ("odd.json", odd), ("mpnet.json", mpnet), ("plain.json", plain)]:
        cases(name, Tokenizer.from_file(write(name, value)), out)
    write("cased/vocab.txt", "\n".join(BERT) + "\n")
    write("cased/tokenizer_config.json", dict(tokenizer_class="BertTokenizer", do_lower_case=False, model_max_length=512))
    cases("cased", BertTokenizer.from_pretrained(os.path.join(HERE, "cased")).backend_tokenizer, out)
    write("mpnet/vocab.txt", "\r\n".join(MPNET))
    write("mpnet/tokenizer_config.json", dict(tokenizer_class="MPNetTokenizer", do_lower_case=True, model_max_length=10**30))
    write("mpnet/special_tokens_map.json", dict(cls_token="<s>", sep_token="</s>", unk_token="[UNK]",
                                                mask_token=dict(content="<mask>", lstrip=True, rstrip=False, normalized=False, single_word=False)))
    cases("mpnet", MPNetTokenizer.from_pretrained(os.path.join(HERE, "mpnet")).backend_tokenizer, out)
    write("cases.json", "[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")


main()
