/* base/base.h: errors, memory, files, text, JSON, threads, random numbers, progress and trace. All other folders use
 * it.
 *
 * Errors, here and in all folders: a function that can fail takes an `Error *` (never NULL). On failure it returns
 * false or NULL, and `fail` has written one line to the error. A function whose callee failed returns failure too; it
 * may add `error_prefix`.
 *
 * Memory, here and in all folders: a function that loads something takes an `Arena *`. All of its memory is freed with
 * the arena. */
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
/* n / step rounded up, and n rounded up to a multiple of step; n >= 0, step > 0 */
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
/* Returns the index at which part i begins, if n things are cut into parts whose sizes differ by at most one. */
static inline int64_t part_begin(int64_t n, int64_t parts, int64_t i)
{
    return n / parts * i + MIN(n % parts, i);
}
/* Unrolls the next loop completely (gcc: a loop of at most 16 iterations). For loops over vectors that must stay in
 * registers: a loop that remains would index them in memory. The loop count must be a constant after inlining. */
#if defined(__NVCC__)
#define UNROLL _Pragma("unroll")
#elif !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 16")
#elif __has_feature(address_sanitizer) /* no unrolling: with it, this build of gemm/tile.c takes six minutes */
#define UNROLL
#else
#define UNROLL _Pragma("clang loop unroll(full)")
#endif

/* ---- errors (error.c) ------------------------------------------------------------------------ */

/* Writes the message and returns false, so that `return fail(e, SP_FORMAT, "%s:%zu: ...", path, line)` works. If `e`
 * already has an error, it stays: the first cause is reported. Control characters in the text become '?'. */
bool fail(Error *e, sp_status code, const char *format, ...) PRINTF_LIKE(3, 4);
bool fail_memory(Error *e, size_t bytes, const char *what);                  /* "out of memory: %s needs %zu bytes" */
bool fail_system(Error *e, const char *path, const char *doing, int number); /* "path: cannot open: No such file ..." */
#ifdef __clang_analyzer__ /* the analyzer cannot infer that they return false */
#define fail(...)        ((void)(fail)(__VA_ARGS__), false)
#define fail_memory(...) ((void)(fail_memory)(__VA_ARGS__), false)
#define fail_system(...) ((void)(fail_system)(__VA_ARGS__), false)
#endif
void error_prefix(Error *e, const char *format, ...) PRINTF_LIKE(2, 3); /* adds "where: " before the message */
void error_clear(Error *e);

/* ---- types, sizes and arenas (memory.c) ------------------------------------------------------ */

/* The types of numbers. F32 is 0, so that an unset type is float32. */
typedef enum DType { F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL8 } DType;
size_t dtype_bytes(DType t);
const char *dtype_name(DType t); /* "F32", as in safetensors */

bool size_mul(size_t a, size_t b, size_t *product); /* false on overflow */
bool size_add(size_t a, size_t b, size_t *sum);

/* Allocate by the heap, or by malloc if `heap` is NULL. The memory is aligned to 64 bytes and not zeroed. NULL: out of
 * memory. heap_free needs the number of bytes that was requested; p may be NULL. */
void *heap_alloc(const Heap *heap, size_t bytes);
void heap_free(const Heap *heap, void *p, size_t bytes);
/* Mark allocated memory as unused (hide) and as used again (show). The address sanitizer reports every access to
 * unused memory. No effect in other builds. */
void memory_hide(const void *p, size_t bytes);
void memory_show(const void *p, size_t bytes);

/* A chain of blocks that grows and is freed as a whole. Only one thread may use it at a time. Memory is zeroed. It is
 * aligned to 16 bytes; to 64 bytes if it has 64 bytes or more. Texts are not aligned. */
typedef struct Arena Arena;
typedef struct ArenaMark {
    void *block;
    size_t used;
} ArenaMark;
Arena *arena_new(const Heap *heap, size_t max_bytes);             /* max_bytes 0: no limit; NULL: out of memory */
void *arena_alloc(Arena *a, size_t count, size_t size, Error *e); /* NULL: overflow, over the limit, or out of memory */
char *arena_strndup(Arena *a, const char *text, size_t length, Error *e); /* NUL-terminated */
char *arena_lower(Arena *a, const char *text, size_t length, Error *e);   /* the same, with A to Z changed to a to z */
char *arena_printf(Arena *a, Error *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* arena_written returns the text that `put` writes to a stream, NUL-terminated. */
typedef void PutText(FILE *f, const void *what);
char *arena_written(PutText *put, const void *what, Arena *a, Error *e);
/* Makes room for one more item in a list in the arena: returns the items with room for count + 1, or NULL. The capacity
 * is doubled when it is full, and *capacity is updated. */
void *arena_grow(Arena *a, void *items, size_t count, size_t *capacity, size_t size, Error *e);
ArenaMark arena_mark(const Arena *a);
void arena_rewind(Arena *a, ArenaMark mark); /* keeps the blocks, so that a loop that rewinds does not allocate again */
/* Rewinds to the beginning. Frees all blocks if they have more than `keep` bytes together. */
void arena_trim(Arena *a, size_t keep);
/* Calls end(p) when the arena is freed, or rewound to a mark made before this call. For memory that another library
 * allocates. */
bool arena_at_end(Arena *a, void (*end)(void *p), void *p, Error *e);
size_t arena_bytes(const Arena *a); /* taken from the heap */
bool arena_full(const Arena *a);    /* a request exceeded max_bytes */
const Heap *arena_heap(const Arena *a);
void arena_free(Arena *a);
#define NEW(arena, Type, count, error) ((Type *)arena_alloc((arena), (size_t)(count), sizeof(Type), (error)))

/* ---- text (text.c) --------------------------------------------------------------------------- */

typedef struct Text { /* bytes with a length; NUL-terminated only if stated */
    const char *p;
    size_t n;
} Text;
#define TEXT(literal) ((Text){(literal), sizeof literal - 1})
Text text_of(const char *cstring);
bool text_equal(Text a, Text b);
bool text_is(Text a, const char *cstring);
int text_compare(Text a, Text b); /* compares unsigned bytes */
bool text_starts(Text a, const char *prefix);
bool text_ends(Text a, const char *suffix);
Text text_trim(Text a); /* without ASCII white space at both ends */
/* Cuts the next part from `rest`, up to `sep`. Returns false if the last part was already cut. An empty text has one
 * empty part. */
bool text_next(Text *rest, char sep, Text *part);
bool text_line(Text *rest, Text *line); /* cuts the next line, without \n or \r\n; false at the end */
bool text_i64(Text a, int64_t *value);  /* the whole text, decimal; false: not a number, or overflow */
/* The whole text, C locale, finite or nan/inf. False: not a number, too large for a double, or over 1,000 bytes. */
bool text_f64(Text a, double *value);
/* Decodes one code point of UTF-8. Returns its length, 1 to 4, or 0 for an invalid sequence: truncated, overlong or a
 * surrogate. */
size_t utf8_decode(const char *p, size_t n, uint32_t *code);
size_t utf8_encode(uint32_t code, char out[4]);
bool utf8_valid(Text a, size_t *bad_at);

/* Returns the word nearest to a misspelt word, ignoring case. A word is near if the number of changed letters is at
 * most a third of the length of the misspelt word, or 1. NULL: no word is near, or out of memory. */
const char *nearest_word(const char *word, const char *const *words, size_t count, Arena *a);

/* Returns at most three near words for a message: "A", "B" or "C". NULL: no word is near, or out of memory. */
const char *near_words(const char *word, const char *const *words, size_t count, Arena *a);

/* Maps texts to 0, 1, 2, ... in the order of their first appearance: user ids, item ids, vocabularies. */
typedef struct TextIndex TextIndex;
TextIndex *text_index_new(Arena *a, Error *e);
/* Reserves room for n keys in total, so that the index is not reallocated while it grows. */
bool text_index_reserve(TextIndex *ix, size_t n, Error *e);
/* returns the number of the key, new or old; -1 on failure; copies the key */
int64_t text_index_add(TextIndex *ix, Text key, Error *e);
int64_t text_index_find(const TextIndex *ix, Text key);  /* -1 if missing */
Text text_index_at(const TextIndex *ix, int64_t number); /* NUL-terminated; "" if there is no such number */
int64_t text_index_count(const TextIndex *ix);

/* ---- reading files (file.c) and writing files (out.c) ---------------------------------------- */

/* Calls open(2) with O_CLOEXEC, and again after EINTR. Returns -1 and sets errno on failure. The descriptor is 3 or
 * above, even if the caller closed descriptors 0 to 2: otherwise printed text would go into the file. */
int descriptor_open(const char *path, int flags, unsigned mode);
/* For a descriptor that was not opened by descriptor_open: if fd is 0 to 2, moves it to 3 or above, and closes fd.
 * Returns the descriptor; -1 on failure, or if fd is -1. */
int descriptor_high(int fd);

typedef struct Map { /* the bytes of a file, read-only */
    const unsigned char *data;
    size_t bytes;
    bool mapped; /* true: `data` is mapped, and if a process truncates the file, the next access causes SIGBUS */
} Map;
bool map_open(Map *m, const char *path, Error *e); /* maps a regular file; an empty file gives data "" and 0 bytes */
/* Reads the file into the arena instead of mapping it. For data that are copied anyway. */
bool map_read(Map *m, Arena *a, const char *path, Error *e);
/* Gives the whole pages in this part of a mapped file back to the system. A later access reads them from the file
 * again. */
void map_forget(const void *p, size_t bytes);
void map_close(Map *m);
/* Reads a whole file, NUL-terminated. A file larger than max_bytes fails (0: no limit). Only regular files are read.
 * Pipes, sockets, devices and folders are refused without waiting for them. */
bool file_read(Text *out, Arena *a, const char *path, size_t max_bytes, Error *e);
/* Reads a text that the user names. It may also be a pipe (<(command) of a shell), a terminal or /dev/null. These are
 * read up to their end or the first NUL byte; more than STREAM_MOST bytes are an error. If no process writes to a pipe,
 * the call fails after PIPE_SECONDS. */
bool stream_read(Text *out, Arena *a, const char *path, size_t max_bytes, Error *e);
/* Reads standard input in the same way. Nothing may have been read from it before. */
bool input_read(Text *out, Arena *a, FILE *in, const char *name, size_t max_bytes, Error *e);
#define STREAM_MOST  ((size_t)1 << 29)
#define PIPE_SECONDS 5
/* The files of a folder, on disk or in memory, with names such as "1_Pooling/config.json". */
typedef struct Files {
    const char *folder;  /* the path; for files in memory, a name for messages */
    const sp_file *list; /* [count] files in memory; NULL: on disk */
    size_t count;
} Files;
/* Returns FOLDER/NAME, or NULL without an error if the file is missing. NULL with an error: out of memory. */
const char *files_path(const Files *f, const char *name, Arena *a, Error *e);
/* Like file_read and map_open, for a file of `f`; a missing file is an error. A file in memory is not copied, and not
 * NUL-terminated. */
bool files_read(Text *out, Arena *a, const Files *f, const char *name, size_t max_bytes, Error *e);
bool files_map(Map *m, Arena *a, const Files *f, const char *name, Error *e);

bool file_exists(const char *path);
bool folder_exists(const char *path);
bool file_remove(const char *path, Error *e); /* a missing file is not an error */
bool folder_make(const char *path, Error *e); /* makes missing parents too; an existing folder is not an error */
typedef struct FolderEntry {
    const char *name;
    bool is_folder;
} FolderEntry;
/* Lists a folder without "." and "..", sorted by the bytes of the names. */
bool folder_list(FolderEntry **entries, size_t *count, Arena *a, const char *path, Error *e);
const char *path_join(Arena *a, const char *folder, const char *name, Error *e);
Text path_base(const char *path); /* the part after the last '/' */
/* Returns the part before the last '/', or "." if there is none. NULL: out of memory. */
const char *path_folder(const char *path, Arena *a, Error *e);

/* The files that a command reads, by device and inode. An output must not be one of them, under any name or through any
 * link. */
typedef struct FileSet FileSet;
FileSet *file_set_new(Arena *a, Error *e); /* in the arena */
/* Adds a path and keeps the pointer. "-" is standard input. Paths that are not regular files are ignored. */
bool file_set_add(FileSet *s, const char *path, Error *e);
/* Fails with SP_USAGE if `out` is in the set: "OUT: is an input too ...". */
bool file_set_check(FileSet *s, const char *out, Error *e);

/* An output file. It appears completely or not at all: it is written under a temporary name in the same folder, synced,
 * and renamed by `out_commit`. If the path is a pipe or a character device, it is written directly. */
typedef struct Out Out;
Out *out_open(const char *path, const Heap *heap, Error *e);
bool out_write(Out *o, const void *data, size_t bytes, Error *e);
bool out_printf(Out *o, Error *e, const char *format, ...) PRINTF_LIKE(3, 4);
/* Lets out_commit rename without a sync: after a power failure the file may be lost. For files that the command can
 * make again. */
void out_unsynced(Out *o);
/* Frees o in any case. After a failure the old file is unchanged, or already replaced if only the sync of the folder
 * failed. */
bool out_commit(Out *o, Error *e);
/* Commits files that belong together and frees them. NULL members are skipped. All new files are synced before the
 * first old file is removed; set[0] is removed first. Then the new files are renamed, set[0] last. After a kill or a
 * failure, the folder has the old set, the new set, or a set without set[0]. */
bool out_commit_set(Out **set, size_t n, Error *e);
/* Overwrites `bytes` bytes that were already written, at the offset `at`: for a count that is known only at the end.
 * Fails if the file is not a regular file. */
bool out_patch(Out *o, size_t at, const void *data, size_t bytes, Error *e);
/* Standard output as an Out. `out_commit` writes the rest of the buffer. After a failure, the part that was written
 * stays. */
Out *out_standard(const Heap *heap, Error *e);
void out_discard(Out *o); /* frees o and removes the temporary file; NULL is allowed */

/* Flushes a stream. Returns false if something that was printed on it could not be written. `name` is for the message.
 */
bool stream_flush(FILE *to, const char *name, Error *e);

/* Allows only one writer per folder, by flock on FOLDER/.sapor.lock. The lock ends with folder_unlock or with the
 * process. */
typedef struct FolderLock {
    int fd;
} FolderLock;
/* "FOLDER: another run is writing to this folder; ..." */
bool folder_lock(FolderLock *l, const char *folder, Error *e);
/* Marks this process as a writer of the folder, in the group `group` (a number in 1 .. 2^62), until folder_unlock.
 * Processes of the same group may write there at the same time. Fails if a process of another group writes there. Has
 * no effect on a file system without such locks. Independent of folder_lock. */
bool folder_join(FolderLock *l, const char *folder, int64_t group, Error *e);
void folder_unlock(FolderLock *l);
/* Takes the lock file FOLDER/NAME and holds it until lock_drop or the end of the process. *taken is false if another
 * process has it. */
bool lock_take(FolderLock *l, const char *folder, const char *name, bool *taken, Error *e);
void lock_drop(FolderLock *l, const char *folder, const char *name); /* removes the file, then unlocks */

/* Callbacks for each map and each temporary file (`is_there`: true when it was made, false when it is renamed or
 * removed). The command sets them (tools/command/process.c): its signal handlers name the map in a message and remove
 * temporary files. NULL in other programs. Must be set before the first thread starts. */
typedef struct FileHooks {
    void (*mapped)(const void *at, size_t bytes, const char *path);
    void (*unmapped)(const void *at);
    void (*temporary)(const char *path, bool is_there);
} FileHooks;
extern const FileHooks *file_hooks;

/* ---- tables (table.c): the only reader of rows and fields; RFC 4180 -------------------------- */

/* Reads rows of fields with separators. If `quotes` is set, a field in double quotes may contain separators and line
 * ends, and "" in it is one quote. Fields point into the content. A field with "" or with text after its closing quote
 * is copied into the arena. Memory: the content, these copies, and up to 64 bytes per field of the longest row. */
typedef struct Table {
    Text rest;        /* the part that is not read yet */
    char separator;   /* '\t', ',', ';', ':' for "::", ' ' for runs of blanks; 0: a line is one field */
    bool quotes;      /* double quotes are special */
    bool loose;       /* text after a closing quote belongs to the field, as in pandas; otherwise it is an error */
    bool trim;        /* white space around fields is removed, and rows of only white space are skipped */
    const char *name; /* of the file, for messages */
    Arena *arena;
    Text *field; /* of the current row; valid until the next call */
    size_t count, room;
    Text raw;        /* the row as in the file, with its line end */
    size_t line;     /* the line where the row begins, from 1 */
    size_t next;     /* the line after the row */
    bool has_quotes; /* the content has a double quote */
} Table;
enum { MOST_FIELDS = 1 << 20 }; /* per row */
/* Opens a table. Members that are not parameters may be set before the first row is read. `quotes` is true unless
 * `separator` is ' ' or 0. */
Table table_open(Text content, char separator, const char *name, Arena *a);
/* Reads the next row that is not empty. Returns false at the end, and on an error; the error names the line. */
bool table_next(Table *t, Error *e);
/* Reads the next row; only its `raw` and `line` may be used. */
bool table_skip(Table *t, Error *e);
/* Writes the characters that may be the separator of a file to `found`, and returns their number. They are taken from
 * the first line of the file, without the text in double quotes:
 * - if the line has a tab: only the tab;
 * - otherwise: each of "::" (written as ':'), comma and semicolon that the line has, in this order;
 * - if the line has none of these: only the blank. */
int table_separators(Text line, char found[3]);

/* ---- packed and foreign files (unpack.c) ----------------------------------------------------- */

/* Returns the kind of a file that is not text, by its first bytes ("a zip archive", "a Parquet file"). NULL: no known
 * kind. */
const char *foreign_kind(Text content);
/* Unpacks a gzip file into the arena and removes a byte order mark. If the content is not text and its kind is known,
 * the error names the kind. To bound time and memory, the unpacked text has at most 64 times the packed size and 16 MB
 * more. A build without zlib refuses gzip. */
bool text_unpack(Text *content, const char *name, Arena *a, Error *e);
/* Prepares every text that is read: unpacks it, removes a byte order mark, and checks that it is UTF-8 without NUL
 * bytes. The error names the line. */
bool text_decode(Text *content, const char *name, Arena *a, Error *e);

/* Reads the lines of a regular file, which may be packed by gzip and may be larger than memory. Memory: twice the
 * longest line so far and 256 KB; pages that were read go back to the system. A packed file has the limit of
 * text_unpack. A byte order mark is removed. UTF-8 is not checked. */
typedef struct LineReader LineReader;
LineReader *lines_open(const char *path, size_t longest, const Heap *heap, Error *e); /* keeps the path */
/* Reads the next line, without \n or \r\n. It is valid until the next call. Returns false at the end of the file, and
 * on an error. A line longer than `longest` is an error. */
bool lines_next(LineReader *l, Text *line, Error *e);
/* of the line that lines_next read last, from 1; after the end, one more than the last line */
size_t lines_number(const LineReader *l);
size_t lines_bytes(const LineReader *l, size_t *of); /* bytes of the file that were read; *of: its size */
void lines_close(LineReader *l);                     /* NULL is allowed */

/* ---- ids (id.c) ------------------------------------------------------------------------------ */

/* The rule for every id of a user, an item or a row, in a .ids.txt, a table, a manifest, a run folder or JSON. An id
 * has at least one byte and is valid UTF-8. It has no control characters (U+0000 to U+001F, and U+007F to U+009F), no
 * U+2028 and U+2029, and no byte order mark at its start. Therefore every program reads a line of a .ids.txt, or a
 * field of a TSV, as one id. An id that breaks the rule is an error where it is read; ids are never changed. A list of
 * ids that name rows must not have duplicates: its reader checks this. */

/* Returns NULL if the id is valid, otherwise the problem: "holds a tab". */
const char *id_problem(Text id);
/* The same as an error, SP_FORMAT: "path:line: the id ... holds a tab; rename it". `line` 0: no line. In a file of many
 * rows, an id needs a check only at its first appearance. */
bool id_check(Text id, const char *path, size_t line, Error *e);
/* Writes an id, or another text that keeps the rule, as a field of a TSV. A text that begins with a double quote is
 * written in quotes (RFC 4180), because readers of TSV take it for a quoted field. */
bool out_tsv_field(Out *o, Text field, Error *e);
void tsv_print_field(FILE *to, Text field);

/* ---- JSON read (json.c) ---------------------------------------------------------------------- */

typedef enum JsonType { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonType;
typedef struct Json Json;
struct Json {
    JsonType type;
    bool boolean, folded; /* folded: the children are not in the tree; json_items reads them (json_parse_folded) */
    union {
        double number;     /* JSON_NUMBER */
        const void *index; /* of a container, private to json.c: finds children of large containers fast */
    };
    Text text; /* JSON_STRING: unescaped, may contain NUL bytes. JSON_NUMBER: as written */
    Text key;  /* of a member of an object */
    uint32_t line, column;
    size_t count;      /* of an array or object */
    const Json *first; /* children, linked by next */
    const Json *next;
};
/* Parses JSON (RFC 8259, UTF-8), strictly: trailing bytes and duplicate keys are errors, and the depth is at most 64.
 * `name` is for messages: "name:line:column: what". The tree is in the arena and does not point into `source`. Memory:
 * at most 32 MB + 15 bytes per byte of source. A source with more than 400,000 values that have fewer than about six
 * bytes on average is refused. Time: linear. */
const Json *json_parse(Arena *a, Text source, const char *name, Error *e);
/* Parses JSON like json_parse, but folds some containers (arrays and objects). The children of a folded container are
 * not in the tree. json_items reads them later, so they need no memory here.
 *
 * - keys: names, ending with NULL. The value of a member with one of these names is folded, at any depth.
 * - A folded container points into `source`. Its `count` is right if it is well-formed. Its errors are found when its
 *   children are read. Duplicate keys in it are not an error. */
const Json *json_parse_folded(Arena *a, Text source, const char *name, const char *const *keys, Error *e);
/* Reads the children of any container, one after another. A child of a folded container is valid until the next child
 * is read. */
typedef struct JsonItems JsonItems;
JsonItems *json_items(const Json *container, Arena *a, Error *e); /* NULL: out of memory */
/* NULL at the end, and on an error. The error is written to the `e` that json_items got. */
const Json *json_next(JsonItems *items);
void json_items_free(JsonItems *items); /* NULL is allowed */
/* json_get returns NULL if the key is missing, or if `object` is not an object or is folded. It is fast for large
 * objects. json_at returns NULL if there is no item with this index. */
const Json *json_get(const Json *object, const char *key);
const Json *json_at(const Json *array, size_t index);
bool json_i64(const Json *j, int64_t *value); /* false unless it is a whole number that fits */
const char *json_cstring(const Json *j);      /* NULL unless it is a string without NUL bytes */
bool json_is_true(const Json *j);
bool json_is_text(const Json *j, const char *text); /* it is a string equal to `text` */

/* ---- JSON written (json_write.c) ------------------------------------------------------------- */

/* Writes values to a stream or an Out, piece by piece, without allocating. In an object, each value has a key. In an
 * array and at the top, the key is NULL. A failure to write is kept by the stream or the Out: stream_flush and
 * out_commit report it. After json_finish the writer may write another value.
 *
 *     JsonWriter w = json_record(stdout, "event", "result");    {"event":"result"
 *     json_members(&w, "users %lld share %.2g", n, share);      ,"users":7,"share":0.25
 *     json_array(&w, "ids");                                    ,"ids":[
 *     json_put_text(&w, NULL, id);                              "u1"
 *     json_finish(&w);                                          ]} and a line end */
enum { JSON_WRITE_DEPTH = 8 };
typedef struct JsonLevel {
    char close;
    signed char indent; /* -1: all on one line */
} JsonLevel;
typedef struct JsonWriter {
    FILE *to; /* either `to` or `out` is set; all other members are 0 at first */
    Out *out;
    bool spaced; /* a blank after each colon, and after each comma within a line; may change at any time */
    bool filled; /* the innermost open object or array has a value */
    int depth;
    JsonLevel level[JSON_WRITE_DEPTH];
    size_t used;
    char buffer[256]; /* written when it is full and when nothing is open */
} JsonWriter;
/* Returns a writer that has begun an object with its first member: {"event":"result" */
JsonWriter json_record(FILE *to, const char *key, const char *value);
void json_object(JsonWriter *w, const char *key); /* begins an object or an array, at most JSON_WRITE_DEPTH deep */
void json_array(JsonWriter *w, const char *key);
/* In the object or array that was just begun, writes each value on its own line, indented by `indent` blanks: 0, or 2
 * more than the enclosing one; at most 10. */
void json_lines(JsonWriter *w, int indent);
void json_end(JsonWriter *w);    /* closes the innermost open object or array */
void json_finish(JsonWriter *w); /* closes all that are open, and ends the line */
/* Writes a string in quotes. Quotes, backslashes and control characters are escaped. Bytes that are not UTF-8 become
 * U+FFFD. */
void json_put_text(JsonWriter *w, const char *key, Text value);
void json_put_string(JsonWriter *w, const char *key, const char *value); /* NULL writes null */
void json_put_bool(JsonWriter *w, const char *key, bool value);
void json_put_i64(JsonWriter *w, const char *key, int64_t value);
/* Writes several members: pairs of key and conversion, "name %s users %lld rows %zu share %.6g". The format has less
 * than 256 bytes; the output may be longer. %s is written by json_put_string. %lld and %zu are the only whole numbers.
 * Any other conversion is for a double. */
void json_members(JsonWriter *w, const char *format, ...) PRINTF_LIKE(2, 3);
/* Writes a number as printf does. JSON has no nan and inf: they become null. */
void json_put_number(JsonWriter *w, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- threads (pool.c) ------------------------------------------------------------------------ */

typedef struct Pool Pool;
typedef void PoolTask(void *arg, size_t task, int worker); /* worker in [0, threads) */
Pool *pool_new(const Heap *heap, int threads, Error *e);   /* threads 0: all that are available */
int pool_threads(const Pool *p);                           /* 1 for NULL */
/* Returns the number of processors that this process may use: its affinity mask, limited by the share of its container
 * (cgroup v2 cpu.max). */
int threads_available(void);
/* Runs the tasks 0 .. tasks-1, each once, on any worker and in any order. The calling thread is a worker too. Returns
 * when all tasks are finished. Results must not depend on the worker. If a task calls pool_run, the inner tasks run on
 * the worker of this task. Exception: if the outer call has only one task, the inner tasks may run on all workers. If p
 * is NULL, or if another thread is in pool_run of p, the calling thread runs all tasks, as worker 0. */
void pool_run(Pool *p, size_t tasks, PoolTask *fn, void *arg);
void pool_free(Pool *p);

/* ---- random numbers (random.c): Philox4x32-10, Salmon et al. 2011 ---------------------------- */

/* The purpose of a draw. Two purposes share no numbers. Append only: the meaning of a seed depends on these numbers. */
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
    DRAW_KNOCK, /* noise and order of items that replace the features of a modality (knock-out, knock.c) */
    DRAW_SUBSET,
    DRAW_BENCH,
    DRAW_INDEX,
    DRAW_SEARCH
} Purpose;
typedef struct Draw { /* a stream: its numbers depend on these members and on (index, attempt) only */
    uint64_t seed;
    uint32_t purpose;
    uint32_t epoch; /* the number of the epoch, step or tensor: distinguishes the uses of a purpose */
} Draw;
/* the `epoch` of a Draw for something that has a name: FNV-1a, the same in every build */
uint32_t draw_name(const char *name);
void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
void draw4(Draw d, uint64_t index, uint32_t attempt, uint32_t out[4]);
uint32_t draw_below(Draw d, uint64_t index, uint32_t n); /* uniform in [0, n), unbiased; n > 0 */
float draw_uniform(Draw d, uint64_t index);              /* [0, 1), 24 bits */
/* Box-Muller with own_log and own_cos2pi: the same bits on every machine */
float draw_normal(Draw d, uint64_t index);
/* Draws n distinct numbers of 0 .. `of` - 1, n <= of, by Floyd's sampling (Bentley and Floyd 1987). It makes n draws
 * with draw_below, with the indices first, first + 1, ... `taken` [of] is scratch: all false before and after. */
void draw_subset(Draw d, uint64_t first, uint32_t of, uint32_t n, int32_t *out, bool *taken);
/* Gives each item a random key, and sorts the items by their keys. */
void draw_shuffle(Draw d, uint32_t *items, size_t n, uint64_t *scratch /* [2 n] */);
/* MT19937, seeded and drawn as by NumPy's RandomState. Elliot's splits are made with it. */
typedef struct Mt19937 {
    uint32_t state[624];
    int at;
} Mt19937;
void mt_seed(Mt19937 *m, uint32_t seed);
uint32_t mt_u32(Mt19937 *m);
uint32_t mt_interval(Mt19937 *m, uint32_t max); /* uniform in [0, max], by mask and reject, as rk_interval of NumPy */
/* Natural logarithm, and cosine of 2 pi x. Plain C without libm, so that the code of every instruction set draws the
 * same numbers. */
double own_log(double x);
double own_cos2pi(double x);

/* Returns a 64-bit hash of bytes (xxHash if the build has it). For keys of caches; not cryptographic. */
uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed);
/* The same hash in every build and on all machines of one byte order: for hashes that are stored or compared across
 * machines. Slower. */
uint64_t hash_own(const void *data, size_t bytes, uint64_t seed);

/* ---- clock, progress, trace (progress.c, trace.c) -------------------------------------------- */

double now_seconds(void);
size_t peak_rss_bytes(void);

/* A line of progress. On a terminal it is redrawn, with a bar (if `total` is above 0), the rate and the time left.
 * Elsewhere a plain line is printed after each ten seconds, or after a tenth of the time so far if that is longer. */
typedef struct Progress {
    FILE *to; /* NULL: silent */
    bool is_terminal;
    const char *label, *unit;
    double total, done, started, drawn;
    double before; /* done by an earlier run; not part of the rate */
} Progress;
void progress_start(Progress *p, FILE *to, const char *label, const char *unit, double total);
/* `note` may be NULL; drawn at most 10 times per second */
void progress_step(Progress *p, double done, const char *note);
void progress_end(Progress *p, const char *note);

/* The ops that ran, for --profile and --trace. A NULL Trace costs one branch. Several threads may call at the same
 * time. */
typedef struct Trace Trace;
Trace *trace_new(const Heap *heap, bool keep_events, Error *e); /* keep_events: for --trace; totals are always kept */
double trace_begin(Trace *t);                                   /* 0 for NULL */
/* Records an op. `op` is not copied: it must be a literal. */
void trace_end(Trace *t, double begun, const char *op, double flops, double bytes);
/* Records an op whose end is known, in the time of now_seconds. t is not NULL. */
void trace_add(Trace *t, double begun, double ended, const char *op, double flops, double bytes);
bool trace_write(const Trace *t, const char *path, Error *e); /* Chrome / Perfetto JSON */
bool trace_keeps_events(const Trace *t);                      /* false for NULL */
/* A time span of a thread of a pool, for the trace only. In this span the thread either ran tasks, shown under the name
 * of the enclosing op, or waited. */
typedef struct TraceSpan {
    double begun, ended; /* in the time of now_seconds */
    double tasks;        /* how many tasks the thread ran in the span; 0 if it waited */
    const char *wait;    /* what the thread waited for; NULL: the thread ran tasks */
} TraceSpan;
void trace_spans(Trace *t, int worker, const TraceSpan *span, size_t n);
/* From now on, the tasks and waits of the pool are events of `t`, if it keeps events. Must not be called while the pool
 * runs. */
void pool_trace(Pool *p, Trace *t);
typedef struct TraceTotal {
    const char *op;
    uint64_t calls;
    double seconds, flops, bytes;
} TraceTotal;
/* Sets *list to the totals, one per op, in the order of first use; the list is in the trace. Returns how many. Must not
 * be called during other calls with this trace. */
size_t trace_totals(const Trace *t, const TraceTotal **list);
/* Prints the columns op, calls, ms, % time, GFLOP/s, GB/s, % of peak, MB. peak_gflops 0: no share of the peak. */
void trace_table(const Trace *t, FILE *to, double peak_gflops);
void trace_free(Trace *t);

#endif
