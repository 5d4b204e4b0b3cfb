/* tests/faults_tokenizers.h: the readers of tokenizers. tests/faults_subjects.h includes this file and lists these
 * readers. */
#ifndef SAPOR_FAULTS_TOKENIZERS_H
#define SAPOR_FAULTS_TOKENIZERS_H

/* Loads a tokenizer, tokenizes a text and then a list of texts, and decodes the tokens of the list. */
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
        mix(digest, &list.places[i].begin, 2 * sizeof(size_t)); /* `begin` and `end` */
    mix(digest, back.p, back.n);
    return true;
}

#define TOKENIZER(name, file)                                                                                          \
    READER(name)                                                                                                       \
    {                                                                                                                  \
        return tokens(GOLDEN "tokenizer/" file, a, digest, e);                                                         \
    }
TOKENIZER(tokenizer_json, "bert.json")
TOKENIZER(tokenizer_pairs, "pairs.json")
TOKENIZER(tokenizer_bpe, "clip.json")
TOKENIZER(tokenizer_folder, "cased")
TOKENIZER(tokenizer_unigram, "sentencepiece/t5.json")
TOKENIZER(tokenizer_unigram_model, "sentencepiece/bytes.model")
TOKENIZER(tokenizer_class_t5, "classes/t5")
TOKENIZER(tokenizer_class_llama, "classes/llama")
TOKENIZER(tokenizer_ranks, "classes/qwen")
TOKENIZER(tokenizer_clip_list, "classes/clip_list")

#ifdef HAVE_ZLIB
TOKENIZER(tokenizer_clip_packed, "classes/clip_gz")
#endif

#ifdef HAVE_ONIGURUMA
TOKENIZER(tokenizer_regex, "classes/regex/behind.json")
#endif

TOKENIZER(tokenizer_bpe_model, "sentencepiece/bpe.model")

#endif
