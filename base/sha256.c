#include "base/sha256.h"

#include <openssl/evp.h>

/* The library's own context under our name, so that there is nothing to allocate beside it. */
static EVP_MD_CTX *context_of(struct sha256 *s)
{
    return (EVP_MD_CTX *)(void *)s;
}

struct sha256 *sha256_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (struct sha256 *)(void *)context;
}

void sha256_free(struct sha256 *s)
{
    EVP_MD_CTX_free(context_of(s));
}

bool sha256_add(struct sha256 *s, struct slice bytes)
{
    return EVP_DigestUpdate(context_of(s), bytes.data, bytes.size) == 1;
}

bool sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES])
{
    unsigned size = 0;
    return EVP_DigestFinal_ex(context_of(s), out, &size) == 1 && size == SHA256_BYTES;
}

const char *sha256_text(const uint8_t sum[SHA256_BYTES], char text[SHA256_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SHA256_BYTES; i++) {
        text[2 * i] = digits[sum[i] >> 4];
        text[2 * i + 1] = digits[sum[i] & 15];
    }
    text[2 * SHA256_BYTES] = '\0';
    return text;
}
