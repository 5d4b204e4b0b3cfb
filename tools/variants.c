/* variants.c: see variants.h. */
#include "tools/variants.h"

/* A panel of packed B is as wide as a tile; what a transposed A of one tile's rows takes grows by its rows with each step of K. */
void variant_tile(const Kernels *k, int64_t *rows, int64_t *cols)
{
    Gemm g = {.M = 1,
              .N = 1,
              .K = 32,
              .a_row = 1,
              .a_col = 1 << 10,
              .packed = (float *)64,
              .C = (float *)64,
              .ldc = 1,
              .alpha = 1};
    size_t more = k->gemm_work(&g, 1);
    g.K = 64;
    more = k->gemm_work(&g, 1) - more;
    *cols = (int64_t)(k->gemm_pack_bytes(PACK_F32, 1, 1) / sizeof(float));
    *rows = more % (32 * sizeof(float)) == 0 ? (int64_t)(more / (32 * sizeof(float))) : 0;
}

void variant_of_gemm(const Kernels *k, const Gemm *g, char text[VARIANT])
{
    Gemm turned = *g, packed = *g;
    int64_t rows, cols;
    turned.b_row = 1; /* columns of B cannot be read in place */
    turned.b_col = MAX(g->K, 2);
    packed.packed = (float *)64;
    const size_t work = k->gemm_work(g, 1), most = k->gemm_work(&turned, 1), least = k->gemm_work(&packed, 1);
    variant_tile(k, &rows, &cols);
    snprintf(text, VARIANT, "%s %lldx%lld",
             g->packed      ? "packed"
             : work < most  ? "in place"
             : work > least ? "packs B"
                            : "",
             (long long)rows, (long long)cols);
}

void variant_of_conv(const Kernels *k, const Conv *c, char text[VARIANT])
{
    const size_t bytes = k->conv_pack_bytes(c), product = k->gemm_pack_bytes(PACK_F32, c->kh * c->kw * c->C, c->O),
                 panel = k->gemm_pack_bytes(PACK_F32, c->C, c->O);
    const Gemm g = {.M = c->B * c->H * c->W,
                    .N = c->O,
                    .K = c->C,
                    .a_row = c->C,
                    .a_col = 1,
                    .packed = (float *)64,
                    .C = (float *)64,
                    .ldc = c->O,
                    .alpha = 1};
    int m = 2;
    while (m < 6 && (size_t)((m + 2) * (m + 2)) * panel < bytes) /* Winograd's F(m,3) has (m + 2)^2 products of C x O */
        m++;
    if (c->groups > 1)
        snprintf(text, VARIANT, "depthwise");
    else if (bytes > product)
        snprintf(text, VARIANT, "winograd %d,3", m);
    else if (c->kh * c->kw == 1 && k->conv_work(c, 1) == k->gemm_work(&g, 1))
        snprintf(text, VARIANT, "1x1: gemm");
    else
        snprintf(text, VARIANT, c->kh * c->kw == 1 ? "picked pixels" : "implicit gemm");
}
