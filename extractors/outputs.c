/* extractors/outputs.c: the table of outputs: their names, which of them calls may use, and how many blocks must be
 * loaded and run for them. */
// flags: -Os
#include "extractors/loading.h"

/* Removes transformers' name of a tower's results before an output's name: "vision_model_output.pooler_output". */
static const char *without_tower(const char *name, unsigned modality)
{
    const char *tower = modality == MODALITY_TEXT ? "text_model_output." : "vision_model_output.";
    return strncmp(name, tower, strlen(tower)) == 0 ? name + strlen(tower) : name;
}

static bool has_name(const Encoder *en, const Output *o, const char *name)
{
    Text rest = o->also ? text_of(o->also) : (Text){0}, part;
    if (en->kind->modalities == (MODALITY_IMAGE | MODALITY_TEXT))
        name = without_tower(name, o->modality);
    if (strcmp(o->name, name) == 0)
        return true;
    while (o->also && text_next(&rest, ' ', &part))
        if (text_is(part, name))
            return true;
    return false;
}

int output_find(const Encoder *en, unsigned modality, const char *name)
{
    for (size_t i = 0; i < en->output_count; i++)
        if ((en->outputs[i].modality & modality) && (!name || has_name(en, &en->outputs[i], name)))
            return (int)i;
    return -1;
}

/* Returns the length of "layer3." in "layer3.17"; 0 if the name does not end in a number. */
static size_t stem_length(const char *name)
{
    size_t n = strlen(name), end = n;
    while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    return n < end && n > 0 && name[n - 1] == '.' ? n : 0;
}

static bool same_stem(const char *a, const char *b)
{
    size_t n = stem_length(a);
    return n > 0 && n == stem_length(b) && memcmp(a, b, n) == 0;
}

const char *of_tower(const Encoder *en, unsigned modality)
{
    bool two = en->kind->modalities == (MODALITY_IMAGE | MODALITY_TEXT);
    return !two || modality == en->kind->modalities ? "" : modality == MODALITY_TEXT ? " for texts" : " for images";
}

/* " (near: "layer4.2.conv3")" or "" */
static const char *near_outputs(const Encoder *en, unsigned modality, const char *name, Arena *a)
{
    size_t n = 0;
    const char **names = NEW(a, const char *, en->output_count, &(Error){0}), *list = NULL;
    for (size_t i = 0; names && i < en->output_count; i++)
        if (en->outputs[i].modality & modality)
            names[n++] = en->outputs[i].name;
    if (en->kind->modalities == (MODALITY_IMAGE | MODALITY_TEXT))
        name = without_tower(without_tower(name, MODALITY_TEXT), MODALITY_IMAGE);
    if (names)
        list = near_words(name, names, n, a);
    if (list)
        list = arena_printf(a, &(Error){0}, " (near: %.200s)", list);
    return list ? list : "";
}

/* "; and nodes inside blocks, as layer1.0.conv1" or "" */
static const char *inner_outputs(const Encoder *en, unsigned modality, Arena *a)
{
    const char *text = "";
    for (size_t i = 0; i < en->output_count && text && !*text; i++)
        if (en->outputs[i].inner && en->outputs[i].depth > 0 && (en->outputs[i].modality & modality))
            text = arena_printf(a, &(Error){0}, "; and nodes inside blocks, as %s", en->outputs[i].name);
    return text ? text : "";
}

bool output_unknown(const Encoder *en, unsigned modality, const char *name, Arena *a, Error *e)
{
    const char *near = near_outputs(en, modality, name, a);
    const char *list = "", *before = NULL; /* the last name so far of a series that differs only in its number */
    for (size_t i = 0; i < en->output_count && list; i++) {
        const Output *o = &en->outputs[i], *next = i + 1 < en->output_count ? o + 1 : NULL;
        if (!(o->modality & modality) || o->inner)
            continue;
        bool goes_on = next && (next->modality & modality) && !next->inner && same_stem(o->name, next->name);
        if (!before || !same_stem(before, o->name))
            list = arena_printf(a, e, "%s%s%s", list, *list ? ", " : "", o->name);
        else if (!goes_on)
            list = arena_printf(a, e, "%s to %s", list, o->name);
        before = o->name;
    }
    return list && fail(e, SP_USAGE, "%s: has no layer %.100s%s%s; it has %s%s", en->path, name, of_tower(en, modality),
                        near, list, inner_outputs(en, modality, a));
}

/* Reports whether the options allow calls to use this output. `usual`: it is the first output of its tower. */
static bool is_requested(const Encoder *en, const Output *o, bool usual)
{
    if (!(o->modality & en->towers))
        return false;
    for (size_t i = 0; i < en->options.output_count; i++) {
        const char *name = en->options.outputs[i];
        if (name ? has_name(en, o, name) : usual)
            return true;
    }
    return en->options.output_count == 0 && !o->inner;
}

int output_add(Loader *l, Output o)
{
    Encoder *en = l->encoder;
    size_t n = en->output_count;
    if (l->error->code != SP_OK)
        return -1;
    o.loaded = is_requested(en, &o, output_find(en, o.modality, NULL) < 0);
    o.pool = POOL_NONE; /* for texts: set when the folder's settings are known */
    if (n == en->output_room) {
        Output *more = arena_grow(en->arena, en->outputs, n, &en->output_room, sizeof *more, l->error);
        if (!more)
            return -1;
        en->outputs = more;
    }
    en->outputs[en->output_count++] = o;
    return o.loaded ? (int)n : -1;
}

int output_vector(Loader *l, unsigned modality, const char *name, int64_t width)
{
    return output_add(l, (Output){.name = name, .modality = modality, .rows = ROWS_VECTOR, .width = width});
}

int output_tokens(Loader *l, unsigned modality, const char *name, int64_t width)
{
    return output_add(l, (Output){.name = name, .modality = modality, .rows = ROWS_TOKENS, .width = width});
}

int output_add_hidden(Loader *l, unsigned modality, int64_t blocks, int64_t width)
{
    int first = (int)l->encoder->output_count;
    for (int64_t i = 0; i <= blocks; i++) {
        Output o = {.modality = modality, .rows = ROWS_TOKENS, .width = width};
        o.name = arena_printf(l->encoder->arena, l->error, "hidden_states.%lld", (long long)i);
        o.also = arena_printf(l->encoder->arena, l->error, "hidden_states.-%lld", (long long)(blocks + 1 - i));
        if (o.name && o.also)
            output_add(l, o);
    }
    return first;
}

int output_inner(Loader *l, Output o, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    o.inner = true;
    o.name = load_name(l, "%s", text);
    return output_add(l, o);
}

void output_also(Loader *l, int number, const char *names)
{
    if (l->error->code != SP_OK || !names)
        return;
    Output *o = &l->encoder->outputs[number];
    o->also = o->also ? load_name(l, "%s %s", o->also, names) : names;
    o->loaded |= is_requested(l->encoder, o, false);
}

/* Returns how many blocks the output with this number needs. */
static int64_t reach(const Output *o, int64_t number, int first, int64_t blocks)
{
    if (o->inner)
        return MIN(o->depth, blocks);
    return number >= first && number <= first + blocks ? number - first : blocks;
}

int64_t pass_blocks(const Pass *p, int first, int64_t blocks)
{
    int64_t most = 0;
    for (size_t i = 0; i < p->outputs; i++)
        if (p->requested[i])
            most = MAX(most, reach(&p->table[i], (int64_t)i, first, blocks));
    return most;
}

int64_t load_blocks(const Loader *l, int first, int64_t blocks)
{
    const Output *o = l->encoder->outputs;
    int64_t most = 0;
    for (size_t i = 0; l->error->code == SP_OK && i < l->encoder->output_count; i++)
        if (o[i].loaded && o[i].modality == o[first].modality)
            most = MAX(most, reach(&o[i], (int64_t)i, first, blocks));
    return most;
}
