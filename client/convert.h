/* Between the structs of client.h and protobuf's. */
#ifndef CLIENT_CONVERT_H
#define CLIENT_CONVERT_H

#include "client/client.h"
#include "coord/v1/election.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"

/* All zero for NULL; `to` may be NULL. */
void convert_stat(const Coord__V1__Stat *from, struct coord_stat *to);
/* Both point into `from`; who leads has a grant. */
struct coord_event convert_event(const Coord__V1__Event *from);
void convert_leader(const Coord__V1__ElectionLeader *from, struct coord_leader *to);

/* Fills `expect` and points `out` to it, unless any version will do. COORD_INVALID: it is no
 * version. */
enum coord_code convert_version(int64_t version, Coord__V1__Expect *expect,
                                Coord__V1__Expect **out, struct coord_error *error);

/* protobuf-c has no const: what is only read on the way out is passed as if it were not. */
char *convert_text(const char *s);
char *convert_text_or_none(const char *s); /* "" for NULL */
ProtobufCBinaryData convert_bytes(const void *data, size_t bytes);

/* A zero-terminated copy, or NULL. */
char *convert_copy(const void *data, size_t bytes);

#endif
