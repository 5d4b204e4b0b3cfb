/* tokenizers/post_processors.c: templates: the special tokens before, between and after one text or two, and the type
 * ids; truncation and padding in tokenizer.json. */
#include "tokenizers/pipeline.h"

static bool too_many(Load *l)
{
    return fail(l->e, SP_UNSUPPORTED, "%s: post_processor: more than %d special tokens around a text are not supported",
                l->path, MAX_SPECIAL);
}

static bool special_id(Load *l, const Json *j, int32_t *id)
{
    int64_t value;
    if (!j || !json_i64(j, &value) || value < 0 || value > INT32_MAX)
        return fail(l->e, SP_FORMAT, "%s: post_processor: a special token has no id", l->path);
    *id = (int32_t)value;
    return true;
}

/* ---- TemplateProcessing ---------------------------------------------------------------------- */

/* Reads the ids of the special token that a part names. */
static bool read_special(Load *l, const Json *part, const Json *tokens, Text name, TemplatePart *out)
{
    const Json *entry = tokens ? tokens->first : NULL;
    while (entry && !text_equal(entry->key, name))
        entry = entry->next;
    const Json *ids = json_get(entry, "ids");
    if (!ids || ids->type != JSON_ARRAY)
        return fail(l->e, SP_FORMAT, "%s:%u: the template names %.*s, which is missing from special_tokens", l->path,
                    (unsigned)part->line, NAME(name));
    if (ids->count > MAX_SPECIAL)
        return too_many(l);
    int32_t *list = NEW(l->a, int32_t, ids->count + 1, l->e);
    if (!list)
        return false;
    out->text = -1;
    out->ids = list;
    for (const Json *id = ids->first; id; id = id->next)
        if (!special_id(l, id, &list[out->count++]))
            return false;
    return true;
}

static bool read_type(Load *l, const Json *part, int32_t *type)
{
    const Json *j = json_get(part, "type_id");
    int64_t value = 0;
    if (!is_absent(j) && (!json_i64(j, &value) || value < 0 || value > INT32_MAX))
        return fail(l->e, SP_FORMAT, "%s:%u: the type_id of a template is not a number from 0 on", l->path,
                    (unsigned)j->line);
    *type = (int32_t)value;
    return true;
}

/* Reads a list of parts: special tokens around A, or around A and B. */
static bool read_template(Load *l, const Json *list, const Json *tokens, int texts, Template *out)
{
    enum { MOST = 2 * MAX_SPECIAL };
    bool seen[2] = {false, texts < 2};
    if (list && list->count > (size_t)(MOST + texts))
        return fail(l->e, SP_UNSUPPORTED, "%s:%u: the template of %s has %zu parts; at most %d are supported", l->path,
                    (unsigned)list->line, texts > 1 ? "two texts" : "a single text", list->count, MOST + texts);
    TemplatePart *parts = NEW(l->a, TemplatePart, list ? list->count + 1 : 1, l->e);
    if (!parts)
        return false;
    *out = (Template){.parts = parts};
    for (const Json *part = list ? list->first : NULL; part; part = part->next) {
        const Json *special = json_get(part, "SpecialToken"), *sequence = json_get(part, "Sequence"),
                   *name = json_get(special ? special : sequence, "id");
        TemplatePart *p = &parts[out->count++];
        if (!read_type(l, special ? special : sequence, &p->type))
            return false;
        if (special && name && name->type == JSON_STRING) {
            if (!read_special(l, part, tokens, name->text, p))
                return false;
            out->special += p->count;
            continue;
        }
        p->text = json_is_text(name, "B");
        if (!name || name->type != JSON_STRING || !(p->text || text_is(name->text, "A")) || p->text >= texts ||
            seen[p->text])
            return fail(l->e, SP_FORMAT, "%s:%u: expected special tokens around %s in the template of %s", l->path,
                        (unsigned)part->line, texts > 1 ? "A and B" : "A", texts > 1 ? "two texts" : "a single text");
        seen[p->text] = true;
    }
    if (!seen[0] || !seen[1])
        return fail(l->e, SP_FORMAT, "%s: post_processor: the template does not contain the text (%s)", l->path,
                    seen[0] ? "B" : "A");
    return out->special <= MOST || too_many(l);
}

static bool parse_template(Load *l, const Json *j, const void **settings)
{
    (void)settings;
    const Json *tokens = json_get(j, "special_tokens"), *pair = json_get(j, "pair");
    l->t->two = (Template){0};
    return read_template(l, json_get(j, "single"), tokens, 1, &l->t->one) &&
           (is_absent(pair) || !pair->count || read_template(l, pair, tokens, 2, &l->t->two));
}

const StageKind post_processor_template = {.name = "TemplateProcessing", .parse = parse_template};

/* ---- BertProcessing, RobertaProcessing ------------------------------------------------------- */

bool template_around(Load *l, int32_t first, int32_t last, size_t between, int32_t second_type)
{
    TemplatePart *one = NEW(l->a, TemplatePart, 3, l->e), *two = NEW(l->a, TemplatePart, 5, l->e);
    int32_t *ids = NEW(l->a, int32_t, 3, l->e);
    if (!one || !two || !ids)
        return false;
    ids[0] = first;
    ids[1] = ids[2] = last;
    one[0] = two[0] = (TemplatePart){.text = -1, .ids = ids, .count = first >= 0};
    one[2] = (TemplatePart){.text = -1, .ids = ids + 1, .count = 1};
    two[2] = (TemplatePart){.text = -1, .ids = ids + 1, .count = between};
    two[3] = (TemplatePart){.text = 1, .type = second_type};
    two[4] = (TemplatePart){.text = -1, .type = second_type, .ids = ids + 1, .count = 1};
    l->t->one = (Template){.parts = one, .count = 3, .special = first >= 0 ? 2 : 1};
    l->t->two = (Template){.parts = two, .count = 5, .special = (first >= 0 ? 2 : 1) + between};
    return true;
}

bool template_ends(Load *l, int32_t first, int32_t last)
{
    TemplatePart *parts = NEW(l->a, TemplatePart, 6, l->e);
    int32_t *ids = NEW(l->a, int32_t, 2, l->e);
    size_t around = (size_t)(first >= 0) + (size_t)(last >= 0);
    if (!parts || !ids)
        return false;
    ids[0] = first;
    ids[1] = last;
    for (int i = 0; i < 2; i++) {
        parts[3 * i] = (TemplatePart){.text = -1, .type = i, .ids = ids, .count = first >= 0};
        parts[3 * i + 1] = (TemplatePart){.text = i, .type = i};
        parts[3 * i + 2] = (TemplatePart){.text = -1, .type = i, .ids = ids + 1, .count = last >= 0};
    }
    l->t->one = (Template){.parts = parts, .count = 3, .special = around};
    l->t->two = (Template){.parts = parts, .count = 6, .special = 2 * around};
    return true;
}

static bool read_ends(Load *l, const Json *j, int32_t *first, int32_t *last)
{
    return special_id(l, json_at(json_get(j, "cls"), 1), first) && special_id(l, json_at(json_get(j, "sep"), 1), last);
}

static bool parse_bert(Load *l, const Json *j, const void **settings)
{
    int32_t first = 0, last = 0;
    (void)settings;
    return read_ends(l, j, &first, &last) && template_around(l, first, last, 1, 1);
}

const StageKind post_processor_bert = {.name = "BertProcessing", .parse = parse_bert};

static bool parse_roberta(Load *l, const Json *j, const void **settings)
{
    const Json *trims = json_get(j, "trim_offsets"), *prefix_space = json_get(j, "add_prefix_space");
    int32_t first = 0, last = 0;
    (void)settings;
    l->t->trims = is_absent(trims) || json_is_true(trims);
    l->t->prefix_space = is_absent(prefix_space) || json_is_true(prefix_space);
    return read_ends(l, j, &first, &last) && template_around(l, first, last, 2, 0);
}

const StageKind post_processor_roberta = {.name = "RobertaProcessing", .parse = parse_roberta, .trims = true};

/* ---- shared by all kinds --------------------------------------------------------------------- */

bool template_default(Load *l)
{
    TemplatePart *parts = NEW(l->a, TemplatePart, 2, l->e);
    if (!parts)
        return false;
    parts[1] = (TemplatePart){.text = 1, .type = 1};
    l->t->one = (Template){.parts = parts, .count = 1};
    l->t->two = (Template){.parts = parts, .count = 2};
    return true;
}

static bool check_ids(Load *l, const Template *template)
{
    for (size_t i = 0; i < template->count; i++)
        for (size_t k = 0; k < template->parts[i].count; k++)
            if (template->parts[i].ids[k] >= l->t->ids)
                return fail(l->e, SP_FORMAT, "%s: post_processor: special token id %d is not in the vocabulary",
                            l->path, (int)template->parts[i].ids[k]);
    return true;
}

bool template_finish(Load *l)
{
    Tokenizer *t = l->t;
    if (!check_ids(l, &t->one) || !check_ids(l, &t->two))
        return false;
    int32_t *ids = NEW(l->a, int32_t, t->one.special + 1, l->e);
    if (!ids)
        return false;
    bool after_text = false;
    for (size_t i = 0; i < t->one.count; i++) {
        const TemplatePart *part = &t->one.parts[i];
        after_text |= part->text == 0;
        for (size_t k = 0; k < part->count; k++)
            ids[t->before_count + t->after_count + k] = part->ids[k];
        *(after_text ? &t->after_count : &t->before_count) += part->count;
    }
    t->before = ids;
    t->after = ids + t->before_count;
    return true;
}

/* ---- truncation and padding ------------------------------------------------------------------ */

enum { MAX_PADDED = 1 << 20 }; /* tokens of a list */

static bool bad_limit(Load *l, const Json *section, const char *what)
{
    return fail(l->e, SP_FORMAT, "%s:%u: %s", l->path, (unsigned)section->line, what);
}

/* Reads a whole number from least to most. */
static bool read_count(const Json *section, const char *key, int64_t least, int64_t most, int64_t *value)
{
    return json_i64(json_get(section, key), value) && *value >= least && *value <= most;
}

/* Reads "Left" or "Right"; the default is "Right". */
static bool read_direction(const Json *section, bool *left)
{
    const Json *j = json_get(section, "direction");
    *left = json_is_text(j, "Left");
    return !j || *left || json_is_text(j, "Right");
}

static bool read_truncation(Load *l, const Json *j)
{
    static const char *const CUTS[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
    const Json *strategy = json_get(j, "strategy");
    TokenOptions *o = &l->t->stated;
    int64_t length, stride;
    size_t cut = 0;
    while (cut < COUNT(CUTS) && !json_is_text(strategy, CUTS[cut]))
        cut++;
    if (cut == COUNT(CUTS) || !read_count(j, "max_length", 1, INT64_MAX, &length) ||
        !read_count(j, "stride", 0, INT64_MAX, &stride) || !read_direction(j, &o->from_left))
        return bad_limit(l, j,
                         "truncation: expected max_length from 1 on, stride, direction (Left or Right) and strategy "
                         "(LongestFirst, OnlyFirst or OnlySecond)");
    o->max_length = (size_t)MIN((uint64_t)length, (uint64_t)SIZE_MAX);
    o->cut = (TokenCut)cut;
    l->t->from_left = o->from_left;
    return true;
}

static bool read_padding(Load *l, const Json *j)
{
    const Json *strategy = json_get(j, "strategy"), *multiple = json_get(j, "pad_to_multiple_of");
    TokenPadding *p = NEW(l->a, TokenPadding, 1, l->e);
    int64_t length = 0, round = 0, id, type;
    bool longest = json_is_text(strategy, "BatchLongest");
    if (!p)
        return false;
    if ((!longest && !read_count(strategy, "Fixed", 1, MAX_PADDED, &length)) ||
        (!is_absent(multiple) && !read_count(j, "pad_to_multiple_of", 0, MAX_PADDED, &round)) ||
        !read_count(j, "pad_id", 0, INT32_MAX, &id) || !read_count(j, "pad_type_id", 0, INT32_MAX, &type) ||
        !read_direction(j, &p->left))
        return bad_limit(l, j,
                         "padding: expected strategy (BatchLongest, or Fixed with a length up to 1048576), direction "
                         "(Left or Right), pad_to_multiple_of, pad_id and pad_type_id");
    p->length = (size_t)length;
    p->multiple = (size_t)round;
    p->id = (int32_t)id;
    p->type = (int32_t)type;
    l->t->padding = p;
    return true;
}

bool read_limits(Load *l, const Json *truncation, const Json *padding)
{
    return (is_absent(truncation) || read_truncation(l, truncation)) &&
           (is_absent(padding) || read_padding(l, padding));
}

bool read_side(Load *l, const Json *config)
{
    const Json *side = json_get(config, "truncation_side");
    if (is_absent(side))
        return true;
    l->t->from_left = json_is_text(side, "left");
    return l->t->from_left || json_is_text(side, "right") ||
           fail(l->e, SP_FORMAT, "%s/tokenizer_config.json:%u: truncation_side: expected left or right", l->folder,
                (unsigned)side->line);
}

TokenOptions tokenizer_truncation(const Tokenizer *t)
{
    return t->stated;
}

const TokenPadding *tokenizer_padding(const Tokenizer *t)
{
    return t->padding;
}

bool tokenizer_from_left(const Tokenizer *t)
{
    return t->from_left;
}

static bool pad_list(TokenList *list, size_t length, const TokenPadding *p, Arena *a, Error *e)
{
    size_t more = length - list->count, to = p->left ? more : 0, from = p->left ? 0 : list->count;
    int32_t *ids = NEW(a, int32_t, length, e);
    TokenPlace *places = list->places ? NEW(a, TokenPlace, length, e) : NULL;
    if (!ids || (list->places && !places))
        return false;
    if (list->count)
        memcpy(ids + to, list->ids, list->count * sizeof *ids);
    if (list->count && places)
        memcpy(places + to, list->places, list->count * sizeof *places);
    for (size_t i = from; i < from + more; i++) {
        ids[i] = p->id;
        if (places)
            places[i] = (TokenPlace){.word = -1, .type = p->type, .special = true, .padding = true};
    }
    list->ids = ids;
    list->places = places;
    list->count = length;
    return true;
}

bool pad_tokens(TokenList *lists, size_t n, const TokenPadding *padding, Arena *a, Error *e)
{
    size_t length = padding->length;
    for (size_t i = 0; i < n && !padding->length; i++)
        length = MAX(length, lists[i].count);
    if (padding->multiple && length % padding->multiple &&
        !size_add(length, padding->multiple - length % padding->multiple, &length))
        return fail_memory(e, SIZE_MAX, "padding");
    for (size_t i = 0; i < n; i++)
        if (lists[i].count < length && !pad_list(&lists[i], length, padding, a, e))
            return false;
    return true;
}
