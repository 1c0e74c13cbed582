#include "cmd/coordctl/text/path.h"

#include <string.h>

static void leave(struct buf *out)
{
    while (out->size > 0 && out->data[--out->size] != '/') {
    }
}

static void follow(struct buf *out, const char *word)
{
    for (const char *at = word; *at != '\0';) {
        size_t size = strcspn(at, "/");
        if (size == 2 && memcmp(at, "..", 2) == 0) {
            leave(out);
        } else if (size > 0 && !(size == 1 && at[0] == '.')) {
            buf_append_str(out, "/");
            buf_append(out, at, size);
        }
        at += size;
        at += strspn(at, "/");
    }
}

void path_resolve(struct buf *out, const char *where, const char *word)
{
    buf_clear(out);
    if (word[0] != '/') {
        follow(out, where);
    }
    follow(out, word);
    if (out->size == 0) {
        buf_append_str(out, "/");
    }
    buf_append(out, "", 1);
    out->size--;
}
