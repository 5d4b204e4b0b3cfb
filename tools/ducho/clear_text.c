/* tools/ducho/clear_text.c: Ducho's `clear_text: True`, one function per pass (recipes.md 9.2; Ducho's
 * TextualDataset._pre_processing, which follows ReviewGraph).
 *
 * After the first pass, a text has only ASCII letters, digits, spaces and ',.!;?(), so each byte is one character. The
 * last call in Ducho, strip().lower(), has no effect because its result is not used. Therefore texts are not
 * lower-cased and not trimmed here. */
// flags: -Os
#include <ctype.h>

#include "tools/ducho/extract.h"

typedef struct Buffer {
    char *p;
    size_t n, room;
    Arena *arena;
    Error *e;
} Buffer;

static bool put(Buffer *b, const char *text, size_t n)
{
    while (b->n + n > b->room)
        if (!(b->p = arena_grow(b->arena, b->p, b->room, &b->room, 1, b->e)))
            return false;
    memcpy(b->p + b->n, text, n);
    b->n += n;
    return true;
}

static bool starts_at(Text t, size_t i, const char *word)
{
    size_t n = strlen(word);
    return t.n - i >= n && memcmp(t.p + i, word, n) == 0;
}

/* Replaces every occurrence of `from` by `to`, from left to right, without overlap. */
static bool replace(Buffer *b, const char *from, const char *to)
{
    Buffer out = {.arena = b->arena, .e = b->e};
    Text t = {b->p, b->n};
    size_t n = strlen(from);
    for (size_t i = 0; i < t.n;) {
        bool hit = starts_at(t, i, from);
        if (!put(&out, hit ? to : t.p + i, hit ? strlen(to) : 1))
            return false;
        i += hit ? n : 1;
    }
    *b = out;
    return true;
}

/* Replaces every run of at least `min_length` characters of `set` by `to`. */
static bool replace_runs(Buffer *b, const char *set, size_t min_length, const char *to)
{
    Buffer out = {.arena = b->arena, .e = b->e};
    for (size_t i = 0; i < b->n;) {
        size_t run = 0;
        while (i + run < b->n && strchr(set, b->p[i + run]))
            run++;
        bool hit = run >= min_length && run > 0;
        size_t take = MAX(run, 1);
        if (!put(&out, hit ? to : b->p + i, hit ? strlen(to) : take))
            return false;
        i += take;
    }
    *b = out;
    return true;
}

/* First pass: replaces every character that is not [A-Za-z0-9',.!;?()] by a space. */
static bool keep_plain(Buffer *b, Text text)
{
    for (size_t i = 0; i < text.n;) {
        uint32_t code;
        size_t n = utf8_decode(text.p + i, text.n - i, &code);
        char c = text.p[i];
        bool plain = n == 1 && (isalnum((unsigned char)c) || (c && strchr("',.!;?()", c)));
        if (!put(b, plain ? &c : " ", 1))
            return false;
        i += MAX(n, 1);
    }
    return true;
}

static bool is_word(const Buffer *b, size_t i)
{
    return i < b->n && isalnum((unsigned char)b->p[i]);
}

/* Reports whether "\w \." is at i. */
static bool is_initial(const Buffer *b, size_t i)
{
    return is_word(b, i) && i + 2 < b->n && b->p[i + 1] == ' ' && b->p[i + 2] == '.';
}

/* Removes the spaces in (?<= )(\w \. )+(\w \.): "U . S . A ." -> "U.S.A." */
static bool join_initials(Buffer *b)
{
    Buffer out = {.arena = b->arena, .e = b->e};
    for (size_t i = 0; i < b->n;) {
        size_t pairs = 0;
        if (i > 0 && b->p[i - 1] == ' ')
            while (is_initial(b, i + 4 * pairs) && (pairs == 0 || b->p[i + 4 * pairs - 1] == ' '))
                pairs++;
        if (pairs >= 2) {
            for (size_t k = 0; k < pairs; k++)
                if (!put(&out, b->p + i + 4 * k, 1) || !put(&out, ".", 1))
                    return false;
            i += 4 * pairs - 1;
        } else if (!put(&out, b->p + i++, 1)) {
            return false;
        }
    }
    *b = out;
    return true;
}

/* Replaces quotes by spaces, except quotes that begin a contraction ('s 've 're 'd 'll 'm, and n't). */
static bool drop_quotes(Buffer *b)
{
    static const char *const ENDS[] = {"s", "ve", "re", "d", "ll", "m"};
    Text t = {b->p, b->n};
    for (size_t i = 0; i < b->n; i++) {
        if (b->p[i] != '\'')
            continue;
        bool keep = i > 0 && b->p[i - 1] == 'n' && starts_at(t, i + 1, "t") && !is_word(b, i + 2);
        for (size_t k = 0; k < COUNT(ENDS); k++)
            keep = keep || (starts_at(t, i + 1, ENDS[k]) && !is_word(b, i + 1 + strlen(ENDS[k])));
        if (!keep)
            b->p[i] = ' ';
    }
    return true;
}

bool clear_text(Text *text, Arena *a, Error *e)
{
    static const char *const PAD[][2] = {{".", " . "}, {",", " , "}, {";", " ; "}, {"!", " ! "},
                                         {"(", " ( "}, {")", " ) "}, {"?", " ? "}},
                             *const SPLIT[][2] = {{"'s", " 's"}, {"'ve", " 've"}, {"n't", " n't"}, {"'re", " 're"},
                                                  {"'d", " 'd"}, {"'m", " 'm"},   {"'ll", " 'll"}},
                             *const DIGITS[][2] = {{" 0 ", " zero "},  {" 1 ", " one "},   {" 2 ", " two "},
                                                   {" 3 ", " three "}, {" 4 ", " four "},  {" 5 ", " five "},
                                                   {" 6 ", " six "},   {" 7 ", " seven "}, {" 8 ", " eight "},
                                                   {" 9 ", " nine "}};
    Arena *scratch = arena_new(arena_heap(a), 0);
    Buffer b = {.arena = scratch, .e = e};
    if (!scratch)
        return fail_memory(e, text->n, "clear_text");
    bool ok = keep_plain(&b, *text) && replace_runs(&b, "!", 1, "!");
    for (size_t i = 0; ok && i < COUNT(PAD); i++)
        ok = replace(&b, PAD[i][0], PAD[i][1]);
    ok = ok && replace_runs(&b, " ", 2, " ") && replace_runs(&b, ". ", 7, " ... ") && join_initials(&b);
    for (size_t i = 0; ok && i < COUNT(SPLIT); i++)
        ok = replace(&b, SPLIT[i][0], SPLIT[i][1]);
    ok = ok && drop_quotes(&b);
    for (size_t i = 0; ok && i < COUNT(DIGITS); i++)
        ok = replace(&b, DIGITS[i][0], DIGITS[i][1]);
    ok = ok && replace_runs(&b, " ", 2, " ");
    const char *copy = ok ? arena_strndup(a, b.n ? b.p : "", b.n, e) : NULL;
    *text = copy ? (Text){copy, b.n} : (Text){"", 0};
    arena_free(scratch);
    return copy != NULL;
}
