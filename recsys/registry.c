/* recsys/registry.c: the recommenders there are. A new one: its file, and its name here. */
#include "recsys/recsys.h"

#include <strings.h>

#define RECOMMENDERS(ENTRY)                                                                                            \
    ENTRY(random)                                                                                                      \
    ENTRY(mostpop)                                                                                                     \
    ENTRY(itemknn)                                                                                                     \
    ENTRY(bprmf)                                                                                                       \
    ENTRY(lightgcn)                                                                                                    \
    ENTRY(ngcf)                                                                                                        \
    ENTRY(vbpr)                                                                                                        \
    ENTRY(lattice)

#define DECLARE(name) extern const Recommender recommender_##name;
#define ADDRESS(name) &recommender_##name,
RECOMMENDERS(DECLARE)
static const Recommender *const list[] = {RECOMMENDERS(ADDRESS)};

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
