/* Changes as watch and history show them. */
#ifndef CMD_COORDCTL_EVENT_H
#define CMD_COORDCTL_EVENT_H

#include "base/buf.h"
#include "cmd/coordctl/ctl.h"

const char *event_type_name(enum coord_event_type type); /* "created", "set", ... */
const char *event_reason_name(enum coord_reason reason); /* "requested", "expired", ... */

json_t *event_json(const struct ctl *ctl, const struct coord_event *e);

/* A value on a line: as it is if it is short and without control characters; other text quoted, and
 * cut if it is long; of what is no text the size. */
void event_append_value(struct buf *out, const void *data, size_t bytes);
bool event_is_text(const void *data, size_t bytes); /* UTF-8 without a zero byte */
/* Why, by which session, and the writer's note, in parentheses; nothing if there is none. */
void event_append_circumstances(struct buf *line, const struct coord_event *e);

#endif
