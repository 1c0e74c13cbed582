#include "base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const char *status_text(enum status rc)
{
    switch (rc) {
#define STATUS_CASE(name, text)                                                                \
    case name:                                                                                 \
        return text;
        STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

enum status errmsg_set(struct errmsg *err, enum status rc, const char *format, ...)
{
    if (err == NULL) {
        return rc;
    }
    /* Formatted beside, since an argument may be the old text itself. */
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err->rc = rc;
    memcpy(err->text, text, sizeof text);
    return rc;
}

enum status errmsg_wrap(struct errmsg *err, const char *format, ...)
{
    if (err == NULL) {
        return RC_IO;
    }
    char story[sizeof err->text];
    memcpy(story, err->text, sizeof story);
    char context[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);

    size_t used = strlen(context);
    memcpy(err->text, context, used + 1);
    if (story[0] != '\0') {
        snprintf(err->text + used, sizeof err->text - used, ": %s", story);
    }
    return err->rc;
}
