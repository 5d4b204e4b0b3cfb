/* base/error.c: errors of one line: what is wrong, where, what to do. */
#include "base/base.h"

#include <stdlib.h>

/* Makes the message one line of whole code points. A code point that was cut at the end of the buffer is removed.
 * Control characters and invalid bytes become '?'. */
static void tidy(char *message)
{
    size_t n = strlen(message), at = 0;
    while (at < n) {
        uint32_t code;
        size_t length = utf8_decode(message + at, n - at, &code);
        if (length == 0 && n == sizeof(((Error *)0)->message) - 1 && n - at < 4) {
            message[at] = '\0'; /* vsnprintf cut the last character */
            return;
        }
        if (length == 0 || code < 0x20 || code == 0x7f) {
            message[at] = '?';
            length = 1;
        }
        at += length;
    }
}

bool(fail)(Error *e, sp_status code, const char *format, ...)
{
    if (e->code != SP_OK)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    e->code = code;
    tidy(e->message);
    return false;
}

bool(fail_memory)(Error *e, size_t bytes, const char *what)
{
    return fail(e, SP_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
}

bool(fail_system)(Error *e, const char *path, const char *doing, int number)
{
    char text[128];
#ifdef __GLIBC__
    const char *reason = strerror_r(number, text, sizeof text);
#else /* strerror_r of POSIX returns 0 */
    const char *reason = strerror_r(number, text, sizeof text) == 0 ? text : "unknown error";
#endif
    return fail(e, SP_IO, "%s: cannot %s: %s", path, doing, reason);
}

void error_prefix(Error *e, const char *format, ...)
{
    if (e->code == SP_OK)
        return;
    char whole[sizeof e->message];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(whole, sizeof whole, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : MIN((size_t)n, sizeof whole - 1);
    size_t rest = MIN(strlen(e->message), sizeof whole - 1 - used);
    memcpy(whole + used, e->message, rest);
    whole[used + rest] = '\0';
    memcpy(e->message, whole, used + rest + 1);
    tidy(e->message);
}

void error_clear(Error *e)
{
    e->code = SP_OK;
    e->message[0] = '\0';
}
