/* tools/unreadable.c: inputs that could not be read: a list with reasons, which is written to a file, and a warning. */
#include "tools/features.h"

/* Returns the reason without the place or number of the input at its beginning: the caller writes the place itself. */
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

const char *input_problem(const Input *in)
{
    Text text = in->text;
    return in->image                             ? NULL
           : text.n && memchr(text.p, 0, text.n) ? "holds a NUL byte: not a text file"
           : utf8_valid(text, NULL)              ? NULL
                                                 : "is not valid UTF-8; convert it (iconv -t UTF-8)";
}

void unreadable_place(const UnreadableInput *one, char *buffer, size_t size)
{
    if (!one->path)
        snprintf(buffer, size, "text %s", one->id);
    else if (!one->line)
        snprintf(buffer, size, "%s", one->path);
    else
        snprintf(buffer, size, "%s:%lu", one->path, (unsigned long)one->line);
}

bool unreadable_add(UnreadableList *u, const Input *in, const Error *why, Arena *a, Error *e)
{
    char place[sizeof why->message];
    UnreadableInput one = {
        .id = in->name, .path = in->image ? in->image : in->source, .line = in->image ? 0 : in->line};
    unreadable_place(&one, place, sizeof place);
    const char *reason = bare_reason(why->message, place);
    if (!u)
        return fail(e, why->code, "%s: %s", place, reason);
    /* stored once if a whole file has the wrong encoding */
    const char *last = u->count ? u->list[u->count - 1].reason : NULL;
    one.reason = last && strcmp(last, reason) == 0 ? last : arena_strndup(a, reason, strlen(reason), e);
    if (!one.reason ||
        (u->count == u->room && !(u->list = arena_grow(a, u->list, u->count, &u->room, sizeof *u->list, e))))
        return false;
    u->list[u->count++] = one;
    return true;
}

bool unreadable_fail(const UnreadableList *u, size_t n, Error *e)
{
    if (!u || u->count == 0)
        return fail(e, SP_FORMAT, "there are no inputs");
    char place[sizeof e->message];
    unreadable_place(&u->list[0], place, sizeof place);
    return n == 1 ? fail(e, SP_FORMAT, "%s: %s", place, u->list[0].reason)
                  : fail(e, SP_FORMAT, "%s: %s; none of the %zu inputs could be read", place, u->list[0].reason, n);
}

#define HEADING "id\treason\n"

/* Reports whether unreadable_write wrote this file. Any other file of that name belongs to the user. */
static bool is_list(const char *path)
{
    Error ignored = {0};
    Map m;
    if (!map_open(&m, path, &ignored))
        return false;
    bool is = text_starts((Text){(const char *)m.data, m.bytes}, HEADING);
    map_close(&m);
    return is;
}

bool unreadable_write(const UnreadableList *u, const char *path, const Heap *heap, Error *e)
{
    if (u->count == 0)
        return !is_list(path) || file_remove(path, e);
    Out *o = out_open(path, heap, e);
    bool ok = o && out_printf(o, e, HEADING);
    for (size_t i = 0; ok && i < u->count; i++)
        ok = out_tsv_field(o, text_of(u->list[i].id), e) && out_write(o, "\t", 1, e) &&
             out_tsv_field(o, text_of(u->list[i].reason), e) && out_write(o, "\n", 1, e);
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

void unreadable_warn(const UnreadableList *u, size_t n, const char *path, FILE *to)
{
    if (to && u->count)
        fprintf(to, "sapor: warning: %zu of %zu inputs could not be read and have no features; %s lists them\n",
                u->count, n, path);
}
