"""Tokenizers of every kind at the size of published ones, for check_tokenizer_lines.py and bench/peers: a tokenizer.json each.

Vocabularies are trained here, except two that are read from files: CLIP's (openai/CLIP, clip/bpe_simple_vocab_16e6.txt.gz) and Qwen's
(qwen.tiktoken). sentencepiece's models also stay as .model files."""
import base64
import gzip
import io
import json
import os
from collections import Counter

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|" + CONTRACTIONS + r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
QWEN = (r"(?i:" + CONTRACTIONS + r")|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_letters():
    """Returns the letter of each byte, as bytes_to_unicode of GPT-2."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def wordpiece(texts, **_):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=30000, limit_alphabet=1000, special_tokens=special, show_progress=False))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece()
    return t


def gpt2(texts, **_):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=50257, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(texts, trainer)
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    t.decoder = decoders.ByteLevel()
    return t


def clip(texts, clip=None, **_):
    lines = gzip.open(clip).read().decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1:49152 - 256 - 2 + 1]]
    letters = list(byte_letters().values())
    vocab = letters + [c + "</w>" for c in letters] + [a + b for a, b in merges] + ["<|startoftext|>", "<|endoftext|>"]
    t = Tokenizer(models.BPE({p: i for i, p in enumerate(vocab)}, merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 49407), ("<|startoftext|>", 49406), add_prefix_space=False, trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    return t


def parts_of(ranks, token, below):
    """Returns the parts of a token after byte pair encoding with the ranks below its own: a pair, except for single bytes."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        rank, i = min((ranks.get(parts[i] + parts[i + 1], below), i) for i in range(len(parts) - 1))
        if rank >= below:
            break
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def qwen(texts, qwen=None, **_):
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in open(qwen, "rb") if line.strip()}
    letters = byte_letters()
    text = {token: "".join(letters[b] for b in token) for token in ranks}
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda x: x[1]):
        parts = parts_of(ranks, token, rank)
        if len(parts) == 2:
            merges.append((text[parts[0]], text[parts[1]]))
    t = Tokenizer(models.BPE({text[token]: rank for token, rank in ranks.items()}, merges))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    return t


def trained_proto(texts, **options):
    """Trains a model of sentencepiece, which drops lines above its limit."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=out, hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    return proto, out.getvalue()


def unigram(texts, **_):
    """Trained by Hugging Face's library."""
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=30000, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    t.decoder = decoders.Metaspace()
    return t


def xlmr(texts, folder=None, **_):
    """The shape of XLM-R: trained by sentencepiece, with its rules of nmt_nfkc."""
    proto, model = trained_proto(texts, model_type="unigram", vocab_size=30000, character_coverage=0.9995)
    open(os.path.join(folder, "unigram.model"), "wb").write(model)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = [(s, 0.0) for s in special] + [(p.piece, p.score) for p in proto.pieces[3:]] + [("<mask>", 0.0)]
    t = Tokenizer(models.Unigram(vocab, 3))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.add_special_tokens(special + ["<mask>"])
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    t.decoder = decoders.Metaspace()
    return t


def llama(texts, folder=None, **_):
    """The shape of Llama 2: BPE with byte fallback, trained by sentencepiece; every cut of a piece into two is a merge."""
    proto, model = trained_proto(texts, model_type="bpe", vocab_size=30000, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    open(os.path.join(folder, "bpe.model"), "wb").write(model)
    vocab = {p.piece: i for i, p in enumerate(proto.pieces)}
    merges = []
    for piece, i in vocab.items():
        cuts = [(piece[:k], piece[k:]) for k in range(1, len(piece)) if piece[:k] in vocab and piece[k:] in vocab]
        merges += [(-proto.pieces[i].score, i, cut) for cut in sorted(cuts, key=lambda c: (vocab[c[0]], vocab[c[1]]))]
    t = Tokenizer(models.BPE(vocab, [m[2] for m in sorted(merges, key=lambda m: m[:2])], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s>:1 $B:1", [("<s>", 1)])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t


KINDS = {"wordpiece": wordpiece, "clip": clip, "gpt2": gpt2, "qwen": qwen, "unigram": unigram, "xlmr": xlmr, "llama": llama}
NEEDS = {"clip": "clip", "qwen": "qwen"}


def make(name, folder, texts, files):
    """Writes FOLDER/NAME.json if it does not exist, and returns its path. None: it needs a file that was not given."""
    path = os.path.join(folder, name + ".json")
    if NEEDS.get(name) and not files.get(NEEDS[name]):
        return None
    if not os.path.exists(path):
        rare = {ord(c): None for c, _ in Counter(c for t in texts for c in t).most_common()[4000:]}
        KINDS[name]([t for t in (t.translate(rare) for t in texts) if t.strip()], folder=folder, **files).save(path)
    return path
