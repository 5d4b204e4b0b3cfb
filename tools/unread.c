/* unread.c: inputs that could not be read: kept with their reasons, listed in a file, counted in a warning. */
#include "tools/features.h"

/* The reason without the input's own place or number, which stand beside it. */
static const char *bare_reason(const char *reason, const char *place)
{
    const char *const before[] = {place, "text 1", "image 1"};
    for (size_t i = 0; i < COUNT(before); i++) {
        size_t n = strlen(before[i]);
        if (strncmp(reason, before[i], n) == 0 && strncmp(reason + n, ": ", 2) == 0)
            return reason + n + 2;
    }
    return reason;
}

bool unread_add(Unread *u, const Input *in, const Error *why, Arena *a, Error *e)
{
    const char *place = in->picture  ? in->picture
                        : in->source ? arena_printf(a, e, "%s:%zu", in->source, in->line)
                                     : arena_printf(a, e, "text %s", in->name);
    if (!place)
        return false;
    const char *reason = bare_reason(why->message, place);
    if (!u)
        return fail(e, why->code, "%s: %s", place, reason);
    if (!(reason = arena_strndup(a, reason, strlen(reason), e)) ||
        (u->count == u->room && !(u->list = arena_grow(a, u->list, u->count, &u->room, sizeof *u->list, e))))
        return false;
    u->list[u->count++] = (Unreadable){in->name, place, reason};
    return true;
}

bool unread_fail(const Unread *u, size_t n, Error *e)
{
    if (!u || u->count == 0)
        return fail(e, SP_FORMAT, "there is nothing to read");
    return n == 1
               ? fail(e, SP_FORMAT, "%s: %s", u->list[0].place, u->list[0].reason)
               : fail(e, SP_FORMAT, "%s: %s; none of the %zu inputs could be read", u->list[0].place, u->list[0].reason, n);
}

static const char HEADER[] = "id\treason\n";

/* The list of an earlier run. A file of the user's that has its name by chance stays. */
static bool remove_list(const char *path, const Heap *heap, Error *e)
{
    Map m;
    if (!file_exists(path))
        return true;
    Arena *a = arena_new(heap, 0);
    bool ok = a ? map_read(&m, a, path, e) : fail_memory(e, 1, path);
    bool is_list = ok && m.bytes >= strlen(HEADER) && memcmp(m.data, HEADER, strlen(HEADER)) == 0;
    arena_free(a);
    return ok && (!is_list || file_remove(path, e));
}

bool unread_write(const Unread *u, const char *path, const Heap *heap, Error *e)
{
    if (u->count == 0)
        return remove_list(path, heap, e);
    Out *o = out_open(path, heap, e);
    bool ok = o && out_write(o, HEADER, strlen(HEADER), e);
    for (size_t i = 0; ok && i < u->count; i++)
        ok = out_tsv_field(o, text_of(u->list[i].id), e) && out_write(o, "\t", 1, e) &&
             out_tsv_field(o, text_of(u->list[i].reason), e) && out_write(o, "\n", 1, e);
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

void unread_warn(const Unread *u, size_t n, const char *path, FILE *to)
{
    if (to && u->count)
        fprintf(to, "sapor: warning: %zu of %zu inputs could not be read and have no features; %s lists them\n", u->count, n,
                path);
}
