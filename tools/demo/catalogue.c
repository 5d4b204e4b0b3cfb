/* tools/demo/catalogue.c: draws the catalogue. An item has a kind, a colour, a pattern and a material. A user likes
 * some of each, and chooses by taste, by popularity and by chance. Every random number is a Philox draw. */
// flags: -Os
#include "tools/demo/catalogue.h"

enum { KINDS = CATALOGUE_KINDS, HUES = CATALOGUE_HUES, PATTERNS = CATALOGUE_PATTERNS, MATERIALS = 5, ADJECTIVES = 6 };
static const char *const KIND[KINDS] = {"bag", "shirt", "mug", "lamp", "cap", "chair"},
                         *const HUE[HUES] = {"red", "orange", "yellow", "green", "teal", "blue", "purple", "grey"},
                         *const PATTERN[PATTERNS] = {"plain", "striped", "dotted", "checked"},
                         *const MATERIAL[KINDS][MATERIALS] = {{"leather", "canvas", "nylon", "felt", "cork"},
                                                              {"cotton", "linen", "wool", "silk", "jersey"},
                                                              {"porcelain", "stoneware", "enamel", "glass", "bamboo"},
                                                              {"brass", "oak", "paper", "steel", "ceramic"},
                                                              {"cotton", "wool", "tweed", "straw", "denim"},
                                                              {"oak", "steel", "rattan", "beech", "plastic"}},
                         *const ADJECTIVE[ADJECTIVES] = {"light", "sturdy", "simple", "classic", "modern", "handmade"};
static const double RGB[HUES][3] = {{.80, .16, .18}, {.92, .52, .15}, {.93, .82, .24}, {.25, .60, .28},
                                    {.13, .60, .60}, {.20, .36, .75}, {.52, .28, .66}, {.50, .50, .52}};

/* What a stream of draws is for. The number is the `epoch` of its Draw, so that each use has a stream of its own. */
enum { FOR_ITEM = 1, FOR_TASTE, FOR_POPULARITY, FOR_CHOICE, FOR_PIXEL, FOR_COUNT };

static Draw stream(uint32_t what)
{
    return (Draw){CATALOGUE_SEED, DRAW_CATALOGUE, what};
}

void thing_draw(Thing *t, uint64_t seed, uint64_t i)
{
    Draw d = {seed, DRAW_CATALOGUE, FOR_ITEM};
    uint64_t at = 8 * i;
    t->kind = (int)draw_below(d, at, KINDS);
    t->hue = (int)draw_below(d, at + 1, HUES);
    t->pattern = (int)draw_below(d, at + 2, PATTERNS);
    t->material = (int)draw_below(d, at + 3, MATERIALS);
    t->adjective = (int)draw_below(d, at + 4, ADJECTIVES);
}

/* ---- images ---------------------------------------------------------------------------------- */

static bool in_box(double x, double y, double left, double top, double right, double bottom)
{
    return x >= left && x <= right && y >= top && y <= bottom;
}

static bool in_ring(double x, double y, double cx, double cy, double inner, double outer)
{
    double d = (x - cx) * (x - cx) + (y - cy) * (y - cy);
    return d <= outer * outer && d >= inner * inner;
}

/* Returns which part of the thing is at (x, y) in [-1, 1] x [-1, 1], y downwards: 0 none, 1 its body, 2 its dark parts.
 */
static int part_at(int kind, double x, double y)
{
    double ax = x < 0 ? -x : x;
    switch (kind) {
    case 0: /* bag: a body, wider below, and a handle */
        if (y >= -0.2 && y <= 0.75 && ax <= 0.55 + 0.12 * (y + 0.2))
            return 1;
        return y < -0.2 && in_ring(x, y, 0, -0.2, 0.28, 0.40) ? 2 : 0;
    case 1: /* shirt: body, two sleeves, a collar */
        if (in_ring(x, y, 0, -0.62, 0, 0.18))
            return 0;
        if (in_box(x, y, -0.42, -0.6, 0.42, 0.75))
            return 1;
        return ax >= 0.42 && ax <= 0.85 && y >= -0.6 + 0.5 * (ax - 0.42) && y <= -0.2 + 0.5 * (ax - 0.42) ? 1 : 0;
    case 2: /* mug: body and a ring for a handle */
        if (in_box(x, y, -0.6, -0.5, 0.3, 0.6))
            return 1;
        return x > 0.3 && in_ring(x, y, 0.3, 0.05, 0.22, 0.36) ? 2 : 0;
    case 3: /* lamp: a shade, a pole, a foot */
        if (y >= -0.75 && y <= -0.05 && ax <= 0.28 + 0.4 * (y + 0.75))
            return 1;
        return in_box(ax, y, 0, -0.05, 0.06, 0.7) || in_box(ax, y, 0, 0.62, 0.38, 0.75) ? 2 : 0;
    case 4: /* cap: half a disc and a peak */
        if (y <= 0.15 && in_ring(x, y, -0.1, 0.15, 0, 0.6))
            return 1;
        return in_box(x, y, -0.1, 0.15, 0.85, 0.3) ? 2 : 0;
    default: /* chair: back, seat, legs */
        if (in_box(x, y, -0.5, -0.75, -0.34, 0.2) || in_box(x, y, -0.5, 0.0, 0.5, 0.22) ||
            in_box(x, y, -0.5, -0.75, 0.1, -0.45))
            return 1;
        return in_box(ax, y, 0.36, 0.22, 0.48, 0.8) ? 2 : 0;
    }
}

/* Reports whether (x, y) has the second colour of the pattern. */
static bool on_pattern(int pattern, double x, double y)
{
    double u = (x + 4) * 4, v = (y + 4) * 4;
    double fu = u - (double)(int64_t)u - 0.5, fv = v - (double)(int64_t)v - 0.5;
    switch (pattern) {
    case 1: return (int64_t)v % 2 == 0;
    case 2: return fu * fu + fv * fv < 0.07;
    case 3: return ((int64_t)u + (int64_t)v) % 2 == 0;
    default: return false;
    }
}

/* Computes one sample of the image, with colours in [0, 1]. */
static void sample(const Thing *t, double x, double y, double shade, double out[3])
{
    int part = part_at(t->kind, x, y);
    for (int k = 0; k < 3; k++) {
        double c = RGB[t->hue][k];
        if (part == 0)
            out[k] = 0.93 - 0.05 * y;
        else if (part == 2)
            out[k] = 0.35 * c + 0.10;
        else if (on_pattern(t->pattern, x, y))
            out[k] = 0.45 * c + 0.53;
        else
            out[k] = c * (0.92 + 0.10 * x) * shade;
    }
}

void thing_image(const Thing *t, uint64_t seed, uint64_t item, unsigned char *rgb)
{
    enum { SIDE = CATALOGUE_SIDE, FINE = 3 }; /* 3 x 3 samples per pixel */
    Draw d = {seed, DRAW_CATALOGUE, FOR_PIXEL};
    uint64_t base = item * (4 + SIDE * SIDE);
    double dx = 0.16 * ((double)draw_uniform(d, base) - 0.5), dy = 0.16 * ((double)draw_uniform(d, base + 1) - 0.5),
           zoom = 0.95 + 0.2 * (double)draw_uniform(d, base + 2), shade = 0.9 + 0.2 * (double)draw_uniform(d, base + 3);
    for (int row = 0; row < SIDE; row++)
        for (int col = 0; col < SIDE; col++) {
            double sum[3] = {0}, one[3],
                   noise = 0.03 * ((double)draw_uniform(d, base + 4 + (uint64_t)(row * SIDE + col)) - 0.5);
            for (int s = 0; s < FINE * FINE; s++) {
                double x = (2 * (col + (s % FINE + 0.5) / FINE) / SIDE - 1) * zoom + dx,
                       y = (2 * (row + (s / FINE + 0.5) / FINE) / SIDE - 1) * zoom + dy;
                sample(t, x, y, shade, one);
                for (int k = 0; k < 3; k++)
                    sum[k] += one[k];
            }
            for (int k = 0; k < 3; k++) {
                double c = sum[k] / (FINE * FINE) + noise;
                rgb[3 * (row * SIDE + col) + k] = (unsigned char)(255 * MAX(0.0, MIN(1.0, c)) + 0.5);
            }
        }
}

/* ---- texts ----------------------------------------------------------------------------------- */

void thing_describe(const Thing *t, ThingText what, char text[THING_TEXT])
{
    static const char *const USES[KINDS] = {"for the week and the weekend", "that goes with everything",
                                            "for tea and for coffee",       "for reading late",
                                            "for sun and for wind",         "for kitchens and desks"};
    const char *material = MATERIAL[t->kind][t->material], *hue = HUE[t->hue], *kind = KIND[t->kind];
    if (what == THING_TITLE)
        snprintf(text, THING_TEXT, "%s %s %s", hue, material, kind);
    else
        snprintf(text, THING_TEXT, "A %s %s %s made of %s, %s, %s. Colour: %s.", ADJECTIVE[t->adjective], hue, kind,
                 material, PATTERN[t->pattern], USES[t->kind], hue);
}

static Out *open_unsynced(const char *path, const Heap *heap, Error *e)
{
    Out *o = out_open(path, heap, e);
    if (o)
        out_unsynced(o);
    return o;
}

static bool write_items(const char *path, const Thing *things, const Heap *heap, Error *e)
{
    char title[THING_TEXT], description[THING_TEXT];
    Out *o = open_unsynced(path, heap, e);
    bool ok = o && out_printf(o, e, "item\ttitle\tdescription\n");
    for (int i = 0; ok && i < CATALOGUE_ITEMS; i++) {
        thing_describe(&things[i], THING_TITLE, title);
        thing_describe(&things[i], THING_DESCRIPTION, description);
        ok = out_printf(o, e, "i%03d\t%s\t%s\n", i, title, description);
    }
    if (!ok) {
        out_discard(o);
        return false;
    }
    return out_commit(o, e);
}

/* ---- users ----------------------------------------------------------------------------------- */

typedef struct Taste {
    double kind[KINDS], hue[HUES], pattern[PATTERNS], material[MATERIALS];
} Taste;

static void make_taste(Taste *t, uint64_t user)
{
    double *all = (double *)t; /* the struct has only doubles */
    for (size_t k = 0; k < sizeof *t / sizeof *all; k++)
        all[k] = (double)draw_normal(stream(FOR_TASTE), 64 * user + k);
}

/* Computes the utility of every item: taste + popularity + a Gumbel draw. Taking the largest utilities is then sampling
 * without replacement (Gumbel top-k). Division by 1.65 gives tastes a standard deviation of about 1. u is between 0 and
 * 1: half a step of 2^-24 is added, because draw_uniform may return 0. */
static void utilities(const Taste *t, const Thing *things, uint64_t user, double *out)
{
    for (uint64_t i = 0; i < CATALOGUE_ITEMS; i++) {
        const Thing *g = &things[i];
        double taste =
            (t->kind[g->kind] + t->hue[g->hue] + 0.7 * t->pattern[g->pattern] + 0.4 * t->material[g->material]) / 1.65;
        double popularity = CATALOGUE_POPULARITY * (double)draw_normal(stream(FOR_POPULARITY), i);
        double u = ((double)draw_uniform(stream(FOR_CHOICE), user * CATALOGUE_ITEMS + i) * 16777216 + 0.5) / 16777216;
        out[i] = CATALOGUE_TASTE * taste + popularity - own_log(-own_log(u));
    }
}

static bool write_interactions(const char *path, const Thing *things, size_t *interactions, const Heap *heap, Error *e)
{
    Out *o = open_unsynced(path, heap, e);
    double u[CATALOGUE_ITEMS];
    bool ok = o != NULL;
    *interactions = 0;
    for (uint64_t user = 0; ok && user < CATALOGUE_USERS; user++) {
        Taste taste;
        make_taste(&taste, user);
        utilities(&taste, things, user, u);
        uint32_t count = CATALOGUE_FEWEST + draw_below(stream(FOR_COUNT), user, CATALOGUE_MOST - CATALOGUE_FEWEST + 1);
        for (uint32_t k = 0; ok && k < count; k++, ++*interactions) {
            int best = 0;
            for (int i = 1; i < CATALOGUE_ITEMS; i++)
                if (u[i] > u[best])
                    best = i;
            u[best] = -1e30;
            ok = out_printf(o, e, "u%03d\ti%03d\t1\t%zu\n", (int)user, best, *interactions);
        }
    }
    if (!ok) {
        out_discard(o);
        return false;
    }
    return out_commit(o, e);
}

/* the whole catalogue */

/* The first words of README.txt in a demo's folder. */
static const char README[] = "Synthetic: every picture, text and choice in this folder was drawn by `sapor demo`";

static bool write_readme(Out *o, const char *folder, Error *e)
{
    (void)folder;
    return out_printf(o, e, "%s.\n", README);
}

bool catalogue_may_fill(const char *folder, Arena *a, Error *e)
{
    FolderEntry *entries;
    Error ignored = {0};
    Text text;
    size_t n = 0, seen = 0;
    const char *path = path_join(a, folder, "README.txt", e);
    if (!path || (folder_exists(folder) && !folder_list(&entries, &n, a, folder, e)))
        return false;
    for (size_t i = 0; i < n; i++)
        seen += entries[i].name[0] != '.';
    return seen == 0 || (file_read(&text, a, path, 256, &ignored) && text_starts(text, README)) ||
           fail(e, SP_USAGE, "%s: contains files that no earlier demo wrote; choose another folder", folder);
}

/* Writes a configuration for `sapor extract`: the statistics that need no weights. Users may replace them by other
 * models. */
static bool write_configuration(Out *o, const char *folder, Error *e)
{
    bool ok = out_printf(o, e, "# sapor extract %s/extract.yml\ndataset_path: '", folder);
    for (const char *p = folder; ok && *p; p++)
        ok = out_printf(o, e, *p == '\'' ? "''" : "%c", *p);
    return ok &&
           out_printf(o, e,
                      "'\nvisual:\n  items:\n    input_path: pictures\n    output_path: visual\n    model:\n"
                      "      - { model_name: colour-statistics, backend: torch, output_layers: all }\n"
                      "textual:\n  items:\n    input_path: items.tsv\n    output_path: textual\n    item_column: item\n"
                      "    text_column: description\n    model:\n"
                      "      - { model_name: word-statistics, backend: sentence_transformers, output_layers: all }\n");
}

static bool write_file(const char *folder, const char *name, bool (*write)(Out *o, const char *folder, Error *e),
                       Arena *a, Error *e)
{
    const char *path = path_join(a, folder, name, e);
    Out *o = path ? open_unsynced(path, arena_heap(a), e) : NULL;
    if (!o || !write(o, folder, e)) {
        out_discard(o);
        return false;
    }
    return out_commit(o, e);
}

bool catalogue_draw(const char *folder, size_t *interactions, FILE *progress, const Heap *heap, Error *e)
{
    Arena *a = arena_new(heap, 0);
    Thing *things = a ? NEW(a, Thing, CATALOGUE_ITEMS, e) : NULL;
    unsigned char *rgb = a ? NEW(a, unsigned char, 3 * CATALOGUE_SIDE * CATALOGUE_SIDE, e) : NULL;
    const char *images = rgb ? path_join(a, folder, "pictures", e) : NULL;
    bool ok = things && images && folder_make(folder, e) && write_file(folder, "README.txt", write_readme, a, e) &&
              folder_make(images, e);
    Progress p;
    progress_start(&p, progress, "draw", "items", CATALOGUE_ITEMS);
    for (uint64_t i = 0; ok && i < CATALOGUE_ITEMS; i++) {
        thing_draw(&things[i], CATALOGUE_SEED, i);
        thing_image(&things[i], CATALOGUE_SEED, i, rgb);
        const char *path = arena_printf(a, e, "%s/i%03d.png", images, (int)i);
        ok = path && png_write(path, CATALOGUE_SIDE, CATALOGUE_SIDE, rgb, heap, e);
        progress_step(&p, (double)(i + 1), NULL);
    }
    if (ok)
        progress_end(&p, NULL);
    const char *items = ok ? path_join(a, folder, "items.tsv", e) : NULL,
               *chosen = ok ? path_join(a, folder, "interactions.tsv", e) : NULL;
    ok = items && chosen && write_items(items, things, heap, e) &&
         write_file(folder, "extract.yml", write_configuration, a, e) &&
         write_interactions(chosen, things, interactions, heap, e);
    if (!a)
        fail_memory(e, 1, "the catalogue");
    arena_free(a);
    return ok;
}
