/* examples/image_batch.c: Lists the outputs of a model, then encodes images in one call. Each image has its own status.
 * Ctrl-C ends the call between two batches.
 *
 *     cc image_batch.c -o image_batch $(pkg-config --cflags --libs sapor)
 *     ./image_batch resnet50.pth layer4 1.jpg 2.png
 *
 * Prints one line per output. Then it prints, for each image, its path and the number of floats of that output, or the
 * error. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <sapor.h>

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

static bool go_on(void *user, size_t done, size_t n)
{
    fprintf(user, "%zu of %zu images\n", done, n);
    return !stopped;
}

static void list_outputs(const sp_encoder *m)
{
    static const char *const ROWS[] = {"vector", "tokens", "map"};
    sp_error e;
    sp_output o = {.size = sizeof o};
    for (size_t i = 0; sp_encoder_output(m, i, &o, &e); i++)
        printf("%-20s %s of %zu%s\n", o.name, ROWS[o.rows], o.width, o.usual ? ", usual" : "");
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL OUTPUT IMAGE ...\n", argv[0]);
        return 2;
    }
    size_t n = (size_t)argc - 3, floats = 0;
    sp_error e = {0};
    sp_encoder_options options = {.size = sizeof options, .modalities = SP_IMAGES};
    sp_output_options output = {.name = argv[2]};
    sp_call_options call = {
        .size = sizeof call, .outputs = &output, .output_count = 1, .progress = go_on, .user = stderr};
    sp_session *session = sp_session_open(0, NULL, &e);
    sp_encoder *model = session ? sp_encoder_open_with(argv[1], &options, NULL, &e) : NULL;
    if (model)
        list_outputs(model);
    bool ok = model && sp_row_sizes(model, SP_IMAGES, &call, &floats, &e);
    float *rows = ok ? malloc(n * floats * sizeof *rows) : NULL;
    sp_image *images = calloc(n, sizeof *images);
    sp_error *status = calloc(n, sizeof *status);
    for (size_t i = 0; images && i < n; i++)
        images[i].path = argv[3 + i];
    signal(SIGINT, stop);
    ok = rows && images && status && sp_encode_image_batch(model, session, images, n, &call, &rows, status, &e);
    for (size_t i = 0; ok && i < n; i++)
        if (status[i].code)
            printf("%s: %s: %s\n", argv[3 + i], sp_status_name(status[i].code), status[i].message);
        else
            printf("%s: %zu floats, the first is %g\n", argv[3 + i], floats, rows[i * floats]);
    if (!ok)
        fprintf(stderr, "%s: %s\n", argv[0], e.code ? e.message : "out of memory");
    free(status);
    free(images);
    free(rows);
    sp_encoder_close(model);
    sp_session_close(session);
    return ok ? 0 : 1;
}
