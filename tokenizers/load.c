/* tokenizers/load.c: loads a tokenizer from the files of a folder: tokenizer.json, or the files of a class of
 * transformers or of SentencePiece. */
// flags: -Os
#include "tokenizers/pipeline.h"

enum { MAX_FILE = 256 << 20 };

bool load_source(Load *l, const char *path, Text *source)
{
    return l->memory ? files_read(source, l->a, l->memory, path_base(path).p, MAX_FILE, l->e)
                     : file_read(source, l->a, path, MAX_FILE, l->e);
}

const Json *load_file_json(Load *l, const char *path)
{
    Text source;
    return load_source(l, path, &source) ? json_parse(l->a, source, path, l->e) : NULL;
}

bool load_path(Load *l, const char *folder, const char *name, const char **path)
{
    *path = files_path(l->memory ? l->memory : &(Files){.folder = folder}, name, l->a, l->e);
    return *path || l->e->code == SP_OK;
}

/* ---- added tokens ---------------------------------------------------------------------------- */

bool add_token(Load *l, Added token, const char *path, uint32_t line)
{
    if (l->added_count >= MAX_ADDED)
        return fail(l->e, SP_UNSUPPORTED, "%s: more than %d added tokens are not supported", path, MAX_ADDED);
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

bool load_added(Load *l, const Json *list)
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

/* Numbers the added tokens as Hugging Face does: the id of the vocabulary, else the next free id. The ids in the file
 * are ignored. */
static bool number_added(Load *l, TextIndex *seen)
{
    Tokenizer *t = l->t;
    size_t kept = 0;
    int64_t next = (int64_t)l->distinct, ids = t->ids;
    for (size_t i = 0; i < l->added_count; i++) {
        Added token = l->added[i];
        if (!token.content.n)
            continue;
        int64_t same = text_index_add(seen, token.content, l->e);
        if (same < 0)
            return false;
        token.was_special = token.special;
        token.was_normalized = token.normalized;
        if (same < (int64_t)kept) { /* the last flags of a token count */
            token.id = l->added[same].id;
            token.was_special |= l->added[same].was_special;
            token.was_normalized |= l->added[same].was_normalized;
            l->added[same] = token;
            continue;
        }
        token.id = t->kind->find(t->model, token.content);
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
    return true;
}

static bool normalize_added(Work *w, Text content, Text *normal)
{
    return pipeline_normalize(w, content, normal) &&
           (normal->n <= MAX_ADDED_BYTES ||
            fail(w->e, SP_UNSUPPORTED,
                 "%s: the normal form of added token '%.*s' has %zu bytes; at most %d are supported", w->t->path,
                 NAME(content), normal->n, MAX_ADDED_BYTES));
}

/* Computes two texts of each added token. Several entries of the files may be about the same token.
 *
 * - The text that is searched in the input. It is the normal form if `normalized` is set in the last entry.
 * - The text for decoding. It is the normal form if `normalized` is set in any entry.
 *
 * Also sets `hidden`: whether a token is left out of a text that is decoded without special tokens. It is left out if
 * its text for decoding equals the content of a special token. */
static bool finish_added(Load *l, const TextIndex *seen)
{
    Tokenizer *t = l->t;
    size_t n = t->added_count;
    Added *sought = NEW(l->a, Added, n + 1, l->e);
    AddedText *shown = NEW(l->a, AddedText, n + 1, l->e);
    uint32_t *shown_of = NEW(l->a, uint32_t, t->ids, l->e);
    Work w = {.t = t, .a = l->a, .e = l->e};
    if (!sought || !shown || !shown_of)
        return false;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        const Added *token = &t->added[i];
        shown[i].text = token->content;
        if (token->was_normalized)
            ok = normalize_added(&w, token->content, &shown[i].text);
        int64_t same = ok ? text_index_find(seen, shown[i].text) : -1;
        shown[i].hidden = same >= 0 && t->added[same].was_special;
        shown_of[token->id] = (uint32_t)i + 1;
    }
    work_end(&w);
    if (!ok)
        return false;
    /* special tokens first: of two tokens with the same text, the special one counts */
    for (size_t i = 0, k = 0; i < 2 * n; i++) {
        const Added *token = &t->added[i % n];
        if (token->special != (i < n))
            continue;
        sought[k] = *token;
        if (token->normalized)
            sought[k].content = shown[i % n].text;
        k++;
    }
    t->shown = shown;
    t->shown_of = shown_of;
    return added_build(&t->raw, sought, n, false, l->a, l->e) && added_build(&t->normal, sought, n, true, l->a, l->e);
}

bool load_finish(Load *l)
{
    TextIndex *seen = text_index_new(l->a, l->e);
    byte_level_prepare(l->t);
    return seen && number_added(l, seen) && finish_added(l, seen) && template_finish(l);
}

/* A decoder that is malformed or not supported is an error of detokenize only; only a lack of memory is an error here.
 */
static bool read_decoder(Load *l, const Json *j)
{
    Load for_decoder = *l;
    for_decoder.e = &l->t->no_decoder;
    if (!read_decoders(&for_decoder, j, &l->t->decoders) && for_decoder.e->code == SP_MEMORY)
        *l->e = *for_decoder.e;
    return !l->e->code;
}

static bool load_json(Load *l)
{
    Tokenizer *t = l->t;
    static const char *const LONG[] = {"vocab", "merges", NULL};
    Text source;
    const Json *root = load_source(l, l->path, &source) ? json_parse_folded(l->a, source, l->path, LONG, l->e) : NULL;
    if (!root)
        return false;
    const Json *model = json_get(root, "model");
    if (is_absent(model))
        return fail(l->e, SP_FORMAT, "%s: no \"model\": this JSON file is not a tokenizer.json", l->path);
    if (!read_limits(l, json_get(root, "truncation"), json_get(root, "padding")) ||
        !load_added(l, json_get(root, "added_tokens")) || !read_model(l, model) ||
        !read_normalizers(l, json_get(root, "normalizer"), &t->normalizers) ||
        !read_pre_tokenizers(l, json_get(root, "pre_tokenizer"), &t->pre_tokenizers))
        return false;
    bert_prepare(t);
    return read_post_processors(l, json_get(root, "post_processor")) && read_decoder(l, json_get(root, "decoder")) &&
           load_finish(l);
}

/* ---- vocab.txt ------------------------------------------------------------------------------- */

static WordPiece *read_vocab(Load *l)
{
    Text source, line;
    if (!load_source(l, l->path, &source))
        return NULL;
    size_t lines = 1, bad_at;
    if (!utf8_valid(source, &bad_at))
        fail(l->e, SP_FORMAT, "%s: byte %zu is not UTF-8: not a vocabulary", l->path, bad_at);
    for (size_t i = 0; i < source.n; i++)
        lines += source.p[i] == '\n';
    if (l->e->code || !pieces_new(l, lines))
        return NULL;
    while (text_line(&source, &line))
        l->t->pieces[l->t->ids++] = line;
    if (!l->t->ids)
        fail(l->e, SP_FORMAT, "%s: is empty", l->path);
    return l->t->ids ? wordpiece_new(l, TEXT("##"), 100) : NULL;
}

bool load_special(Load *l, const Json *map, const Json *config, const char *name, const char *fallback, bool lstrip,
                  Text *text)
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

bool load_named(Load *l, const char *name, const char *fallback, bool again, Text *text)
{
    size_t before = l->added_count;
    const Json *stated = json_get(l->map, name) ? json_get(l->map, name) : json_get(l->config, name);
    if (!load_special(l, l->map, l->config, name, stated ? NULL : fallback, false, text))
        return false;
    if (l->added_count > before && again)
        l->added[before] = (Added){.content = *text, .special = true};
    for (size_t i = 0; i < before && l->added_count > before && !again; i++)
        if (text_equal(l->added[i].content, *text))
            l->added_count = before;
    return true;
}

bool load_special_id(Load *l, Text token, int32_t *id)
{
    *id = -1;
    for (size_t i = 0; i < l->added_count && *id < 0; i++)
        if (text_equal(l->added[i].content, token))
            *id = l->t->kind->find(l->t->model, token);
    return *id >= 0 ||
           fail(l->e, SP_FORMAT, "%s: the special token '%.*s' is missing from the vocabulary", l->path, NAME(token));
}

/* Uses the defaults of BertTokenizer and MPNetTokenizer of transformers. */
static bool load_vocab(Load *l)
{
    const Json *config = l->config, *map = l->map;
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
    WordPiece *model = load_added(l, json_get(config, "added_tokens_decoder")) ? read_vocab(l) : NULL;
    BertSwitches *bert = NEW(l->a, BertSwitches, 1, l->e);
    if (!model || !bert)
        return false;
    const Json *lower = json_get(config, "do_lower_case"), *chinese = json_get(config, "tokenize_chinese_chars"),
               *strip = json_get(config, "strip_accents");
    bert->on = bert->clean = true;
    bert->lower = is_absent(lower) || json_is_true(lower);
    bert->chinese = is_absent(chinese) || json_is_true(chinese);
    bert->strip = is_absent(strip) ? bert->lower : json_is_true(strip);
    t->normalizers = (Stages){.list = {{&normalizer_bert, bert}}, .count = 1};
    t->pre_tokenizers = (Stages){.list = {{&pre_tokenizer_bert, NULL}}, .count = 1};
    t->decoders = (Stages){.list = {{&decoder_wordpiece, &decoder_wordpiece_default}}, .count = 1};
    bert_prepare(t);
    Text cls, sep, unknown, other;
    if (!load_special(l, map, config, "bos_token", mpnet ? "<s>" : NULL, false, &other) ||
        !load_special(l, map, config, "eos_token", mpnet ? "</s>" : NULL, false, &other) ||
        !load_special(l, map, config, "unk_token", "[UNK]", false, &unknown) ||
        !load_special(l, map, config, "sep_token", mpnet ? "</s>" : "[SEP]", false, &sep) ||
        !load_special(l, map, config, "pad_token", mpnet ? "<pad>" : "[PAD]", false, &other) ||
        !load_special(l, map, config, "cls_token", mpnet ? "<s>" : "[CLS]", false, &cls) ||
        !load_special(l, map, config, "mask_token", mpnet ? "<mask>" : "[MASK]", mpnet, &other))
        return false;
    model->unknown = t->kind->find(model, unknown);
    t->trims = mpnet;
    int32_t first, last;
    return load_special_id(l, cls, &first) && load_special_id(l, sep, &last) &&
           template_around(l, first, last, mpnet ? 2 : 1, mpnet ? 0 : 1) && load_finish(l);
}

/* ---- loading --------------------------------------------------------------------------------- */

bool load_class(Load *l, Text *class, Text *model_type)
{
    const Json *name = json_get(l->config, "tokenizer_class"), *root = NULL;
    const char *path;
    *class = name && name->type == JSON_STRING ? name->text : TEXT("");
    *model_type = TEXT("");
    if (text_ends(*class, "Fast"))
        class->n -= 4;
    if (class->n)
        return true;
    if (!load_path(l, l->folder, "config.json", &path) || (path && !(root = load_file_json(l, path))))
        return false;
    const Json *type = json_get(root, "model_type");
    if (type && type->type == JSON_STRING)
        *model_type = type->text;
    return true;
}

/* The files that a folder may have; the first one that exists is read. */
typedef struct TokenizerFile {
    const char *name, *second; /* second: another file of the same format, or NULL */
    bool (*load)(Load *l);
    bool has_map; /* special_tokens_map.json is read too */
} TokenizerFile;
static const TokenizerFile FILES[] = {
    {"tokenizer.json", NULL, load_json, false},
    {"vocab.txt", NULL, load_vocab, true},
    {"vocab.json", "merges.txt", load_vocab_json, true},
    {"spiece.model", NULL, load_model, true},
    {"sentencepiece.bpe.model", NULL, load_model, true},
    {"tokenizer.model", NULL, load_model, true},
    {"qwen.tiktoken", NULL, load_tiktoken, false},
    {"bpe_simple_vocab_16e6.txt.gz", NULL, load_clip_merges, true},
    {"bpe_simple_vocab_16e6.txt", NULL, load_clip_merges, true},
};

/* Sets l->path and l->second, and returns the first format whose files the folder has. NULL, with an error: the folder
 * has none, or only one of a pair, or a path cannot be made. */
static const TokenizerFile *find_file(Load *l)
{
    const TokenizerFile *half = NULL;
    for (size_t i = 0; i < COUNT(FILES); i++) {
        const TokenizerFile *f = &FILES[i];
        if (!load_path(l, l->folder, f->name, &l->path) ||
            (f->second && !load_path(l, l->folder, f->second, &l->second)))
            return NULL;
        if (l->path && (l->second || !f->second))
            return f;
        half = !half && (l->path || (f->second && l->second)) ? f : half;
    }
    if (half)
        fail(l->e, SP_IO, "%s: contains one of %s and %s; expected both: fetch the whole folder of the model",
             l->folder, half->name, half->second);
    else
        fail(
            l->e, SP_IO,
            "%s: contains no tokenizer (tokenizer.json, vocab.txt, vocab.json with merges.txt, a SentencePiece .model, "
            "qwen.tiktoken or bpe_simple_vocab_16e6.txt.gz); fetch the whole folder of the model",
            l->folder);
    return NULL;
}

/* Finds the format of a file that the user named: by its name, else by its extension, else tokenizer.json. */
static const TokenizerFile *named_file(Load *l, const char *path)
{
    Text name = path_base(path);
    const char *dot = strrchr(name.p, '.');
    l->path = path;
    l->folder = name.p == path ? "." : arena_strndup(l->a, path, (size_t)(name.p - path), l->e);
    if (!l->folder)
        return NULL;
    for (int exact = 1; exact >= 0; exact--)
        for (size_t i = 0; i < COUNT(FILES); i++)
            if (!FILES[i].second &&
                (exact ? text_is(name, FILES[i].name) : dot && text_ends(text_of(FILES[i].name), dot)))
                return &FILES[i];
    return &FILES[0];
}

static bool load(Load *l, const char *path)
{
    l->folder = path;
    const TokenizerFile *f = l->memory || folder_exists(path) ? find_file(l) : named_file(l, path);
    const char *config, *map;
    if (!f || !load_path(l, l->folder, "tokenizer_config.json", &config) ||
        !load_path(l, l->folder, "special_tokens_map.json", &map) ||
        (config && !(l->config = load_file_json(l, config))) ||
        (f->has_map && map && !(l->map = load_file_json(l, map))))
        return false;
    const Json *longest = json_get(l->config, "model_max_length");
    if (!longest || !json_i64(longest, &l->t->max_length) || l->t->max_length < 0 || l->t->max_length > 1 << 30)
        l->t->max_length = 0; /* transformers writes 1e30 if there is no limit */
    l->t->path = arena_printf(l->a, l->e, "%s", l->path);
    unicode_plane(l->t->plane);
    if (!l->t->path || !template_default(l) || !f->load(l) || !read_side(l, l->config))
        return false;
    return l->t->fused || (l->t->cache = word_cache_new(l->a, l->e)) != NULL;
}

/* Loads a tokenizer.
 *
 * Time: n log n. Memory:
 *
 * - the bytes of a tokenizer.json or vocab.txt
 * - the memory of json_parse for the other files, and for everything in a tokenizer.json except its vocabulary and
 *   merges
 * - 16 bytes per id, and the text of each id; the number of ids is at most 2 x tokens + 65,536, and at most MAX_TOKENS
 * - 6 to 48 bytes per token for hashes
 * - 16 to 28 bytes per merge
 * - 250 bytes per added token (at most MAX_ADDED)
 * - 0.9 MB for words */
static Tokenizer *load_new(const char *path, const Files *memory, Arena *a, Error *e)
{
    Load l = {.t = NEW(a, Tokenizer, 1, e), .path = path, .memory = memory, .a = a, .e = e};
    return l.t && load(&l, path) ? l.t : NULL;
}

bool tokenizer_lower_case(Tokenizer *t, Error *e)
{
    Stages *s = &t->normalizers;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].kind == &normalizer_lowercase)
            return true;
    if (s->count == MAX_STAGES)
        return fail(e, SP_UNSUPPORTED, "%s: too many normalizers: one for lower-case cannot be added", t->path);
    memmove(s->list + 1, s->list, s->count++ * sizeof *s->list);
    s->list[0] = (Stage){&normalizer_lowercase, NULL};
    bert_prepare(t);
    return true;
}

Tokenizer *tokenizer_load(const char *path, Arena *a, Error *e)
{
    return load_new(path, NULL, a, e);
}

Tokenizer *tokenizer_load_files(const Files *f, Arena *a, Error *e)
{
    return load_new(f->folder, f->list ? f : NULL, a, e);
}
