/* tools/bench/variants.c: see variants.h. */
#include "tools/bench/variants.h"

/* A panel of packed B is as wide as a tile; what a transposed A of one tile's rows takes grows by its rows with each
 * step of K. */
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

const char *variant_of_gemm(const Kernels *k, const Gemm *g, char text[VARIANT])
{
    Gemm transposed = *g, rows = *g;
    int64_t tile_rows, tile_cols;
    transposed.packed = rows.packed = NULL;
    transposed.b_row = rows.b_col = 1; /* columns of B cannot be read in place */
    transposed.b_col = MAX(g->K, 2);
    rows.b_row = g->N;
    size_t most = k->gemm_work(&transposed, 1);
    bool in_place = !g->packed && k->gemm_work(g, 1) < most;
    variant_tile(k, &tile_rows, &tile_cols);
    static const char *const PACKED[] = {"packed", "widened", "widened", "dots", "amx", "bytes", "amx"},
                             *const WHY[] = {"B is a weight: packed once, at load",
                                             "half the bytes; converted to f32 once per block",
                                             "half the bytes; converted to f32 once per block",
                                             "pairs of bf16: timed at load, faster than f32 here",
                                             "pairs of bf16 on the matrix unit",
                                             "groups of 4 bytes, exact sums, then scales",
                                             "groups of 4 bytes on the matrix unit, then scales"};
    bool amx = g->packed && (g->pack == PACK_BF16_AMX || g->pack == PACK_INT8_AMX);
    snprintf(text, VARIANT, "%s %lldx%lld",
             g->packed  ? PACKED[g->pack]
             : in_place ? "in place"
                        : "packs B",
             amx ? 32LL : (long long)tile_rows, (long long)tile_cols); /* AMX: four registers of 16 x 16 */
    return g->packed                       ? WHY[g->pack]
           : in_place                      ? "few rows: packing B would cost more than it saves"
           : k->gemm_work(&rows, 1) < most ? "B is not contiguous: packed even for few rows"
                                           : "many rows: each thread packs the block of B it uses";
}

const char *variant_of_conv(const Kernels *k, const Conv *conv, char text[VARIANT])
{
    Conv c = *conv;
    c.packed = c.y = (float *)64; /* never read or written: only sizes are computed */
    size_t bytes = k->conv_pack_bytes(&c), product = k->gemm_pack_bytes(PACK_F32, c.kh * c.kw * c.C, c.O),
           panel = k->gemm_pack_bytes(PACK_F32, c.C, c.O);
    const Gemm g = {.M = c.B * c.H * c.W,
                    .N = c.O,
                    .K = c.C,
                    .a_row = c.C,
                    .a_col = 1,
                    .packed = c.y,
                    .C = c.y,
                    .ldc = c.O,
                    .alpha = 1};
    bool one = c.kh * c.kw == 1;
    int m = 2;
    while (m < 6 && (size_t)((m + 2) * (m + 2)) * panel < bytes) /* Winograd's F(m,3) has (m + 2)^2 products of C x O */
        m++;
    if (c.groups > 1) {
        snprintf(text, VARIANT, "depthwise");
        return "each channel separately; vectors of channels";
    }
    if (bytes > product) {
        snprintf(text, VARIANT, "winograd %d,3", m);
        return "3x3, stride 1: fewer multiplications than direct";
    }
    if (one && k->conv_work(&c, 1) == k->gemm_work(&g, 1)) {
        snprintf(text, VARIANT, "1x1: gemm");
        return "all pixels are the rows of one product";
    }
    snprintf(text, VARIANT, one ? "picked pixels" : "implicit gemm");
    return one                                 ? "stride: only the used pixels are rows of a product"
           : c.kh * c.kw == 9 && c.stride == 1 ? "too few or odd channels for Winograd; a product"
                                               : "a product whose A is read from a padded image";
}
