/* tools/statistics.c: features that need no weights: the colours of an image, the words of a text. */
#include <ctype.h>
#include <math.h>

#include "tools/features.h"

enum {
    GRID = 3,   /* cells per side of the image */
    LEVELS = 4, /* of red, green and blue */
    COLOURS = LEVELS * LEVELS * LEVELS,
    CELL = 6, /* features of a cell: mean and deviation of three channels */
    COLOUR_FEATURES = COLOURS + GRID * GRID * CELL,
    WORD_FEATURES = 256
};

static void unit_length(float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    for (int64_t i = 0; i < n && sum > 0; i++)
        x[i] = (float)(x[i] / sqrt(sum));
}

/* Writes two parts: the shares of 4 x 4 x 4 colours; and the mean and deviation of red, green and blue in each cell of
 * a 3 x 3 grid. The mean has 0.5 subtracted. Each part, and then the whole vector, is scaled to length 1. Images larger
 * than 64 x 64 are first resized to 64 x 64. */
static bool colour_statistics(const Image *im, float *out, Arena *scratch, Error *e)
{
    Image small = *im;
    double sum[GRID * GRID][3] = {{0}}, squares[GRID * GRID][3] = {{0}}, count[GRID * GRID] = {0};
    if ((im->width > 64 || im->height > 64) &&
        !image_resize(&small, im, 64, 64, (Resampling){.filter = FILTER_BILINEAR}, scratch, e))
        return false;
    memset(out, 0, COLOUR_FEATURES * sizeof *out);
    for (int64_t y = 0; y < small.height; y++)
        for (int64_t x = 0; x < small.width; x++) {
            const unsigned char *p = small.pixels + 3 * (y * small.width + x);
            int64_t cell = y * GRID / small.height * GRID + x * GRID / small.width;
            out[(p[0] / 64 * LEVELS + p[1] / 64) * LEVELS + p[2] / 64] += 1;
            count[cell]++;
            for (int k = 0; k < 3; k++) {
                sum[cell][k] += p[k] / 255.0;
                squares[cell][k] += p[k] / 255.0 * (p[k] / 255.0);
            }
        }
    for (int64_t cell = 0; cell < GRID * GRID; cell++)
        for (int k = 0; k < 3 && count[cell] > 0; k++) {
            double mean = sum[cell][k] / count[cell], variance = squares[cell][k] / count[cell] - mean * mean;
            out[COLOURS + cell * CELL + k] = (float)(mean - 0.5);
            out[COLOURS + cell * CELL + 3 + k] = (float)sqrt(MAX(variance, 0));
        }
    unit_length(out, COLOURS);
    unit_length(out + COLOURS, GRID * GRID * CELL);
    unit_length(out, COLOUR_FEATURES);
    return true;
}

/* Counts words and pairs of adjacent words; a pair counts 1/2. Only the first 64 bytes of a word are used. A word is a
 * run of letters, digits and bytes above ASCII, in lower case. Each word is hashed to one of 256 sums with a sign
 * (Weinberger et al. 2009). A sum x becomes sign(x) log(1 + |x|), and the vector is scaled to length 1. */
static void word_statistics(Text text, float *out)
{
    uint64_t before = 0;
    memset(out, 0, WORD_FEATURES * sizeof *out);
    for (size_t i = 0; i < text.n;) {
        char word[64];
        size_t n = 0;
        for (; i < text.n && ((unsigned char)text.p[i] >= 0x80 || isalnum((unsigned char)text.p[i])); i++)
            if (n < sizeof word)
                word[n++] = (char)((unsigned char)text.p[i] < 0x80 ? tolower((unsigned char)text.p[i]) : text.p[i]);
        if (n == 0) {
            i++;
            continue;
        }
        uint64_t h = 14695981039346656037u; /* FNV-1a gives the same hash in every build */
        for (size_t k = 0; k < n; k++)
            h = (h ^ (unsigned char)word[k]) * 1099511628211u;
        h ^= h >> 29;
        uint64_t pair = (before * 31 + h) * 0x9E3779B97F4A7C15u;
        out[h % WORD_FEATURES] += h >> 60 & 1 ? -1.0f : 1.0f;
        if (before)
            out[(pair >> 32) % WORD_FEATURES] += pair >> 60 & 1 ? -0.5f : 0.5f;
        before = h;
    }
    for (int64_t k = 0; k < WORD_FEATURES; k++)
        out[k] = copysignf((float)log(1.0 + fabs((double)out[k])), out[k]);
    unit_length(out, WORD_FEATURES);
}

static const Statistics STATISTICS[] = {
    {"colour-statistics", "built in, no weights: shares of 64 colours, mean and deviation of a 3 x 3 grid",
     MODALITY_IMAGE, COLOUR_FEATURES, colour_statistics, NULL},
    {"word-statistics", "built in, no weights: words and pairs of words hashed to 256 counts", MODALITY_TEXT,
     WORD_FEATURES, NULL, word_statistics},
};

size_t statistics_count(void)
{
    return COUNT(STATISTICS);
}

const Statistics *statistics_at(size_t i)
{
    return &STATISTICS[i];
}

const Statistics *statistics_find(const char *name)
{
    for (size_t i = 0; i < COUNT(STATISTICS); i++)
        if (strcmp(STATISTICS[i].name, name) == 0)
            return &STATISTICS[i];
    return NULL;
}
