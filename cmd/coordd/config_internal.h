/* What the files of the configuration share. Users include cmd/coordd/config.h.
 *
 *   config.c        the table, the sources, --help
 *   config_parse.c  from words to values
 *   config_check.c  whether the whole makes sense
 */
#ifndef COORDD_CONFIG_INTERNAL_H
#define COORDD_CONFIG_INTERNAL_H

#include "cmd/coordd/config.h"

/* NULL if it is HOST:PORT, else what is wrong with it. Names are not resolved here. */
const char *config_parse_address(const char *text, char *host, size_t host_bytes,
                                 uint16_t *port);
/* Likewise. `out` has NODE_NAME_BYTES_MAX bytes. */
const char *config_parse_name(const char *text, char *out);
const char *config_parse_switch(const char *text, bool *out);
const char *config_parse_digest(const char *text, char *out, size_t out_bytes);
/* "session" or "linearizable". */
const char *config_parse_reads(const char *text, bool *linearizable);
/* "none", "optional" or "required". */
const char *config_parse_client_auth(const char *text, enum tls_verify *out);
/* "none", "loopback" or "all". */
const char *config_parse_plaintext(const char *text, enum server_plain *out);
/* "off", "denials", "writes" or "all". */
const char *config_parse_audit(const char *text, enum audit_level *out);
/* Plain, or in units of 1024: 64k, 32m, 1g. */
bool config_parse_number(const char *text, uint64_t *out);

/* "1s", "90s", "15m", "1h", "7d": at least a second, in milliseconds. */
const char *config_parse_time(const char *text, uint64_t *out_ms);

/* Fills in the addresses that follow from others. RC_INVALID with one line. */
enum status config_check(struct config *c, struct errmsg *err) MUST_USE;

#endif
