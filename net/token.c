#include "net/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/hex.h"
#include "base/pack.h"

#define TOKEN_HEAD "coord1."

void token_mac(const uint8_t key[AUTH_KEY_BYTES], struct slice text,
               uint8_t out[TOKEN_MAC_BYTES])
{
    size_t bytes = 0;
    const unsigned char *done =
        EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, AUTH_KEY_BYTES, text.data, text.size,
                  out, TOKEN_MAC_BYTES, &bytes);
    PRE(done != NULL && bytes == TOKEN_MAC_BYTES); /* it fails only without memory */
}

static void put_hex(struct buf *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = buf_extend(out, 2 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        to[2 * i] = (uint8_t)digits[bytes.data[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[bytes.data[i] & 15];
    }
}

/* Returns how many bytes there are; SIZE_MAX: it is none, or more than `max`. */
static size_t take_hex(struct slice text, uint8_t *out, size_t max)
{
    if (text.size % 2 != 0 || text.size / 2 > max) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < text.size / 2; i++) {
        int high = hex_lower(text.data[2 * i]);
        int low = hex_lower(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return SIZE_MAX;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text.size / 2;
}

void token_make(struct buf *out, const struct auth *auth, const struct auth_user *user,
                uint64_t ends_ms)
{
    struct buf payload = {0};
    uint8_t mac[TOKEN_MAC_BYTES];
    size_t begin = out->size;
    pack_u64(&payload, user->generation);
    pack_u64(&payload, ends_ms);
    buf_append_slice(&payload, user->name);
    buf_append_str(out, TOKEN_HEAD);
    put_hex(out, buf_slice(&payload));
    token_mac(auth->key, slice_make(out->data + begin, out->size - begin), mac);
    buf_append(out, ".", 1);
    put_hex(out, slice_make(mac, sizeof mac));
    buf_close(&payload);
}

bool token_open(struct slice text, const uint8_t key[AUTH_KEY_BYTES], struct token *out)
{
    const size_t head = sizeof TOKEN_HEAD - 1;
    const size_t tail = 2 * TOKEN_MAC_BYTES;
    uint8_t payload[16 + AUTH_NAME_BYTES_MAX];
    uint8_t shown[TOKEN_MAC_BYTES];
    uint8_t mac[TOKEN_MAC_BYTES];
    if (text.size > TOKEN_TEXT_MAX || text.size < head + tail + 1 ||
        memcmp(text.data, TOKEN_HEAD, head) != 0 || text.data[text.size - tail - 1] != '.') {
        return false;
    }
    struct slice signed_text = slice_make(text.data, text.size - tail - 1);
    struct slice hex = slice_make(text.data + head, signed_text.size - head);
    size_t bytes = take_hex(hex, payload, sizeof payload);
    if (take_hex(slice_make(text.data + text.size - tail, tail), shown, sizeof shown) !=
            sizeof shown ||
        bytes == SIZE_MAX || bytes <= 16) {
        return false;
    }
    token_mac(key, signed_text, mac);
    if (CRYPTO_memcmp(mac, shown, sizeof mac) != 0) {
        return false;
    }
    struct unpack u = unpack_make(slice_make(payload, bytes));
    out->generation = unpack_u64(&u);
    out->ends_ms = unpack_u64(&u);
    out->name_bytes = u.rest.size;
    memcpy(out->name, u.rest.data, u.rest.size);
    return true;
}

const char *token_problem(const struct token *t, const struct auth *auth, uint64_t cluster_ms)
{
    const struct auth_user *user = auth_find_user(auth, token_name(t));
    if (user == NULL) {
        return "the user of the token does not exist any more";
    }
    if (user->is_disabled) {
        return "the user is disabled";
    }
    if (user->generation != t->generation) {
        return "the token was revoked by a change of the user";
    }
    return cluster_ms >= t->ends_ms ? "the token has expired" : NULL;
}
