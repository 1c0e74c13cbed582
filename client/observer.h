/* What coordctl asks of an observer (elections.h) besides what libcoord shows. */
#ifndef CLIENT_OBSERVER_H
#define CLIENT_OBSERVER_H

#include "client/elections.h"

/* Why nothing is told at the moment; NULL: nothing is known to be wrong. */
const struct coord_error *observer_trouble(const struct coord_observer *o);

#endif
