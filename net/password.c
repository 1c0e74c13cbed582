#include "net/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/hex.h"

#define SCRYPT_LOG_N 14
#define SCRYPT_R     8
#define SCRYPT_P     1
#define HASH_BYTES   ((size_t)32)
/* What others may have written: 64 MiB at most. */
#define LOG_N_MAX        16
#define R_MAX            8
#define P_MAX            4
#define SCRYPT_BYTES_MAX ((uint64_t)96 << 20)

struct scrypt {
    uint64_t log_n;
    uint64_t r;
    uint64_t p;
    uint8_t salt[PASSWORD_SALT_BYTES];
    uint8_t hash[HASH_BYTES];
};

static bool scrypt_run(const struct scrypt *s, struct slice password, uint8_t out[HASH_BYTES])
{
    const char *text = password.size == 0 ? "" : (const char *)password.data;
    return EVP_PBE_scrypt(text, password.size, s->salt, sizeof s->salt, UINT64_C(1) << s->log_n,
                          s->r, s->p, SCRYPT_BYTES_MAX, out, HASH_BYTES) == 1;
}

static void put_hex(struct buf *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        buf_printf(out, "%02x", bytes[i]);
    }
}

bool password_hash(struct buf *out, struct slice password,
                   const uint8_t salt[PASSWORD_SALT_BYTES])
{
    struct scrypt s = {.log_n = SCRYPT_LOG_N, .r = SCRYPT_R, .p = SCRYPT_P};
    memcpy(s.salt, salt, sizeof s.salt);
    if (!scrypt_run(&s, password, s.hash)) {
        return false;
    }
    buf_printf(out, "scrypt:%d:%d:%d:", SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P);
    put_hex(out, s.salt, sizeof s.salt);
    buf_append(out, ":", 1);
    put_hex(out, s.hash, sizeof s.hash);
    return true;
}

/* The next part of a text whose parts have ':' between them. */
static struct slice take_part(struct slice *text)
{
    const uint8_t *colon = text->size == 0 ? NULL : memchr(text->data, ':', text->size);
    size_t size = colon == NULL ? text->size : (size_t)(colon - text->data);
    struct slice part = slice_make(text->data, size);
    size += colon != NULL;
    *text = slice_make(text->data + size, text->size - size);
    return part;
}

static bool take_number(struct slice part, uint64_t most, uint64_t *out)
{
    return slice_number(part, out) && *out >= 1 && *out <= most;
}

static bool parse(struct slice text, struct scrypt *s)
{
    return slice_is(take_part(&text), "scrypt") &&
           take_number(take_part(&text), LOG_N_MAX, &s->log_n) &&
           take_number(take_part(&text), R_MAX, &s->r) &&
           take_number(take_part(&text), P_MAX, &s->p) &&
           hex_take(take_part(&text), s->salt, sizeof s->salt) &&
           hex_take(take_part(&text), s->hash, sizeof s->hash) && text.size == 0;
}

enum password_match password_matches(struct slice hash, struct slice password)
{
    struct scrypt s;
    uint8_t found[HASH_BYTES];
    if (!parse(hash, &s)) {
        return PASSWORD_WRONG;
    }
    if (!scrypt_run(&s, password, found)) {
        return PASSWORD_UNKNOWN;
    }
    return CRYPTO_memcmp(found, s.hash, sizeof found) == 0 ? PASSWORD_RIGHT : PASSWORD_WRONG;
}

struct slice password_of_nobody(void)
{
    return slice_str("scrypt:14:8:1:00000000000000000000000000000000:"
                     "0000000000000000000000000000000000000000000000000000000000000000");
}

void password_wipe(void *bytes, size_t size)
{
    if (size > 0) {
        OPENSSL_cleanse(bytes, size);
    }
}
