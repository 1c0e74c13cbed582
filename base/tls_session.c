/* One connection. Between OpenSSL and us lies a BIO that owns nothing: it reads out of the slice
 * that tls_session_read was given, and writes into the owner's function. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/tls_internal.h"

/* A few bytes ask for new keys, which take us a thousand times as long as to read them, and OpenSSL
 * sets no limit. Honest peers ask once in gigabytes. */
#define KEY_UPDATES_MAX          32
#define KEY_UPDATE_EACH_RECEIVED ((uint64_t)1 << 20) /* and one more for so many bytes */

struct tls_session {
    SSL *ssl;
    tls_send_fn send;
    void *owner;
    struct slice input; /* while tls_session_read runs */
    struct tls_peer *peer;
    uint64_t received;    /* ciphertext, in bytes */
    uint64_t key_updates; /* that have come */
    bool failed;
    bool ended;        /* we have said good-bye */
    char refused[120]; /* the subject of the certificate that was not accepted */
    char error[TLS_ERROR_BYTES_MAX];
};

/* ---- new keys ---------------------------------------------------------------------------- */

static void notice_message(int is_ours, int version, int type, const void *bytes, size_t size,
                           SSL *ssl, void *owner)
{
    struct tls_session *s = owner;
    const uint8_t *message = bytes;
    (void)version;
    (void)ssl;
    if (is_ours == 0 && type == SSL3_RT_HANDSHAKE && size > 0 &&
        message[0] == SSL3_MT_KEY_UPDATE) {
        s->key_updates++;
    }
}

static bool has_too_many_keys(const struct tls_session *s)
{
    return s->key_updates > KEY_UPDATES_MAX + s->received / KEY_UPDATE_EACH_RECEIVED;
}

/* ---- the BIO ----------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int bytes)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0) {
        return 0;
    }
    if (has_too_many_keys(s)) {
        return -1;
    }
    if (s->input.size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t size = s->input.size < (size_t)bytes ? s->input.size : (size_t)bytes;
    memcpy(to, s->input.data, size);
    s->input = slice_make(s->input.data + size, s->input.size - size);
    s->received += size;
    return (int)size;
}

static int bio_write(BIO *bio, const char *from, int bytes)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0) {
        return 0;
    }
    return s->send(s->owner, slice_make(from, (size_t)bytes)) ? bytes : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "coord");
    if (m != NULL) {
        (void)BIO_meth_set_read(m, bio_read);
        (void)BIO_meth_set_write(m, bio_write);
        (void)BIO_meth_set_ctrl(m, bio_control);
        (void)BIO_meth_set_create(m, bio_create);
    }
    return m;
}

/* ---- what went wrong --------------------------------------------------------------------- */

int tls_session_verify(int is_right, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *s = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
    if (is_right == 0 && s->refused[0] == '\0') {
        if (certificate == NULL ||
            !tls_subject_print(certificate, s->refused, sizeof s->refused)) {
            (void)snprintf(s->refused, sizeof s->refused, "a long name");
        }
    }
    return is_right;
}

static void describe(struct tls_session *s)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    long verified = SSL_get_verify_result(s->ssl);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        verified != X509_V_OK) {
        (void)snprintf(s->error, sizeof s->error, "the certificate of '%s' is not accepted: %s",
                       s->refused, X509_verify_cert_error_string(verified));
    } else if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
        /* An alert that has come: "tlsv13 alert certificate required". */
        const char *text = ERR_reason_error_string(code);
        const char *alert = text != NULL ? strstr(text, " alert ") : NULL;
        (void)snprintf(s->error, sizeof s->error, "the other side refuses: %s",
                       alert != NULL ? alert + strlen(" alert ") : "for an unknown reason");
    } else if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_WRONG_VERSION_NUMBER) {
        (void)snprintf(s->error, sizeof s->error, "what came is not TLS");
    } else if (has_too_many_keys(s)) {
        (void)snprintf(s->error, sizeof s->error,
                       "the other side asks for new keys too often: more than %d times, and once "
                       "for each MiB",
                       KEY_UPDATES_MAX);
    } else {
        tls_error_take(s->error, sizeof s->error);
    }
    ERR_clear_error();
}

static enum tls_result fail(struct tls_session *s)
{
    if (!s->failed) {
        s->failed = true;
        describe(s);
    }
    ERR_clear_error();
    return TLS_FAILED;
}

static enum tls_result fail_with(struct tls_session *s, const char *why)
{
    s->failed = true;
    (void)snprintf(s->error, sizeof s->error, "%s", why);
    ERR_clear_error();
    return TLS_FAILED;
}

/* ---- life -------------------------------------------------------------------------------- */

/* An address has to stand in the certificate as such; a name is also said to the server, which may
 * have several certificates. */
static bool set_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1) {
        return true;
    }
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(rules, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls_session *tls_session_new(struct tls_context *c, enum tls_side side, const char *host,
                                    tls_send_fn send, void *owner)
{
    ERR_clear_error();
    struct tls_session *s = OPENSSL_zalloc(sizeof *s);
    BIO *bio = BIO_new(c->bio);
    SSL *ssl = SSL_new(c->ssl);
    bool made = s != NULL && bio != NULL && ssl != NULL;
    if (!made || (side == TLS_CLIENT && host != NULL && !set_host(ssl, host))) {
        SSL_free(ssl);
        BIO_free(bio);
        OPENSSL_free(s);
        ERR_clear_error();
        return NULL;
    }
    s->ssl = ssl;
    s->send = send;
    s->owner = owner;
    BIO_set_data(bio, s);
    (void)SSL_set_app_data(ssl, s);
    SSL_set_msg_callback(ssl, notice_message);
    SSL_set_msg_callback_arg(ssl, s);
    SSL_set_bio(ssl, bio, bio);
    if (side == TLS_SERVER) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (s != NULL) {
        SSL_free(s->ssl);
        OPENSSL_free(s->peer);
        OPENSSL_free(s);
    }
}

bool tls_session_is_open(const struct tls_session *s)
{
    return s->peer != NULL && !s->failed;
}

const struct tls_peer *tls_session_peer(const struct tls_session *s)
{
    return s->peer;
}

const char *tls_session_error(const struct tls_session *s)
{
    return s->error;
}

/* ---- records ----------------------------------------------------------------------------- */

/* After every step: is the handshake done now? */
static enum tls_result notice_open(struct tls_session *s, enum tls_result result)
{
    if (s->peer == NULL && result != TLS_FAILED && SSL_is_init_finished(s->ssl)) {
        s->peer = tls_peer_new(s->ssl);
        if (s->peer == NULL) {
            return fail_with(s, "the subject of the certificate is too long");
        }
    }
    return result;
}

/* `done` is what an SSL function has returned. */
static enum tls_result result_of(struct tls_session *s, int done)
{
    switch (SSL_get_error(s->ssl, done)) {
    case SSL_ERROR_NONE: return TLS_DATA;
    case SSL_ERROR_WANT_READ: return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN: return TLS_ENDED;
    default: return fail(s);
    }
}

enum tls_result tls_session_start(struct tls_session *s)
{
    ERR_clear_error();
    int done = SSL_do_handshake(s->ssl);
    return result_of(s, done);
}

enum tls_result tls_session_read(struct tls_session *s, struct slice *cipher, void *to,
                                 size_t bytes, size_t *got)
{
    *got = 0;
    if (s->failed) {
        return TLS_FAILED;
    }
    ERR_clear_error();
    s->input = *cipher;
    int done = bytes > 0 ? SSL_read_ex(s->ssl, to, bytes, got) : SSL_do_handshake(s->ssl);
    *cipher = s->input;
    s->input = slice_make(NULL, 0);
    enum tls_result result = notice_open(s, result_of(s, done));
    return bytes == 0 && result == TLS_DATA ? TLS_MORE : result;
}

bool tls_session_write(struct tls_session *s, struct slice plain)
{
    size_t written = 0;
    if (s->failed || s->ended || plain.size == 0) {
        return !s->failed;
    }
    PRE(s->peer != NULL);
    ERR_clear_error();
    if (SSL_write_ex(s->ssl, plain.data, plain.size, &written) != 1) {
        (void)fail(s);
        return false;
    }
    return true;
}

void tls_session_end(struct tls_session *s)
{
    if (tls_session_is_open(s) && !s->ended) {
        s->ended = true;
        ERR_clear_error();
        (void)SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
}
