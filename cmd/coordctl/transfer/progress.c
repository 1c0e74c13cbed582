#include "cmd/coordctl/transfer/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "client/socket.h"
#include "cmd/coordctl/values.h"

#define PROGRESS_MS 200

struct progress progress_begin(void)
{
    return (struct progress){.shows = isatty(STDERR_FILENO) == 1,
                             .begun_ms = socket_now_ms()};
}

void progress_show(struct progress *p, uint64_t nodes, uint64_t total, uint64_t bytes)
{
    char size[16];
    uint64_t now = socket_now_ms();
    if (!p->shows || now < p->shown_ms + PROGRESS_MS) {
        return;
    }
    uint64_t per_s = nodes * 1000 / (now - p->begun_ms + 1);
    p->shown_ms = now;
    fprintf(stderr, "\r\033[K%" PRIu64, nodes);
    if (total > 0) {
        fprintf(stderr, " of %" PRIu64 " nodes, %u %%", total, (unsigned)(nodes * 100 / total));
    } else {
        fputs(" nodes", stderr);
    }
    fprintf(stderr, ", %s, %" PRIu64 "/s", value_format_size(bytes, size), per_s);
    if (total > nodes && per_s > 0) {
        fprintf(stderr, ", %" PRIu64 " s left", (total - nodes) / per_s);
    }
}

void progress_clear(const struct progress *p)
{
    if (p->shows && p->shown_ms != 0) {
        fputs("\r\033[K", stderr);
    }
}
