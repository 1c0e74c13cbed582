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

    const char *parts[] = {context, story[0] == '\0' ? "" : ": ", story};
    size_t used = 0;
    for (size_t i = 0; i < 3; i++) { /* what does not fit is cut from the innermost part */
        size_t room = sizeof err->text - 1 - used;
        size_t bytes = strnlen(parts[i], room);
        memcpy(err->text + used, parts[i], bytes);
        used += bytes;
    }
    err->text[used] = '\0';
    return err->rc;
}
