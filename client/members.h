/* Where the cluster is: the endpoints that were given, and those that its members name, asked for
 * now and then. So a client outlives a cluster that was moved, member by member, elsewhere. */
#ifndef CLIENT_MEMBERS_H
#define CLIENT_MEMBERS_H

#include "client/client.h"

/* After coord_open's endpoints are known. */
void members_init(struct coord_client *client);
/* Something has answered: from now on it is worth asking. */
void members_reached(struct coord_client *client);
/* An endpoint has failed: others may have come. */
void members_doubted(struct coord_client *client);

#endif
