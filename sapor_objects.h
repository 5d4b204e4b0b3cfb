/* sapor_objects.h: what sapor.c and the files beside it share: the structs behind the names of sapor.h, and checks of
 * what callers give. */
#ifndef SAPOR_OBJECTS_H
#define SAPOR_OBJECTS_H

#include <stdatomic.h>

#include "extractors/extractors.h"
#include "recsys/trained.h"

/* An object's arena is its first member (new_object). */
struct sp_session {
    Arena *arena;
    Device device;
    Tape *tape;
    Arena *scratch; /* of one call */
    atomic_bool busy;
};

struct sp_encoder {
    Arena *arena;
    Device device; /* for loading; calls compute on their session's */
    Encoder *encoder;
    OutputOptions usual_text, usual_image; /* of calls that name no output */
    int64_t max_length;
    Call *texts, *images; /* of the usual outputs; NULL: not loaded, or no such tower */
};

struct sp_recommender {
    Arena *arena;
    Device device; /* for loading, as an encoder's */
    Trained *trained;
};

/* Every object is in an arena of its own, with the caller's allocator; the arena is the object's first member. */
void *new_object(size_t bytes, const sp_allocator *memory, Error *e);
bool open_device(Device *d, const char *name, int threads, const sp_allocator *memory, Error *e);
/* A session is in one call at a time. After session_enter, which empties its scratch memory, session_leave must follow;
 * it returns ok. */
bool session_enter(sp_session *s, Error *e);
bool session_leave(sp_session *s, bool ok);
/* An object without its recommender. */
sp_recommender *new_recommender(const sp_allocator *memory, Error *e);
/* Fails where an argument is NULL: an object is, where the error of its opening was not looked at. */
bool given(const void *p, const char *what, Error *e);
/* Whether a struct of the caller's can have this size: whole size_t's, as another would cut a pointer. */
bool size_fits(size_t size, const char *what, Error *e);
/* A struct of the caller's with its size in front. One of an earlier version is shorter: the rest are zeros; one of a
 * later version is longer: what this version does not know must be zeros. NULL is all zeros. */
bool read_options(void *to, size_t bytes, const void *from, const char *what, Error *e);
/* Sets pool and normalize. */
bool read_output(sp_pool pool, int normalize, OutputOptions *to, Error *e);
bool read_allocator(const sp_allocator *memory, Error *e); /* NULL is right */
bool outputs_given(const void *outputs, size_t count, Error *e);

#endif
