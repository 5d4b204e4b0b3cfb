/* recsys/protocols/mmrec.h: what the parts of the reader of MMRec's configuration share. */
#ifndef SAPOR_MMREC_H
#define SAPOR_MMREC_H

#include "recsys/protocols/keys.h"

typedef struct Mmrec {
    Keys k; /* k.map: all files and overrides together */
    const char *model, *dataset;
    const char *base;         /* the folder that has configs/, or that of the file */
    const char *configs;      /* NULL: there is none */
    bool mirror;              /* mg: True */
    const Yaml *published[2]; /* MMRec's overall.yaml, and what its files of data sets have in common */
    const Recommender *kind;
} Mmrec;

bool mmrec_common_key(Text key);                     /* of overall.yaml or a data set, and not a setting of the model */
bool mmrec_published(const Mmrec *x, const Yaml *y); /* the value is one that MMRec publishes */
/* Rows of all keys: what is special about the model's first, then the common ones, then its settings and aliases. */
bool mmrec_rows(const Mmrec *x, const KeyRow *common, size_t common_count, KeyRow **rows, size_t *count);
/* Settings, dimensions and seeds (mmrec_models.c). */
bool mmrec_model(const Mmrec *x, StudyModel *m);

#endif
