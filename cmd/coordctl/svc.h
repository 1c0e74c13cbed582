/* What the files of `svc` share. */
#ifndef CMD_COORDCTL_SVC_H
#define CMD_COORDCTL_SVC_H

#include "client/discovery.h"
#include "cmd/coordctl/ctl.h"

/* Splits "HOST:PORT" or "[IPV6]:PORT". False: it is neither. */
bool svc_parse_address(const char *text, char host[256], unsigned *port);

const char *svc_health_name(enum coord_health health);
/* Calls `show` for the instances of a service that the options ask for, page by page. An exit code;
 * if that is not EXIT_DONE, the reason has been said. */
typedef void (*svc_show_fn)(void *context, const struct coord_instance *in);
int svc_each(struct ctl *ctl, const char *service, bool all, svc_show_fn show, void *context);

#endif
