/* A line on the terminal that tells how far something long has come. Nothing where there is no
 * terminal. */
#ifndef CMD_COORDCTL_TRANSFER_PROGRESS_H
#define CMD_COORDCTL_TRANSFER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool shows;
    uint64_t begun_ms;
    uint64_t shown_ms;
};

struct progress progress_begin(void);
/* `total` 0: nobody knows. Shown some times a second, however often it is called. */
void progress_show(struct progress *p, uint64_t nodes, uint64_t total, uint64_t bytes);
void progress_clear(const struct progress *p);

#endif
