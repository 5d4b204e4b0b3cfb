/* tests/faults_studies.h: configurations, configurations that become studies, and exported trials, for
 * tests/faults_subjects.h. */
#ifndef SAPOR_FAULTS_STUDIES_H
#define SAPOR_FAULTS_STUDIES_H

#include "recsys/search/search.h"
#ifdef HAVE_YAML
#include "tools/run/benchmark.h"
#endif

#ifdef HAVE_SQLITE3
/* The database is in memory. SQLite reads and writes its files itself, so that the wrappers of faults.h cannot make
 * these calls fail. */
READER(exported_trials)
{
    int64_t added = 0;
    TrialRow *rows;
    size_t n;
    Ledger *l = ledger_open(":memory:", e);
    bool ok = l && ledger_import(l, in("trials.tsv"), &added, e) && ledger_rows(l, &rows, &n, a, e);
    ledger_close(l);
    if (ok)
        mix(digest, rows[0].history, strlen(rows[0].history));
    return ok;
}
#endif

#ifdef HAVE_YAML
READER(yaml)
{
    Text text;
    Extraction *list;
    size_t n;
    Yaml *y = file_read(&text, a, in("c.yml"), 1 << 20, e) ? yaml_parse(a, text, "c.yml", e) : NULL;
    if (!y || !yaml_override(y, TEXT("visual.items.output_path"), TEXT("elsewhere"), a, e) ||
        !extraction_plan(&list, &n, y, a, e))
        return false;
    mix(digest, list[0].folders[0].path, strlen(list[0].folders[0].path));
    return true;
}

static void mix_study(uint64_t *digest, const Study *s)
{
    for (size_t i = 0; i < s->model_count; i++)
        for (size_t k = 0; k < s->models[i].set_count; k++)
            mix(digest, s->models[i].set[k], strlen(s->models[i].set[k]));
    for (size_t i = 0; i < s->data_count; i++)
        mix(digest, s->data[i].config.train, strlen(s->data[i].config.train));
    mix(digest, s->metric, strlen(s->metric));
}

READER(mmrec_study)
{
    Study s;
    const char *set[] = {arena_printf(a, e, "inter_file_name=%s", in("data.inter")), "epochs=3", "mg=True"};
    ProtocolConfig c = {
        .path = GOLDEN "mmrec", .model = "LightGCN", .dataset = "tiny", .overrides = set, .override_count = COUNT(set)};
    if (!set[0] || !mmrec_read(&s, &c, a, e))
        return false;
    mix_study(digest, &s);
    return true;
}

/* A configuration with a split and with features that are already files. */
READER(benchmark_study)
{
    Study s;
    ProtocolConfig c = {.path = "b.yml", .out = out};
    const char *text = arena_printf(a, e,
                                    "benchmark: {data: [{name: a, interactions: '%s', split: {seed: 1}}], settings: "
                                    "[{name: f, features: {visual: '%s'}}], models: {VBPR: {lr: [0.1, 1e-3]}}}\n",
                                    in("train.tsv"), in("visual.npy"));
    Yaml *tree = text ? yaml_parse(a, text_of(text), "b.yml", e) : NULL;
    if (!tree || !benchmark_read(&s, &c, tree, NULL, a, e))
        return false;
    mix_study(digest, &s);
    return true;
}

#endif

#endif
