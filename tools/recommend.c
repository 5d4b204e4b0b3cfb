/* tools/recommend.c: sapor recommend DIR [--users ...] -k 20 -o recs.tsv. */
#include "tools/tools.h"

const Option recommend_options[] = {
    {"users", 0, "U", "user ids separated by commas, or a file with one id per line (default: all users)"},
    {"top", 'k', "K", "number of items per user (default 20)"},
    {"out", 'o', "FILE", "output file: user, item, score separated by tabs (default: standard output)"},
    {"unfinished", 0, NULL, "accept a run that was killed or is still training; use its best epoch so far"},
    {NULL, 0, NULL, NULL},
};

/* Adds a user, unless the user is already in the list. */
static bool add_user(Context *c, TextIndex *seen, Text user, Text **list, size_t *n, size_t *room, Error *e)
{
    int64_t before = text_index_count(seen), number = user.n ? text_index_add(seen, user, e) : 0;
    if (number < 0)
        return false;
    if (user.n == 0 || number < before) /* a user who is named twice gets one list */
        return true;
    if (*n == *room && !(*list = arena_grow(c->arena, *list, *n, room, sizeof **list, e)))
        return false;
    (*list)[(*n)++] = user;
    return true;
}

/* Reads --users. A file has one id per line; the value of the option itself is a row of CSV. */
static bool read_users(Context *c, Text **users, size_t *count, Error *e)
{
    const char *given = option_text(c, "users");
    size_t room = 0;
    Text rest, line;
    *users = NULL;
    *count = 0;
    if (!given)
        return true;
    TextIndex *seen = text_index_new(c->arena, e);
    if (seen && file_exists(given)) {
        if (!text_file_read(&rest, c->arena, given, e))
            return false;
        while (text_line(&rest, &line))
            if (!add_user(c, seen, line, users, count, &room, e))
                return false;
    } else if (seen) {
        Table t = table_open(text_of(given), ',', "--users", c->arena);
        while (table_next(&t, e))
            for (size_t i = 0; i < t.count; i++)
                if (!add_user(c, seen, t.field[i], users, count, &room, e))
                    return false;
    }
    if (e->code)
        return false;
    return *count > 0 || fail(e, SP_USAGE, "--users: no user in \"%s\"", given);
}

typedef struct Writer {
    Out *out; /* NULL: standard output */
    bool json;
    Progress progress;
} Writer;

static bool write_user(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    Writer *w = arg;
    JsonWriter j = {.to = stdout};
    for (int64_t i = 0; i < k; i++) {
        if (w->out) {
            if (!out_tsv_field(w->out, user, e) || !out_write(w->out, "\t", 1, e) ||
                !out_tsv_field(w->out, items[i], e) || !out_printf(w->out, e, "\t%.9g\n", (double)scores[i]))
                return false;
        } else if (w->json) {
            json_object(&j, NULL);
            json_put_text(&j, "user", user);
            json_put_text(&j, "item", items[i]);
            json_put_number(&j, "score", "%.9g", (double)scores[i]);
            json_finish(&j);
        } else {
            tsv_print_field(stdout, user);
            putchar('\t');
            tsv_print_field(stdout, items[i]);
            printf("\t%.9g\n", (double)scores[i]);
        }
    }
    progress_step(&w->progress, w->progress.done + 1, NULL);
    return w->out || !ferror(stdout) || output_flush(e);
}

/* Writes the lists of `users` (NULL: all) to standard output, or to the file `path`. *count: number of users. */
static bool write_lists(Context *c, Trained *t, const Text *users, size_t n, int64_t k, const char *path, double *count,
                        Error *e)
{
    Writer w = {.json = c->json};
    bool ok = !path || (w.out = out_open(path, c->heap, e));
    progress_start(&w.progress, path ? c->progress : NULL, "recommend", "users", (double)n);
    if (!ok || !trained_recommend(t, users, n, k, write_user, &w, e)) {
        out_discard(w.out);
        return false;
    }
    progress_end(&w.progress, NULL);
    *count = w.progress.done;
    return !path || out_commit(w.out, e);
}

bool save_recommendations(Context *c, const char *dir, int64_t k, Error *e)
{
    double count;
    const Device *d = context_device(c, e);
    const char *path = d ? path_join(c->arena, dir, "recs.tsv", e) : NULL;
    Trained *t = path ? trained_open(d, dir, false, e) : NULL;
    bool ok = t && write_lists(c, t, NULL, 0, k, path, &count, e);
    trained_close(t);
    return ok;
}

bool recommend_command(Context *c, Error *e)
{
    int64_t k = 20;
    Text *users;
    size_t n;
    const char *path = option_text(c, "out");
    if (!option_i64(c, "top", 1, INT32_MAX, &k, e) || !read_users(c, &users, &n, e))
        return false;
    const Device *d = context_device(c, e);
    Trained *t = d ? trained_open(d, c->args[0], option_given(c, "unfinished"), e) : NULL;
    if (!t)
        return false;
    double count = 0;
    bool ok = write_lists(c, t, users, n, k, path, &count, e);
    trained_close(t);
    if (!ok)
        return false;
    if (path && c->json) {
        JsonWriter j = json_record(stdout, "event", "result");
        json_members(&j, "users %.0f k %lld", count, (long long)k);
        json_finish(&j);
    }
    return true;
}
