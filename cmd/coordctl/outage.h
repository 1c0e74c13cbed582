/* Of what goes on trying for as long as it takes: people are told that nobody answers, once it was
 * so for a while, and that it is over. */
#ifndef CMD_COORDCTL_OUTAGE_H
#define CMD_COORDCTL_OUTAGE_H

#include "cmd/coordctl/ctl.h"

/* Zero-initialised: there is none. */
struct outage {
    uint64_t since_ms; /* monotonic; 0: it is not down */
    bool was_told;
};

/* As it is now: again and again. `error` NULL: all is well. */
void outage_note(struct outage *o, const struct ctl *ctl, const struct coord_error *error);

#endif
