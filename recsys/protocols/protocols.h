/* recsys/protocols/protocols.h: configurations of other systems become a Study (recsys/search/search.h), and results
 * become the files that these systems write.
 *
 *   elliot.c        an Elliot YAML: the experiment (docs/recipes.md)
 *   elliot_data.c   its prefiltering and splitting
 *   elliot_models.c its models and search spaces
 *   elliot_files.c  its result files
 *   mmrec.c         MMRec's configuration files
 *   mmrec_files.c   its log and its recommendations
 *
 * Every key of a file is known: it is read, it is known to have no effect here (a note says so), or it is an error
 * "file:line:column: key: found X; allowed is Y". */
#ifndef SAPOR_PROTOCOLS_H
#define SAPOR_PROTOCOLS_H

#include "base/yaml.h"
#include "recsys/search/search.h"

/* What a configuration says that does not matter here ("gpu: this build computes on the processor"), one line each. */
typedef void ProtocolNote(void *arg, const char *line);
typedef struct ProtocolConfig {
    const char *path;             /* of the YAML; MMRec: or a folder that has configs/ */
    const char *const *overrides; /* "key.path=value" */
    size_t override_count;
    const char *model, *dataset; /* MMRec: as its -m and -d; NULL: the file's keys `model` and `dataset` */
    const char *out;             /* folder; NULL: where the system writes */
    ProtocolNote *note;
    void *arg;
} ProtocolConfig;
/* Reads the configuration, splits the data where it says so, fills the study. */
bool elliot_read(Study *s, const ProtocolConfig *c, const Yaml *root, Arena *a, Error *e);
bool mmrec_read(Study *s, const ProtocolConfig *c, Arena *a, Error *e);
/* The system's result files, when all trials are finished. now: the time in file names, seconds since 1970. */
bool elliot_write(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e);
bool mmrec_write(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e);

#endif
