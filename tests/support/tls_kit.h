/* Certificates for tests: CAs and what they sign, as PEM files in a directory of their own. */
#ifndef TESTS_SUPPORT_TLS_KIT_H
#define TESTS_SUPPORT_TLS_KIT_H

#include "base/tls.h"

#define TLS_KIT_CAS_MAX   4
#define TLS_KIT_PATHS_MAX 128

struct tls_kit_ca;

struct tls_kit {
    char dir[64];
    char *paths[TLS_KIT_PATHS_MAX]; /* handed out by tls_kit_path */
    size_t path_count;
    struct tls_kit_ca *cas[TLS_KIT_CAS_MAX];
    size_t ca_count;
};

struct tls_kit_certificate {
    const char *file;         /* "n1": written as n1.pem and n1.key */
    const char *ca;           /* file of the CA */
    const char *common_name;  /* may be NULL: an empty subject */
    const char *organization; /* may be NULL */
    const char *names;        /* "DNS:n1,IP:127.0.0.1", may be NULL */
    const char *usage;        /* "serverAuth", "clientAuth"; NULL: any */
    bool is_expired;
    bool has_rsa_key; /* of 2048 bits; else P-256 */
};

void tls_kit_open(struct tls_kit *kit);
void tls_kit_close(struct tls_kit *kit); /* removes the directory */

/* A CA "CN=file", in file.pem. */
void tls_kit_make_ca(struct tls_kit *kit, const char *file);
/* Again with the same name: replaces the files. */
void tls_kit_issue(struct tls_kit *kit, const struct tls_kit_certificate *certificate);
/* The path of a file, valid until the close. */
const char *tls_kit_path(struct tls_kit *kit, const char *file);
void tls_kit_write(struct tls_kit *kit, const char *file, const char *text);

/* A context of the files: certificate `own` (NULL: none) and CA `ca` (NULL: none). Fails the test
 * if they cannot be read. */
struct tls_context *tls_kit_context(struct tls_kit *kit, const char *own, const char *ca,
                                    enum tls_verify verify, const char *protocols);

#endif
