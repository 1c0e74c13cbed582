#include "tests/support/tls_kit.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#define DAY_SECONDS (24L * 60 * 60)

struct tls_kit_ca {
    char file[64];
    X509 *certificate;
    EVP_PKEY *key;
};

const char *tls_kit_path(struct tls_kit *kit, const char *file)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", kit->dir, file);
    for (size_t i = 0; i < kit->path_count; i++) {
        if (strcmp(kit->paths[i], path) == 0) {
            return kit->paths[i];
        }
    }
    PRE(kit->path_count < TLS_KIT_PATHS_MAX);
    return kit->paths[kit->path_count++] = mem_strdup(path);
}

static FILE *create(struct tls_kit *kit, const char *file, const char *ending)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s%s", file, ending);
    FILE *to = fopen(tls_kit_path(kit, name), "w");
    PRE(to != NULL);
    return to;
}

void tls_kit_write(struct tls_kit *kit, const char *file, const char *text)
{
    FILE *to = create(kit, file, "");
    PRE(fputs(text, to) >= 0 && fclose(to) == 0);
}

void tls_kit_open(struct tls_kit *kit)
{
    *kit = (struct tls_kit){.dir = "/tmp/coord-tls-XXXXXX"};
    PRE(mkdtemp(kit->dir) != NULL);
}

void tls_kit_close(struct tls_kit *kit)
{
    for (size_t i = 0; i < kit->ca_count; i++) {
        X509_free(kit->cas[i]->certificate);
        EVP_PKEY_free(kit->cas[i]->key);
        mem_free(kit->cas[i]);
    }
    for (size_t i = 0; i < kit->path_count; i++) {
        (void)remove(kit->paths[i]);
        mem_free(kit->paths[i]);
    }
    (void)rmdir(kit->dir);
}

/* ---- certificates ------------------------------------------------------------------------ */

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    PRE(extension != NULL);
    PRE(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_name(X509_NAME *to, const char *field, const char *value)
{
    if (value != NULL) {
        PRE(X509_NAME_add_entry_by_txt(to, field, MBSTRING_UTF8, (const unsigned char *)value,
                                       -1, -1, 0) == 1);
    }
}

static X509 *certificate_new(EVP_PKEY *key, const char *common_name, const char *organization,
                             bool is_expired)
{
    static const char *const fields[] = {"CN", "O"};
    X509 *c = X509_new();
    uint64_t serial = 0;
    FILE *random = fopen("/dev/urandom", "rb");
    PRE(c != NULL && random != NULL);
    PRE(fread(&serial, sizeof serial, 1, random) == 1 && fclose(random) == 0);
    PRE(X509_set_version(c, X509_VERSION_3) == 1);
    PRE(ASN1_INTEGER_set_uint64(X509_get_serialNumber(c), serial >> 1) == 1);
    PRE(X509_gmtime_adj(X509_getm_notBefore(c), -2 * DAY_SECONDS) != NULL);
    PRE(X509_gmtime_adj(X509_getm_notAfter(c), is_expired ? -DAY_SECONDS : 90 * DAY_SECONDS) !=
        NULL);
    PRE(X509_set_pubkey(c, key) == 1);
    /* Printed backwards by RFC 2253, so the common name comes last here. */
    add_name(X509_get_subject_name(c), fields[1], organization);
    add_name(X509_get_subject_name(c), fields[0], common_name);
    return c;
}

void tls_kit_make_ca(struct tls_kit *kit, const char *file)
{
    PRE(kit->ca_count < TLS_KIT_CAS_MAX);
    struct tls_kit_ca *ca = mem_zalloc(sizeof *ca);
    kit->cas[kit->ca_count++] = ca;
    (void)snprintf(ca->file, sizeof ca->file, "%s", file);
    ca->key = EVP_EC_gen("P-256");
    PRE(ca->key != NULL);
    ca->certificate = certificate_new(ca->key, file, NULL, false);
    PRE(X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate)) == 1);
    add_extension(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->certificate, ca->certificate, NID_key_usage, "keyCertSign,cRLSign");
    PRE(X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0);
    FILE *to = create(kit, file, ".pem");
    PRE(PEM_write_X509(to, ca->certificate) == 1 && fclose(to) == 0);
}

void tls_kit_issue(struct tls_kit *kit, const struct tls_kit_certificate *wanted)
{
    struct tls_kit_ca *ca = NULL;
    for (size_t i = 0; i < kit->ca_count; i++) {
        if (strcmp(kit->cas[i]->file, wanted->ca) == 0) {
            ca = kit->cas[i];
        }
    }
    PRE(ca != NULL);
    EVP_PKEY *key = wanted->has_rsa_key ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    PRE(key != NULL);
    X509 *c =
        certificate_new(key, wanted->common_name, wanted->organization, wanted->is_expired);
    PRE(X509_set_issuer_name(c, X509_get_subject_name(ca->certificate)) == 1);
    if (wanted->names != NULL) {
        add_extension(c, ca->certificate, NID_subject_alt_name, wanted->names);
    }
    if (wanted->usage != NULL) {
        add_extension(c, ca->certificate, NID_ext_key_usage, wanted->usage);
    }
    PRE(X509_sign(c, ca->key, EVP_sha256()) > 0);
    FILE *to = create(kit, wanted->file, ".pem");
    PRE(PEM_write_X509(to, c) == 1 && fclose(to) == 0);
    to = create(kit, wanted->file, ".key");
    PRE(PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(to) == 0);
    X509_free(c);
    EVP_PKEY_free(key);
}

struct tls_context *tls_kit_context(struct tls_kit *kit, const char *own, const char *ca,
                                    enum tls_verify verify, const char *protocols)
{
    char file[128];
    struct tls_options options = {.verify = verify, .protocols = protocols};
    if (own != NULL) {
        (void)snprintf(file, sizeof file, "%s.pem", own);
        options.certificate_file = tls_kit_path(kit, file);
        (void)snprintf(file, sizeof file, "%s.key", own);
        options.key_file = tls_kit_path(kit, file);
    }
    if (ca != NULL) {
        (void)snprintf(file, sizeof file, "%s.pem", ca);
        options.ca_file = tls_kit_path(kit, file);
    }
    struct tls_context *context = NULL;
    struct errmsg err = {0};
    if (tls_context_open(&options, &context, &err) != RC_OK) {
        fprintf(stderr, "%s\n", err.text);
    }
    PRE(context != NULL);
    return context;
}
