/* How options take their values: those of a plain form by their row in the table, the others by a
 * function of their own. False: the value is not what the option expects. */
#ifndef CMD_COORDCTL_OPTION_VALUES_H
#define CMD_COORDCTL_OPTION_VALUES_H

#include "cmd/coordctl/options.h"

bool option_take_timeout(struct ctl *ctl, const char *value);
bool option_take_consistency(struct ctl *ctl, const char *value);
bool option_take_output(struct ctl *ctl, const char *value);
bool option_take_version(struct ctl *ctl, const char *value);
bool option_take_session(struct ctl *ctl, const char *value);
bool option_take_types(struct ctl *ctl, const char *value);
bool option_take_lease(struct ctl *ctl, const char *value);
bool option_take_bytes(struct ctl *ctl, const char *value);
bool option_take_soft(struct ctl *ctl, const char *value);
bool option_take_requests(struct ctl *ctl, const char *value);
bool option_take_leases(struct ctl *ctl, const char *value);
bool option_take_percents(struct ctl *ctl, const char *value);
bool option_take_strategy(struct ctl *ctl, const char *value);
bool option_take_connections(struct ctl *ctl, const char *value);
bool option_take_watches(struct ctl *ctl, const char *value);
bool option_take_value_bytes(struct ctl *ctl, const char *value);
bool option_take_warm_up(struct ctl *ctl, const char *value);
bool option_take_protocol(struct ctl *ctl, const char *value);
bool option_take_path(struct ctl *ctl, const char *value);
bool option_take_processes(struct ctl *ctl, const char *value);
bool option_take_interval(struct ctl *ctl, const char *value);
bool option_take_conflict(struct ctl *ctl, const char *value);
bool option_take_tag(struct ctl *ctl, const char *value);
bool option_take_meta(struct ctl *ctl, const char *value);
bool option_take_low(struct ctl *ctl, const char *value);
bool option_take_high(struct ctl *ctl, const char *value);
bool option_take_guard(struct ctl *ctl, const char *value);
bool option_take_check(struct ctl *ctl, const char *value);
bool option_take_cpu(struct ctl *ctl, const char *value);
bool option_take_mem(struct ctl *ctl, const char *value);
bool option_take_qps(struct ctl *ctl, const char *value);
bool option_take_latency(struct ctl *ctl, const char *value);
bool option_take_queue(struct ctl *ctl, const char *value);
bool option_take_health(struct ctl *ctl, const char *value);

#endif
