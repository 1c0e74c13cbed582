/* TLS as a transformation of bytes: ciphertext in, plaintext out, and the other way round. No
 * sockets, no clock but the one certificates are compared with, no threads. The only user of
 * OpenSSL's TLS: base/tls*.c.
 *
 *   tls_context  what a process is and whom it trusts: certificate chain, key, CAs, read from files
 *                and read again on demand; begins sessions, for either side of a connection
 *   tls_session  one connection: handshake, records, the end
 *
 * TLS 1.2 and 1.3, ciphers with forward secrecy and authenticated encryption only. No session
 * tickets, no renegotiation, no compression: every connection shows its certificate anew, so that a
 * reload counts for all that connect after it. Who asks for new keys (KeyUpdate) more than a few
 * times without sending megabytes in between is cut off.
 *
 * Memory. A session keeps no ciphertext and no plaintext of its own: what comes is taken out of the
 * caller's slice, what goes is handed to the caller's function. OpenSSL holds at most one record
 * that is not whole yet, or the messages of a handshake (certificates: TLS_CHAIN_BYTES_MAX), and
 * gives its buffers back when they are empty. Exhaustion is an error here and never aborts, since
 * libcoord is a guest in other programs.
 *
 * Errors are one line of text, tls_session_error: what was wrong, and with whose certificate.
 *
 * A truncated connection is not told from one that was closed without a good-bye: every protocol of
 * ours carries its own lengths. */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include "base/slice.h"
#include "base/status.h"

#define TLS_PATH_BYTES_MAX    2048
#define TLS_CHAIN_BYTES_MAX   (64 << 10) /* of the certificates that the other side sends */
#define TLS_SUBJECT_BYTES_MAX 1024       /* longer ones are refused */
#define TLS_NAME_BYTES_MAX    256
#define TLS_NAMES_MAX         64 /* of one certificate; more are not looked at */
#define TLS_RECORD_BYTES_MAX  ((size_t)16 << 10)
#define TLS_ERROR_BYTES_MAX   256

enum tls_side { TLS_CLIENT, TLS_SERVER };

enum tls_verify {
    TLS_VERIFY_NONE,     /* server: asks for none; client: takes any, which protects from nobody
                            who can change what is sent */
    TLS_VERIFY_OPTIONAL, /* server: one that is shown must be right */
    TLS_VERIFY_REQUIRED, /* none, or a wrong one: no connection */
};

/* Files in PEM. Strings are copied. */
struct tls_options {
    const char *certificate_file; /* the chain, our own first; NULL: none */
    const char *key_file;         /* of our own; not encrypted */
    const char *ca_file; /* who may have signed theirs; NULL: nobody, or the system's */
    bool trusts_system;  /* without ca_file: the CAs that this machine trusts */
    enum tls_verify verify;
    const char *protocols; /* ALPN, best first: "h2,http/1.1"; NULL: none */
};

struct tls_context;
struct tls_session;

/* Reads the files. RC_INVALID: one line that names the file and what is wrong with it. Must outlive
 * its sessions. */
enum status tls_context_open(const struct tls_options *options, struct tls_context **out,
                             struct errmsg *err) MUST_USE;
void tls_context_free(struct tls_context *c); /* NULL is fine */

/* Reads the files again, for the sessions that begin from now on. On failure, as of
 * tls_context_open, everything stays as it was. */
enum status tls_context_reload(struct tls_context *c, struct errmsg *err) MUST_USE;
/* Whether a file is another one than when it was read last, successfully or not. Looks at names and
 * times only. */
bool tls_context_is_outdated(const struct tls_context *c);
/* When the first certificate of our own chain expires, in seconds since 1970; 0: we have none. */
int64_t tls_context_expiry(const struct tls_context *c);
/* The subject of our own certificate, as in struct tls_peer; "" if we have none. */
const char *tls_context_subject(const struct tls_context *c);

/* ---- the other side ---------------------------------------------------------------------- */

/* What is known of the other side once the handshake is done. */
struct tls_peer {
    const char *version;  /* "TLSv1.3" */
    const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
    const char *protocol; /* by ALPN; "" if none was chosen */
    /* Of the certificate that it has shown and that was verified; "" without one. */
    const char *subject;     /* as of RFC 2253: "CN=ann,O=ops" */
    const char *common_name; /* "ann" */
    /* Its alternative names: "DNS:n1.example", "IP:192.0.2.7", "URI:spiffe://..." */
    const char *const *names;
    size_t name_count;
};

/* Whether the certificate's common name, or one of its DNS names, is `name`. */
bool tls_peer_is_named(const struct tls_peer *peer, const char *name);

/* ---- one connection ---------------------------------------------------------------------- */

enum tls_result {
    TLS_DATA,   /* there is plaintext */
    TLS_MORE,   /* all that was given is used up */
    TLS_ENDED,  /* the other side has said good-bye */
    TLS_FAILED, /* for good; an alert was sent if it makes sense; see tls_session_error */
};

/* Ciphertext for the other side, in order; borrowed until return. False: it cannot be taken, and
 * the session fails. Called from inside the functions below. */
typedef bool (*tls_send_fn)(void *owner, struct slice cipher);

/* `host` (clients only, may be NULL): whom we want to reach, a name or an address; its certificate
 * must be for that, if certificates are verified. NULL: no memory. */
struct tls_session *tls_session_new(struct tls_context *c, enum tls_side side, const char *host,
                                    tls_send_fn send, void *owner);
void tls_session_free(struct tls_session *s); /* NULL is fine */

/* The client's first words. A server has none. TLS_MORE or TLS_FAILED. */
enum tls_result tls_session_start(struct tls_session *s);
/* Takes ciphertext from the front of `cipher` and gives plaintext: *got bytes of it with TLS_DATA,
 * else 0. With TLS_DATA there may be more, even when `cipher` is empty: call again. Also makes the
 * handshake go on; with `bytes` 0 only that, and TLS_MORE means that it is done or needs more. */
enum tls_result tls_session_read(struct tls_session *s, struct slice *cipher, void *to,
                                 size_t bytes, size_t *got);
/* Encrypts and sends all of it. Only when the session is open. False: it has failed. */
bool tls_session_write(struct tls_session *s, struct slice plain);
/* Says good-bye, if the session is open. Nothing is written any more. */
void tls_session_end(struct tls_session *s);

/* The handshake is done, from our point of view. (A client of TLS 1.3 learns that its certificate
 * was not accepted only when it reads.) */
bool tls_session_is_open(const struct tls_session *s);
/* Valid as long as the session, once that is open; NULL before. */
const struct tls_peer *tls_session_peer(const struct tls_session *s);
const char *tls_session_error(const struct tls_session *s); /* "" unless it failed */

#endif
