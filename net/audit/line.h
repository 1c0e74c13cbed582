/* An audit event as a line of JSON: valid whatever the bytes of names and paths are, at most
 * AUDIT_LINE_BYTES_MAX long. Pure, but for the time, which is an argument. */
#ifndef NET_AUDIT_LINE_H
#define NET_AUDIT_LINE_H

#include "net/audit/audit.h"

#define AUDIT_LINE_BYTES_MAX ((size_t)64 << 10)
/* Operations of a branch that a line shows; op_count says how many there were. */
#define AUDIT_OPS_SHOWN_MAX 64

/* Remembers the text of a second, since most lines share it. Zeroed at first. */
struct audit_clock {
    uint64_t second;
    char text[24];
};

/* Appends the line with its end. `node` is the name of this node. */
void audit_line_append(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                       const char *node, const struct audit_event *e);
/* Appends the line that says how many are missing. */
void audit_line_dropped(struct buf *out, struct audit_clock *clock, uint64_t wall_ms,
                        const char *node, uint64_t count);

#endif
