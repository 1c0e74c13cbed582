#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/version.h"

void assert_failed(const char *kind, int number, const char *cond, const char *file, int line)
{
    /* One fprintf, so that the report of one thread is not cut up by another's log lines. */
    if (number != 0) {
        fprintf(stderr, "crash kind=%s number=%d condition=\"%s\" at=%s:%d version=%s\n", kind,
                number, cond, file, line, version_text());
    } else {
        fprintf(stderr, "crash kind=%s condition=\"%s\" at=%s:%d version=%s\n", kind, cond, file,
                line, version_text());
    }
    fflush(stderr);
    abort();
}
