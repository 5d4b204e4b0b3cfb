/* recsys/protocols/mmrec.h: shared by the files that read MMRec's configuration. */
#ifndef SAPOR_MMREC_H
#define SAPOR_MMREC_H

#include "recsys/protocols/keys.h"

typedef struct Mmrec {
    Keys k; /* k.map: all files and overrides merged */
    const char *model, *dataset;
    const char *base;    /* the folder that has configs/, or the folder of the file */
    const char *configs; /* path of configs/; NULL: there is none */
    bool mirror;         /* the key mg (mirror gradient) is True */
    /* MMRec's own values: those of its overall.yaml, and those that all its data set files have */
    const Yaml *published[2];
    const Recommender *kind;
} Mmrec;

/* reports whether a key belongs to overall.yaml or to a data set, and is no setting of the model */
bool mmrec_common_key(Text key);
/* Reports whether the value of the key y is MMRec's own: the value that `published` has for this key. */
bool mmrec_published(const Mmrec *x, const Yaml *y);
/* Makes rows of all keys: first the special keys of the model, then the common keys, then its settings and aliases. */
bool mmrec_rows(const Mmrec *x, const KeyRow *common, size_t common_count, KeyRow **rows, size_t *count);
/* Reads settings, dimensions and seeds (mmrec_models.c). */
bool mmrec_model(const Mmrec *x, StudyModel *m);

#endif
