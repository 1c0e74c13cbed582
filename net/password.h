/* Passwords and their hashes: scrypt, with salt and parameters in the text that is kept.
 *
 *   "scrypt:14:8:1:" salt ":" hash        log2 of N, r, p; salt and hash in hexadecimal
 *
 * Each call takes some 50 ms and 16 MiB on purpose: never on the loop (net/login.h). */
#ifndef NET_PASSWORD_H
#define NET_PASSWORD_H

#include "base/buf.h"

#define PASSWORD_BYTES_MAX  ((size_t)256)
#define PASSWORD_SALT_BYTES ((size_t)16)

/* Appends the hash. False: there was no memory for it. [worker] */
bool password_hash(struct buf *out, struct slice password,
                   const uint8_t salt[PASSWORD_SALT_BYTES]);
enum password_match {
    PASSWORD_RIGHT,
    PASSWORD_WRONG,   /* also with a hash that is none */
    PASSWORD_UNKNOWN, /* there was no memory to look */
};

/* In time that does not tell how much of it is right. [worker] */
enum password_match password_matches(struct slice hash, struct slice password);
/* Of nobody's password, as costly to compare with as any: for names that do not exist. */
struct slice password_of_nobody(void);

/* Overwrites what must not stay in memory. */
void password_wipe(void *bytes, size_t size);

#endif
