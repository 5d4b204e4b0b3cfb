/* extractors/model_find.c: finds the folder or file of a model's name. */
// flags: -Os
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

static const char *variable(const char *name) /* NULL if unset or empty */
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Returns a path in $XDG_CACHE_HOME, else in ~/.cache; NULL if there is no home folder. */
static const char *in_cache(Search *s, const char *below)
{
    const char *cache = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    if (!cache && home)
        cache = path_join(s->a, home, ".cache", s->e);
    return cache ? path_join(s->a, cache, below, s->e) : NULL;
}

/* Returns the hub cache as huggingface_hub finds it: $HF_HUB_CACHE, or "hub" in $HF_HOME. May be NULL. */
static const char *hub_folder(Search *s)
{
    const char *hub = variable("HF_HUB_CACHE"), *home = variable("HF_HOME");
    if (!hub)
        hub = variable("HUGGINGFACE_HUB_CACHE");
    if (!hub && !home)
        home = in_cache(s, "huggingface");
    return hub ? hub : home ? path_join(s->a, home, "hub", s->e) : NULL;
}

static const char *torch_folder(Search *s)
{
    const char *home = variable("TORCH_HOME");
    if (!home)
        home = in_cache(s, "torch");
    return home ? path_join(s->a, home, "hub/checkpoints", s->e) : NULL;
}

/* Tries HUB/models--org--name/snapshots/COMMIT: the commit in refs/main, else the last folder by name. */
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

/* Tries FOLDER/name, and name-xxxxxxxx.pth in upper or lower case ("ResNet50"), as torchvision names its files. If
 * several match, the last by name is used; among torchvision's files, that is the one of weights="DEFAULT". */
static void try_files(Search *s, const char *folder, const char *name)
{
    FolderEntry *entries;
    size_t n, length = strlen(name);
    if (try_path(s, path_join(s->a, folder, name, s->e)) || strchr(name, '/') || !folder_exists(folder) ||
        !folder_list(&entries, &n, s->a, folder, s->e))
        return;
    for (size_t i = n; i-- > 0;)
        if (!entries[i].is_folder && strncasecmp(entries[i].name, name, length) == 0 &&
            entries[i].name[length] == '-' && text_ends(text_of(entries[i].name), ".pth")) {
            try_path(s, path_join(s->a, folder, entries[i].name, s->e));
            return;
        }
}

/* Reports whether a name begins like a supported model of torchvision (any case). */
static bool is_torchvision(const char *name)
{
    static const char *const BEGINNINGS[] = {"resnet", "resnext", "wide_resnet", "efficientnet_b",
                                             "vit_b_", "vit_l_",  "vit_h_"};
    for (size_t i = 0; i < COUNT(BEGINNINGS); i++)
        if (strncasecmp(name, BEGINNINGS[i], strlen(BEGINNINGS[i])) == 0)
            return true;
    return false;
}

/* Fails with the paths that were tried and the way to get the model. A long list of paths is cut, so that the end of
 * the message is complete. */
static void not_found(Search *s, const char *name, const char *models)
{
    enum { MOST = 400 };
    bool is_file = text_ends(text_of(name), ".pth") || text_ends(text_of(name), ".safetensors");
    const char *tried = s->tried ? s->tried : name, *org = strchr(name, '/') ? "" : "ORGANISATION/";
    const char *fetch = "";
    if (is_torchvision(name) && *org && !is_file) {
        const char *lower = arena_lower(s->a, name, MIN(strlen(name), (size_t)40), s->e);
        fetch = lower ? arena_printf(s->a, s->e, "fetch it with torchvision's `%s(weights=\"DEFAULT\")` in Python, or ",
                                     lower)
                      : NULL;
    } else if (!is_file) {
        fetch = arena_printf(s->a, s->e, "run `hf download %s%.100s` (formerly huggingface-cli), or ", org, name);
    }
    if (fetch)
        fail(s->e, SP_IO, "no model %.100s; tried %.*s%s; %sput its %s into %.200s", name, MOST, tried,
             strlen(tried) > MOST ? "..." : "", fetch, is_file ? "file" : "folder or weights file",
             models ? models : "a folder and set SAPOR_MODELS to that folder");
}

const char *model_find(const char *name, Arena *a, Error *e)
{
    Search s = {.a = a, .e = e};
    const char *models = variable("SAPOR_MODELS"), *hub, *torch;
    if (!*name) {
        fail(e, SP_USAGE, "a model's name or path is missing");
        return NULL;
    }
    if (!try_path(&s, arena_strndup(a, name, strlen(name), e)) && (name[0] == '/' || name[0] == '.')) {
        fail(e, SP_IO, "no model %s: no such file or folder", name);
        return NULL;
    }
    if (!s.found && models)
        try_files(&s, models, name);
    if (!s.found && (hub = hub_folder(&s))) {
        try_hub(&s, hub, name);
        if (!s.found && !strchr(name, '/')) /* sentence-transformers completes names in this way */
            try_hub(&s, hub, arena_printf(a, e, "sentence-transformers/%s", name));
    }
    if (!s.found && !strchr(name, '/') && (torch = torch_folder(&s)))
        try_files(&s, torch, name);
    if (!s.found)
        not_found(&s, name, models);
    return s.found;
}
