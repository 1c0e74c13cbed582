/* What base/tls_context.c, base/tls_session.c and base/tls_peer.c share. Nobody else includes
 * this. */
#ifndef BASE_TLS_INTERNAL_H
#define BASE_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/tls.h"

struct tls_context {
    SSL_CTX *ssl; /* replaced by a reload; sessions keep the one they began with */
    BIO_METHOD *bio;
    enum tls_verify verify;
    bool trusts_system;
    char certificate_file[TLS_PATH_BYTES_MAX]; /* "" = none, for all three */
    char key_file[TLS_PATH_BYTES_MAX];
    char ca_file[TLS_PATH_BYTES_MAX];
    unsigned char protocols[64]; /* as ALPN has it: length, name, ... */
    unsigned int protocols_bytes;
    uint64_t stamp; /* of the files when they were read last */
    int64_t expiry;
    char subject[TLS_SUBJECT_BYTES_MAX];
};

/* "CN=ann,O=ops" of a certificate. False: it does not fit, or holds a zero byte. */
bool tls_subject_print(const X509 *certificate, char *out, size_t bytes);

/* What is to be known of the other side of an open connection. Free with OPENSSL_free. NULL: no
 * memory, or a subject that is too long. */
struct tls_peer *tls_peer_new(const SSL *ssl);

/* The oldest error that OpenSSL has queued, as text, and an empty queue: "no such file". */
void tls_error_take(char *text, size_t bytes);

/* The methods of the BIO between SSL and a tls_session, in base/tls_session.c. NULL: no memory. */
BIO_METHOD *tls_bio_method_new(void);

/* Notes whose certificate is not accepted, for the error. Changes no verdict. */
int tls_session_verify(int is_right, X509_STORE_CTX *chain);

#endif
