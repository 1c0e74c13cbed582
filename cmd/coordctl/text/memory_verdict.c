#include "cmd/coordctl/text/memory_verdict.h"

#include <math.h>
#include <stdio.h>

#define MIB (1024.0 * 1024)
/* Of what it may use. A follower that is sent a snapshot reads a whole new state beside its own. */
#define RESIDENT_SHORT 0.6
#define RESIDENT_GONE  0.9
/* Of the machine, for all that runs there. */
#define AVAILABLE_SHORT 0.1
/* All members hold the same data; connections, watches and requests differ. */
#define SIBLINGS_FACTOR 2
#define SIBLINGS_BYTES  (256 * MIB)

/* The member that uses the least, besides `i`; `count` if there is none that says it. */
static size_t least_other(const struct memory_use *all, size_t count, size_t i)
{
    size_t least = count;
    for (size_t k = 0; k < count; k++) {
        if (k != i && all[k].resident > 0 &&
            (least == count || all[k].resident < all[least].resident)) {
            least = k;
        }
    }
    return least;
}

enum memory_verdict memory_judge(const struct memory_use *all, size_t count, size_t i, char *why,
                                 size_t why_bytes)
{
    const struct memory_use *m = &all[i];
    if (m->limit > 0 && m->resident > m->limit * RESIDENT_SHORT) {
        bool is_gone = m->resident > m->limit * RESIDENT_GONE;
        (void)snprintf(why, why_bytes, "%s uses %.0f of %.0f MiB that it may have%s", m->name,
                       m->resident / MIB, m->limit / MIB,
                       is_gone ? ": it will be killed soon"
                               : ": a snapshot from the leader may not fit beside it");
        return is_gone ? MEMORY_GONE : MEMORY_SHORT;
    }
    if (m->machine > 0 && m->available < m->machine * AVAILABLE_SHORT) {
        (void)snprintf(why, why_bytes,
                       "%.0f of %.0f MiB are left on the machine of %s, which uses %.0f itself",
                       m->available / MIB, m->machine / MIB, m->name, m->resident / MIB);
        return MEMORY_SHORT;
    }
    size_t other = least_other(all, count, i);
    if (other < count && m->resident > all[other].resident * SIBLINGS_FACTOR &&
        m->resident > all[other].resident + SIBLINGS_BYTES) {
        (void)snprintf(why, why_bytes,
                       "%s uses %.0f MiB, %s %.0f with the same data: compare their connections "
                       "and watches in coordctl top",
                       m->name, m->resident / MIB, all[other].name, all[other].resident / MIB);
        return MEMORY_SHORT;
    }
    return MEMORY_FINE;
}
