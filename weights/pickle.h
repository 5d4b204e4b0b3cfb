/* weights/pickle.h: reads Python pickles as inert values. Nothing is imported, looked up or called. A class or function
 * is stored as two texts: the name of its module, and its qualified name. If a pickle calls a class, the value is an
 * object that stores the class, the arguments and the state. */
#ifndef SAPOR_WEIGHTS_PICKLE_H
#define SAPOR_WEIGHTS_PICKLE_H

#include "weights/private.h"

typedef enum ValueType {
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_BIG,  /* an integer whose value is not kept: it may be outside int64 */
    V_TEXT, /* str, and the byte strings of Python 2 */
    V_BYTES,
    V_LIST,
    V_TUPLE,
    V_SET,
    V_DICT,   /* items: key, value, key, value, ... */
    V_GLOBAL, /* text: module, name: qualified name */
    V_OBJECT,
    V_PERSISTENT /* the member `class` is the persistent id */
} ValueType;

typedef struct Value Value;
struct Value {
    ValueType type;
    bool pairs;   /* of an object: items are keys and values, like those of a dictionary */
    bool on_path; /* for walks over the values, which may have cycles */
    union {
        int64_t integer; /* bool too */
        double number;
        Text text;
        struct {
            Value **items;
            size_t count, capacity;
        };
    };
    union {
        Text name;
        struct {
            Value *class, *args, *state; /* of an object; args and state may be NULL */
        };
    };
};

typedef struct Pickle {
    Value *root;
    Value **persistent; /* [persistent_count] the values of type V_PERSISTENT, in their order in the pickle */
    size_t persistent_count;
    size_t bytes; /* from the start to the end of the STOP opcode */
} Pickle;

/* Reads one pickle at the start of `source`, protocols 0 to 5. Values are in the arena, their texts in `source`.
 * Memory: up to 90 bytes per byte of source. One byte can create a value, which has 64 bytes; the other 26 bytes are
 * for the stack and the memo. The caller sets the limit of the arena. Time: linear, at most 8,000,000 steps. */
bool pickle_read(Pickle *p, Arena *a, Text source, const char *path, Error *e);

bool value_is_global(const Value *v, const char *module, const char *name);
const Value *value_item(const Value *v, size_t i); /* of a tuple or list; NULL if missing or if v is NULL */
/* Of a dictionary or an object with pairs; NULL if missing. */
const Value *value_get(const Value *dict, const char *key);

#endif
