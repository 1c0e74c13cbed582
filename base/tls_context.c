#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/tls_internal.h"

/* Of TLS 1.2; those of TLS 1.3 are all of this kind. */
#define TLS_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

void tls_error_take(char *text, size_t bytes)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    if (ERR_SYSTEM_ERROR(code)) {
        (void)snprintf(text, bytes, "%s", strerror((int)ERR_GET_REASON(code)));
    } else {
        (void)snprintf(text, bytes, "%s", reason != NULL ? reason : "unknown error");
    }
    ERR_clear_error();
}

/* ---- files ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t stamp, uint64_t value)
{
    stamp = (stamp ^ value) * 0x9e3779b97f4a7c15u;
    return stamp ^ (stamp >> 32);
}

/* A number that changes when the file does. */
static uint64_t file_stamp(uint64_t stamp, const char *path)
{
    struct stat st;
    if (path[0] == '\0' || stat(path, &st) != 0) {
        return mix(stamp, 1);
    }
    stamp = mix(stamp, (uint64_t)st.st_ino);
    stamp = mix(stamp, (uint64_t)st.st_size);
    stamp = mix(stamp, (uint64_t)st.st_mtim.tv_sec);
    return mix(stamp, (uint64_t)st.st_mtim.tv_nsec);
}

static uint64_t files_stamp(const struct tls_context *c)
{
    return file_stamp(file_stamp(file_stamp(0, c->certificate_file), c->key_file), c->ca_file);
}

static enum status file_error(struct errmsg *err, const char *what, const char *path)
{
    char reason[TLS_ERROR_BYTES_MAX];
    tls_error_take(reason, sizeof reason);
    return errmsg_set(err, RC_INVALID, "%s %.120s: %.90s", what, path, reason);
}

/* A daemon has nobody to ask for a password. */
static int no_password(char *to, int bytes, int writes, void *context)
{
    (void)to;
    (void)bytes;
    (void)writes;
    (void)context;
    return -1;
}

static enum status load_own(const struct tls_context *c, SSL_CTX *ssl, struct errmsg *err)
{
    if (c->certificate_file[0] == '\0') {
        return RC_OK;
    }
    SSL_CTX_set_default_passwd_cb(ssl, no_password);
    if (SSL_CTX_use_certificate_chain_file(ssl, c->certificate_file) != 1) {
        return file_error(err, "certificate", c->certificate_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, c->key_file, SSL_FILETYPE_PEM) != 1) {
        return file_error(err, "key", c->key_file);
    }
    if (SSL_CTX_check_private_key(ssl) != 1) {
        ERR_clear_error();
        return errmsg_set(err, RC_INVALID, "key %.120s: it is not that of the certificate",
                          c->key_file);
    }
    return RC_OK;
}

static enum status load_trusted(const struct tls_context *c, SSL_CTX *ssl, struct errmsg *err)
{
    if (c->ca_file[0] == '\0') {
        if (c->trusts_system && SSL_CTX_set_default_verify_paths(ssl) != 1) {
            return file_error(err, "CAs of this machine", X509_get_default_cert_file());
        }
        return RC_OK;
    }
    if (SSL_CTX_load_verify_file(ssl, c->ca_file) != 1) {
        return file_error(err, "CA", c->ca_file);
    }
    /* Told to clients, so that they can choose among their certificates. */
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(c->ca_file);
    if (names == NULL) {
        return file_error(err, "CA", c->ca_file);
    }
    SSL_CTX_set_client_CA_list(ssl, names);
    return RC_OK;
}

/* ---- settings ---------------------------------------------------------------------------- */

/* Our order counts, not the client's. Without a protocol in common there is none, and the first
 * bytes tell. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                           const unsigned char *offered, unsigned int offered_bytes,
                           void *context)
{
    const struct tls_context *c = context;
    (void)ssl;
    for (unsigned int i = 0; i < c->protocols_bytes; i += 1 + c->protocols[i]) {
        for (unsigned int j = 0; j < offered_bytes; j += 1u + offered[j]) {
            unsigned int size = offered[j];
            if (size == c->protocols[i] && j + 1 + size <= offered_bytes &&
                memcmp(offered + j + 1, c->protocols + i + 1, size) == 0) {
                *out = offered + j + 1;
                *out_bytes = (unsigned char)size;
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static bool set_rules(struct tls_context *c, SSL_CTX *ssl)
{
    static const unsigned char session_context[] = "coord";
    int mode = SSL_VERIFY_NONE;
    if (c->verify != TLS_VERIFY_NONE) {
        mode = SSL_VERIFY_PEER;
    }
    if (c->verify == TLS_VERIFY_REQUIRED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ssl, mode, tls_session_verify);
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                       SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* What we show is what the file holds, and not what else our CAs could add to it. */
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ssl, TLS_CHAIN_BYTES_MAX);
    if (c->protocols_bytes > 0) {
        SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, c);
        if (SSL_CTX_set_alpn_protos(ssl, c->protocols, c->protocols_bytes) != 0) {
            return false;
        }
    }
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, TLS_CIPHERS) == 1 &&
           SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_session_id_context(ssl, session_context, sizeof session_context) == 1;
}

/* When the first of the chain expires: that ends its use as a whole. */
static int64_t chain_expiry(SSL_CTX *ssl)
{
    X509 *own = SSL_CTX_get0_certificate(ssl);
    STACK_OF(X509) *chain = NULL;
    (void)SSL_CTX_get0_chain_certs(ssl, &chain);
    int64_t first = INT64_MAX;
    int count = chain != NULL ? sk_X509_num(chain) : 0;
    for (int i = -1; i < count; i++) {
        const X509 *certificate = i < 0 ? own : sk_X509_value(chain, i);
        int days = 0;
        int seconds = 0;
        ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
        if (epoch == NULL ||
            ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(certificate)) != 1) {
            days = 0; /* a date that cannot be read is none to rely on */
            seconds = 0;
        }
        ASN1_TIME_free(epoch);
        int64_t at = (int64_t)days * 86400 + seconds;
        first = at < first ? at : first;
    }
    return first;
}

enum status tls_context_reload(struct tls_context *c, struct errmsg *err)
{
    char subject[TLS_SUBJECT_BYTES_MAX] = "";
    ERR_clear_error();
    c->stamp = files_stamp(c); /* before reading: a change meanwhile is a change */
    SSL_CTX *ssl = SSL_CTX_new(TLS_method());
    if (ssl == NULL || !set_rules(c, ssl)) {
        char reason[TLS_ERROR_BYTES_MAX];
        tls_error_take(reason, sizeof reason);
        SSL_CTX_free(ssl);
        return errmsg_set(err, RC_NO_MEMORY, "TLS: %s", reason);
    }
    enum status rc = load_own(c, ssl, err);
    if (rc == RC_OK) {
        rc = load_trusted(c, ssl, err);
    }
    X509 *own = SSL_CTX_get0_certificate(ssl);
    if (rc == RC_OK && own != NULL && !tls_subject_print(own, subject, sizeof subject)) {
        rc = errmsg_set(err, RC_INVALID, "certificate %.120s: its subject is longer than %d",
                        c->certificate_file, TLS_SUBJECT_BYTES_MAX - 1);
    }
    if (rc != RC_OK) {
        SSL_CTX_free(ssl);
        return rc;
    }
    SSL_CTX_free(c->ssl);
    c->ssl = ssl;
    c->expiry = own != NULL ? chain_expiry(ssl) : 0;
    memcpy(c->subject, subject, sizeof subject);
    return RC_OK;
}

/* ---- life -------------------------------------------------------------------------------- */

static bool copy_path(char *to, const char *path)
{
    size_t bytes = path != NULL ? strlen(path) : 0;
    if (bytes >= TLS_PATH_BYTES_MAX) {
        return false;
    }
    if (bytes > 0) {
        memcpy(to, path, bytes);
    }
    to[bytes] = '\0';
    return true;
}

/* "h2,http/1.1" to "\2h2\10http/1.1". */
static bool copy_protocols(struct tls_context *c, const char *names)
{
    while (names != NULL && *names != '\0') {
        size_t bytes = strcspn(names, ",");
        if (bytes == 0 || c->protocols_bytes + 1 + bytes > sizeof c->protocols) {
            return false;
        }
        c->protocols[c->protocols_bytes] = (unsigned char)bytes;
        memcpy(c->protocols + c->protocols_bytes + 1, names, bytes);
        c->protocols_bytes += (unsigned int)bytes + 1;
        names += bytes + (names[bytes] == ',');
    }
    return true;
}

static enum status check_options(const struct tls_options *o, struct errmsg *err)
{
    if ((o->certificate_file == NULL) != (o->key_file == NULL)) {
        return errmsg_set(err, RC_INVALID,
                          "a certificate needs its key, and a key its "
                          "certificate");
    }
    if (o->verify != TLS_VERIFY_NONE && o->ca_file == NULL && !o->trusts_system) {
        return errmsg_set(err, RC_INVALID, "certificates cannot be verified without a CA");
    }
    return RC_OK;
}

enum status tls_context_open(const struct tls_options *options, struct tls_context **out,
                             struct errmsg *err)
{
    enum status rc = check_options(options, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct tls_context *c = OPENSSL_zalloc(sizeof *c);
    if (c == NULL || (c->bio = tls_bio_method_new()) == NULL) {
        OPENSSL_free(c);
        return errmsg_set(err, RC_NO_MEMORY, "TLS: out of memory");
    }
    c->verify = options->verify;
    c->trusts_system = options->trusts_system;
    if (!copy_path(c->certificate_file, options->certificate_file) ||
        !copy_path(c->key_file, options->key_file) ||
        !copy_path(c->ca_file, options->ca_file)) {
        rc = errmsg_set(err, RC_INVALID,
                        "the path of a certificate, key or CA is longer than %d",
                        TLS_PATH_BYTES_MAX - 1);
    } else if (!copy_protocols(c, options->protocols)) {
        rc = errmsg_set(err, RC_INVALID, "protocols '%.60s' are not valid", options->protocols);
    } else {
        rc = tls_context_reload(c, err);
    }
    if (rc != RC_OK) {
        tls_context_free(c);
        return rc;
    }
    *out = c;
    return RC_OK;
}

void tls_context_free(struct tls_context *c)
{
    if (c != NULL) {
        SSL_CTX_free(c->ssl);
        BIO_meth_free(c->bio);
        OPENSSL_free(c);
    }
}

bool tls_context_is_outdated(const struct tls_context *c)
{
    return files_stamp(c) != c->stamp;
}

int64_t tls_context_expiry(const struct tls_context *c)
{
    return c->expiry;
}

const char *tls_context_subject(const struct tls_context *c)
{
    return c->subject;
}
