/* Codes, texts, and what answers of servers mean in them. */
#ifndef CLIENT_ERROR_H
#define CLIENT_ERROR_H

#include "client/client.h"
#include "net/grpc/frame.h"

/* Fills `error` (may be NULL) with a code and a text of our own; returns the code. */
enum coord_code client_fail(struct coord_error *error, enum coord_code code, const char *format,
                            ...) __attribute__((format(printf, 3, 4)));

/* `outcome` is the store's word for it, "" if the store did not decide. */
enum coord_code client_code(enum grpc_code code, const char *outcome);

/* Fills `error` (may be NULL) with what a message of a stream says: an outcome by its number on
 * the wire, and a text, "" for that of the code. */
enum coord_code client_fail_outcome(struct coord_error *error, int outcome, const char *text);

#endif
