/* In which order people are shown members. */
#ifndef COORDCTL_MEMBER_H
#define COORDCTL_MEMBER_H

#include <stddef.h>

#include "coord/v1/cluster.pb-c.h"

/* By name: servers tell them by id, which nobody knows by heart. */
void members_sort(Coord__V1__Member **members, size_t count);

#endif
