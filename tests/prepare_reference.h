/* tests/prepare_reference.h: a small drawn Amazon catalogue, its files, and the expected output of the published
 * scripts. The reference is as simple as possible: rows in an array, ids compared as texts, counts by a loop over all
 * rows. */
#ifndef SAPOR_PREPARE_REFERENCE_H
#define SAPOR_PREPARE_REFERENCE_H

#include "tests/recsys_testing.h"

enum { USERS = 40, ITEMS = 30, REVIEWS = 700, METAS = 28 };
typedef struct Review {
    char user[8], item[8];
    int rating, time; /* rating 0: missing */
    bool out;         /* the script leaves the row out */
} Review;
typedef struct Meta {
    char item[8];
    const char *title, *description, *url; /* NULL: missing */
} Meta;
static Review reviews[REVIEWS];
static Meta metas[METAS];

static uint32_t drawn_below(uint32_t n)
{
    static uint64_t at;
    return draw_below((Draw){11, DRAW_TEST, 0}, at++, n);
}

static void draw_catalogue(void)
{
    static const char *const TEXTS[] = {"a red bag",
                                        "with a \"quote\"",
                                        "it's\tgood",
                                        "two\nlines",
                                        "caf\xc3\xa9 \xf0\x9f\x98\x80",
                                        "a banana",
                                        "n/a",
                                        "no, NaN",
                                        "c:\\dir",
                                        "plain",
                                        "\"both\" 'kinds'",
                                        "a lamp",
                                        "a green bag",
                                        "soap",
                                        "tea"};
    static const char *const URLS[] = {"http://e/1.jpg", "http://e/2.jpg", "http://e/nan.jpg", "http://e/3.jpg",
                                       "http://e/4.jpg"};
    for (int i = 0; i < REVIEWS; i++) {
        Review *r = &reviews[i];
        if (i && drawn_below(8) == 0) {
            *r = reviews[drawn_below((uint32_t)i)];
            if (drawn_below(2))
                r->rating = 1 + (int)drawn_below(5);
        } else {
            snprintf(r->user, sizeof r->user, "U%u", (unsigned)drawn_below(drawn_below(2) ? USERS : USERS / 4));
            snprintf(r->item, sizeof r->item, "I%u", (unsigned)drawn_below(drawn_below(2) ? ITEMS : ITEMS / 4));
            r->rating = (int)drawn_below(30) ? 1 + (int)drawn_below(5) : 0;
            r->time = 1300000000 + (int)drawn_below(300) * 86400;
        }
    }
    for (int i = 0; i < METAS; i++) { /* I27 to I29 have no entry, I0 has two */
        Meta *m = &metas[i];
        snprintf(m->item, sizeof m->item, "I%d", i * 7 % (ITEMS - 3));
        m->title = drawn_below(5) ? TEXTS[drawn_below(COUNT(TEXTS))] : NULL;
        m->description = drawn_below(8) ? TEXTS[drawn_below(COUNT(TEXTS))] : drawn_below(2) ? "" : NULL;
        m->url = drawn_below(8) ? URLS[drawn_below(COUNT(URLS))] : NULL;
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Writes a text as json.dumps writes it, or as Python 2 prints a unicode string. */
static void put_literal(FILE *f, const char *text, bool python)
{
    char quote = python && !(strchr(text, '\'') && !strchr(text, '"')) ? '\'' : '"';
    fprintf(f, "%s%c", python ? "u" : "", quote);
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t code;
        i += utf8_decode(text + i, n - i, &code);
        if (code == (unsigned char)quote || code == '\\')
            fprintf(f, "\\%c", (int)code);
        else if (code == '\n' || code == '\t')
            fputs(code == '\n' ? "\\n" : "\\t", f);
        else if (code < 0x80)
            fputc((int)code, f);
        else if (python)
            fprintf(f, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
        else if (code < 0x10000)
            fprintf(f, "\\u%04x", code);
        else
            fprintf(f, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
    }
    fputc(quote, f);
}

static FILE *open_in_dir(const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static void write_reviews(const char *name)
{
    FILE *f = open_in_dir(name);
    for (int i = 0; i < REVIEWS; i++) {
        const Review *r = &reviews[i];
        fprintf(f,
                "{\"reviewerID\": \"%s\", \"asin\": \"%s\", \"helpful\": [0, 1], \"reviewText\": \"x\", \"overall\": ",
                r->user, r->item);
        fprintf(f, r->rating ? "%d.0" : "null", r->rating);
        fprintf(f, ", \"unixReviewTime\": %d}\n", r->time);
    }
    assert_int_equal(fclose(f), 0);
}

static void write_metas(const char *name, bool python)
{
    FILE *f = open_in_dir(name);
    for (int i = 0; i < METAS; i++) {
        const Meta *m = &metas[i];
        const char *const keys[] = {"asin", "title", "description", "imUrl"}, *const values[] = {m->item, m->title,
                                                                                                 m->description,
                                                                                                 m->url};
        fputs("{", f);
        for (size_t k = 0; k < COUNT(keys); k++)
            if (values[k]) {
                fprintf(f, python ? "%s'%s': " : "%s\"%s\": ", k ? ", " : "", keys[k]);
                put_literal(f, values[k], python);
            }
        fputs(python ? ", 'price': 1.5, 'sold': True, 'brand': None, 'related': {'also': ['x', 'y']}}\n"
                     : ", \"price\": 1.5, \"sold\": true, \"brand\": null, \"related\": {\"also\": [\"x\", \"y\"]}}\n",
              f);
    }
    assert_int_equal(fclose(f), 0);
}

/* ---- Ducho ----------------------------------------------------------------------------------- */

static bool same_pair(const Review *a, const Review *b)
{
    return !strcmp(a->user, b->user) && !strcmp(a->item, b->item);
}

/* Reports whether the script takes a text for a missing one: it searches these words anywhere in the text. */
static bool holds_nan(const char *text)
{
    return strstr(text, "nan") || strstr(text, "Nan") || strstr(text, "NaN") || strstr(text, "naN") ||
           strstr(text, "n/a") || strstr(text, "N/A");
}

/* Returns the first entry of the item with a description and a url, in the order of the metadata. NULL: none. */
static const Meta *usable(const char *item)
{
    for (int i = 0; i < METAS; i++)
        if (!strcmp(metas[i].item, item) && metas[i].description && *metas[i].description && metas[i].url)
            return &metas[i];
    return NULL;
}

/* Marks the rows that are left out, and writes the remaining rows. substring: texts that contain nan count as missing.
 */
static void reference_ducho(char *text, size_t size, bool substring)
{
    for (int i = 0; i < REVIEWS; i++) {
        Review *r = &reviews[i];
        const Meta *m = usable(r->item);
        r->out = !r->rating || !m || (substring && (holds_nan(m->description) || holds_nan(m->url)));
        for (int k = 0; k < i && !r->out; k++)
            r->out = same_pair(r, &reviews[k]) && r->rating == reviews[k].rating;
    }
    text[0] = '\0';
    size_t n = 0;
    for (int i = 0; i < REVIEWS; i++)
        if (!reviews[i].out)
            n += (size_t)snprintf(text + n, size - n, "%s\t%s\t%d.0\n", reviews[i].user, reviews[i].item,
                                  reviews[i].rating);
    assert_true(n < size);
}

static bool occurs_before(int at, const char *item)
{
    for (int i = 0; i < at; i++)
        if (!reviews[i].out && !strcmp(reviews[i].item, item))
            return true;
    return false;
}

static size_t put_field(char *text, const char *field)
{
    bool quoted = strpbrk(field, "\t\n\"") != NULL;
    size_t n = 0;
    if (quoted)
        text[n++] = '"';
    for (; *field; field++) {
        text[n++] = *field;
        if (*field == '"')
            text[n++] = '"';
    }
    if (quoted)
        text[n++] = '"';
    text[n] = '\0';
    return n;
}

/* Writes the expected table of items, in the order of their first remaining rows. Call it after reference_ducho. */
static void reference_meta(char *text)
{
    size_t n = (size_t)sprintf(text, "asin\tdescription\timUrl\n");
    for (int i = 0; i < REVIEWS; i++) {
        if (reviews[i].out || occurs_before(i, reviews[i].item))
            continue;
        const Meta *m = usable(reviews[i].item);
        n += (size_t)sprintf(text + n, "%s\t", m->item);
        n += put_field(text + n, m->description);
        n += (size_t)sprintf(text + n, "\t%s\n", m->url);
    }
}

/* ---- MMRec ----------------------------------------------------------------------------------- */

static int rows_left(bool user, const char *id)
{
    int n = 0;
    for (int i = 0; i < REVIEWS; i++)
        n += !reviews[i].out && !strcmp(user ? reviews[i].user : reviews[i].item, id);
    return n;
}

/* Marks the rows that are left out. It starts a new pass over all rows after each row that it marks. Returns the number
 * of rows that stay. */
static int reference_mmrec(int core)
{
    int left = 0;
    for (int i = 0; i < REVIEWS; i++) {
        Review *r = &reviews[i];
        r->out = !r->rating;
        for (int k = 0; k < i && !r->out; k++)
            r->out = same_pair(r, &reviews[k]) && r->time == reviews[k].time && reviews[k].rating;
    }
    for (bool some = true; some;) {
        some = false;
        for (int i = 0; i < REVIEWS && !some; i++)
            if (!reviews[i].out &&
                (rows_left(true, reviews[i].user) < core || rows_left(false, reviews[i].item) < core))
                some = reviews[i].out = true;
    }
    for (int i = 0; i < REVIEWS; i++)
        left += !reviews[i].out;
    return left;
}

/* Returns the number of an id: how many distinct ids appear before it. */
static int number_of(bool user, const char *id)
{
    int n = 0;
    for (int i = 0; i < REVIEWS; i++) {
        const char *row_id = user ? reviews[i].user : reviews[i].item;
        if (reviews[i].out)
            continue;
        if (!strcmp(row_id, id))
            return n;
        bool repeated = false;
        for (int k = 0; k < i && !repeated; k++)
            repeated = !reviews[k].out && !strcmp(user ? reviews[k].user : reviews[k].item, row_id);
        n += !repeated;
    }
    return -1;
}

#endif
