/* sapor.h: the public C API of Sapor, written as its own manual.
 *
 * Sapor turns product photos and texts into features with real encoders, trains graph recommenders on them and measures
 * what every modality is worth. This header is all that a program linking libsapor sees; everything else is hidden.
 *
 * Rules that hold everywhere
 *   - Errors are values. A function that can fail takes an `sp_error *` last; it returns false or NULL and fills it with
 *     one line: what, where (file, line, key, tensor), what to do. The library never prints, exits or aborts.
 *   - Sizes are size_t or int64_t; products of sizes are checked.
 *   - What a function allocates is released by the `_free` or `_close` it names. NULL may be freed.
 *   - A loaded model is immutable and may be shared by threads; each thread makes its own calls.
 */
#ifndef SAPOR_H
#define SAPOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAPOR_VERSION "0.1.0"

#if defined(__GNUC__)
#define SP_API __attribute__((visibility("default")))
#else
#define SP_API
#endif

/* ---- errors ---------------------------------------------------------------------------------------------------- */

typedef enum sp_status {
    SP_OK = 0,
    SP_IO,          /* the system refused: no such file, disk full, ... */
    SP_FORMAT,      /* a file or text is not what it should be */
    SP_MEMORY,      /* out of memory, or over the limit that the caller set */
    SP_USAGE,       /* the caller asked for something that does not exist or does not fit */
    SP_SHAPE,       /* two things that must match do not */
    SP_UNSUPPORTED, /* understood, but not available in this build or for this model */
    SP_CANCELLED    /* the cancel call-back said so */
} sp_status;

typedef struct sp_error {
    sp_status code;
    char message[1024]; /* one line of UTF-8, no newline; "" while code is SP_OK */
} sp_error;

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Where memory comes from. `resize(user, p, old_bytes, new_bytes)` works like realloc: p NULL allocates, new_bytes 0
 * frees and returns NULL; it returns NULL when it cannot. Results are aligned for any C type. NULL instead of an
 * sp_allocator means malloc. */
typedef struct sp_allocator {
    void *(*resize)(void *user, void *p, size_t old_bytes, size_t new_bytes);
    void *user;
} sp_allocator;

#ifdef __cplusplus
}
#endif
#endif
