/* What the files of `svc` share. */
#ifndef CMD_COORDCTL_SVC_H
#define CMD_COORDCTL_SVC_H

#include "client/discovery.h"
#include "cmd/coordctl/ctl.h"

/* Splits "HOST:PORT" or "[IPV6]:PORT". False: it is neither. */
bool svc_parse_address(const char *text, char host[256], unsigned *port);

json_t *svc_instance_json(const struct coord_instance *in);
/* "ID  ADDRESS:PORT  weight 100  zone a  tags x,y", without a newline. */
void svc_append_instance(struct buf *line, const struct coord_instance *in);

#endif
