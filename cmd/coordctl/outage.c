#include "cmd/coordctl/outage.h"

#include <stdio.h>

#include "client/socket.h"

#define PATIENCE_MS 2000 /* without a connection, until it is told */

static void say(const struct ctl *ctl, const char *what, const char *more)
{
    fprintf(stderr, "coordctl: %s %s: %s%s\n", ctl->command->name,
            ctl->subject != NULL ? ctl->subject : ctl->words[0], what, more);
}

void outage_note(struct outage *o, const struct ctl *ctl, const struct coord_error *error)
{
    uint64_t now = socket_now_ms();
    if (error == NULL) {
        if (o->was_told) {
            say(ctl, "connected again", "");
        }
        *o = (struct outage){.since_ms = 0};
        return;
    }
    o->since_ms = o->since_ms != 0 ? o->since_ms : now;
    if (!o->was_told && now - o->since_ms >= PATIENCE_MS) {
        say(ctl, error->message, "; trying on");
        o->was_told = true;
    }
}
