/* Which nodes there are already below the place of an import. */
#ifndef CMD_COORDCTL_TRANSFER_EXISTING_H
#define CMD_COORDCTL_TRANSFER_EXISTING_H

#include "base/arena.h"
#include "cmd/coordctl/ctl.h"

/* Zero-initialised is empty. */
struct existing {
    struct arena arena;
    const char **paths; /* sorted */
    size_t count;
    size_t capacity;
};

/* The node itself and all below it; none if it is not there. Returns an exit code. */
int existing_load(struct existing *e, const struct ctl *ctl, const char *path);
bool existing_has(const struct existing *e, const char *path);
void existing_close(struct existing *e);

#endif
