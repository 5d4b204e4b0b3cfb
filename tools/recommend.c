/* recommend.c: sapor recommend DIR [--users ...] -k 20 -o recs.tsv. */
#include "tools/tools.h"

const Option recommend_options[] = {
    {"users", 0, "U", "user ids, comma separated, or a file with one a line (default: all)"},
    {"top", 'k', "K", "how many items for each (default 20)"},
    {"out", 'o', "FILE", "user, item, score by tabs (default: standard output)"},
    {NULL, 0, NULL, NULL},
};

static bool read_users(Context *c, Text **users, size_t *count, Error *e)
{
    const char *given = option_text(c, "users");
    size_t room = 0, n = 0;
    Text rest, part, *list = NULL;
    bool is_file = given && file_exists(given);
    TextIndex *seen = text_index_new(c->arena, e);
    *users = NULL;
    *count = 0;
    if (!given)
        return true;
    rest = text_of(given);
    if (!seen || (is_file && !text_file_read(&rest, c->arena, given, e)))
        return false;
    while (is_file ? text_line(&rest, &part) : text_next(&rest, ',', &part)) {
        int64_t before = text_index_count(seen), number = part.n ? text_index_add(seen, part, e) : 0;
        if (number < 0)
            return false;
        if (part.n == 0 || number < before) /* named twice, recommended to once */
            continue;
        if (n == room && !(list = arena_grow(c->arena, list, n, &room, sizeof *list, e)))
            return false;
        list[n++] = part;
    }
    if (n == 0)
        return fail(e, SP_USAGE, "--users: no user in \"%s\"", given);
    *users = list;
    *count = n;
    return true;
}

typedef struct Writer {
    Out *out; /* NULL: standard output */
    bool json;
    Progress progress;
} Writer;

static bool write_user(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    Writer *w = arg;
    for (int64_t i = 0; i < k; i++) {
        if (w->out) {
            if (!out_tsv_field(w->out, user, e) || !out_write(w->out, "\t", 1, e) || !out_tsv_field(w->out, items[i], e) ||
                !out_printf(w->out, e, "\t%.9g\n", (double)scores[i]))
                return false;
        } else if (w->json) {
            printf("{\"user\":");
            json_print_string(stdout, user);
            printf(",\"item\":");
            json_print_string(stdout, items[i]);
            printf(",\"score\":%.9g}\n", (double)scores[i]);
        } else {
            tsv_print_field(stdout, user);
            putchar('\t');
            tsv_print_field(stdout, items[i]);
            printf("\t%.9g\n", (double)scores[i]);
        }
    }
    progress_step(&w->progress, w->progress.done + 1, NULL);
    return true;
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
    Trained *t = d ? trained_open(d, c->args[0], e) : NULL;
    if (!t)
        return false;
    Writer w = {.json = c->json};
    bool ok = !path || (w.out = out_open(path, c->heap, e));
    progress_start(&w.progress, path ? c->progress : NULL, "recommend", "users", (double)n);
    ok = ok && trained_recommend(t, users, n, k, write_user, &w, e);
    trained_close(t);
    if (!ok) {
        out_discard(w.out);
        return false;
    }
    progress_end(&w.progress, NULL);
    if (path && !out_commit(w.out, e))
        return false;
    if (path && c->json)
        printf("{\"event\":\"result\",\"users\":%.0f,\"k\":%lld}\n", w.progress.done, (long long)k);
    return true;
}
