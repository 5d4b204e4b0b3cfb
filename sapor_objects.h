/* sapor_objects.h: shared by sapor.c and the other sapor_*.c: the structs of the types in sapor.h, and checks of
 * arguments. */
#ifndef SAPOR_OBJECTS_H
#define SAPOR_OBJECTS_H

#include <stdatomic.h>

#include "extractors/extractors.h"
#include "recsys/trained.h"

/* The arena of an object is its first member (new_object). */
struct sp_session {
    Arena *arena;
    Device device;
    Tape *tape;
    Arena *scratch; /* memory of one call */
    atomic_bool busy;
};

struct sp_encoder {
    Arena *arena;
    Device device; /* for loading; calls compute on the device of their session */
    Encoder *encoder;
    OutputOptions usual_text, usual_image; /* of calls that name no output */
    int64_t max_length;
    Call *texts, *images; /* calls of the usual outputs; NULL: not loaded, or no such tower */
};

struct sp_recommender {
    Arena *arena;
    Device device; /* for loading, as in an encoder */
    Trained *trained;
};

/* Makes an object in its own arena, which uses the caller's allocator. The arena is the object's first member. */
void *new_object(size_t bytes, const sp_allocator *memory, Error *e);
bool open_device(Device *d, const char *name, int threads, const sp_allocator *memory, Error *e);
/* session_enter fails if the session is in another call; otherwise it empties the scratch memory, and session_leave
 * must follow. session_leave returns `ok`. */
bool session_enter(sp_session *s, Error *e);
bool session_leave(sp_session *s, bool ok);
/* Makes an object whose `trained` is still NULL. */
sp_recommender *new_recommender(const sp_allocator *memory, Error *e);
/* Fails if an argument is NULL. An object is NULL if the caller ignored the error of its opening. */
bool given(const void *p, const char *what, Error *e);
/* Checks the size of a caller's struct: at most 4096, and a multiple of sizeof (size_t) above 0, because any other size
 * would cut a pointer. */
bool size_fits(size_t size, const char *what, Error *e);
/* Copies a caller's struct, whose first member is its size. A struct of an earlier version is shorter: the missing
 * members are zeros. A struct of a later version is longer: its additional members must be zeros. NULL means all zeros.
 */
bool read_options(void *to, size_t bytes, const void *from, const char *what, Error *e);
/* Sets pool and normalize of *to. */
bool read_output(sp_pool pool, int normalize, OutputOptions *to, Error *e);
bool read_allocator(const sp_allocator *memory, Error *e); /* NULL is valid */
bool outputs_given(const void *outputs, size_t count, Error *e);

#endif
