/* recsys/data/prepare/record.c: parses the lines of Amazon's files. Metadata of 2014 are dicts as Python 2 printed
 * them; they are converted to JSON. All other files are JSON. */
// flags: -Os
#include "recsys/data/prepare/prepare.h"

/* ---- from Python to JSON --------------------------------------------------------------------- */

typedef struct Conversion {
    const char *p, *end;   /* the Python text that is not read yet */
    char *out;             /* the JSON; NULL: the first pass, which only counts its bytes */
    size_t n;              /* number of bytes of JSON so far */
    const char *bad, *why; /* position of the error, and its description */
} Conversion;

static void put(Conversion *t, const char *bytes, size_t n)
{
    if (t->out)
        memcpy(t->out + t->n, bytes, n);
    t->n += n;
}

/* Records the error of the conversion. Returns false. */
static bool wrong(Conversion *t, const char *at, const char *why)
{
    t->bad = at;
    t->why = why;
    return false;
}

static void put_code(Conversion *t, uint32_t code)
{
    char bytes[8];
    if (code == '"' || code == '\\')
        put(t, (char[]){'\\', (char)code}, 2);
    else if (code < 0x20)
        put(t, bytes, (size_t)snprintf(bytes, sizeof bytes, "\\u%04x", code));
    else
        put(t, bytes, utf8_encode(code, bytes));
}

/* Reads up to max_digits digits of the base into *code. Returns false if there are fewer than min_digits. */
static bool take_code(Conversion *t, unsigned base, int min_digits, int max_digits, uint32_t *code)
{
    int n = 0;
    for (*code = 0; n < max_digits && t->p < t->end; n++, t->p++) {
        char c = *t->p, low = (char)(c | 0x20);
        unsigned digit = c >= '0' && c <= '9'       ? (unsigned)(c - '0')
                         : low >= 'a' && low <= 'f' ? (unsigned)(low - 'a' + 10)
                                                    : 99;
        if (digit >= base)
            break;
        *code = *code * base + digit;
    }
    return n >= min_digits;
}

/* Returns the character of a high surrogate and a following low one, written as \uXXXX, and skips the latter. Returns
 * U+FFFD if the surrogate is unpaired. */
static uint32_t join_surrogates(Conversion *t, uint32_t high)
{
    const char *p = t->p;
    uint32_t low;
    if (high < 0xdc00 && t->end - p >= 2 && p[0] == '\\' && p[1] == 'u') {
        t->p += 2;
        if (take_code(t, 16, 4, 4, &low) && low >= 0xdc00 && low <= 0xdfff)
            return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
        t->p = p;
    }
    return 0xfffd;
}

/* Converts the escape after the backslash at `begin`. */
static bool convert_escape(Conversion *t, const char *begin)
{
    static const char names[] = "\\'\"abfnrtv", codes[] = "\\'\"\a\b\f\n\r\t\v";
    if (t->p == t->end)
        return wrong(t, begin, "this string is not closed");
    char c = *t->p;
    const char *known = c ? strchr(names, c) : NULL;
    uint32_t code;
    if (known) {
        t->p++;
        put_code(t, (unsigned char)codes[known - names]);
        return true;
    }
    if (c >= '0' && c <= '7') {
        take_code(t, 8, 1, 3, &code);
        put_code(t, code);
        return true;
    }
    if (c == 'N')
        return wrong(t, begin, "the escape \\N is not supported");
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (!digits) { /* not an escape: Python keeps the backslash */
        put_code(t, '\\');
        return true;
    }
    t->p++;
    if (!take_code(t, 16, digits, digits, &code) || code > 0x10ffff)
        return wrong(t, begin, "this escape is not a character");
    put_code(t, code >= 0xd800 && code <= 0xdfff ? join_surrogates(t, code) : code);
    return true;
}

static bool convert_string(Conversion *t)
{
    const char *begin = t->p;
    char quote = *t->p++;
    put(t, "\"", 1);
    while (t->p < t->end && *t->p != quote) {
        const char *at = t->p++;
        if (*at == '\\') {
            if (!convert_escape(t, at))
                return false;
        } else if ((unsigned char)*at < 0x20 || *at == '"') {
            put_code(t, (unsigned char)*at);
        } else {
            put(t, at, 1);
        }
    }
    if (t->p == t->end)
        return wrong(t, begin, "this string is not closed");
    t->p++;
    put(t, "\"", 1);
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool convert_word(Conversion *t)
{
    static const struct {
        const char *word, *json;
    } WORDS[] = {{"None", "null"}, {"True", "true"},   {"False", "false"}, {"null", "null"},
                 {"true", "true"}, {"false", "false"}, {"nan", "null"},    {"NaN", "null"}};
    const char *begin = t->p;
    while (t->p < t->end && is_letter(*t->p))
        t->p++;
    Text word = {begin, (size_t)(t->p - begin)};
    if ((text_is(word, "u") || text_is(word, "U")) && t->p < t->end && (*t->p == '\'' || *t->p == '"'))
        return convert_string(t);
    for (size_t i = 0; i < COUNT(WORDS); i++)
        if (text_is(word, WORDS[i].word)) {
            put(t, WORDS[i].json, strlen(WORDS[i].json));
            return true;
        }
    return wrong(t, begin, "a value is expected here: {, [, (, a string, a number, None, True or False");
}

/* Converts a number. Python 2 writes L after a long one. json_parse checks the number. */
static void convert_number(Conversion *t)
{
    const char *begin = t->p;
    while (t->p < t->end && ((*t->p >= '0' && *t->p <= '9') || (*t->p && strchr("+-.eE", *t->p))))
        t->p++;
    put(t, begin, (size_t)(t->p - begin));
    t->p += t->p < t->end && *t->p == 'L';
}

/* Converts a line from Python to JSON, token by token. The first pass counts the bytes; the second writes them. */
static bool convert(Conversion *t)
{
    /* 1 + position of the last comma if only white space follows it, because such a comma may end a list */
    size_t comma = 0;
    while (t->p < t->end) {
        char c = *t->p;
        if (c == '}' || c == ']' || c == ')') {
            if (comma && t->out)
                t->out[comma - 1] = ' ';
            put(t, c == ')' ? "]" : &c, 1);
            t->p++;
        } else if (c == '{' || c == '[' || c == '(' || c == ':' || c == ',') {
            put(t, c == '(' ? "[" : &c, 1);
            t->p++;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            put(t, &c, 1);
            t->p++;
            continue;
        } else if (c == '\'' || c == '"') {
            if (!convert_string(t))
                return false;
        } else if (c == '-' || c == '+' || c == '.' || (c >= '0' && c <= '9')) {
            convert_number(t);
        } else if (!convert_word(t)) {
            return false;
        }
        comma = c == ',' ? t->n : 0;
    }
    return true;
}

static bool from_python(Text *json, Text line, const char *path, size_t number, Arena *a, Error *e)
{
    Conversion t = {.p = line.p, .end = line.p + line.n};
    if (!convert(&t))
        return fail(e, SP_FORMAT, "%s:%zu:%zu: %s", path, number, (size_t)(t.bad - line.p) + 1, t.why);
    char *out = arena_alloc(a, t.n + 1, 1, e);
    if (!out)
        return false;
    t = (Conversion){.p = line.p, .end = line.p + line.n, .out = out};
    convert(&t);
    *json = (Text){out, t.n};
    return true;
}

/* ---- records --------------------------------------------------------------------------------- */

/* Detects Python's form. The first key of a JSON object is in double quotes; that of a Python dict is in single quotes,
 * or after a u. */
static bool is_python(Text line)
{
    Text inside = text_trim((Text){line.p + 1, line.n - 1});
    return inside.n && *inside.p != '"' && *inside.p != '}';
}

const Json *record_parse(Arena *a, Text line, const char *path, size_t number, Error *e)
{
    Text json = line = text_trim(line);
    size_t bad;
    if (!line.n || *line.p != '{') {
        fail(e, SP_FORMAT, "%s:%zu: is no record: a line is {\"name\": value, ...}", path, number);
        return NULL;
    }
    if (!utf8_valid(line, &bad)) {
        fail(e, SP_FORMAT, "%s:%zu:%zu: is not valid UTF-8", path, number, bad + 1);
        return NULL;
    }
    bool python = is_python(line);
    if (python && !from_python(&json, line, path, number, a, e))
        return NULL;
    Error why = {0};
    const Json *record = json_parse(a, json, "", &why);
    if (record)
        return record;
    if (why.code != SP_FORMAT) {
        *e = why;
        return NULL;
    }
    /* ":1:COLUMN: what": COLUMN refers to the JSON */
    const char *what = why.message + strlen(":1:");
    const char *colon = strstr(what, ": ");
    fail(e, SP_FORMAT, "%s:%zu:%s", path, number, python && colon ? colon + 1 : what);
    return NULL;
}

bool is_records(bool *records, const char *path, const Heap *heap, Error *e)
{
    Error why = {0};
    LineReader *l = lines_open(path, LONGEST_RECORD, heap, &why);
    Text line = {0};
    while (l && !text_trim(line).n && lines_next(l, &line, &why))
        continue;
    line = text_trim(line);
    *records = line.n && *line.p == '{';
    lines_close(l);
    if (why.code != SP_MEMORY)
        return true; /* the reader of tables reports what is wrong with the file */
    *e = why;
    return false;
}

/* Counts a malformed line if the caller allows it, and keeps the first message. */
static bool skip(Preparation *p, Error *why, Error *e)
{
    if (why->code != SP_FORMAT || !p->c->skip_broken) {
        *e = *why;
        return false;
    }
    if (!p->result.broken && !(p->result.broken = arena_strndup(p->arena, why->message, strlen(why->message), e)))
        return false;
    p->result.skipped++;
    return true;
}

bool records_read(Preparation *p, const char *path, RecordVisit *visit, Error *e)
{
    LineReader *l = lines_open(path, LONGEST_RECORD, arena_heap(p->arena), e);
    Arena *scratch = l ? arena_new(arena_heap(p->arena), 0) : NULL;
    bool ok = l && (scratch || fail_memory(e, 4096, path));
    Text line;
    while (ok && lines_next(l, &line, e)) {
        if (p->c->reading && lines_number(l) % 1024 == 0) {
            size_t of, bytes = lines_bytes(l, &of);
            p->c->reading(p->c->arg, path, bytes, of);
        }
        if (!text_trim(line).n)
            continue;
        Error why = {0};
        const Json *record = record_parse(scratch, line, path, lines_number(l), &why);
        if (!record || !visit(p, record, path, lines_number(l), &why))
            ok = skip(p, &why, e);
        arena_trim(scratch, (size_t)1 << 20);
    }
    arena_free(scratch);
    lines_close(l);
    return ok && e->code == SP_OK;
}
