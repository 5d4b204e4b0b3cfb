/* recsys/registry.c: the list of recommenders. A new recommender needs a file in recsys/models/ and a line here. */
#include "recsys/recsys.h"

#include <strings.h>

/* clang-format off */
#define RECOMMENDER_LIST(LINE) \
    LINE(random)               \
    LINE(mostpop)              \
    LINE(itemknn)              \
    LINE(userknn)              \
    LINE(attributeitemknn)     \
    LINE(easer)                \
    LINE(bprmf)                \
    LINE(lightgcn)             \
    LINE(ngcf)                 \
    LINE(vbpr)                 \
    LINE(lattice)              \
    LINE(sgl)                  \
    LINE(simgcl)               \
    LINE(dgcf)                 \
    LINE(ngcfm)                \
    LINE(grcn)                 \
    LINE(mmgcn)                \
    LINE(freedom)              \
    LINE(bm3)                  \
    LINE(mgcn)                 \
    /* add new lines above this one */
/* clang-format on */

#define DECLARE(name) extern const Recommender recommender_##name;
#define ENTRY(name)   &recommender_##name,
RECOMMENDER_LIST(DECLARE)
static const Recommender *const list[] = {RECOMMENDER_LIST(ENTRY)};

size_t recommender_count(void)
{
    return COUNT(list);
}

const Recommender *recommender_at(size_t i)
{
    return list[i];
}

const Recommender *recommender_find(const char *name)
{
    static const char elliot[] = "external.";
    if (!strncasecmp(name, elliot, sizeof elliot - 1))
        name += sizeof elliot - 1;
    for (size_t i = 0; i < COUNT(list); i++)
        if (!strcasecmp(list[i]->name, name) || (list[i]->alias && !strcasecmp(list[i]->alias, name)))
            return list[i];
    return NULL;
}
