/* How much of the loop's time the pages of HTTP/1.1 may take: in each RATION_MS at most
 * RATION_SPENT_US, so that clients that ask for page after page slow down each other and nobody
 * else. A connection whose request comes when that is used up stands in line; those in line are
 * called in order, a few at a time, as soon as there is time again. On the loop. */
#ifndef NET_HTTP_RATION_H
#define NET_HTTP_RATION_H

#include "base/list.h"
#include "net/front.h"

#define RATION_MS         10
#define RATION_SPENT_US   1000
#define RATION_CALLED_MAX 4

/* Of all connections. */
struct ration {
    struct list line; /* of places */
    size_t called;    /* and not back in line, nor done */
    uint64_t began_us;
    uint64_t spent_us;
};

/* Of one connection. */
struct ration_place {
    struct list link;
    const struct front_sink *sink;
    bool is_called;
};

void ration_init(struct ration *r);
void ration_place_init(struct ration_place *p, const struct front_sink *sink);

/* May this connection's request be served now? False: it stands in line, has paused its sink and
 * is resumed when it is called, which is a yes. */
bool ration_admits(struct ration *r, struct ration_place *p, uint64_t now_us);
static inline bool ration_is_in_line(const struct ration_place *p)
{
    return !list_empty(&p->link);
}
void ration_spend(struct ration *r, uint64_t spent_us);
/* It was served, or is gone. */
void ration_done(struct ration *r, struct ration_place *p, uint64_t now_us);

/* The first in line has to look after the line: when. UINT64_MAX: this is not the first. */
uint64_t ration_deadline_ms(const struct ration *r, const struct ration_place *p);
void ration_tick(struct ration *r, uint64_t now_us);

#endif
