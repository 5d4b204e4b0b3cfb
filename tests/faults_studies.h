/* tests/faults_studies.h: configurations that become studies, for tests/faults_subjects.h. */
#ifndef SAPOR_FAULTS_STUDIES_H
#define SAPOR_FAULTS_STUDIES_H

#include "tools/run/benchmark.h"

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
    ProtocolConfig c = {.path = GOLDEN "mmrec",
                        .model = "LightGCN",
                        .dataset = "tiny",
                        .overrides = set,
                        .override_count = COUNT(set)};
    if (!set[0] || !mmrec_read(&s, &c, a, e))
        return false;
    mix_study(digest, &s);
    return true;
}

/* A split, and ready features. */
READER(benchmark_study)
{
    Study s;
    ProtocolConfig c = {.path = "b.yml", .out = out};
    const char *text = arena_printf(a, e,
                                    "benchmark: {data: [{name: a, interactions: '%s', split: {seed: 1}}], settings: "
                                    "[{name: f, features: {visual: '%s'}}], models: {VBPR: {lr: [0.1, 1e-3]}}}\n",
                                    in("train.tsv"), in("visual.npy"));
    Yaml *root = text ? yaml_parse(a, text_of(text), "b.yml", e) : NULL;
    if (!root || !benchmark_read(&s, &c, root, NULL, a, e))
        return false;
    mix_study(digest, &s);
    return true;
}

#endif
