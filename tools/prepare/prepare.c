/* tools/prepare/prepare.c: sapor prepare SOURCE... --out DIR. */
// flags: -Os
#include "extractors/media/media.h"
#include "recsys/prepare.h"
#include "tools/tools.h"

const Option prepare_options[] = {
    {"out", 'o', "DIR", "output folder"},
    {"recipe", 0, "R", "none, ducho or mmrec: the defaults of the options below (default none)"},
    {"meta", 0, "FILE", "descriptions, titles and image urls of items"},
    {"images", 0, "DIR", "images, named ITEM.jpg (.png, ...): an item whose file cannot be decoded has no image"},
    {"skip-broken", 0, NULL, "skip and count broken lines of JSON files; default: the first one is an error"},
    {"unique", 0, "U",
     "none; pair: keep one row per user and item; rating: per user, item and rating; time: per user, item and time"},
    {"require", 0, "W", "what an item must have to be kept: none, text (a description), image or both"},
    {"keep-items", 0, NULL, "the same as --require none"},
    {"nan", 0, "N",
     "off; whole: a text or url that is nan or n/a is missing; anywhere: one that contains nan or n/a is missing"},
    {"k-core", 0, "N", "leave out users and items with fewer than N rows, until all have N or more"},
    {"user-core", 0, "N", "the same for users only"},
    {"item-core", 0, "N", "the same for items only"},
    {"ids", 0, "I", "keep; number: new ids 0, 1, 2, ... in order of appearance; writes new and old ids"},
    {"split", 0, "S",
     "none, random, temporal, leave-n-out, v4 (MMRec: random rows, fixed shares) or global-time (default by recipe)"},
    {"test-ratio", 0, "R",
     "share of each user's rows for testing (default 0.2); global-time: of all rows (default 0.1)"},
    {"validation-ratio", 0, "R", "share of the remaining rows (global-time: of all) for validation (default 0.1)"},
    {"leave-n", 0, "N", "hold out N rows of each user per part, not a share (default 1 with leave-n-out)"},
    {"write", 0, "W", "tsv: train.tsv, val.tsv and test.tsv; inter: one .inter file of MMRec"},
    FORMAT_OPTIONS("amazon, "),
    {NULL, 0, NULL, NULL},
};

typedef struct Printer { /* PrepareConfig.arg */
    const Context *c;
    const char *path; /* of the source that is read */
    Progress progress;
} Printer;

static void end_reading(Printer *p)
{
    if (p->path)
        progress_end(&p->progress, NULL);
    p->path = NULL;
}

static void print_reading(void *arg, const char *path, size_t bytes, size_t of)
{
    Printer *p = arg;
    if (p->path != path) {
        end_reading(p);
        progress_start(&p->progress, p->c->progress, path, "MB", (double)of / 1e6);
    }
    p->path = path;
    progress_step(&p->progress, (double)bytes / 1e6, NULL);
}

/* ---- what was left out ----------------------------------------------------------------------- */

static void print_json(const PrepareResult *r)
{
    const PrepareStep *last = &r->step[r->steps - 1];
    for (size_t i = 0; i < r->steps; i++) {
        const PrepareStep *s = &r->step[i];
        JsonWriter w = json_record(stdout, "event", "step");
        json_members(&w, "step %s rows_left_out %lld rows %lld users %lld items %lld", s->name, (long long)s->dropped,
                     (long long)s->rows, (long long)s->users, (long long)s->items);
        json_finish(&w);
    }
    JsonWriter w = json_record(stdout, "event", "result");
    json_members(&w, "read_as %s rows %lld users %lld items %lld", r->read_as, (long long)last->rows,
                 (long long)last->users, (long long)last->items);
    if (r->has_parts)
        json_members(&w, "train %zu val %zu test %zu", r->parts[0], r->parts[1], r->parts[2]);
    json_members(&w, "items_without_text %lld items_without_image %lld skipped_lines %lld", (long long)r->no_text,
                 (long long)r->no_image, (long long)r->skipped);
    json_finish(&w);
}

static void print_steps(const Context *c, const PrepareResult *r, FILE *to)
{
    for (size_t i = 0; i < r->steps; i++) {
        const PrepareStep *s = &r->step[i];
        if (i == 0)
            fprintf(to, "%s%s: %s: ", c->args[0], c->arg_count > 1 ? " and others" : "", r->read_as);
        else
            fprintf(to, "%s: %lld rows left out; ", s->words, (long long)s->dropped);
        fprintf(to, "%lld rows, %lld users, %lld items\n", (long long)s->rows, (long long)s->users,
                (long long)s->items);
    }
    if (r->skipped)
        fprintf(to, "broken lines skipped: %lld; the first: %s\n", (long long)r->skipped, r->broken);
    if (r->latin1)
        fprintf(to, "%s: is not UTF-8 and was read as Latin-1\n", option_text(c, "meta"));
    if (r->unfiltered)
        fprintf(to, "no --meta: items without a description or an image are not known and are kept\n");
    if (r->no_text || r->no_image)
        fprintf(to, "items kept without a description: %lld; without an image: %lld\n", (long long)r->no_text,
                (long long)r->no_image);
    if (r->has_parts)
        fprintf(to, "%s: %zu rows for training, %zu for validation, %zu for testing\n", option_text(c, "out"),
                r->parts[0], r->parts[1], r->parts[2]);
}

static void print_result(void *arg, const PrepareResult *r)
{
    const Context *c = ((const Printer *)arg)->c;
    end_reading(arg);
    if (c->json)
        print_json(r);
    if (c->progress)
        print_steps(c, r, c->progress);
}

static bool readable(const char *path, const Heap *heap)
{
    Arena *a = arena_new(heap, 0);
    Error ignored = {0};
    Image image;
    bool ok = a && image_open(&image, path, a, &ignored);
    arena_free(a);
    return ok;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool read_items(const Context *c, PrepareConfig *p, Error *e)
{
    static const char *const REQUIRE[] = {"none", "text", "image", "both"};
    int unique = p->unique, nan = p->nan_rule, require = p->need_text + 2 * p->need_image;
    if (option_given(c, "require") && option_given(c, "keep-items"))
        return fail(e, SP_USAGE, "--keep-items is --require none; give one of them");
    if (option_given(c, "keep-items"))
        require = 0;
    if (!option_choice(c, "unique", unique_names, UNIQUE_COUNT, &unique, e) ||
        !option_choice(c, "require", REQUIRE, COUNT(REQUIRE), &require, e) ||
        !option_choice(c, "nan", nan_names, NAN_COUNT, &nan, e))
        return false;
    p->unique = (Unique)unique;
    p->nan_rule = (NanRule)nan;
    p->need_text = require & 1;
    p->need_image = require & 2;
    int64_t core = -1;
    if (!option_i64(c, "k-core", 0, INT32_MAX, &core, e))
        return false;
    if (core >= 0)
        p->user_core = p->item_core = core;
    return option_i64(c, "user-core", 0, INT32_MAX, &p->user_core, e) &&
           option_i64(c, "item-core", 0, INT32_MAX, &p->item_core, e);
}

static bool read_split(const Context *c, PrepareConfig *p, Error *e)
{
    static const char *const SPLITS[] = {"none", "random", "temporal", "leave-n-out", "v4", "global-time"};
    static const int CODES[] = {0, SPLIT_RANDOM, SPLIT_TEMPORAL, SPLIT_LEAVE_N_OUT, SPLIT_V4, SPLIT_GLOBAL_TIME};
    SplitConfig *s = &p->split;
    int split = -1;
    bool shares = option_given(c, "test-ratio") || option_given(c, "validation-ratio") || option_given(c, "leave-n");
    if (!option_choice(c, "split", SPLITS, COUNT(SPLITS), &split, e))
        return false;
    if (split >= 0) {
        p->splits = split > 0;
        s->strategy = CODES[split];
    }
    if (shares && (!p->splits || s->strategy == SPLIT_V4))
        return fail(e, SP_USAGE, "--test-ratio, --validation-ratio and --leave-n: %s",
                    p->splits ? "the split v4 has fixed shares" : "there is no split; choose --split");
    if (s->strategy == SPLIT_GLOBAL_TIME)
        s->test_ratio = 0.1;
    if (s->strategy == SPLIT_LEAVE_N_OUT)
        s->leave_n = 1;
    s->seed = (uint32_t)c->seed;
    return (c->seed <= UINT32_MAX || fail(e, SP_USAGE, "--seed: prepare needs a seed below 4294967296")) &&
           option_f64(c, "test-ratio", 0, 1, &s->test_ratio, e) &&
           option_f64(c, "validation-ratio", 0, 1, &s->validation_ratio, e) &&
           option_i64(c, "leave-n", 1, INT32_MAX, &s->leave_n, e);
}

static bool read_files(const Context *c, PrepareConfig *p, Error *e)
{
    static const char *const IDS[] = {"keep", "number"}, *const WRITE[] = {"tsv", "inter"};
    const char *format = option_text(c, "format");
    int ids = p->number, write = p->inter;
    p->amazon = format && !strcmp(format, "amazon");
    if (!option_choice(c, "ids", IDS, COUNT(IDS), &ids, e) ||
        !option_choice(c, "write", WRITE, COUNT(WRITE), &write, e))
        return false;
    if (p->amazon && (option_given(c, "columns") || option_given(c, "separator")))
        return fail(e, SP_USAGE, "--columns and --separator are for tables; --format amazon is JSON");
    p->number = ids;
    p->inter = write;
    return p->amazon || read_format(c, &p->format, &p->layout, e);
}

bool prepare_command(Context *c, Error *e)
{
    Printer printer = {.c = c};
    PrepareConfig p = {.sources = c->args,
                       .source_count = c->arg_count,
                       .out = option_text(c, "out"),
                       .meta = option_text(c, "meta"),
                       .images = option_text(c, "images"),
                       .skip_broken = option_given(c, "skip-broken"),
                       .readable = readable,
                       .visit = print_result,
                       .reading = print_reading,
                       .arg = &printer,
                       .heap = c->heap};
    int recipe = RECIPE_NONE;
    if (!p.out)
        return fail(e, SP_USAGE, "prepare: --out DIR (output folder) is missing");
    if (!option_choice(c, "recipe", recipe_names, RECIPE_COUNT, &recipe, e))
        return false;
    prepare_preset(&p, (Recipe)recipe);
    bool ok = read_items(c, &p, e) && read_split(c, &p, e) && read_files(c, &p, e) && prepare_files(&p, e);
    end_reading(&printer);
    return ok;
}
