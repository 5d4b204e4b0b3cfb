/* tests/faults_prepare.h: the preparation of data, for tests/faults_subjects.h: reviews in JSON, metadata in Python. */
#ifndef SAPOR_FAULTS_PREPARE_H
#define SAPOR_FAULTS_PREPARE_H

#include "recsys/prepare.h"

static bool prepare(uint64_t *digest, Error *e)
{
    (void)digest;
    const char *source = in("reviews.json");
    PrepareConfig c = {.sources = &source, .source_count = 1, .meta = in("meta.py"), .out = out};
    prepare_preset(&c, RECIPE_MMREC);
    c.user_core = c.item_core = 2;
    return prepare_files(&c, e);
}

#endif
