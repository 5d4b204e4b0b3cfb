/* base/base.h: errors, memory, files, text, JSON, threads, random numbers, progress and trace. Everything stands on it.
 *
 * How functions here and above report failure: they take an `Error *` (never NULL), return false or NULL, and leave one
 * line in it made by `fail`. A function that got false from another returns false too; it may add `error_prefix`.
 * How memory works here and above: whoever loads something passes an `Arena *`; all of it is freed with the arena. */
#ifndef SAPOR_BASE_H
#define SAPOR_BASE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sapor.h"

typedef sp_error Error;
typedef sp_allocator Heap;

#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define COUNT(array)            (sizeof array / sizeof((array)[0]))
#define MIN(a, b)               ((a) < (b) ? (a) : (b))
#define MAX(a, b)               ((a) > (b) ? (a) : (b))
/* n / step and n, rounded up to whole steps; n >= 0, step > 0 */
static inline int64_t div_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step;
}
static inline int64_t round_up(int64_t n, int64_t step)
{
    return div_up(n, step) * step;
}
static inline size_t size_round_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}
/* Where part i begins when n things are cut into parts whose sizes differ by one at most */
static inline int64_t part_begin(int64_t n, int64_t parts, int64_t i)
{
    return n / parts * i + MIN(n % parts, i);
}
/* Before a loop over vectors that are to stay in registers: its count is a constant where it is inlined, and no copy of
 * it may loop. */
#if defined(__NVCC__)
#define UNROLL _Pragma("unroll")
#elif !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 16")
#elif __has_feature(address_sanitizer) /* an array will do: unrolled, gemm/tile.c takes its compiler six minutes */
#define UNROLL
#else
#define UNROLL _Pragma("clang loop unroll(full)")
#endif

/* ---- errors (error.c) ------------------------------------------------------------------------ */

/* Writes the one line and returns false, so that `return fail(e, SP_FORMAT, "%s:%zu: ...", path, line)` reads well. An
 * error already set is kept: the first cause wins. Control characters in the text are replaced by '?'. */
bool fail(Error *e, sp_status code, const char *format, ...) PRINTF_LIKE(3, 4);
bool fail_memory(Error *e, size_t bytes, const char *what);                  /* "out of memory: %s needs %zu bytes" */
bool fail_system(Error *e, const char *path, const char *doing, int number); /* "path: cannot open: No such file ..." */
#ifdef __clang_analyzer__ /* it does not see that they return false */
#define fail(...)        ((void)(fail)(__VA_ARGS__), false)
#define fail_memory(...) ((void)(fail_memory)(__VA_ARGS__), false)
#define fail_system(...) ((void)(fail_system)(__VA_ARGS__), false)
#endif
void error_prefix(Error *e, const char *format, ...) PRINTF_LIKE(2, 3); /* puts "where: " before the message */
void error_clear(Error *e);

/* ---- types, sizes and arenas (memory.c) ------------------------------------------------------ */

/* Types of numbers; F32 is 0, so that what names no type is float32 */
typedef enum DType { F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL8 } DType;
size_t dtype_bytes(DType t);
const char *dtype_name(DType t); /* "F32", as safetensors spells it */

bool size_mul(size_t a, size_t b, size_t *product); /* false on overflow */
bool size_add(size_t a, size_t b, size_t *sum);

/* resize through the heap, or through malloc where heap is NULL; 64-byte aligned */
void *heap_alloc(const Heap *heap, size_t bytes);
void heap_free(const Heap *heap, void *p, size_t bytes);
/* For the address sanitizer, else nothing: memory that is allocated and not in use. Who reads or writes it is found. */
void memory_hide(const void *p, size_t bytes);
void memory_show(const void *p, size_t bytes);

/* A chain of blocks that grows and is freed at once. Not for two threads at a time. Memory comes back zeroed, aligned
 * to 16 bytes, to 64 from 64 bytes on; texts are not aligned. */
typedef struct Arena Arena;
typedef struct ArenaMark {
    void *block;
    size_t used;
} ArenaMark;
Arena *arena_new(const Heap *heap, size_t max_bytes);             /* max_bytes 0: no limit; NULL when out of memory */
void *arena_alloc(Arena *a, size_t count, size_t size, Error *e); /* NULL on overflow, limit or out of memory */
char *arena_strndup(Arena *a, const char *text, size_t length, Error *e); /* NUL-terminated */
char *arena_lower(Arena *a, const char *text, size_t length, Error *e);   /* the same with A to Z as a to z */
char *arena_printf(Arena *a, Error *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* What `put` writes to a stream, NUL-terminated. */
typedef void PutText(FILE *f, const void *what);
char *arena_written(PutText *put, const void *what, Arena *a, Error *e);
/* Doubles a list inside an arena: returns items with room for count + 1, or NULL; *capacity is updated. */
void *arena_grow(Arena *a, void *items, size_t count, size_t *capacity, size_t size, Error *e);
ArenaMark arena_mark(const Arena *a);
void arena_rewind(Arena *a, ArenaMark mark); /* keeps the blocks: going round again allocates nothing */
/* Back to the beginning; blocks go back to the heap where they are more than `keep` bytes. */
void arena_trim(Arena *a, size_t keep);
/* Calls end(p) when the arena is freed or rewound to a mark before this call: for what another library allocates. */
bool arena_at_end(Arena *a, void (*end)(void *p), void *p, Error *e);
size_t arena_bytes(const Arena *a); /* taken from the heap */
bool arena_full(const Arena *a);    /* a request did not fit under max_bytes */
const Heap *arena_heap(const Arena *a);
void arena_free(Arena *a);
#define NEW(arena, Type, count, error) ((Type *)arena_alloc((arena), (size_t)(count), sizeof(Type), (error)))

/* ---- text (text.c) --------------------------------------------------------------------------- */

typedef struct Text { /* length-counted bytes; not NUL-terminated unless said */
    const char *p;
    size_t n;
} Text;
#define TEXT(literal) ((Text){(literal), sizeof literal - 1})
Text text_of(const char *cstring);
bool text_equal(Text a, Text b);
bool text_is(Text a, const char *cstring);
int text_compare(Text a, Text b); /* bytes, as unsigned */
bool text_starts(Text a, const char *prefix);
bool text_ends(Text a, const char *suffix);
Text text_trim(Text a); /* ASCII white space at both ends */
/* cuts rest at sep; false when nothing is left. "" is one empty part */
bool text_next(Text *rest, char sep, Text *part);
bool text_line(Text *rest, Text *line); /* next line without its \n or \r\n; false at the end */
bool text_i64(Text a, int64_t *value);  /* whole text, decimal; false on anything else or overflow */
bool text_f64(Text a, double *value);   /* whole text, C locale, finite or nan/inf; false on anything else */
/* One code point from UTF-8; returns its length 1..4, or 0 on an invalid or truncated sequence (surrogates,
 * over-long). */
size_t utf8_decode(const char *p, size_t n, uint32_t *code);
size_t utf8_encode(uint32_t code, char out[4]);
bool utf8_valid(Text a, size_t *bad_at);

/* The word that is nearest to a misspelt word, in any case, or NULL if none is near. */
const char *nearest_word(const char *word, const char *const *words, size_t count, Arena *a);

/* The nearest words for a message, three at most: "A", "B" or "C". NULL if none is near. */
const char *near_words(const char *word, const char *const *words, size_t count, Arena *a);

/* Maps texts to 0, 1, 2, ... in order of first appearance: user ids, item ids, vocabularies. */
typedef struct TextIndex TextIndex;
TextIndex *text_index_new(Arena *a, Error *e);
/* room for n keys in all, so that none is taken twice on the way */
bool text_index_reserve(TextIndex *ix, size_t n, Error *e);
int64_t text_index_add(TextIndex *ix, Text key, Error *e); /* its number, new or old; -1 on failure; copies the key */
int64_t text_index_find(const TextIndex *ix, Text key);    /* -1 when absent */
Text text_index_at(const TextIndex *ix, int64_t number);   /* NUL-terminated behind its end */
int64_t text_index_count(const TextIndex *ix);

/* ---- files read (file.c) and written (out.c): the only places that open, read or write ------- */

/* open(2) with O_CLOEXEC, again after EINTR; -1 and errno on failure. The descriptor is 3 or above: 0 to 2 stay free
 * where the caller closed them, as what is printed there would go into the file. */
int descriptor_open(const char *path, int flags, unsigned mode);
int descriptor_high(int fd); /* the same of a descriptor made otherwise; -1 stays -1 */

typedef struct Map { /* the bytes of a file, read-only */
    const unsigned char *data;
    size_t bytes;
    bool mapped; /* then a process that cuts the file short raises SIGBUS where its bytes are used */
} Map;
bool map_open(Map *m, const char *path, Error *e); /* maps a regular file; an empty one gives data "" and 0 bytes */
/* Read into the arena instead: for what is copied from it anyway. */
bool map_read(Map *m, Arena *a, const char *path, Error *e);
/* Bytes of a mapped file that are not needed now: the whole pages among them go back to the system, and are read from
 * the file again when they are used. */
void map_forget(const void *p, size_t bytes);
void map_close(Map *m);
/* Whole file, NUL behind the end; one that is larger than max_bytes (0: no limit) fails. Regular files only: pipes,
 * sockets, devices and folders are refused without waiting for them. */
bool file_read(Text *out, Arena *a, const char *path, size_t max_bytes, Error *e);
/* The same of a text that the user names, which may also be a pipe (a shell's <(command)), a terminal or /dev/null: at
 * most STREAM_MOST bytes of these, up to the first NUL byte. A pipe that no process writes to is waited for, at most
 * PIPE_SECONDS. */
bool stream_read(Text *out, Arena *a, const char *path, size_t max_bytes, Error *e);
/* The same of standard input; nothing may have been read from it. */
bool input_read(Text *out, Arena *a, FILE *in, const char *name, size_t max_bytes, Error *e);
#define STREAM_MOST  ((size_t)1 << 29)
#define PIPE_SECONDS 5
/* The files of a folder, on disk or in memory, by names such as "1_Pooling/config.json". */
typedef struct Files {
    const char *folder;  /* its path; of files in memory, a name for messages */
    const sp_file *list; /* [count] in memory; NULL: on disk */
    size_t count;
} Files;
/* FOLDER/NAME where there is such a file, else NULL without an error. */
const char *files_path(const Files *f, const char *name, Arena *a, Error *e);
/* file_read and map_open of a file that is there; what is in memory is not copied, nor is a NUL put behind it. */
bool files_read(Text *out, Arena *a, const Files *f, const char *name, size_t max_bytes, Error *e);
bool files_map(Map *m, Arena *a, const Files *f, const char *name, Error *e);

bool file_exists(const char *path);
bool folder_exists(const char *path);
bool file_remove(const char *path, Error *e); /* not an error where there is none */
bool folder_make(const char *path, Error *e); /* with its parents; not an error when it is there */
typedef struct FolderEntry {
    const char *name;
    bool is_folder;
} FolderEntry;
/* Sorted by name as bytes, "." and ".." left out. */
bool folder_list(FolderEntry **entries, size_t *count, Arena *a, const char *path, Error *e);
const char *path_join(Arena *a, const char *folder, const char *name, Error *e);
Text path_base(const char *path); /* what follows the last '/' */
/* What stands before it; "." where there is none. NULL: out of memory. */
const char *path_folder(const char *path, Arena *a, Error *e);

/* The files that a command reads, by device and inode: what it writes may not be one of them, under any name or through
 * any link. */
typedef struct FileSet FileSet;
FileSet *file_set_new(Arena *a, Error *e); /* in the arena */
/* Keeps the pointer. "-": standard input. What is no regular file is left out. */
bool file_set_add(FileSet *s, const char *path, Error *e);
bool file_set_lacks(FileSet *s, const char *out, Error *e); /* or SP_USAGE "OUT: is an input too ..." */

/* A file that appears whole or not at all: written beside its name, synced and renamed by `out_commit`. */
typedef struct Out Out;
Out *out_open(const char *path, const Heap *heap, Error *e);
bool out_write(Out *o, const void *data, size_t bytes, Error *e);
bool out_printf(Out *o, Error *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* For a file that its command makes again anyway: out_commit renames it without a sync, so that it may be lost when the
 * power fails. */
void out_unsynced(Out *o);
bool out_commit(Out *o, Error *e); /* frees o, whether it succeeds or not; on failure the old file is untouched */
/* Commits files that belong together and frees them; NULL members are left out. All are on the disk before the first
 * old one goes, set[0] before the others; then the new ones appear, set[0] last. After a kill or a failure there is the
 * old set, the new one, or none: set[0] is missing. */
bool out_commit_set(Out **set, size_t n, Error *e);
/* Writes `bytes` over what was written at `at` before: a count that is known at the end only. A failure where the file
 * is not a plain one. */
bool out_patch(Out *o, size_t at, const void *data, size_t bytes, Error *e);
/* Standard output as a file to write; `out_commit` writes what is left, and a failure leaves what was written. */
Out *out_standard(const Heap *heap, Error *e);
void out_discard(Out *o); /* frees o and removes what was written; NULL is allowed */

/* Whether all that was printed on a stream has arrived: flushes it. `name` is for the message. */
bool stream_whole(FILE *to, const char *name, Error *e);

/* One writer to a folder at a time, by flock on FOLDER/.sapor.lock; the lock goes with the process. */
typedef struct FolderLock {
    int fd;
} FolderLock;
bool folder_lock(FolderLock *l, const char *folder, Error *e); /* "FOLDER: another run is writing here ..." */
/* Runs of one group, a number of 1 .. 2^62, write to a folder together, and others not; apart from folder_lock. */
bool folder_join(FolderLock *l, const char *folder, int64_t group, Error *e);
void folder_unlock(FolderLock *l);
/* A lock of its own, FOLDER/NAME, held until lock_drop or the end of the process. *taken false: another process has
 * it. */
bool lock_take(FolderLock *l, const char *folder, const char *name, bool *taken, Error *e);
void lock_drop(FolderLock *l, const char *folder, const char *name); /* removes the file, then unlocks */

/* Calls for each map and each temporary file. The command sets them (tools/command/process.c), so that its signal
 * handlers can name a map and remove a temporary file. NULL in a program that uses the library. Set before the first
 * thread starts. */
typedef struct FileHooks {
    void (*mapped)(const void *at, size_t bytes, const char *path);
    void (*unmapped)(const void *at);
    void (*temporary)(const char *path, bool is_there);
} FileHooks;
extern const FileHooks *file_hooks;

/* ---- tables (table.c): the one reader of rows and fields; RFC 4180 --------------------------- */

/* Rows of fields between separators. With `quotes` a field in double quotes may hold separators and line ends, and ""
 * in it is one quote. Fields point into the content; a field with "" is copied into the arena. Memory: the content, and
 * 16 bytes for each field of the longest row. */
typedef struct Table {
    Text rest;        /* what is not read yet */
    char cut;         /* '\t', ',', ';', ':' for "::", ' ' for runs of blanks; 0: a line is one field */
    bool quotes;      /* double quotes have a meaning */
    bool loose;       /* text behind a closing quote belongs to the field, as pandas reads it; else it is an error */
    bool trim;        /* white space around fields is left out, and rows of white space alone */
    const char *name; /* of the file, for messages */
    Arena *arena;
    Text *field; /* of the row that was read, until the next one */
    size_t count, room;
    Text raw;        /* the row as it stands, with its line end */
    size_t line;     /* where it begins, from 1 */
    size_t next;     /* the line after it */
    bool has_quotes; /* somewhere in the content */
} Table;
enum { MOST_FIELDS = 1 << 20 }; /* in a row */
/* Members that are not given may be set before the first row is read; `quotes` is true unless cut is ' ' or 0. */
Table table_open(Text content, char cut, const char *name, Arena *a);
/* The next row that is not empty; false at the end and on an error, which has the line. */
bool table_next(Table *t, Error *e);
/* The same for `raw` and `line` alone: fields are not looked at. */
bool table_skip(Table *t, Error *e);
/* The separators that a first line may have been written with, by what stands outside double quotes: a tab alone where
 * there is one, else those of "::", comma and semicolon that are there, else a blank. Returns how many. */
int table_cuts(Text line, char found[3]);

/* ---- packed and foreign files (unpack.c) ----------------------------------------------------- */

/* What a file is that is no text, by its first bytes ("a zip archive", "a Parquet file"); NULL where it is none of
 * these. */
const char *foreign_kind(Text content);
/* Unpacks a gzip file into the arena and takes a byte order mark off; another kind of file is refused by its name. At
 * most 64 times the packed size and 16 MB are unpacked, which bounds time and memory; a build without zlib refuses
 * gzip. */
bool text_unpack(Text *content, const char *name, Arena *a, Error *e);
/* What every text that is read goes through: unpacked, UTF-8 without NUL bytes, or an error with its line; a byte order
 * mark is taken off. */
bool text_decode(Text *content, const char *name, Arena *a, Error *e);

/* The lines of a regular file that may be larger than memory, as it is or packed by gzip. Memory: twice the
 * longest line that was met and 256 KB; pages of the file that were read go back to the system. The bound of a packed
 * file is that of text_unpack. A byte order mark is taken off; UTF-8 is not checked. */
typedef struct LineReader LineReader;
LineReader *lines_open(const char *path, size_t longest, const Heap *heap, Error *e); /* keeps the path */
/* The next line without its \n or \r\n, valid until the next call; false at the end, and on an error: one longer than
 * `longest` is one. */
bool lines_next(LineReader *l, Text *line, Error *e);
size_t lines_number(const LineReader *l);            /* of the line that was read last, from 1 */
size_t lines_bytes(const LineReader *l, size_t *of); /* of the file that were read, and all */
void lines_close(LineReader *l);                     /* NULL is allowed */

/* ---- ids (id.c) ------------------------------------------------------------------------------ */

/* The one rule for every id of a user, an item or a row that Sapor reads or writes, in a .ids.txt, a table, a manifest,
 * a run folder or JSON: one byte or more of valid UTF-8, without control characters (U+0000 to U+001F, so no tab, line
 * end or NUL, and U+007F to U+009F), without U+2028 and U+2029, and without a byte order mark at its start. So a line
 * of a .ids.txt is one id, and a field of a TSV is one id, for every program that reads them. An id that breaks the
 * rule is refused where it is read; ids are never changed. A list of ids that stand for rows may hold no id twice: its
 * reader refuses the second one. */

/* NULL where the id keeps the rule, else what is wrong with it: "holds a tab". */
const char *id_problem(Text id);
/* The same as an error, SP_FORMAT: "path:line: the id ... holds a tab; rename it". line 0: there is no line. In a file
 * of many rows it is enough to check an id when it is first seen. */
bool id_check(Text id, const char *path, size_t line, Error *e);
/* Writes an id or another text that keeps the rule as a field of a TSV: as it is, but in quotes (RFC 4180) where it
 * begins with a double quote, because readers of TSV take such a field for a quoted one. */
bool out_tsv_field(Out *o, Text field, Error *e);
void tsv_print_field(FILE *to, Text field);

/* ---- JSON read (json.c) ---------------------------------------------------------------------- */

typedef enum JsonType { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonType;
typedef struct Json Json;
struct Json {
    JsonType type;
    bool boolean, folded; /* folded: a container whose children are read by json_items only */
    union {
        double number;     /* JSON_NUMBER */
        const void *index; /* of a container, json.c's own: finds children of big ones at once */
    };
    Text text; /* JSON_STRING: unescaped, may hold NUL bytes. JSON_NUMBER: as written */
    Text key;  /* inside an object */
    uint32_t line, column;
    size_t count;      /* of an array or object */
    const Json *first; /* children, linked by next */
    const Json *next;
};
/* RFC 8259, UTF-8, strict: no trailing bytes, duplicate keys are errors, depth at most 64. `name` is for messages:
 * "name:line:column: what". The tree is in the arena and points into it, not into `source`.
 * Memory: at most 32 MB + 15 bytes for a byte of source; a source of more than 400,000 values with fewer than about six
 * bytes each is refused.
 * Time: linear. */
const Json *json_parse(Arena *a, Text source, const char *name, Error *e);
/* The same, but values of the members `keys` (ends with NULL), in objects of any depth, are folded where they are
 * arrays or objects: they take no memory, `count` holds if they are well-formed, and their errors are found when they
 * are read. A duplicate key in them is no error. The tree points into `source` there. */
const Json *json_parse_folded(Arena *a, Text source, const char *name, const char *const *keys, Error *e);
/* The children of any container, one after the other. A child of a folded one is valid until the next one is read. */
typedef struct JsonItems JsonItems;
JsonItems *json_items(const Json *container, Arena *a, Error *e); /* NULL: out of memory */
const Json *json_next(JsonItems *items);                          /* NULL at the end, and where *e has an error */
void json_items_free(JsonItems *items);                           /* NULL is allowed */
const Json *json_get(const Json *object, const char *key); /* NULL when absent or not an object; fast on big objects */
const Json *json_at(const Json *array, size_t index);
bool json_i64(const Json *j, int64_t *value); /* false unless a number without fraction that fits */
const char *json_cstring(const Json *j);      /* NULL unless a string without NUL bytes */
bool json_is_true(const Json *j);
bool json_is_text(const Json *j, const char *text); /* a string of this text */

/* ---- JSON written (json_write.c) ------------------------------------------------------------- */

/* Writes values to a stream or an Out, piece by piece, without allocating. In an object each value has a key; in an
 * array, and outside both, the key is NULL. The stream and the Out keep a failure: stream_whole and out_commit report
 * it. A writer that has finished may write the next value.
 *
 *     JsonWriter w = json_record(stdout, "event", "result");    {"event":"result"
 *     json_members(&w, "users %lld share %.2g", n, share);      ,"users":7,"share":0.25
 *     json_array(&w, "ids");                                    ,"ids":[
 *     json_put_text(&w, NULL, id);                              "u1"
 *     json_finish(&w);                                          ]} and a line end */
enum { JSON_WRITE_DEPTH = 8 };
typedef struct JsonLevel {
    char close;
    signed char indent; /* -1: all in one line */
} JsonLevel;
typedef struct JsonWriter {
    FILE *to;    /* or */
    Out *out;    /* one of them is set, the rest is 0 */
    bool spaced; /* a blank after each comma and colon; may change at any time */
    bool filled; /* the object or array that is open has a value */
    int depth;
    JsonLevel level[JSON_WRITE_DEPTH];
    size_t used;
    char buffer[256]; /* passed on when it is full and when nothing is open */
} JsonWriter;
/* Begins an object on a line of its own, by the member that says what it is: {"event":"result" */
JsonWriter json_record(FILE *to, const char *key, const char *value);
void json_object(JsonWriter *w, const char *key); /* begins an object or an array, at most JSON_WRITE_DEPTH deep */
void json_array(JsonWriter *w, const char *key);
/* In the object or array that was just begun each value is on a line of its own, after `indent` blanks: 0, or 2 more
 * than in the one around it; at most 10. */
void json_lines(JsonWriter *w, int indent);
void json_end(JsonWriter *w);    /* closes the last object or array that is open */
void json_finish(JsonWriter *w); /* closes all that are open, and ends the line */
/* A string in quotes: quotes, backslashes and control characters are escaped; bytes that are not UTF-8 become
 * U+FFFD. */
void json_put_text(JsonWriter *w, const char *key, Text value);
void json_put_string(JsonWriter *w, const char *key, const char *value); /* NULL writes null */
void json_put_bool(JsonWriter *w, const char *key, bool value);
void json_put_i64(JsonWriter *w, const char *key, int64_t value);
/* Several members: each key and its conversion, "name %s users %lld rows %zu share %.6g", in less than 256 bytes. %s is
 * json_put_string, %lld and %zu are whole numbers, every other conversion is of a double. */
void json_members(JsonWriter *w, const char *format, ...) PRINTF_LIKE(2, 3);
/* A number as printf writes it; nan and inf, which JSON does not have, become null. */
void json_put_number(JsonWriter *w, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- threads (pool.c) ------------------------------------------------------------------------ */

typedef struct Pool Pool;
typedef void PoolTask(void *arg, size_t task, int worker); /* worker in [0, threads) */
Pool *pool_new(const Heap *heap, int threads, Error *e);   /* threads 0: as many as are available */
int pool_threads(const Pool *p);                           /* 1 for NULL */
/* Processors that this process may use: its affinity mask, and the share a container grants it (cgroup v2 cpu.max). */
int threads_available(void);
/* Runs task 0 .. tasks-1, each once, on any worker in any order; the caller works too; returns when all are done. What
 * is computed must not depend on the worker. A call from inside a task runs its tasks in place, on the same worker,
 * unless that task is the only one: it may use the pool. p NULL: in place. */
void pool_run(Pool *p, size_t tasks, PoolTask *fn, void *arg);
void pool_free(Pool *p);

/* ---- random numbers (random.c): Philox4x32-10, Salmon et al. 2011 ---------------------------- */

/* Who draws: no two purposes share numbers. Append only: the numbers are part of what a seed means. */
typedef enum Purpose {
    DRAW_INIT = 1,
    DRAW_SHUFFLE,
    DRAW_USER,
    DRAW_POSITIVE,
    DRAW_NEGATIVE,
    DRAW_DROPOUT,
    DRAW_GRAPH,
    DRAW_NOISE,
    DRAW_SPLIT,
    DRAW_CATALOGUE,
    DRAW_TEST,
    DRAW_SCORE,
    DRAW_EVALUATION,
    DRAW_KNOCK,
    DRAW_SUBSET,
    DRAW_BENCH,
    DRAW_INDEX,
    DRAW_SEARCH
} Purpose;
typedef struct Draw { /* a stream: its numbers are a function of these and of (index, attempt) alone */
    uint64_t seed;
    uint32_t purpose;
    uint32_t epoch; /* epoch, step or tensor number: what tells this use from the next */
} Draw;
uint32_t draw_name(const char *name); /* a Draw's `epoch` for what has a name: FNV-1a, the same in every build */
void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
void draw4(Draw d, uint64_t index, uint32_t attempt, uint32_t out[4]);
uint32_t draw_below(Draw d, uint64_t index, uint32_t n); /* uniform in [0, n), unbiased; n > 0 */
float draw_uniform(Draw d, uint64_t index);              /* [0, 1), 24 bits */
/* Box-Muller with our own log and cos: the same on every machine */
float draw_normal(Draw d, uint64_t index);
/* n of the numbers 0 to `of` - 1, each at most once, n <= of: Floyd's sampling (Bentley and Floyd 1987), one draw of
 * draw_below for each, at first, first + 1, ... taken [of]: all false, before and after. */
void draw_subset(Draw d, uint64_t first, uint32_t of, uint32_t n, int32_t *out, bool *taken);
void draw_shuffle(Draw d, uint32_t *items, size_t n, uint64_t *scratch /* [2 n] */); /* by sorting keyed integers */
/* MT19937 as NumPy's RandomState seeds and draws it: what Elliot's splits are made with. */
typedef struct Mt19937 {
    uint32_t state[624];
    int at;
} Mt19937;
void mt_seed(Mt19937 *m, uint32_t seed);
uint32_t mt_u32(Mt19937 *m);
uint32_t mt_interval(Mt19937 *m, uint32_t max); /* uniform in [0, max] by mask and reject, as NumPy's rk_interval */
/* Natural log and cosine of 2 pi x: plain C, no libm, so every ISA level draws alike. */
double own_log(double x);
double own_cos2pi(double x);

/* 64-bit hash of bytes (xxHash where built with it): keys of caches, never a promise of secrecy. */
uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed);
/* The same in every build, on all machines of one byte order: for what goes from one to another. Slower. */
uint64_t hash_own(const void *data, size_t bytes, uint64_t seed);

/* ---- clock, progress, trace (progress.c, trace.c) -------------------------------------------- */

double now_seconds(void);
size_t peak_rss_bytes(void);

/* One line that is redrawn on a terminal (bar, rate, time left); elsewhere a plain line after ten seconds, then ever
 * more rarely. */
typedef struct Progress {
    FILE *to; /* NULL: silent */
    bool is_terminal;
    const char *label, *unit;
    double total, done, started, drawn;
    double before; /* done by an earlier run, not at this one's rate */
} Progress;
void progress_start(Progress *p, FILE *to, const char *label, const char *unit, double total);
void progress_step(Progress *p, double done, const char *note); /* note may be NULL; drawn at most 10 times a second */
void progress_end(Progress *p, const char *note);

/* What ran, for --profile and --trace. A NULL Trace costs one branch. Calls may come from several threads. */
typedef struct Trace Trace;
Trace *trace_new(const Heap *heap, bool keep_events, Error *e); /* keep_events: for --trace; totals are always kept */
double trace_begin(Trace *t);                                   /* 0 for NULL */
/* op: a literal, it is not copied */
void trace_end(Trace *t, double begun, const char *op, double flops, double bytes);
/* The same of an op whose end is known, by the clock of now_seconds; t is not NULL. */
void trace_add(Trace *t, double begun, double ended, const char *op, double flops, double bytes);
bool trace_write(const Trace *t, const char *path, Error *e); /* Chrome / Perfetto JSON */
bool trace_keeps_events(const Trace *t);                      /* false for NULL */
/* What a thread of a pool did, for the trace alone: tasks (they get the name of the op around them), or waited. */
typedef struct TraceSpan {
    double begun, ended, tasks;
    const char *wait; /* NULL: tasks */
} TraceSpan;
void trace_spans(Trace *t, int worker, const TraceSpan *span, size_t n);
/* From now on the pool's tasks and waits are events of `t`, where it keeps events. Not while the pool runs. */
void pool_trace(Pool *p, Trace *t);
typedef struct TraceTotal {
    const char *op;
    uint64_t calls;
    double seconds, flops, bytes;
} TraceTotal;
/* *list: one per op, in order of first use; it is in the trace. Not while calls are made. Returns how many. */
size_t trace_totals(const Trace *t, const TraceTotal **list);
void trace_table(const Trace *t, FILE *to, double peak_gflops); /* op, calls, ms, GFLOP/s, GB/s, % of peak, MB */
void trace_free(Trace *t);

#endif
