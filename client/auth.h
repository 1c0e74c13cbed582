/* What the client shows with its calls: a token that it was given, or one that it gets for its name
 * and password, and again before that expires or when it is void; and digests for access control
 * lists. */
#ifndef CLIENT_AUTH_H
#define CLIENT_AUTH_H

#include "client/client.h"
#include "client/gate.h"

/* Takes over what the options say. */
enum coord_code auth_take(struct coord_client *client, const struct coord_options *options,
                          struct coord_error *error);
void auth_drop(struct coord_client *client);

/* Puts what a call shows into its request, which borrows it; `is_login`: the call that gets a
 * token, and shows none. */
struct exchange_request;
void auth_show(const struct coord_client *client, bool is_login,
               struct exchange_request *request);

/* client->authorization is good, as far as one can know, or NULL: none is needed. */
bool auth_is_ready(const struct coord_client *client);
/* Gets a token, with all that wait for one. COORD_OK: the waiter is resumed later. */
enum coord_code auth_wait(struct coord_client *client, struct gate_waiter *waiter,
                          struct coord_error *error);
/* After a call that was refused as UNAUTHENTICATED, and so did nothing, though it showed what login
 * number `login` came to. True: it is worth another try, with another token. */
bool auth_renew(struct coord_client *client, uint64_t login);

#endif
