/* tokenizers/load.c: a tokenizer from tokenizer.json, or from vocab.txt with tokenizer_config.json. */
#include "tokenizers/private.h"

enum { MAX_FILE = 256 << 20 };
#define NAME(text) (int)MIN((text).n, (size_t)100), (text).p

typedef struct Load {
    Tokenizer *t;
    const char *path;
    Arena *a;
    Error *e;
    Added *added;
    size_t added_count, added_capacity;
    size_t distinct; /* pieces in the vocabulary */
} Load;

static const Json *read_json(Load *l, const char *path)
{
    Text source;
    return file_read(&source, l->a, path, MAX_FILE, l->e) ? json_parse(l->a, source, path, l->e) : NULL;
}

static bool room_for_id(Load *l, int64_t id, size_t count)
{
    if (id < 0 || id >= MIN(2 * ((int64_t)count + 32768), (int64_t)MAX_TOKENS))
        return fail(l->e, SP_FORMAT, "%s: token id %lld is out of range for %zu tokens", l->path, (long long)id, count);
    return true;
}

/* ---- stages of tokenizer.json ---------------------------------------------------------------- */

static bool unsupported(Load *l, const char *stage, const Json *j, const char *known)
{
    const Json *type = json_get(j, "type");
    Text name = type && type->type == JSON_STRING ? type->text : TEXT("(no type)");
    return fail(l->e, SP_UNSUPPORTED, "%s:%u: %s %.*s is not supported (supported: %s)", l->path,
                j ? (unsigned)j->line : 0u, stage, NAME(name), known);
}

static bool has_type(const Json *j, const char *type)
{
    const Json *t = json_get(j, "type");
    return t && t->type == JSON_STRING && text_is(t->text, type);
}

static bool is_absent(const Json *j)
{
    return !j || j->type == JSON_NULL;
}

/* Room for the pieces of a vocabulary of this many ids, and for the added tokens that get ids behind them. */
static bool pieces_new(Load *l, size_t ids)
{
    enum { NAMED = 16 }; /* more than the special tokens that files next to a vocab.txt can name */
    if (ids > MAX_TOKENS)
        return fail(l->e, SP_UNSUPPORTED, "%s: more than %d tokens are not supported", l->path, MAX_TOKENS);
    return (l->t->pieces = NEW(l->a, Text, ids + l->added_count + NAMED, l->e)) != NULL;
}

static bool read_model(Load *l, const Json *model)
{
    Tokenizer *t = l->t;
    const Json *vocab = json_get(model, "vocab"), *prefix = json_get(model, "continuing_subword_prefix");
    if (!has_type(model, "WordPiece") && (json_get(model, "type") || !prefix))
        return unsupported(l, "model", model, "WordPiece");
    const Json *unknown = json_get(model, "unk_token"), *longest = json_get(model, "max_input_chars_per_word");
    int64_t characters = 100;
    if (!vocab || vocab->type != JSON_OBJECT || !vocab->count || !unknown || unknown->type != JSON_STRING ||
        (prefix && prefix->type != JSON_STRING) || (longest && !json_i64(longest, &characters)))
        return fail(l->e, SP_FORMAT,
                    "%s: expected vocab, unk_token and continuing_subword_prefix in the WordPiece model", l->path);
    if (characters < 0 || characters > MAX_WORD)
        return fail(l->e, SP_UNSUPPORTED, "%s: max_input_chars_per_word is %lld; at most %d is supported", l->path,
                    (long long)characters, MAX_WORD);
    t->max_word = (size_t)characters;
    t->prefix = prefix ? prefix->text : TEXT("##");
    for (const Json *j = vocab->first; j; j = j->next) {
        int64_t id;
        if (!json_i64(j, &id))
            return fail(l->e, SP_FORMAT, "%s:%u: token '%.*s' has no id", l->path, (unsigned)j->line, NAME(j->key));
        if (!room_for_id(l, id, vocab->count))
            return false;
        t->ids = MAX(t->ids, id + 1);
    }
    if (!pieces_new(l, (size_t)t->ids))
        return false;
    for (const Json *j = vocab->first; j; j = j->next) {
        Text *piece = &t->pieces[(int64_t)j->number];
        if (piece->p)
            return fail(l->e, SP_FORMAT, "%s:%u: tokens '%.*s' and '%.*s' have the same id", l->path, (unsigned)j->line,
                        NAME(*piece), NAME(j->key));
        *piece = j->key;
    }
    if (!wordpiece_build(t, &l->distinct, l->a, l->e))
        return false;
    t->unknown = piece_find(t, unknown->text, false);
    return true;
}

static bool read_normalizer(Load *l, const Json *j)
{
    Tokenizer *t = l->t;
    const Json *inner = json_get(j, "normalizers");
    if (has_type(j, "Sequence") && inner && inner->type == JSON_ARRAY && inner->count == 1)
        j = inner->first;
    if (!is_absent(j)) {
        if (!has_type(j, "BertNormalizer"))
            return unsupported(l, "normalizer", j, "BertNormalizer");
        t->normalizes = true;
        t->clean = json_is_true(json_get(j, "clean_text"));
        t->chinese = json_is_true(json_get(j, "handle_chinese_chars"));
        t->lower = json_is_true(json_get(j, "lowercase"));
        const Json *strip = json_get(j, "strip_accents");
        t->strip = is_absent(strip) ? t->lower : json_is_true(strip);
    }
    normalize_prepare(t);
    return true;
}

static bool add_token(Load *l, Added token, const char *path, uint32_t line)
{
    if (token.content.n > MAX_ADDED_BYTES)
        return fail(l->e, SP_UNSUPPORTED, "%s:%u: an added token of %zu bytes; at most %d are supported", path,
                    (unsigned)line, token.content.n, MAX_ADDED_BYTES);
    Added *grown = arena_grow(l->a, l->added, l->added_count, &l->added_capacity, sizeof *grown, l->e);
    if (!grown)
        return false;
    l->added = grown;
    l->added[l->added_count++] = token;
    return true;
}

static bool read_added(Load *l, const Json *list)
{
    if (is_absent(list))
        return true;
    if (list->count > MAX_ADDED)
        return fail(l->e, SP_UNSUPPORTED, "%s:%u: %zu added tokens; at most %d are supported", l->path,
                    (unsigned)list->line, list->count, MAX_ADDED);
    if (!(l->added = NEW(l->a, Added, list->count + 16, l->e)))
        return false;
    l->added_capacity = list->count + 16;
    for (const Json *j = list->first; j; j = j->next) {
        const Json *content = json_get(j, "content");
        if (!content || content->type != JSON_STRING)
            return fail(l->e, SP_FORMAT, "%s:%u: an added token has no content", l->path, (unsigned)j->line);
        Added token = {.content = content->text,
                       .single_word = json_is_true(json_get(j, "single_word")),
                       .lstrip = json_is_true(json_get(j, "lstrip")),
                       .rstrip = json_is_true(json_get(j, "rstrip")),
                       .normalized = json_is_true(json_get(j, "normalized")),
                       .special = json_is_true(json_get(j, "special"))};
        if (!add_token(l, token, l->path, j->line))
            return false;
    }
    return true;
}

/* Special tokens around one text. */
static bool surround(Load *l, bool behind, const int32_t *ids, size_t count)
{
    int32_t **list = behind ? &l->t->after : &l->t->before;
    size_t *had = behind ? &l->t->after_count : &l->t->before_count;
    if (*had + count > MAX_AROUND)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s: post_processor: more than %d special tokens around a text are not supported", l->path,
                    MAX_AROUND);
    if (!*list && !(*list = NEW(l->a, int32_t, MAX_AROUND, l->e)))
        return false;
    memcpy(*list + *had, ids, count * sizeof **list);
    *had += count;
    return true;
}

static bool surround_json(Load *l, bool behind, const Json *id)
{
    int64_t value;
    if (!id || !json_i64(id, &value) || value < 0 || value > INT32_MAX)
        return fail(l->e, SP_FORMAT, "%s: post_processor: a special token has no id", l->path);
    return surround(l, behind, (const int32_t[]){(int32_t)value}, 1);
}

/* Only the template of a single text matters here; type ids are all 0. */
static bool read_template(Load *l, const Json *j)
{
    const Json *single = json_get(j, "single"), *tokens = json_get(j, "special_tokens");
    bool behind = false;
    if (single && single->count > 2 * MAX_AROUND + 1)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s:%u: the template of a single text has %zu parts; at most %d are supported", l->path,
                    (unsigned)single->line, single->count, 2 * MAX_AROUND + 1);
    for (const Json *part = single ? single->first : NULL; part; part = part->next) {
        const Json *special = json_get(json_get(part, "SpecialToken"), "id"),
                   *sequence = json_get(json_get(part, "Sequence"), "id");
        if (special && special->type == JSON_STRING) {
            const Json *entry = tokens ? tokens->first : NULL;
            while (entry && !text_equal(entry->key, special->text))
                entry = entry->next;
            const Json *ids = json_get(entry, "ids");
            if (!ids || ids->type != JSON_ARRAY)
                return fail(l->e, SP_FORMAT, "%s:%u: the template names %.*s, which is missing from special_tokens",
                            l->path, (unsigned)part->line, NAME(special->text));
            for (const Json *id = ids->first; id; id = id->next)
                if (!surround_json(l, behind, id))
                    return false;
        } else if (sequence && sequence->type == JSON_STRING && text_is(sequence->text, "A") && !behind) {
            behind = true;
        } else {
            return fail(l->e, SP_FORMAT, "%s:%u: expected special tokens around A in the template of a single text",
                        l->path, (unsigned)part->line);
        }
    }
    return behind || fail(l->e, SP_FORMAT, "%s: post_processor: the template does not contain the text (A)", l->path);
}

static bool read_post_processor(Load *l, const Json *j)
{
    if (is_absent(j))
        return true;
    if (has_type(j, "TemplateProcessing"))
        return read_template(l, j);
    if (has_type(j, "BertProcessing") || has_type(j, "RobertaProcessing"))
        return surround_json(l, false, json_at(json_get(j, "cls"), 1)) &&
               surround_json(l, true, json_at(json_get(j, "sep"), 1));
    return unsupported(l, "post_processor", j, "TemplateProcessing, BertProcessing or RobertaProcessing");
}

/* Gives every added token its id as Hugging Face does: the vocabulary's, else the next one free; the ids that the file
 * states are not used. Then the two sets to look for. */
static bool finish(Load *l)
{
    Tokenizer *t = l->t;
    size_t kept = 0;
    int64_t next = (int64_t)l->distinct, ids = t->ids;
    TextIndex *seen = text_index_new(l->a, l->e);
    if (!seen)
        return false;
    for (size_t i = 0; i < l->added_count; i++) {
        Added token = l->added[i];
        if (!token.content.n)
            continue;
        int64_t same = text_index_add(seen, token.content, l->e);
        if (same < 0)
            return false;
        if (same < (int64_t)kept) { /* its last flags count */
            token.id = l->added[same].id;
            l->added[same] = token;
            continue;
        }
        token.id = piece_find(t, token.content, false);
        if (token.id < 0) {
            token.id = (int32_t)next++;
            if (token.id < t->ids && t->pieces[token.id].p)
                return fail(l->e, SP_FORMAT, "%s: added token '%.*s' gets id %d, which the vocabulary already uses",
                            l->path, NAME(token.content), (int)token.id);
            ids = MAX(ids, (int64_t)token.id + 1);
        }
        l->added[kept++] = token;
    }
    for (size_t i = 0; i < kept; i++)
        t->pieces[l->added[i].id] = l->added[i].content;
    t->ids = ids;
    t->added = l->added;
    t->added_count = kept;
    Added *normal = NEW(l->a, Added, kept + 1, l->e);
    if (!normal)
        return false;
    for (size_t i = 0, n = 0; i < 2 * kept; i++) { /* special ones first: they win where two look for the same */
        const Added *from = &l->added[i % kept];
        if (from->special != (i < kept))
            continue;
        Added *token = &normal[n++];
        *token = *from;
        if (!token->normalized)
            continue;
        char *content = NEW(l->a, char, NORMAL_ROOM(token->content.n), l->e);
        token->content.n = 0;
        if (!content || !normalize(t, from->content, content, &token->content.n, l->a, l->e))
            return false;
        token->content.p = content;
    }
    for (size_t i = 0; i < t->before_count + t->after_count; i++) {
        int32_t id = i < t->before_count ? t->before[i] : t->after[i - t->before_count];
        if (id >= t->ids)
            return fail(l->e, SP_FORMAT, "%s: post_processor: special token id %d is not in the vocabulary", l->path,
                        (int)id);
    }
    return added_build(&t->raw, normal, kept, false, l->a, l->e) &&
           added_build(&t->normal, normal, kept, true, l->a, l->e);
}

static bool load_json(Load *l)
{
    const Json *root = read_json(l, l->path);
    if (!root)
        return false;
    const Json *split = json_get(root, "pre_tokenizer"), *model = json_get(root, "model");
    if (is_absent(model))
        return fail(l->e, SP_FORMAT, "%s: no \"model\": this JSON file is not a tokenizer.json", l->path);
    if (!read_added(l, json_get(root, "added_tokens")) || !read_model(l, model) ||
        !read_normalizer(l, json_get(root, "normalizer")))
        return false;
    if (!has_type(split, "BertPreTokenizer"))
        return unsupported(l, "pre_tokenizer", split, "BertPreTokenizer");
    return read_post_processor(l, json_get(root, "post_processor")) && finish(l);
}

/* ---- vocab.txt ------------------------------------------------------------------------------- */

static bool read_vocab(Load *l)
{
    Text source, line;
    if (!file_read(&source, l->a, l->path, MAX_FILE, l->e))
        return false;
    size_t lines = 1, bad_at;
    if (!utf8_valid(source, &bad_at))
        return fail(l->e, SP_FORMAT, "%s: byte %zu is not UTF-8: not a vocabulary", l->path, bad_at);
    for (size_t i = 0; i < source.n; i++)
        lines += source.p[i] == '\n';
    if (!pieces_new(l, lines))
        return false;
    while (text_line(&source, &line))
        l->t->pieces[l->t->ids++] = line;
    l->t->prefix = TEXT("##");
    l->t->max_word = 100;
    return l->t->ids ? wordpiece_build(l->t, &l->distinct, l->a, l->e) : fail(l->e, SP_FORMAT, "%s: is empty", l->path);
}

/* The named special token from special_tokens_map.json or tokenizer_config.json, as a string or an object, else
 * fallback. It becomes an added token; *id is -1 where fallback is NULL and no file names one. */
static bool special_token(Load *l, const Json *map, const Json *config, const char *name, const char *fallback,
                          bool lstrip, Text *text)
{
    const Json *j = json_get(map, name);
    if (is_absent(j))
        j = json_get(config, name);
    const Json *content = j && j->type == JSON_OBJECT ? json_get(j, "content") : j;
    Added token = {.lstrip = lstrip, .special = true};
    *text = (Text){NULL, 0};
    if (content && content->type == JSON_STRING)
        *text = content->text;
    else if (fallback)
        *text = text_of(fallback);
    if (!text->n)
        return true;
    if (content != j)
        token = (Added){.single_word = json_is_true(json_get(j, "single_word")),
                        .lstrip = json_is_true(json_get(j, "lstrip")),
                        .rstrip = json_is_true(json_get(j, "rstrip")),
                        .normalized = json_is_true(json_get(j, "normalized")),
                        .special = true};
    token.content = *text;
    return add_token(l, token, l->path, j ? j->line : 0);
}

static bool surround_with(Load *l, bool behind, Text token)
{
    for (size_t i = 0; i < l->added_count; i++)
        if (text_equal(l->added[i].content, token)) {
            int32_t id = piece_find(l->t, token, false);
            if (id < 0)
                break;
            return surround(l, behind, &id, 1);
        }
    return fail(l->e, SP_FORMAT, "%s: the special token '%.*s' is missing from the vocabulary", l->path, NAME(token));
}

/* The defaults of BertTokenizer and MPNetTokenizer of transformers. */
static bool load_vocab(Load *l, const Json *config, const Json *map)
{
    Tokenizer *t = l->t;
    const Json *class = json_get(config, "tokenizer_class");
    Text name = class && class->type == JSON_STRING ? class->text : TEXT("BertTokenizer");
    if (text_ends(name, "Fast"))
        name.n -= 4;
    static const char *const BERTS[] = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
                                        "MobileBertTokenizer"};
    bool mpnet = text_is(name, "MPNetTokenizer"), known = mpnet;
    for (size_t i = 0; i < COUNT(BERTS); i++)
        known |= text_is(name, BERTS[i]);
    if (!known)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s: tokenizer_class %.*s is not supported with vocab.txt (BertTokenizer and MPNetTokenizer are)",
                    l->path, NAME(name));
    if (!read_added(l, json_get(config, "added_tokens_decoder")) || !read_vocab(l))
        return false;
    const Json *lower = json_get(config, "do_lower_case"), *chinese = json_get(config, "tokenize_chinese_chars"),
               *strip = json_get(config, "strip_accents");
    t->normalizes = t->clean = true;
    t->lower = is_absent(lower) || json_is_true(lower);
    t->chinese = is_absent(chinese) || json_is_true(chinese);
    t->strip = is_absent(strip) ? t->lower : json_is_true(strip);
    normalize_prepare(t);
    Text cls, sep, unknown, other;
    if (!special_token(l, map, config, "bos_token", mpnet ? "<s>" : NULL, false, &other) ||
        !special_token(l, map, config, "eos_token", mpnet ? "</s>" : NULL, false, &other) ||
        !special_token(l, map, config, "unk_token", "[UNK]", false, &unknown) ||
        !special_token(l, map, config, "sep_token", mpnet ? "</s>" : "[SEP]", false, &sep) ||
        !special_token(l, map, config, "pad_token", mpnet ? "<pad>" : "[PAD]", false, &other) ||
        !special_token(l, map, config, "cls_token", mpnet ? "<s>" : "[CLS]", false, &cls) ||
        !special_token(l, map, config, "mask_token", mpnet ? "<mask>" : "[MASK]", mpnet, &other))
        return false;
    t->unknown = piece_find(t, unknown, false);
    return surround_with(l, false, cls) && surround_with(l, true, sep) && finish(l);
}

/* ---- loading --------------------------------------------------------------------------------- */

/* FOLDER/name if it exists, else NULL. */
static bool in_folder(Load *l, const char *folder, const char *name, const char **path)
{
    const char *joined = path_join(l->a, folder, name, l->e);
    *path = joined && file_exists(joined) ? joined : NULL;
    return joined;
}

/* The error for a folder without a supported tokenizer: it names the one that the folder has. */
static bool no_tokenizer(Load *l, const char *folder)
{
    static const char *const UNREAD[][2] = {{"spiece.model", "SentencePiece"},
                                            {"sentencepiece.bpe.model", "SentencePiece"},
                                            {"tokenizer.model", "SentencePiece"},
                                            {"vocab.json", "byte-level BPE"},
                                            {"merges.txt", "byte-level BPE"},
                                            {"qwen.tiktoken", "byte-level BPE"},
                                            {"bpe_simple_vocab_16e6.txt.gz", "CLIP's BPE"}};
    const char *path;
    for (size_t i = 0; i < COUNT(UNREAD); i++) {
        if (!in_folder(l, folder, UNREAD[i][0], &path))
            return false;
        if (path)
            return fail(l->e, SP_UNSUPPORTED,
                        "%s: contains neither tokenizer.json nor vocab.txt; %s (%s) is not supported", folder,
                        UNREAD[i][0], UNREAD[i][1]);
    }
    return fail(
        l->e, SP_IO,
        "%s: contains neither tokenizer.json nor vocab.txt; fetch the whole folder of the model, with its tokenizer",
        folder);
}

static bool load(Load *l, const char *path)
{
    const char *folder = path, *json = NULL, *vocab = NULL, *config_path, *map_path;
    if (folder_exists(path)) {
        if (!in_folder(l, folder, "tokenizer.json", &json) || (!json && !in_folder(l, folder, "vocab.txt", &vocab)))
            return false;
        if (!json && !vocab)
            return no_tokenizer(l, path);
    } else {
        Text name = path_base(path);
        folder = name.p == path ? "." : arena_strndup(l->a, path, (size_t)(name.p - path), l->e);
        *(text_ends(name, ".txt") ? &vocab : &json) = path;
        if (!folder)
            return false;
    }
    if (!in_folder(l, folder, "tokenizer_config.json", &config_path) ||
        !in_folder(l, folder, "special_tokens_map.json", &map_path))
        return false;
    const Json *config = NULL, *map = NULL;
    if ((config_path && !(config = read_json(l, config_path))) ||
        (vocab && map_path && !(map = read_json(l, map_path))))
        return false;
    const Json *longest = json_get(config, "model_max_length");
    if (!longest || !json_i64(longest, &l->t->max_length) || l->t->max_length < 0 || l->t->max_length > 1 << 30)
        l->t->max_length = 0; /* transformers writes 1e30 for "none" */
    l->path = json ? json : vocab;
    l->t->path = arena_printf(l->a, l->e, "%s", l->path);
    return l->t->path && (json ? load_json(l) : load_vocab(l, config, map));
}

/* Memory: what json_parse takes of the files, or the bytes of a vocab.txt; 16 bytes an id (at most 2 ids a token and
 * 65,536, in all MAX_TOKENS), 12 to 48 bytes a token for its hashes, 250 bytes an added token (at most MAX_ADDED).
 * Time: n log n. */
Tokenizer *tokenizer_load(const char *path, Arena *a, Error *e)
{
    Load l = {.t = NEW(a, Tokenizer, 1, e), .path = path, .a = a, .e = e};
    return l.t && load(&l, path) ? l.t : NULL;
}
