/* tests/faults_images.h: the subjects of faults_subjects.h that read images. */
#ifndef SAPOR_FAULTS_IMAGES_H
#define SAPOR_FAULTS_IMAGES_H

#include "extractors/loading.h"

static bool open_and_prepare(const char *path, Arena *a, uint64_t *digest, Error *e)
{
    static const Preset PRESET = {.fit = FIT_SHORT_SIDE, .resize = 10, .width = 8, .height = 8, .scale = SCALE_UNIT};
    Image im;
    float x[3 * 8 * 8];
    if (!image_open(&im, path, a, e) || !image_prepare(&im, &PRESET, x, a, e))
        return false;
    mix(digest, x, sizeof x);
    return true;
}

READER(jpeg)
{
    return open_and_prepare(GOLDEN "images/progressive.jpg", a, digest, e);
}

READER(png)
{
    return open_and_prepare(GOLDEN "images/interlaced.png", a, digest, e);
}

#ifdef HAVE_WEBP
READER(webp)
{
    return open_and_prepare(GOLDEN "images/alpha.webp", a, digest, e);
}
#endif

/* A preprocessor_config.json with each of three filters (nearest, Lanczos, bicubic), and an image that is resized with
 * it, as Pillow and as torchvision resize. */
READER(image_processor)
{
    static const char CONFIG[] = "{\"size\": 12, \"crop_size\": [9, 14], \"do_center_crop\": true, \"resample\": %d}";
    static const int RESAMPLE[] = {0, 1, 3};
    for (size_t i = 0; i < 2 * COUNT(RESAMPLE); i++) {
        const char *config = arena_printf(a, e, CONFIG, RESAMPLE[i / 2]);
        const sp_file file = {"preprocessor_config.json", config, config ? strlen(config) : 0};
        const Files files = {.folder = "memory", .list = &file, .count = 1};
        static const Preset USUAL = {.width = 8, .height = 8, .mean = {0.5f}, .std = {0.5f, 0.5f, 0.5f}};
        Image im;
        float x[3 * 9 * 14];
        Preset p = {0};
        if (!config || !preset_from_folder(&p, &USUAL, &files, a, e) ||
            !preset_resizer(&p, i % 2 ? RESIZE_TORCHVISION : RESIZE_PILLOW, e) ||
            !image_open(&im, GOLDEN "images/RGB.png", a, e) || !image_prepare(&im, &p, x, a, e))
            return false;
        mix(digest, x, sizeof x);
    }
    return true;
}

#endif
