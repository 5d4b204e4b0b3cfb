/* tools/report/report_items.c: the items that users have and models recommend, and the items with similar features, as
 * images or titles. */
// flags: -Os
#include "tools/report/report_parts.h"

#include <math.h>

/* SHOWN: items in a row; USERS, NEIGHBOURS: users and items that have a card. */
enum { SHOWN = 6, USERS = 4, NEIGHBOURS = 4 };

static void add_thumbnail(Report *r, int64_t item)
{
    static const char *const ENDS[] = {"jpg", "png", "webp", "jpeg"};
    if (item < 0 || item >= r->data.I || r->has_thumbnail[item] || !r->config->pictures)
        return;
    for (size_t i = 0; i < COUNT(ENDS) && !r->has_thumbnail[item]; i++) {
        Error ignored = {0};
        Text id = text_index_at(r->data.items, item);
        const char *path =
            arena_printf(r->c->arena, &ignored, "%s/%.*s.%s", r->config->pictures, (int)id.n, id.p, ENDS[i]);
        if (path && file_exists(path))
            r->has_thumbnail[item] = put_thumbnail(&r->page, path, item);
    }
}

/* Returns the title of an item, or its id. A long title is cut. */
static Text title_of(const Report *r, int64_t item)
{
    enum { MOST = 80 };
    Text title = r->title[item].n ? r->title[item] : text_index_at(r->data.items, item);
    if (title.n > MOST) /* do not cut inside a character */
        for (title.n = MOST; title.n && ((unsigned char)title.p[title.n] & 0xc0) == 0x80;)
            title.n--;
    return title;
}

/* Writes an image with the title as its label, or the whole title if there is no image. */
static void put_item(Report *r, int64_t item, bool hit)
{
    Page *p = &r->page;
    Text title = title_of(r, item);
    const char *frame = hit ? " hit" : "";
    if (r->has_thumbnail[item]) {
        put(p, "<li class=\"pic p%lld%s\" role=\"img\" aria-label=\"", (long long)item, frame);
        put_text(p, title);
        put(p, "\" title=\"");
        put_text(p, title);
        put(p, "\">");
    } else {
        put(p, "<li class=\"title%s\">", frame);
        put_text(p, title);
    }
    put(p, "</li>");
}

static void begin_row(Report *r, const char *name)
{
    put(&r->page, "<div class=\"row%s\"><b>", r->config->pictures ? "" : " list");
    put_text(&r->page, text_of(name));
    put(&r->page, "</b><ol>");
}

static bool in_test(const Report *r, int32_t user, int32_t item)
{
    const Pairs *t = &r->data.test;
    for (int64_t i = t->start[user]; i < t->start[user + 1]; i++)
        if (t->item[i] == item)
            return true;
    return false;
}

static int64_t shown_user(const Report *r, int i)
{
    return r->test_user_count * (2 * i + 1) / (2 * USERS);
}

/* Shows a few users, at equal distances in the list, so that the choice is not made by hand. */
void put_users(Report *r)
{
    Page *p = &r->page;
    const Pairs *train = &r->data.train;
    put(p, "<style>\n");
    for (int i = 0; i < USERS; i++) {
        int64_t at = shown_user(r, i), user = r->test_users[at];
        for (int64_t k = train->start[user]; k < MIN(train->start[user + 1], train->start[user] + SHOWN); k++)
            add_thumbnail(r, train->item[k]);
        for (size_t m = 0; m < r->runs; m++)
            for (int k = 0; k < SHOWN; k++)
                add_thumbnail(r, r->run[m].top[at * K + k]);
    }
    put(p,
        "</style>\n<h2>What users liked and what is recommended to them</h2>\n<p class=\"soft\">A few users, taken at "
        "equal distances from the list of users. A green frame marks a recommended item that is in the user's test "
        "part.</p>\n<div class=\"cards\">\n");
    for (int i = 0; i < USERS && i < r->test_user_count; i++) {
        int64_t at = shown_user(r, i);
        int32_t user = r->test_users[at];
        put(p, "<div class=\"card\"><h3>user ");
        put_text(p, r->test_user_name[at]);
        put(p, "</h3>\n");
        begin_row(r, "liked");
        for (int64_t k = train->start[user]; k < MIN(train->start[user + 1], train->start[user] + SHOWN); k++)
            put_item(r, train->item[k], false);
        put(p, "</ol></div>\n");
        for (size_t m = 0; m < r->runs; m++) {
            begin_row(r, r->run[m].name);
            for (int k = 0; k < SHOWN; k++) {
                int32_t item = r->run[m].top[at * K + k];
                if (item >= 0)
                    put_item(r, item, in_test(r, user, item));
            }
            put(p, "</ol></div>\n");
        }
        put(p, "</div>\n");
    }
    put(p, "</div>\n");
}

/* Finds the SHOWN most similar items by cosine, without the item itself; -1 follows if there are fewer items. */
static void nearest(const Report *r, const Feature *f, int64_t item, int64_t best[SHOWN])
{
    double score[SHOWN], x_squares = 0;
    const float *x = f->data + item * f->D;
    for (int64_t d = 0; d < f->D; d++)
        x_squares += (double)x[d] * x[d];
    for (int k = 0; k < SHOWN; k++)
        score[k] = -INFINITY, best[k] = -1;
    for (int64_t i = 0; i < r->data.I; i++) {
        double dot = 0, y_squares = 0;
        const float *y = f->data + i * f->D;
        for (int64_t d = 0; d < f->D; d++) {
            dot += (double)x[d] * y[d];
            y_squares += (double)y[d] * y[d];
        }
        double s = i == item ? -INFINITY : x_squares > 0 && y_squares > 0 ? dot / sqrt(x_squares * y_squares) : 0;
        int at = SHOWN;
        while (at > 0 && s > score[at - 1])
            at--;
        for (int k = SHOWN - 1; k > at; k--)
            score[k] = score[k - 1], best[k] = best[k - 1];
        if (at < SHOWN)
            score[at] = s, best[at] = i;
    }
}

void put_neighbours(Report *r)
{
    Page *p = &r->page;
    const DataSet *d = &r->data;
    if (!d->feature_count)
        return;
    int64_t(*best)[SHOWN] = arena_alloc(r->c->arena, (size_t)NEIGHBOURS * d->feature_count, sizeof *best, p->e);
    if (!best)
        return;
    put(p, "<style>\n");
    for (int n = 0; n < NEIGHBOURS; n++)
        for (size_t f = 0; f < d->feature_count; f++) {
            int64_t item = d->I * (2 * n + 1) / (2 * NEIGHBOURS), *list = best[(size_t)n * d->feature_count + f];
            nearest(r, &d->features[f], item, list);
            add_thumbnail(r, item);
            for (int k = 0; k < SHOWN; k++)
                add_thumbnail(r, list[k]);
        }
    put(p, "</style>\n<h2>Items with similar features</h2>\n<p class=\"soft\">Nearest neighbours by cosine, for each "
           "modality.</p>\n<div class=\"cards\">\n");
    for (int n = 0; n < NEIGHBOURS; n++) {
        int64_t item = d->I * (2 * n + 1) / (2 * NEIGHBOURS);
        put(p, "<div class=\"card\"><h3>");
        put_text(p, title_of(r, item));
        put(p, "</h3>");
        begin_row(r, "item");
        put_item(r, item, false);
        put(p, "</ol></div>\n");
        for (size_t f = 0; f < d->feature_count; f++) {
            begin_row(r, d->features[f].name);
            for (int k = 0; k < SHOWN; k++)
                if (best[(size_t)n * d->feature_count + f][k] >= 0)
                    put_item(r, best[(size_t)n * d->feature_count + f][k], false);
            put(p, "</ol></div>\n");
        }
        put(p, "</div>\n");
    }
    put(p, "</div>\n");
}
