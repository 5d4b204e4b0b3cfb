/* tools/describe.c: what was read of a data set, for people and as JSON. */
#include "tools/tools.h"

/* Begins the record {"event":"data",...: how a file was read. */
static JsonWriter begin_data(Format f, char cut, const char *columns, FILE *json)
{
    JsonWriter w = json_record(json, "event", "data");
    json_members(&w, "format %s read_as %s columns %s", format_name(f), format_words(f, cut), columns);
    return w;
}

static const char *const PART_NAMES[] = {"train", "valid", "test"};

static void json_dataset(const DataSet *d, double density, FILE *to)
{
    JsonWriter w = begin_data(d->format, d->cut, d->columns, to);
    json_members(&w, "users %lld items %lld density %.6g", (long long)d->U, (long long)d->I, density);
    for (size_t p = 0; p < COUNT(PART_NAMES); p++)
        if (d->counted[p].rows) {
            const Counted *n = &d->counted[p];
            json_object(&w, PART_NAMES[p]);
            json_put_i64(&w, "rows", n->rows);
            json_object(&w, "left_out");
            json_members(&w, "user_not_in_train %lld repeated %lld rating_below_0 %lld", (long long)n->cold,
                         (long long)n->repeated, (long long)n->below);
            json_end(&w);
            json_put_i64(&w, "item_not_in_train", n->unknown);
            json_end(&w);
        }
    json_finish(&w);
}

void print_dataset(const DataSet *d, FILE *text, FILE *json)
{
    double density = (double)d->train.count / ((double)d->U * (double)d->I);
    if (json)
        json_dataset(d, density, json);
    if (!text)
        return;
    fprintf(text, "data: %s (%s), %lld users, %lld items, density %.3g%%", format_words(d->format, d->cut), d->columns,
            (long long)d->U, (long long)d->I, 100 * density);
    for (size_t p = 0; p < COUNT(PART_NAMES); p++)
        if (d->counted[p].rows)
            fprintf(text, ", %s %lld", PART_NAMES[p], (long long)d->counted[p].rows);
    const char *before = "; left out: ";
    for (size_t p = 0; p < COUNT(PART_NAMES); p++) {
        const Counted *n = &d->counted[p];
        if (n->cold) {
            fprintf(text, "%s%lld %s rows whose user is not in train", before, (long long)n->cold, PART_NAMES[p]);
            before = ", ";
        }
        if (n->repeated) {
            fprintf(text, "%s%lld %s rows whose user and item occur again later", before, (long long)n->repeated,
                    PART_NAMES[p]);
            before = ", ";
        }
        if (n->below) {
            fprintf(text, "%s%lld %s rows with a rating below 0, which are not relevant (elliot)", before,
                    (long long)n->below, PART_NAMES[p]);
            before = ", ";
        }
    }
    before = "; counted as missed: ";
    for (size_t p = 1; p < COUNT(PART_NAMES); p++)
        if (d->counted[p].unknown) {
            fprintf(text, "%s%lld %s rows whose item is not in train", before, (long long)d->counted[p].unknown,
                    PART_NAMES[p]);
            before = ", ";
        }
    fputc('\n', text);
}

void print_split(void *arg, const SplitSource *s)
{
    const Context *c = arg;
    const Ratings *r = s->ratings;
    double density = (double)(s->rows - s->repeated) / ((double)s->users * (double)s->items);
    long long dropped = (long long)r->count - (long long)s->rows;
    if (c->json) {
        JsonWriter j = begin_data(r->format, r->cut, r->columns, stdout);
        json_members(&j, "users %lld items %lld rows %lld density %.6g", (long long)s->users, (long long)s->items,
                     (long long)s->rows, density);
        json_object(&j, "left_out");
        json_put_i64(&j, "core", dropped);
        json_end(&j);
        json_put_i64(&j, "repeated", s->repeated);
        json_finish(&j);
    }
    if (c->progress) {
        fprintf(c->progress, "%s: %s (%s), %lld users, %lld items, %lld interactions, density %.3g%%", r->path,
                format_words(r->format, r->cut), r->columns, (long long)s->users, (long long)s->items,
                (long long)s->rows, 100 * density);
        if (dropped)
            fprintf(c->progress, "; left out by the %lld-core: %lld of %zu rows", (long long)s->k_core, dropped,
                    r->count);
        if (s->repeated)
            fprintf(c->progress, "; repeated pairs, kept: %lld", (long long)s->repeated);
        fputc('\n', c->progress);
    }
}
