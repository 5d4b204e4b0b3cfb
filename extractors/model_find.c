/* extractors/model_find.c: from a model's name to its folder or file. */
#include "extractors/extractors.h"

#include <stdlib.h>

typedef struct Search {
    Arena *a;
    Error *e;
    const char *tried; /* "A, B, C" */
    const char *found;
} Search;

static bool try_path(Search *s, const char *path)
{
    if (!path || s->found)
        return s->found != NULL;
    if (folder_exists(path) || file_exists(path))
        s->found = path;
    else
        s->tried = s->tried ? arena_printf(s->a, s->e, "%s, %s", s->tried, path) : path;
    return s->found != NULL;
}

static const char *from_home(Search *s, const char *below)
{
    const char *home = getenv("HOME");
    return home && *home ? path_join(s->a, home, below, s->e) : NULL;
}

/* HUB/models--org--name/snapshots/COMMIT: the commit that refs/main names, else the last by name. */
static void try_hub(Search *s, const char *hub, const char *name)
{
    char *folder = arena_printf(s->a, s->e, "%s/models--%s", hub, name);
    const char *snapshots, *ref;
    if (!folder)
        return;
    Text commit;
    FolderEntry *entries;
    size_t n;
    char *slash = strchr(folder + strlen(hub) + 1, '/');
    if (slash) /* org/name -> org--name */
        folder = arena_printf(s->a, s->e, "%.*s--%s", (int)(slash - folder), folder, slash + 1);
    if (!folder || !(snapshots = path_join(s->a, folder, "snapshots", s->e)) ||
        !(ref = path_join(s->a, folder, "refs/main", s->e)))
        return;
    if (!folder_exists(snapshots)) {
        try_path(s, folder_exists(folder) ? snapshots : folder);
        return;
    }
    if (file_exists(ref) && file_read(&commit, s->a, ref, 256, s->e) && (commit = text_trim(commit)).n > 0 &&
        !memchr(commit.p, '/', commit.n) &&
        try_path(s, arena_printf(s->a, s->e, "%s/%.*s", snapshots, (int)commit.n, commit.p)))
        return;
    if (folder_list(&entries, &n, s->a, snapshots, s->e) && n > 0)
        try_path(s, path_join(s->a, snapshots, entries[n - 1].name, s->e));
}

/* CHECKPOINTS/name, or name-xxxxxxxx.pth in any case of letters ("ResNet50"). Of several the last by name, which among torchvision's files is
 * the one of weights="DEFAULT". */
static void try_checkpoints(Search *s, const char *folder, const char *name)
{
    FolderEntry *entries;
    size_t n, length = strlen(name);
    if (strchr(name, '/'))
        return;
    if (try_path(s, path_join(s->a, folder, name, s->e)) || !folder_exists(folder) ||
        !folder_list(&entries, &n, s->a, folder, s->e))
        return;
    for (size_t i = n; i-- > 0;)
        if (strncasecmp(entries[i].name, name, length) == 0 && entries[i].name[length] == '-' &&
            text_ends(text_of(entries[i].name), ".pth")) {
            try_path(s, path_join(s->a, folder, entries[i].name, s->e));
            return;
        }
}

const char *model_find(const char *name, Arena *a, Error *e)
{
    Search s = {.a = a, .e = e};
    const char *models = getenv("SAPOR_MODELS"), *hub = getenv("HF_HUB_CACHE"), *hf = getenv("HF_HOME"),
               *torch = getenv("TORCH_HOME");
    if (!*name) {
        fail(e, SP_USAGE, "a model's name or path is missing");
        return NULL;
    }
    if (try_path(&s, arena_strndup(a, name, strlen(name), e)) || name[0] == '/' || name[0] == '.')
        goto done;
    if (models && *models)
        try_path(&s, path_join(a, models, name, e));
    if (!s.found) {
        hub = hub && *hub ? hub : hf && *hf ? path_join(a, hf, "hub", e) : from_home(&s, ".cache/huggingface/hub");
        if (hub)
            try_hub(&s, hub, name);
        if (hub && !s.found && !strchr(name, '/')) /* as sentence-transformers completes names */
            try_hub(&s, hub, arena_printf(a, e, "sentence-transformers/%s", name));
    }
    if (!s.found) {
        torch = torch && *torch ? path_join(a, torch, "hub/checkpoints", e) : from_home(&s, ".cache/torch/hub/checkpoints");
        if (torch)
            try_checkpoints(&s, torch, name);
    }
done:
    if (!s.found)
        fail(e, SP_IO, "no model %s; tried %s; give a path, or set SAPOR_MODELS", name, s.tried ? s.tried : name);
    return s.found;
}
