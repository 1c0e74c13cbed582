/* Instances of services between messages and what users of libcoord see. */
#ifndef CLIENT_INSTANCE_H
#define CLIENT_INSTANCE_H

#include "client/discovery.h"
#include "coord/v1/discovery.pb-c.h"

/* An instance, and the message that its strings are of. */
struct instance_copy {
    struct coord_instance instance;
    Coord__V1__ServiceInstance *message; /* owned */
    struct coord_metadata *metadata;     /* owned */
};

/* Takes the message, by setting `*from` to NULL. False: no memory, and nothing was taken. */
bool instance_copy_take(struct instance_copy *copy, Coord__V1__ServiceInstance **from);
void instance_copy_free(struct instance_copy *copy);

struct filter_copy {
    char *zone;
    char **tags;
    size_t tag_count;
    Coord__V1__ServiceHealth healths[5];
    size_t health_count;
};

/* `m` may be NULL. */
struct coord_vitals vitals_of(const Coord__V1__ServiceVitals *m);

/* False: no memory; free it nevertheless. */
bool filter_copy_make(struct filter_copy *copy,
                      const struct coord_subscription_options *options);
void filter_copy_free(struct filter_copy *copy);
/* Borrows from the copy. */
void filter_fill(const struct filter_copy *copy, Coord__V1__ServiceFilter *filter);

#endif
