/* What an instance says of how much it has to do, and what else is known of it besides the log. */
#ifndef NET_CHECKS_LOAD_H
#define NET_CHECKS_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define LOAD_QPS_MAX        1e12
#define LOAD_LATENCY_MS_MAX 3.6e6 /* an hour */

struct service_load {
    double cpu; /* of what it has: 0 to 1 */
    double mem;
    double qps;            /* pieces of work in a second */
    double avg_latency_ms; /* of one */
    uint64_t queue_length; /* pieces that wait or are under way */
};

/* RC_INVALID names the field and its limits. */
enum status service_load_check(const struct service_load *load, struct errmsg *err);

/* What is handed out. Ages are as of now, by this member's clock. */
struct vital_view {
    bool has_load;
    struct service_load load;
    uint64_t load_age_ms;
    uint64_t silence_ms; /* since the last sign of life: a heartbeat, or a check that passed */
    double phi;
};

#endif
