/* Names out of certificates. A name is only taken if it is what it seems to be: whole, without zero
 * bytes inside, which others have used to show one name and mean another. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/tls_internal.h"

/* RFC 2253, but with UTF-8 as it is. */
#define SUBJECT_FLAGS ((unsigned long)(XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB))

/* One block: the struct, the texts, the table of names. */
struct peer_block {
    struct tls_peer peer;
    char version[16];
    char cipher[64];
    char protocol[TLS_NAME_BYTES_MAX];
    char subject[TLS_SUBJECT_BYTES_MAX];
    char common_name[TLS_NAME_BYTES_MAX];
    const char *names[TLS_NAMES_MAX];
    char texts[]; /* of the names */
};

static bool is_whole(const char *text, size_t bytes)
{
    return memchr(text, '\0', bytes) == NULL;
}

bool tls_subject_print(const X509 *certificate, char *out, size_t bytes)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool fits = false;
    if (memory != NULL &&
        X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, SUBJECT_FLAGS) >= 0) {
        long size = BIO_get_mem_data(memory, &text);
        fits = size >= 0 && (size_t)size < bytes && is_whole(text, (size_t)size);
        if (fits) {
            memcpy(out, text, (size_t)size);
            out[size] = '\0';
        }
    }
    BIO_free(memory);
    return fits;
}

/* The last one, which is the most specific. "" if there is none, or none that can be shown. */
static void print_common_name(const X509 *certificate, char *out, size_t bytes)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int last = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
        last = at;
    }
    out[0] = '\0';
    if (last < 0) {
        return;
    }
    unsigned char *text = NULL;
    int size = ASN1_STRING_to_UTF8(
        &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (size >= 0 && (size_t)size < bytes && is_whole((const char *)text, (size_t)size)) {
        memcpy(out, text, (size_t)size);
        out[size] = '\0';
    }
    OPENSSL_free(text);
}

/* ---- alternative names ------------------------------------------------------------------- */

static bool print_address(const ASN1_OCTET_STRING *address, char *out, size_t bytes)
{
    const unsigned char *b = ASN1_STRING_get0_data(address);
    if (ASN1_STRING_length(address) == 4) {
        (void)snprintf(out, bytes, "IP:%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
        return true;
    }
    if (ASN1_STRING_length(address) != 16) {
        return false;
    }
    size_t used = (size_t)snprintf(out, bytes, "IP:");
    for (int i = 0; i < 16; i += 2) {
        used += (size_t)snprintf(out + used, bytes - used, "%s%x", i > 0 ? ":" : "",
                                 (unsigned)(b[i] << 8 | b[i + 1]));
    }
    return true;
}

/* "DNS:...", "IP:...", "URI:..."; false: of another kind, or none to be shown. */
static bool print_name(const GENERAL_NAME *name, char *out, size_t bytes)
{
    int type;
    const void *value = GENERAL_NAME_get0_value(name, &type);
    if (type == GEN_IPADD) {
        return print_address(value, out, bytes);
    }
    if (type != GEN_DNS && type != GEN_URI) {
        return false;
    }
    const ASN1_IA5STRING *text = value;
    const char *data = (const char *)ASN1_STRING_get0_data(text);
    size_t size = (size_t)ASN1_STRING_length(text);
    const char *kind = type == GEN_DNS ? "DNS:" : "URI:";
    if (strlen(kind) + size >= bytes || !is_whole(data, size)) {
        return false;
    }
    (void)snprintf(out, bytes, "%s%.*s", kind, (int)size, data);
    return true;
}

/* Calls with `texts` NULL only count. Returns the bytes that the names need. */
static size_t print_names(const GENERAL_NAMES *all, struct peer_block *block, char *texts)
{
    size_t bytes = 0;
    size_t count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && count < TLS_NAMES_MAX; i++) {
        char text[TLS_NAME_BYTES_MAX];
        if (!print_name(sk_GENERAL_NAME_value(all, i), text, sizeof text)) {
            continue;
        }
        size_t size = strlen(text) + 1;
        if (texts != NULL) {
            memcpy(texts + bytes, text, size);
            block->names[count] = texts + bytes;
        }
        bytes += size;
        count++;
    }
    if (block != NULL) {
        block->peer.name_count = count;
    }
    return bytes;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* Who was not asked for a certificate that is verified has shown none that counts. */
static X509 *verified_certificate(const SSL *ssl)
{
    if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
        SSL_get_verify_result(ssl) != X509_V_OK) {
        return NULL;
    }
    return SSL_get0_peer_certificate(ssl);
}

static void fill_connection(struct peer_block *b, const SSL *ssl)
{
    const unsigned char *protocol = NULL;
    unsigned int protocol_bytes = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_bytes);
    (void)snprintf(b->version, sizeof b->version, "%s", SSL_get_version(ssl));
    (void)snprintf(b->cipher, sizeof b->cipher, "%s", SSL_get_cipher_name(ssl));
    (void)snprintf(b->protocol, sizeof b->protocol, "%.*s", (int)protocol_bytes,
                   (const char *)protocol);
    b->peer = (struct tls_peer){.version = b->version,
                                .cipher = b->cipher,
                                .protocol = b->protocol,
                                .subject = b->subject,
                                .common_name = b->common_name,
                                .names = b->names};
}

struct tls_peer *tls_peer_new(const SSL *ssl)
{
    X509 *certificate = verified_certificate(ssl);
    GENERAL_NAMES *names = certificate != NULL
                               ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
                               : NULL;
    struct peer_block *b = OPENSSL_zalloc(sizeof *b + print_names(names, NULL, NULL));
    if (b != NULL) {
        fill_connection(b, ssl);
        (void)print_names(names, b, b->texts);
        if (certificate != NULL) {
            print_common_name(certificate, b->common_name, sizeof b->common_name);
            if (!tls_subject_print(certificate, b->subject, sizeof b->subject)) {
                OPENSSL_free(b);
                b = NULL;
            }
        }
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return b != NULL ? &b->peer : NULL;
}

bool tls_peer_is_named(const struct tls_peer *peer, const char *name)
{
    if (name[0] == '\0') {
        return false;
    }
    if (strcmp(peer->common_name, name) == 0) {
        return true;
    }
    for (size_t i = 0; i < peer->name_count; i++) {
        if (strncmp(peer->names[i], "DNS:", 4) == 0 && strcmp(peer->names[i] + 4, name) == 0) {
            return true;
        }
    }
    return false;
}
