#include "net/checks/load.h"

#include <stddef.h>

enum status service_load_check(const struct service_load *load, struct errmsg *err)
{
    const struct {
        const char *name;
        double value;
        double max;
    } fields[] = {{"cpu", load->cpu, 1},
                  {"mem", load->mem, 1},
                  {"qps", load->qps, LOAD_QPS_MAX},
                  {"avg_latency_ms", load->avg_latency_ms, LOAD_LATENCY_MS_MAX}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        bool ok = fields[i].value >= 0 && fields[i].value <= fields[i].max; /* no NaN either */
        if (!ok) {
            return errmsg_set(err, RC_INVALID, "load.%s: %g, from 0 to %g", fields[i].name,
                              fields[i].value, fields[i].max);
        }
    }
    return RC_OK;
}
