/* extractors/media/image_png.c: PNG by libpng, to the pixels that Pillow's convert("RGB") gives: alpha and tRNS are
 * dropped without blending, no gamma, 16-bit colour keeps its high byte, 16-bit grey is clipped at 255, grey of 1, 2, 4
 * bits is stretched. */
#include "extractors/media/decode.h"

#ifdef HAVE_PNG
#include <png.h>

/* Bounds. Rows are decoded into the result, 3 bytes a pixel; libpng keeps two rows of at most 8 MB (a side has at most
 * a million pixels). Of the chunks only the header, the palette and the pixels are read: the others could inflate
 * without end. All rows together, as they are in the file, have at most ROWS bytes, as many as 8 bits with alpha of the
 * most pixels that are read: the time follows from them. */
static const double ROWS = 4.0 * 178956970;

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

/* One row as libpng leaves it at the beginning of its place to RGB, from its end: what is written has been read. wide:
 * big-endian 16-bit grey. */
static void row_to_rgb(unsigned char *row, int64_t n, int type, bool wide, const unsigned char palette[256][3])
{
    for (int64_t x = n - 1; x >= 0 && type == PNG_COLOR_TYPE_PALETTE; x--)
        memcpy(row + 3 * x, palette[row[x]], 3);
    for (int64_t x = n - 1; x >= 0 && type == PNG_COLOR_TYPE_GRAY; x--)
        memset(row + 3 * x, wide ? (row[2 * x] ? 255 : row[2 * x + 1]) : row[x], 3);
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
    png_set_user_limits(png, INT32_MAX, INT32_MAX); /* image_room has its own limits and messages */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);
    int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    double rows = (double)png_get_rowbytes(png, info) * png_get_image_height(png, info);
    if (depth == 16 && rows > ROWS) {
        png_destroy_read_struct(&png, &info, NULL);
        return fail(e, SP_FORMAT, "%s: %.0f bytes of 16-bit samples are more than the limit of %.0f", name, rows, ROWS);
    }
    if (!image_room(im, png_get_image_width(png, info), png_get_image_height(png, info), name, max_pixels, a, e)) {
        png_destroy_read_struct(&png, &info, NULL); /* now: png_read_update_info makes room for a row of any width */
        return false;
    }
    unsigned char palette[256][3] = {{0}}; /* entries missing from the file are black */
    png_colorp colours;
    int n;
    if (type == PNG_COLOR_TYPE_PALETTE && png_get_PLTE(png, info, &colours, &n))
        for (int i = 0; i < MIN(n, 256); i++) {
            unsigned char rgb[3] = {colours[i].red, colours[i].green, colours[i].blue};
            memcpy(palette[i], rgb, 3);
        }
    png_set_packing(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (type & PNG_COLOR_MASK_ALPHA)
        png_set_strip_alpha(png);
    if (depth == 16 && type != PNG_COLOR_TYPE_GRAY)
        png_set_strip_16(png);
    /* 16-bit grey with alpha is stripped like colour, as Pillow does */
    bool wide = depth == 16 && type == PNG_COLOR_TYPE_GRAY;
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    int64_t stride = im->width * 3;
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < im->height; y++) { /* rows of interlaced images grow from pass to pass */
            png_read_row(png, im->pixels + y * stride, NULL);
            if (pass == passes - 1)
                row_to_rgb(im->pixels + y * stride, im->width, type & ~PNG_COLOR_MASK_ALPHA, wide,
                           (const unsigned char(*)[3])palette);
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
