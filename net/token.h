/* Tokens: what a client shows instead of its password. Any member checks one by itself: it is
 * signed with a key that is replicated (store/auth.h), and names the user's generation, which a
 * change of the password or a disabling moves.
 *
 *   "coord1." payload "." HMAC-SHA256 of what is before, with the key; both in hexadecimal
 *   payload   u64 generation | u64 cluster_ms at which it ends | name */
#ifndef NET_TOKEN_H
#define NET_TOKEN_H

#include "base/buf.h"
#include "store/auth.h"

#define TOKEN_TEXT_MAX ((size_t)512)

struct token {
    uint64_t generation;
    uint64_t ends_ms; /* cluster_ms */
    size_t name_bytes;
    uint8_t name[AUTH_NAME_BYTES_MAX];
};

static inline struct slice token_name(const struct token *t)
{
    return slice_make(t->name, t->name_bytes);
}

/* Appends the token of a user. */
void token_make(struct buf *out, const struct auth *auth, const struct auth_user *user,
                uint64_t ends_ms);
/* Whether the text is one that was made with this key. */
bool token_open(struct slice text, const uint8_t key[AUTH_KEY_BYTES], struct token *out);
/* What is wrong with it now, or NULL: it is its user's. */
const char *token_problem(const struct token *t, const struct auth *auth, uint64_t cluster_ms);

/* HMAC-SHA256. */
#define TOKEN_MAC_BYTES ((size_t)32)
void token_mac(const uint8_t key[AUTH_KEY_BYTES], struct slice text,
               uint8_t out[TOKEN_MAC_BYTES]);

#endif
