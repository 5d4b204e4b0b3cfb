/* recsys/protocols/protocols.h: converts configurations of other systems to a Study (recsys/search/search.h), and
 * writes results as the files of these systems.
 *
 *   keys.c          reads the keys of a configuration, or refuses them
 *   setting_keys.c  settings of recommenders as keys
 *   elliot.c        an Elliot YAML: the experiment (docs/recipes.md)
 *   elliot_eval.c   its metrics and sampled evaluation
 *   elliot_plan.c   its maps of prefiltering and splitting
 *   elliot_data.c   makes or finds the parts of its data
 *   elliot_split.c  Elliot's prefilters and splitters
 *   elliot_meta.c   the keys that all its models have
 *   elliot_models.c the parameters of its models and their search spaces
 *   elliot_tables.c Elliot's recommenders and their parameters
 *   elliot_names.c  names of models with their parameters
 *   elliot_files.c  its result files
 *   mmrec.c         MMRec's configuration files
 *   mmrec_models.c  the settings of its models
 *   mmrec_files.c   its log and its recommendations
 *
 * Every key of a file is handled: it is read; or it has no effect here, and a note says so; or it is an error
 * "file:line:column: key: found X; allowed is Y". */
#ifndef SAPOR_PROTOCOLS_H
#define SAPOR_PROTOCOLS_H

#include "base/yaml.h"
#include "recsys/search/search.h"

/* Receives notes, one line each, about keys that have no effect here ("gpu: --device says where to compute"). */
typedef void ProtocolNote(void *arg, const char *line);
typedef struct ProtocolConfig {
    const char *path;             /* path of the YAML; for MMRec it may be a folder that has configs/ */
    const char *const *overrides; /* "key.path=value" */
    size_t override_count;
    /* MMRec: the values of its options -m and -d; NULL: the keys `model` and `dataset` of the file */
    const char *model, *dataset;
    const char *out; /* output folder; NULL: the folder of the other system */
    ProtocolNote *note;
    void *arg;
} ProtocolConfig;
/* Read the configuration, split the data if it says so, and fill the study. root: the tree of the Elliot YAML c->path.
 */
bool elliot_read(Study *s, const ProtocolConfig *c, const Yaml *root, Arena *a, Error *e);
bool mmrec_read(Study *s, const ProtocolConfig *c, Arena *a, Error *e);
/* Write the result files of the system when all trials are finished. now: time for file names, in seconds since 1970.
 */
bool elliot_write(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e);
bool mmrec_write(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e);

#endif
