/* What pickers know of subscriptions besides client/discovery.h. */
#ifndef CLIENT_SUBSCRIPTION_H
#define CLIENT_SUBSCRIPTION_H

#include "client/discovery.h"

/* Grows with every change of an instance. */
uint64_t subscription_changes(const struct coord_subscription *s);
/* Grows with every report. */
uint64_t subscription_reports(const struct coord_subscription *s);
/* When the vitals of the instance at a place were heard, by socket_now_ms. */
uint64_t subscription_heard_ms(const struct coord_subscription *s, size_t at);
/* NULL: there is none with this id. */
const struct coord_instance *subscription_find(const struct coord_subscription *s,
                                               const char *id);

#endif
