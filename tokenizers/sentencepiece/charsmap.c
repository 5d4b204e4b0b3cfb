/* tokenizers/sentencepiece/charsmap.c: the normaliser Precompiled: the rules in precompiled_charsmap of a SentencePiece
 * model. The bytes are: the length of a trie (u32, little endian); the trie (the double array of Darts, of u32); the
 * replacements, each followed by a NUL.
 *
 * The rules are applied as in Hugging Face's crate spm_precompiled: for each grapheme cluster of at most five bytes,
 * the shortest rule that is a prefix of the cluster replaces the whole cluster. In a longer cluster, or without such a
 * rule, each character is replaced separately.
 *
 * Three of Unicode's rules that join characters to a cluster are left out: Hangul (GB6-8), consonants after a linker
 * (GB9c), pictographs after a joiner (GB11). The clusters that they join have more than five bytes, so their characters
 * are replaced separately. Without these rules, such a cluster is cut into shorter ones. The result can differ only if
 * one of these has several characters in at most five bytes. Examples: a Hangul letter (three bytes) with a mark of two
 * bytes, or the copyright sign (two bytes) with a mark. */
#include "tokenizers/sentencepiece/sentencepiece.h"

/* ---- the trie -------------------------------------------------------------------------------- */

static uint32_t unit_at(const Charsmap *m, size_t i)
{
    const unsigned char *p = m->trie + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Returns the replacement at `at`, up to a NUL. */
static Text content_at(Text contents, size_t at)
{
    const char *begin = contents.p + at, *end = memchr(begin, 0, contents.n - at);
    return (Text){begin, end ? (size_t)(end - begin) : contents.n - at};
}

/* Every index is checked against the array, so a malformed trie cannot cause a read outside of it. A trie with a cycle
 * is followed for at most MAX_RULE bytes. */
size_t charsmap_find(const Charsmap *m, const char *p, size_t n, bool longest, Text *to)
{
    size_t used = 0, at = 0;
    uint32_t found = 0;
    n = MIN(n, (size_t)MAX_RULE);
    for (size_t i = 0; m->units; i++) {
        uint32_t unit = unit_at(m, at);
        at ^= (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
        if (i && unit & 0x100 && at < m->units) {
            uint32_t value = unit_at(m, at) & 0x7fffffff;
            if (value <= m->text.n && (value == m->text.n || ((unsigned char)m->text.p[value] & 0xc0) != 0x80)) {
                found = value;
                used = i;
                if (!longest)
                    break;
            }
        }
        if (i == n || !p[i])
            break;
        at ^= (unsigned char)p[i];
        if (at >= m->units || (unit_at(m, at) & 0x800000ff) != (unsigned char)p[i])
            break;
    }
    if (used)
        *to = content_at(m->text, found);
    return used;
}

/* Returns the number of bytes of the longest replacement. */
static size_t longest_content(Text contents)
{
    size_t longest = 0;
    for (size_t at = 0, n; at < contents.n; at += n + 1) {
        n = content_at(contents, at).n;
        longest = MAX(longest, n);
    }
    return longest;
}

bool charsmap_read(Charsmap *m, Text bytes, Load *l, unsigned line)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t bad_at, trie = bytes.n < 4 ? SIZE_MAX : p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    trie -= trie % 4;
    if (trie > bytes.n - MIN(bytes.n, (size_t)4) || trie < 4)
        return fail(l->e, SP_FORMAT,
                    "%s:%u: precompiled_charsmap: its %zu bytes do not hold the trie that they announce", l->path, line,
                    bytes.n);
    *m = (Charsmap){.trie = p + 4, .units = trie / 4, .text = {bytes.p + 4 + trie, bytes.n - 4 - trie}};
    size_t longest = longest_content(m->text);
    if (longest > MAX_RULE)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s:%u: precompiled_charsmap: a replacement of %zu bytes; at most %d are supported", l->path, line,
                    longest, MAX_RULE);
    for (int c = 0; c < 128; c++) {
        Text to = {0};
        m->plain[c] = c != '\r' && !charsmap_find(m, &(char){(char)c}, 1, false, &to);
    }
    return utf8_valid(m->text, &bad_at) ||
           fail(l->e, SP_FORMAT, "%s:%u: precompiled_charsmap: byte %zu of its replacements is not UTF-8", l->path,
                line, bad_at);
}

/* ---- the normaliser -------------------------------------------------------------------------- */

/* The output, with Hugging Face's counts of characters. `change` belongs to a character of the output: it is the number
 * of characters by which the text grows at this character. The character replaces (1 - change) source characters:
 *
 * - change 0: it replaces one.
 * - change -n: it replaces n + 1.
 * - change 1: it replaces none, and gets the position of the last character that was replaced, `last`.
 *
 * The last character of the output (`code`, if `waits`) is not written immediately, because characters that are removed
 * after it are added to its count. Characters that are removed at the beginning are not counted. All positions are too
 * small then, as they are in Hugging Face's library. */
typedef struct Mapper {
    Work *w;
    WorkCode source;
    uint32_t last; /* position of the last source character that was replaced */
    bool waits;
    uint32_t code;
    int64_t change;
} Mapper;

/* Writes the waiting character (`code`), if there is one. First reads the (1 - change) source characters that it
 * replaces. Its position is that of the first of them; if there are none, it is `last`. */
static bool write_waiting(Mapper *m)
{
    uint32_t from = m->last;
    if (!m->waits)
        return true;
    for (int64_t i = m->change; i <= 0 && work_next(m->w, &m->source); i++) {
        m->last = m->source.from;
        from = i == m->change ? m->last : from;
    }
    m->waits = false;
    return work_put(m->w, m->code, from);
}

static bool map_put(Mapper *m, uint32_t code, int64_t change)
{
    if (!write_waiting(m))
        return false;
    m->waits = true;
    m->code = code;
    m->change = change;
    return true;
}

/* Writes `to` for this number of source characters. */
static bool map_replace(Mapper *m, int64_t characters, Text to)
{
    int64_t written = 0;
    for (size_t i = 0, length; i < to.n; i += length, written++)
        if (!map_put(m, next_code(to.p + i, to.n - i, &length), written >= characters))
            return false;
    if (written < characters && m->waits)
        m->change += written - characters;
    return true;
}

/* Returns the number of bytes of the grapheme cluster at the beginning of p[0, n); *characters: its number of
 * characters. */
static size_t cluster_at(const char *p, size_t n, int64_t *characters)
{
    size_t length, end;
    uint32_t code = next_code(p, n, &end);
    *characters = 1;
    if (code == '\r' && end < n && p[end] == '\n') {
        *characters = 2;
        return 2;
    }
    if (code < 0x80 && end < n && (unsigned char)p[end] < 0x80)
        return end;
    for (int before = unicode_cluster(code), flags; end < n && !(before & CLUSTER_CONTROL); before = flags) {
        code = next_code(p + end, n - end, &length);
        flags = unicode_cluster(code);
        if (flags & CLUSTER_CONTROL || !(flags & CLUSTER_JOINS || before & CLUSTER_PREPENDS))
            break;
        end += length;
        ++*characters;
    }
    return end;
}

/* Returns the end of the run of characters from `at` on that are single clusters without a rule. */
static size_t plain_end(const Charsmap *m, Text text, size_t at)
{
    size_t begin = at;
    while (at < text.n && (unsigned char)text.p[at] < 0x80 && m->plain[(unsigned char)text.p[at]])
        at++;
    return at - (at > begin && at < text.n); /* the next character may belong to the cluster of the last one */
}

static bool normalize(const void *settings, Work *w)
{
    const Charsmap *m = settings;
    Mapper map = {.w = w};
    Text text = {w->text.p, w->text.n}, to;
    int64_t characters;
    for (size_t at = 0, end; at < text.n; at = end) {
        end = w->traced ? at : plain_end(m, text, at);
        if (end > at) {
            if (!write_waiting(&map) || !work_copy(w, at, end))
                return false;
            continue;
        }
        end = at + cluster_at(text.p + at, text.n - at, &characters);
        if (end - at < 6 && charsmap_find(m, text.p + at, end - at, false, &to)) {
            if (!map_replace(&map, characters, to))
                return false;
            continue;
        }
        for (size_t i = at, length; i < end; i += length) {
            uint32_t code = next_code(text.p + i, end - i, &length);
            if (charsmap_find(m, text.p + i, length, false, &to) ? !map_replace(&map, 1, to) : !map_put(&map, code, 0))
                return false;
        }
    }
    if (!write_waiting(&map))
        return false;
    work_swap(w);
    return true;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static int base64_value(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

bool base64_decode(Text from, char *out, size_t *n)
{
    size_t padding = 0, count = 0;
    uint32_t bits = 0;
    while (padding < 2 && padding < from.n && from.p[from.n - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < from.n; i++) {
        int value = i < from.n - padding ? base64_value(from.p[i]) : 0;
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 < 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8)
            out[count++] = (char)(uint8_t)(bits >> shift);
    }
    *n = count - padding;
    return from.n % 4 == 0;
}

static bool parse(Load *l, const Json *j, const void **settings)
{
    const Json *map = json_get(j, "precompiled_charsmap");
    Charsmap *m = NEW(l->a, Charsmap, 1, l->e);
    char *bytes = map && map->type == JSON_STRING ? NEW(l->a, char, map->text.n / 4 * 3 + 1, l->e) : NULL;
    size_t n;
    if (!m || l->e->code)
        return false;
    *settings = m;
    if (!bytes || !base64_decode(map->text, bytes, &n))
        return fail(l->e, SP_FORMAT, "%s:%u: Precompiled: expected precompiled_charsmap, in base64", l->path,
                    (unsigned)j->line);
    return charsmap_read(m, (Text){bytes, n}, l, (unsigned)j->line);
}

const StageKind normalizer_precompiled = {.name = "Precompiled", .parse = parse, .normalize = normalize};
