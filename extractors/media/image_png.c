/* extractors/media/image_png.c: decodes PNG by libpng to the pixels that Pillow's convert("RGB") and convert("RGBA")
 * give: gamma is ignored; 16-bit colour and alpha keep their high byte; 16-bit grey is clipped at 255; grey of 1, 2 or
 * 4 bits is scaled to 8 bits. */
#include "extractors/media/decode.h"

#ifdef HAVE_PNG
#include <png.h>

/* Bounds. Rows are decoded into the result: 3 bytes per pixel and 1 of alpha; for interlaced RGBA 4 and 1. libpng keeps
 * two rows of at most 8 MB (a side has at most a million pixels).
 *
 * Only the header, the palette, tRNS and the pixels are read, because other chunks could inflate without limit. All
 * rows of a 16-bit file together have at most MOST_BYTES_16 bytes. An image with the largest number of pixels that is
 * read has this size with 8 bits per channel and alpha. This bounds the time. */
static const double MOST_BYTES_16 = 4.0 * 178956970;

typedef struct Reader {
    Text rest;
    char message[160];
} Reader;

static void on_error(png_structp png, png_const_charp message)
{
    Reader *r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png, (void)message;
}

static void take(png_structp png, png_bytep to, size_t bytes)
{
    Reader *r = png_get_io_ptr(png);
    if (bytes > r->rest.n)
        png_error(png, "the file ends too early; fetch it again");
    memcpy(to, r->rest.p, bytes);
    r->rest.p += bytes;
    r->rest.n -= bytes;
}

typedef struct Layout { /* of the pixels that libpng returns */
    int type, bytes;
    bool wide;                     /* big-endian 16-bit grey */
    unsigned char palette[256][4]; /* with alpha; entries missing from the file are black */
    int transparent[3];            /* the colour that tRNS makes transparent; -1: none */
} Layout;

/* Reads tRNS; false: the file has none. As in Pillow, the 8 bits of a pixel in the result are compared with the low 8
 * bits of tRNS; for 1-bit grey, tRNS counts as 0 or not 0. */
static bool read_transparent(Layout *f, png_structp png, png_infop info)
{
    png_bytep alpha = NULL;
    png_color_16p colour = NULL;
    int n = 0, bit = f->type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) == 1;
    f->transparent[0] = f->transparent[1] = f->transparent[2] = -1;
    if (!png_get_tRNS(png, info, &alpha, &n, &colour))
        return false;
    for (int i = 0; f->type == PNG_COLOR_TYPE_PALETTE && alpha && i < MIN(n, 256); i++)
        f->palette[i][3] = alpha[i];
    if (f->type == PNG_COLOR_TYPE_GRAY)
        f->transparent[0] = f->transparent[1] = f->transparent[2] = bit && colour->gray ? 255 : colour->gray & 255;
    if (f->type == PNG_COLOR_TYPE_RGB)
        memcpy(f->transparent, (int[]){colour->red & 255, colour->green & 255, colour->blue & 255},
               sizeof f->transparent);
    return true;
}

static unsigned char alpha_of(const Layout *f, const unsigned char *p)
{
    if (f->type == PNG_COLOR_TYPE_PALETTE)
        return f->palette[p[0]][3];
    if (f->type & PNG_COLOR_MASK_ALPHA)
        return p[f->bytes - 1];
    for (int c = 0; c < 3; c++)
        if ((f->type & PNG_COLOR_MASK_COLOR ? p[c] : f->wide && p[0] ? 255 : p[f->wide]) != f->transparent[c])
            return 255;
    return 0;
}

/* Converts a row of grey. The caller passes constants as `bytes` and `wide`, so that the loop has no branch. */
static inline void grey_row(const unsigned char *from, int64_t n, unsigned char *to, int bytes, bool wide)
{
    for (int64_t x = n - 1; x >= 0; x--) {
        const unsigned char *p = from + x * bytes, grey = wide && p[0] ? 255 : p[wide];
        to[3 * x] = to[3 * x + 1] = to[3 * x + 2] = grey;
    }
}

/* Converts one row to RGB and alpha (or NULL). `from` and `to` may be the same memory: alpha is read first; then pixels
 * narrower than RGB are converted from the row's end, and wider ones from its beginning. */
static void convert_row(const Layout *f, const unsigned char *from, int64_t n, unsigned char *to, unsigned char *alpha)
{
    for (int64_t x = 0; alpha && x < n; x++)
        alpha[x] = alpha_of(f, from + x * f->bytes);
    if (f->type == PNG_COLOR_TYPE_PALETTE)
        for (int64_t x = n - 1; x >= 0; x--)
            memcpy(to + 3 * x, f->palette[from[x]], 3);
    else if (f->bytes == 1)
        grey_row(from, n, to, 1, false);
    else if (f->bytes == 2 && f->wide)
        grey_row(from, n, to, 2, true);
    else if (f->bytes == 2)
        grey_row(from, n, to, 2, false);
    else
        for (int64_t x = 0; f->bytes == 4 && x < n; x++)
            memmove(to + 3 * x, from + 4 * x, 3);
}

bool decode_png(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    Reader reader = {.rest = bytes};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return fail_memory(e, 0, "libpng");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return fail(e, SP_FORMAT, "%s: damaged PNG: %s", name, reader.message);
    }
    png_set_read_fn(png, &reader, take);
    png_set_user_limits(png, INT32_MAX, INT32_MAX); /* image_size has its own limits and messages */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);
    Layout f = {.type = png_get_color_type(png, info)};
    int type = f.type, depth = png_get_bit_depth(png, info);
    double all_bytes = (double)png_get_rowbytes(png, info) * png_get_image_height(png, info);
    if (depth == 16 && all_bytes > MOST_BYTES_16) {
        png_destroy_read_struct(&png, &info, NULL);
        return fail(e, SP_FORMAT, "%s: %.0f bytes of 16-bit samples are more than the limit of %.0f", name, all_bytes,
                    MOST_BYTES_16);
    }
    if (!image_size(im, png_get_image_width(png, info), png_get_image_height(png, info), name, max_pixels, e)) {
        /* before png_read_update_info, which allocates a row of any width */
        png_destroy_read_struct(&png, &info, NULL);
        return false;
    }
    png_colorp colours;
    int entries;
    for (int i = 0; i < 256; i++)
        f.palette[i][3] = 255;
    if (type == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(png, info, &colours, &entries))
        for (int i = 0; i < MIN(entries, 256); i++) {
            unsigned char rgb[3] = {colours[i].red, colours[i].green, colours[i].blue};
            memcpy(f.palette[i], rgb, 3);
        }
    bool has_alpha = read_transparent(&f, png, info) || (type & PNG_COLOR_MASK_ALPHA);
    png_set_packing(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (depth == 16 && type != PNG_COLOR_TYPE_GRAY)
        png_set_strip_16(png);
    /* 16-bit grey with alpha keeps its high byte like colour, as in Pillow */
    f.wide = depth == 16 && type == PNG_COLOR_TYPE_GRAY;
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    f.bytes = png_get_channels(png, info) * (f.wide ? 2 : 1);
    int64_t w = im->width, n = w * im->height, step = MAX(f.bytes, 3) * w; /* of interlaced images all rows are kept */
    unsigned char *row = f.bytes > 3 && passes == 1 ? NEW(a, unsigned char, step, e) : NULL;
    im->pixels = NEW(a, unsigned char, (f.bytes > 3 && passes > 1 ? 4 : 3) * n, e);
    if (has_alpha)
        im->alpha = NEW(a, unsigned char, n, e);
    if (e->code != SP_OK) {
        png_destroy_read_struct(&png, &info, NULL);
        return false;
    }
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < im->height; y++) { /* the rows of an interlaced image are completed over all passes */
            unsigned char *from = row ? row : im->pixels + y * step;
            png_read_row(png, from, NULL);
            if (pass == passes - 1)
                convert_row(&f, from, w, im->pixels + 3 * y * w, im->alpha ? im->alpha + y * w : NULL);
        }
    png_destroy_read_struct(&png, &info, NULL);
    return true;
}

#else

bool decode_png(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    return decode_stb(im, bytes, name, max_pixels, a, e);
}

#endif
