/* tests/faults_tokenizers.h: the readers of tokenizers, for tests/faults_subjects.h, which has their macro and names
 * them. */
#ifndef SAPOR_FAULTS_TOKENIZERS_H
#define SAPOR_FAULTS_TOKENIZERS_H

static bool tokens(const char *path, Arena *a, uint64_t *digest, Error *e)
{
    TokenIds ids = {0};
    Tokenizer *t = tokenizer_load(path, a, e);
    if (!t || !tokenize(t, TEXT("The caf\xc3\xa9, [MASK] \xe4\xbd\xa0 lamps"), 0, &ids, a, e))
        return false;
    mix(digest, ids.ids, ids.count * sizeof *ids.ids);
    Text texts[2] = {TEXT("The caf\xc3\xa9 [MASK]"), TEXT("running e\xcc\x81\xcc\xa3 lamps")}, back;
    TokenList list;
    if (!tokenize_texts(t, texts, 2, &(TokenOptions){.max_length = 9}, &list, a, e) ||
        !token_code_points(&list, 1, texts[1], a, e) ||
        !detokenize(t, list.ids, list.count, &(DecodeOptions){.clean_up = true}, &back, a, e))
        return false;
    mix(digest, list.ids, list.count * sizeof *list.ids);
    for (size_t i = 0; i < list.count; i++)
        mix(digest, &list.places[i].begin, 2 * sizeof(size_t)); /* and end */
    mix(digest, back.p, back.n);
    return true;
}

READER(tokenizer_json)
{
    return tokens(GOLDEN "tokenizer/bert.json", a, digest, e);
}

READER(tokenizer_pairs)
{
    return tokens(GOLDEN "tokenizer/pairs.json", a, digest, e);
}

READER(tokenizer_bpe)
{
    return tokens(GOLDEN "tokenizer/clip.json", a, digest, e);
}

READER(tokenizer_folder)
{
    return tokens(GOLDEN "tokenizer/cased", a, digest, e);
}

READER(tokenizer_unigram)
{
    return tokens(GOLDEN "tokenizer/sentencepiece/t5.json", a, digest, e);
}

READER(tokenizer_unigram_model)
{
    return tokens(GOLDEN "tokenizer/sentencepiece/bytes.model", a, digest, e);
}

READER(tokenizer_class_t5)
{
    return tokens(GOLDEN "tokenizer/classes/t5", a, digest, e);
}

READER(tokenizer_class_llama)
{
    return tokens(GOLDEN "tokenizer/classes/llama", a, digest, e);
}

READER(tokenizer_ranks)
{
    return tokens(GOLDEN "tokenizer/classes/qwen", a, digest, e);
}

READER(tokenizer_clip_list)
{
    return tokens(GOLDEN "tokenizer/classes/clip_list", a, digest, e);
}

#ifdef HAVE_ZLIB
READER(tokenizer_clip_packed)
{
    return tokens(GOLDEN "tokenizer/classes/clip_gz", a, digest, e);
}
#endif

#ifdef HAVE_ONIGURUMA
READER(tokenizer_regex)
{
    return tokens(GOLDEN "tokenizer/classes/regex/behind.json", a, digest, e);
}
#endif

READER(tokenizer_bpe_model)
{
    return tokens(GOLDEN "tokenizer/sentencepiece/bpe.model", a, digest, e);
}

#endif
