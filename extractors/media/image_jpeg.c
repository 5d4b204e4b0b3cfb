/* extractors/media/image_jpeg.c: decodes JPEG by libjpeg-turbo with its defaults (islow DCT, fancy upsampling, block
 * smoothing), which are Pillow's. Supports baseline and progressive files, in grey, RGB, YCbCr, CMYK and YCCK. */
#include "extractors/media/decode.h"

#ifdef HAVE_JPEG
#include <limits.h>
#include <setjmp.h>

#include <jpeglib.h>
#include <jerror.h>

/* Bounds. A file of one scan is decoded row by row: 3 bytes per pixel for the result, and a few rows.
 *
 * A file of several scans (progressive, or not interleaved) is kept in memory, 2 bytes per coefficient: at most 64 MB +
 * 3 bytes per pixel + 20 bytes per byte of the file. All images with 4:2:0 subsampling are within this limit. Each scan
 * reads all coefficients, even if the scan is short. Therefore a file has at most 100 scans (encoders write about ten),
 * and all scans together read at most WORK blocks of 64 coefficients. */
enum { MAX_SCANS = 100, MEMORY = 64 << 20, MEMORY_A_BYTE = 20 };
static const double WORK = 2e8;

typedef struct Failure {
    struct jpeg_error_mgr manager;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
} Failure;

static void on_error(j_common_ptr jpeg)
{
    Failure *f = (Failure *)jpeg->err;
    f->manager.format_message(jpeg, f->message);
    longjmp(f->jump, 1);
}

/* Damaged but readable data is decoded without a message, as in Pillow. */
static void on_message(j_common_ptr jpeg, int level)
{
    (void)jpeg, (void)level;
}

static boolean at_end(j_decompress_ptr jpeg)
{
    ERREXIT(jpeg, JERR_INPUT_EOF);
    return FALSE;
}

static void skip(j_decompress_ptr jpeg, long bytes)
{
    if (bytes <= 0)
        return;
    if ((size_t)bytes > jpeg->src->bytes_in_buffer)
        at_end(jpeg);
    jpeg->src->next_input_byte += bytes;
    jpeg->src->bytes_in_buffer -= (size_t)bytes;
}

static void nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static void count_scans(j_common_ptr jpeg)
{
    j_decompress_ptr d = (j_decompress_ptr)jpeg;
    double blocks = 0;
    for (int c = 0; c < d->num_components; c++)
        blocks += (double)d->comp_info[c].width_in_blocks * d->comp_info[c].height_in_blocks;
    int most = (int)MIN(MAX(WORK / MAX(blocks, 1), 10), MAX_SCANS);
    if (d->input_scan_number <= most)
        return;
    Failure *f = (Failure *)jpeg->err;
    snprintf(f->message, sizeof f->message, "it has more than %d scans", most);
    longjmp(f->jump, 1);
}

static inline unsigned char over_255(int a, int b) /* a b / 255, rounded like Pillow's MULDIV255 */
{
    int t = a * b + 128;
    return (unsigned char)(((t >> 8) + t) >> 8);
}

/* Converts one row of libjpeg to RGB. Four channels are inverted CMYK, as Adobe writes them; Pillow assumes this for
 * all files. */
static void row_to_rgb(const unsigned char *in, int channels, int64_t n, unsigned char *out)
{
    for (int64_t i = 0; i < n; i++, in += channels, out += 3)
        for (int c = 0; c < 3; c++)
            if (channels == 1) {
                out[c] = in[0];
            } else if (channels == 3) {
                out[c] = in[c];
            } else {
                int light = in[3], x = light - over_255(255 - in[c], light);
                out[c] = (unsigned char)MAX(x, 0);
            }
}

bool decode_jpeg(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    struct jpeg_decompress_struct jpeg;
    Failure failure = {.message = ""};
    struct jpeg_source_mgr source = {.next_input_byte = (const JOCTET *)bytes.p,
                                     .bytes_in_buffer = bytes.n,
                                     .init_source = nothing,
                                     .fill_input_buffer = at_end,
                                     .skip_input_data = skip,
                                     .resync_to_restart = jpeg_resync_to_restart,
                                     .term_source = nothing};
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    jpeg.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = on_error;
    failure.manager.emit_message = on_message;
    if (setjmp(failure.jump)) { /* no local variable that changes after this line is read here, except through `jpeg` */
        jpeg_destroy_decompress(&jpeg);
        if (failure.manager.msg_code == JERR_NO_BACKING_STORE)
            return fail(e, SP_FORMAT,
                        "%s: a progressive JPEG of %zu bytes needs too much memory; save it as baseline JPEG", name,
                        bytes.n);
        return failure.manager.msg_code == JERR_INPUT_EOF
                   ? fail(e, SP_FORMAT, "%s: JPEG is truncated after %zu bytes; fetch the file again", name, bytes.n)
                   : fail(e, SP_FORMAT, "%s: damaged JPEG: %s", name, failure.message);
    }
    jpeg_create_decompress(&jpeg);
    jpeg.src = &source;
    jpeg.progress = &progress;
    jpeg_read_header(&jpeg, TRUE);
    uint64_t most = MEMORY + 3 * (uint64_t)jpeg.image_width * jpeg.image_height + MEMORY_A_BYTE * (uint64_t)bytes.n;
    jpeg.mem->max_memory_to_use = (long)MIN(most, (uint64_t)LONG_MAX);
    int channels = jpeg.num_components;
    jpeg.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    bool ok = channels == 1 || channels == 3 || channels == 4 ||
              fail(e, SP_FORMAT, "%s: a JPEG of %d channels is not supported (1, 3 and 4 are)", name, channels);
    ok = ok && image_room(im, jpeg.image_width, jpeg.image_height, name, max_pixels, a, e);
    unsigned char *row = ok ? NEW(a, unsigned char, im->width *channels, e) : NULL;
    if (row) {
        jpeg_start_decompress(&jpeg);
        while (jpeg.output_scanline < jpeg.output_height) {
            unsigned char *at = im->pixels + (size_t)jpeg.output_scanline * (size_t)im->width * 3;
            JSAMPROW to = channels == 3 ? at : row;
            jpeg_read_scanlines(&jpeg, &to, 1);
            if (channels != 3)
                row_to_rgb(row, channels, im->width, at);
        }
    }
    jpeg_destroy_decompress(&jpeg);
    return row != NULL;
}

#else

bool decode_jpeg(Image *im, Text bytes, const char *name, int64_t max_pixels, Arena *a, Error *e)
{
    return decode_stb(im, bytes, name, max_pixels, a, e);
}

#endif
