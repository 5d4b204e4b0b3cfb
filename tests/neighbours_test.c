/* tests/neighbours_test.c: scores of recommenders without epochs equal float64 NumPy
 * (tests/golden/neighbours_float64.py): ItemKNN, UserKNN, AttributeItemKNN, EASE^R. Each score is within 1e-5 of the
 * largest score of its case. Ratings, attributes, settings and scores are in the golden file. */
#include "tests/golden_data.h"

#include <math.h>

enum { MOST_WORDS = 16 };

static void check_scores(Case *c, const char *what, const Array *expected)
{
    int64_t n = c->data.U * c->data.I;
    assert_int_equal(expected->count, n);
    float *ours = NEW(c->arena, float, n, &c->e), *theirs = floats_of(c, expected);
    int32_t *ids = NEW(c->arena, int32_t, c->data.U, &c->e);
    for (int64_t u = 0; u < c->data.U; u++)
        ids[u] = (int32_t)u;
    OK(c, c->model.kind->score(&c->model, ids, c->data.U, ours, &c->e));
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)ours[i] - theirs[i]));
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    printf("  %-90s %.1e\n", what, worst / largest);
    if (!(worst <= 1e-5 * largest))
        fail_msg("%s: off by %g of %g", what, worst, largest);
}

/* what: "MODEL key=value ..." */
static void run_case(Case *c, const char *what, const Array *expected)
{
    const char *set[MOST_WORDS], *name = NULL;
    size_t n = 0;
    for (Text rest = text_of(what), word; text_next(&rest, ' ', &word) && n < MOST_WORDS;) {
        const char *text = arena_strndup(c->arena, word.p, word.n, &c->e);
        if (name)
            set[n++] = text;
        else
            name = text;
    }
    const Recommender *kind = recommender_find(name);
    if (!kind)
        fail_msg("there is no %s", name);
    c->data.feature_count = kind->needs_features ? 1 : 0;
    c->model = (Model){.kind = kind, .data = &c->data, .arena = c->arena, .seed = 1};
    OK(c, (c->model.settings = settings_make(kind, PROTOCOL_ELLIOT, set, n, c->arena, &c->e)) != NULL);
    OK(c, (c->model.store = store_new(&c->device, &c->e)) != NULL && kind->init(&c->model, &c->e));
    check_scores(c, what, expected);
    store_free(c->model.store);
}

static void scores_are_those_of_elliot(void **state)
{
    (void)state;
    Case c;
    case_open(&c, "tests/golden/neighbours.safetensors");
    load_pairs(&c);
    const Array *attributes = array(&c, "%s", "attributes");
    c.data.features = NEW(c.arena, Feature, 1, &c.e);
    c.data.features[0] = (Feature){.name = "attributes", .D = attributes->shape[1], .data = floats_of(&c, attributes)};
    for (int64_t i = 0; i < meta_i64(&c, "cases"); i++) {
        const char *number = arena_printf(c.arena, &c.e, "%lld", (long long)i);
        run_case(&c, meta(&c, arena_printf(c.arena, &c.e, "case.%s", number)), array(&c, "scores.%s", number));
    }
    case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_are_those_of_elliot)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
