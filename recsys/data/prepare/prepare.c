/* recsys/data/prepare/prepare.c: a preparation, step by step: recipes.md 3.5. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

const char *const recipe_names[RECIPE_COUNT] = {"none", "ducho", "mmrec"};

void prepare_preset(PrepareConfig *c, Recipe recipe)
{
    c->recipe = recipe;
    c->unique = recipe == RECIPE_DUCHO ? UNIQUE_RATING : recipe == RECIPE_MMREC ? UNIQUE_TIME : UNIQUE_NONE;
    c->need_text = c->need_image = recipe == RECIPE_DUCHO;
    c->nan_rule = recipe == RECIPE_DUCHO ? NAN_ANYWHERE : NAN_OFF;
    c->user_core = c->item_core = recipe == RECIPE_MMREC ? 5 : 0;
    c->number = c->inter = recipe == RECIPE_MMREC;
    c->splits = recipe != RECIPE_NONE;
    c->split.strategy = recipe == RECIPE_MMREC ? SPLIT_V4 : SPLIT_RANDOM;
    c->split.test_ratio = 0.2;
    c->split.validation_ratio = 0.1;
}

static bool check_config(const PrepareConfig *c, Error *e)
{
    if (c->inter && !c->splits)
        return fail(e, SP_USAGE, "an .inter needs a split for its x_label column; choose --split, or --write tsv");
    if (c->inter && !c->number)
        return fail(e, SP_USAGE, "an .inter of MMRec has numbers as ids; use --ids number, or --write tsv");
    if (c->recipe == RECIPE_NONE && c->need_text && !c->meta)
        return fail(e, SP_USAGE, "to require descriptions, give the file that has them with --meta");
    if (c->recipe == RECIPE_NONE && c->need_image && !c->meta && !c->images)
        return fail(e, SP_USAGE, "to require images, give a folder with --images or a file with --meta");
    return c->source_count || fail(e, SP_USAGE, "prepare: there is no source");
}

/* Checks that a row remains. If not, the error names the step that left out most rows. */
static bool check_rows(const Preparation *p, Error *e)
{
    if (p->r.count)
        return true;
    const PrepareStep *largest = &p->result.step[0];
    for (size_t i = 1; i < p->result.steps; i++)
        if (p->result.step[i].dropped >= largest->dropped)
            largest = &p->result.step[i];
    return fail(e, SP_FORMAT, "%s: no interaction is left; most were left out by the step \"%s\" (%lld of %lld rows)",
                p->r.path, largest->words, (long long)largest->dropped, (long long)p->read);
}

static void count_lacks(Preparation *p)
{
    p->result.unfiltered = (p->c->need_text && !p->c->meta) || (p->c->need_image && !p->info);
    for (int64_t i = 0; p->info && i < text_index_count(p->r.items); i++) {
        const ItemInfo *in = &p->info[p->origin[i]];
        p->result.no_text += in->text_lack != LACK_NOTHING;
        p->result.no_image += in->image_lack != LACK_NOTHING;
    }
}

static bool run(Preparation *p, Error *e)
{
    if (!prepare_read(p, e) || !prepare_unique(p, e) || !prepare_items(p, e) || !prepare_filter(p, e) ||
        !prepare_core(p, e) || !check_rows(p, e) || !prepare_number(p, e) || !prepare_split(p, e) ||
        !prepare_write(p, e))
        return false;
    count_lacks(p);
    return true;
}

bool prepare_files(const PrepareConfig *c, Error *e)
{
    if (!check_config(c, e))
        return false;
    Preparation p = {.c = c, .arena = arena_new(c->heap, 0), .scratch = arena_new(c->heap, 0)};
    bool ok = p.arena && p.scratch ? run(&p, e) : fail_memory(e, 4096, "preparing data");
    if (ok && c->visit)
        c->visit(c->arg, &p.result);
    arena_free(p.scratch);
    arena_free(p.arena);
    return ok;
}
