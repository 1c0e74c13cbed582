#include "base/tls.h"

#include <openssl/ssl.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/check_main.h"
#include "tests/support/tls_kit.h"

/* Two sessions and the bytes between them. */
struct side {
    struct tls_session *session;
    struct buf sent;  /* ciphertext, not yet with the other side */
    struct buf heard; /* plaintext */
    enum tls_result last;
    size_t written;
    bool is_full; /* its send function refuses */
};

struct pair {
    struct side client;
    struct side server;
    size_t piece; /* bytes moved at once; 0: all there are */
};

static bool side_send(void *owner, struct slice cipher)
{
    struct side *s = owner;
    if (s->is_full) {
        return false;
    }
    s->written += cipher.size;
    buf_append_slice(&s->sent, cipher);
    return true;
}

static void pair_open(struct pair *p, struct tls_context *client, const char *host,
                      struct tls_context *server)
{
    *p = (struct pair){.piece = 0};
    p->client.session = tls_session_new(client, TLS_CLIENT, host, side_send, &p->client);
    p->server.session = tls_session_new(server, TLS_SERVER, NULL, side_send, &p->server);
    ck_assert_ptr_nonnull(p->client.session);
    ck_assert_ptr_nonnull(p->server.session);
    p->client.last = tls_session_start(p->client.session);
    p->server.last = TLS_MORE;
}

static void pair_close(struct pair *p)
{
    struct side *sides[] = {&p->client, &p->server};
    for (size_t i = 0; i < 2; i++) {
        tls_session_free(sides[i]->session);
        buf_close(&sides[i]->sent);
        buf_close(&sides[i]->heard);
    }
}

static void side_feed(struct side *s, struct slice cipher)
{
    static uint8_t plain[TLS_RECORD_BYTES_MAX];
    do {
        size_t got;
        s->last = tls_session_read(s->session, &cipher, plain, sizeof plain, &got);
        buf_append(&s->heard, plain, got);
    } while (s->last == TLS_DATA);
    if (s->last == TLS_MORE) {
        ck_assert_uint_eq(cipher.size, 0);
    }
}

static bool move(struct side *from, struct side *to, size_t piece)
{
    if (from->sent.size == 0 || to->last == TLS_FAILED || to->last == TLS_ENDED) {
        return false;
    }
    size_t bytes = piece > 0 && piece < from->sent.size ? piece : from->sent.size;
    uint8_t *copy = mem_dup(from->sent.data, bytes);
    buf_consume(&from->sent, bytes);
    side_feed(to, slice_make(copy, bytes));
    mem_free(copy);
    return true;
}

/* Until nothing is under way any more. */
static void pair_run(struct pair *p)
{
    bool moved;
    do {
        moved = move(&p->client, &p->server, p->piece);
        moved = move(&p->server, &p->client, p->piece) || moved;
    } while (moved);
}

static void assert_both_open(const struct pair *p)
{
    ck_assert_str_eq(tls_session_error(p->client.session), "");
    ck_assert_str_eq(tls_session_error(p->server.session), "");
    ck_assert(tls_session_is_open(p->client.session));
    ck_assert(tls_session_is_open(p->server.session));
}

/* What most tests need: a CA, a server's certificate, a client's. */
struct world {
    struct tls_kit kit;
    struct tls_context *server;
    struct tls_context *client;
    struct pair pair;
};

static void world_open(struct world *w, enum tls_verify server_verifies)
{
    tls_kit_open(&w->kit);
    tls_kit_make_ca(&w->kit, "ca");
    tls_kit_issue(&w->kit, &(struct tls_kit_certificate){.file = "server",
                                                         .ca = "ca",
                                                         .common_name = "n1",
                                                         .names = "DNS:n1.test,IP:127.0.0.1"});
    tls_kit_issue(&w->kit, &(struct tls_kit_certificate){.file = "ann",
                                                         .ca = "ca",
                                                         .common_name = "ann",
                                                         .organization = "ops",
                                                         .names = "URI:spiffe://x/ann,DNS:a.b,"
                                                                  "IP:2001:db8::1"});
    w->server = tls_kit_context(&w->kit, "server", "ca", server_verifies, "h2,http/1.1");
    w->client = tls_kit_context(&w->kit, "ann", "ca", TLS_VERIFY_REQUIRED, "h2");
}

static void world_close(struct world *w)
{
    pair_close(&w->pair);
    tls_context_free(w->server);
    tls_context_free(w->client);
    tls_kit_close(&w->kit);
}

/* ---- handshakes -------------------------------------------------------------------------- */

START_TEST(two_sides_with_certificates_know_each_other_by_name)
{
    struct world w;
    world_open(&w, TLS_VERIFY_REQUIRED);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    pair_run(&w.pair);
    assert_both_open(&w.pair);

    const struct tls_peer *ann = tls_session_peer(w.pair.server.session);
    ck_assert_str_eq(ann->version, "TLSv1.3");
    ck_assert_str_eq(ann->protocol, "h2");
    ck_assert_str_eq(ann->subject, "CN=ann,O=ops");
    ck_assert_str_eq(ann->common_name, "ann");
    ck_assert_uint_eq(ann->name_count, 3);
    ck_assert_str_eq(ann->names[0], "URI:spiffe://x/ann");
    ck_assert_str_eq(ann->names[1], "DNS:a.b");
    ck_assert_str_eq(ann->names[2], "IP:2001:db8:0:0:0:0:0:1");
    ck_assert(tls_peer_is_named(ann, "ann"));
    ck_assert(tls_peer_is_named(ann, "a.b"));
    ck_assert(!tls_peer_is_named(ann, "ANN"));
    ck_assert(!tls_peer_is_named(ann, "an"));
    ck_assert(!tls_peer_is_named(ann, "spiffe://x/ann"));
    ck_assert(!tls_peer_is_named(ann, ""));

    const struct tls_peer *n1 = tls_session_peer(w.pair.client.session);
    ck_assert_str_eq(n1->subject, "CN=n1");
    ck_assert(tls_peer_is_named(n1, "n1.test"));
    world_close(&w);
}
END_TEST

START_TEST(a_client_without_a_certificate_has_no_subject_where_one_is_optional)
{
    struct world w;
    world_open(&w, TLS_VERIFY_OPTIONAL);
    struct tls_context *bare = tls_kit_context(&w.kit, NULL, "ca", TLS_VERIFY_REQUIRED, NULL);
    pair_open(&w.pair, bare, "127.0.0.1", w.server);
    pair_run(&w.pair);
    assert_both_open(&w.pair);
    ck_assert_str_eq(tls_session_peer(w.pair.server.session)->subject, "");
    ck_assert_str_eq(tls_session_peer(w.pair.server.session)->protocol, "");
    ck_assert(!tls_peer_is_named(tls_session_peer(w.pair.server.session), "ann"));
    tls_context_free(bare);
    world_close(&w);
}
END_TEST

START_TEST(a_certificate_that_was_not_asked_for_is_not_known)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    pair_run(&w.pair);
    assert_both_open(&w.pair);
    ck_assert_str_eq(tls_session_peer(w.pair.server.session)->subject, "");
    world_close(&w);
}
END_TEST

START_TEST(every_byte_may_come_alone)
{
    struct world w;
    world_open(&w, TLS_VERIFY_REQUIRED);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    w.pair.piece = 1;
    pair_run(&w.pair);
    assert_both_open(&w.pair);
    ck_assert(tls_session_write(w.pair.client.session, slice_str("hello")));
    ck_assert(tls_session_write(w.pair.server.session, slice_str("good day")));
    pair_run(&w.pair);
    ck_assert(slice_is(buf_slice(&w.pair.server.heard), "hello"));
    ck_assert(slice_is(buf_slice(&w.pair.client.heard), "good day"));
    world_close(&w);
}
END_TEST

START_TEST(megabytes_pass_in_both_directions_and_a_small_buffer_gets_all)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    pair_run(&w.pair);
    struct buf big = {0};
    for (size_t i = 0; i < (size_t)3 << 20; i++) {
        *buf_extend(&big, 1) = (uint8_t)(i * 7 + (i >> 11));
    }
    w.pair.piece = 70001;
    ck_assert(tls_session_write(w.pair.client.session, buf_slice(&big)));
    ck_assert(tls_session_write(w.pair.server.session, buf_slice(&big)));
    pair_run(&w.pair);
    ck_assert(slice_equal(buf_slice(&w.pair.server.heard), buf_slice(&big)));
    ck_assert(slice_equal(buf_slice(&w.pair.client.heard), buf_slice(&big)));

    /* A record that is larger than what there is room for is handed out in parts. */
    ck_assert(tls_session_write(w.pair.client.session, slice_str("0123456789")));
    struct slice cipher = buf_slice(&w.pair.client.sent);
    char part[4];
    size_t got;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            tls_session_read(w.pair.server.session, &cipher, part, sizeof part, &got),
            TLS_DATA);
        ck_assert_uint_eq(got, 4);
        ck_assert_uint_eq(cipher.size, 0);
    }
    ck_assert_int_eq(tls_session_read(w.pair.server.session, &cipher, part, sizeof part, &got),
                     TLS_DATA);
    ck_assert_uint_eq(got, 2);
    ck_assert_int_eq(tls_session_read(w.pair.server.session, &cipher, part, sizeof part, &got),
                     TLS_MORE);
    buf_close(&big);
    world_close(&w);
}
END_TEST

START_TEST(protocols_are_chosen_by_our_order)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    static const struct {
        const char *offered;
        const char *chosen;
    } cases[] = {{"http/1.1,h2", "h2"}, {"http/1.1", "http/1.1"}, {"spdy,x", ""}, {NULL, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_context *c =
            tls_kit_context(&w.kit, NULL, "ca", TLS_VERIFY_REQUIRED, cases[i].offered);
        pair_open(&w.pair, c, "n1.test", w.server);
        pair_run(&w.pair);
        assert_both_open(&w.pair);
        ck_assert_str_eq(tls_session_peer(w.pair.server.session)->protocol, cases[i].chosen);
        pair_close(&w.pair);
        tls_context_free(c);
    }
    pair_open(&w.pair, w.client, NULL, w.server);
    world_close(&w);
}
END_TEST

/* ---- who is refused ---------------------------------------------------------------------- */

START_TEST(a_name_that_is_not_in_the_certificate_is_refused_by_the_client)
{
    static const char *const hosts[] = {"other.test", "127.0.0.2", "n1.test.evil"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct world w;
        world_open(&w, TLS_VERIFY_NONE);
        pair_open(&w.pair, w.client, hosts[i], w.server);
        pair_run(&w.pair);
        ck_assert_int_eq(w.pair.client.last, TLS_FAILED);
        ck_assert_ptr_nonnull(
            strstr(tls_session_error(w.pair.client.session), "the certificate of 'CN=n1'"));
        ck_assert_ptr_nonnull(strstr(tls_session_error(w.pair.client.session), "mismatch"));
        /* The server is told why. */
        ck_assert_int_eq(w.pair.server.last, TLS_FAILED);
        ck_assert_ptr_nonnull(
            strstr(tls_session_error(w.pair.server.session), "the other side refuses"));
        world_close(&w);
    }
}
END_TEST

/* Connects with the certificate `file`, and returns what the server says to that. */
static void server_refuses(struct world *w, const char *file, const char *what)
{
    struct tls_context *c = tls_kit_context(&w->kit, file, "ca", TLS_VERIFY_REQUIRED, NULL);
    pair_open(&w->pair, c, "n1.test", w->server);
    pair_run(&w->pair);
    ck_assert_int_eq(w->pair.server.last, TLS_FAILED);
    ck_assert_msg(strstr(tls_session_error(w->pair.server.session), what) != NULL, "%s: %s",
                  file != NULL ? file : "none", tls_session_error(w->pair.server.session));
    ck_assert_int_eq(w->pair.client.last, TLS_FAILED);
    pair_close(&w->pair);
    tls_context_free(c);
}

START_TEST(certificates_that_prove_nothing_are_refused_by_the_server)
{
    struct world w;
    world_open(&w, TLS_VERIFY_REQUIRED);
    tls_kit_make_ca(&w.kit, "other");
    tls_kit_issue(&w.kit, &(struct tls_kit_certificate){
                              .file = "foreign", .ca = "other", .common_name = "ann"});
    tls_kit_issue(&w.kit,
                  &(struct tls_kit_certificate){
                      .file = "old", .ca = "ca", .common_name = "old", .is_expired = true});
    tls_kit_issue(&w.kit, &(struct tls_kit_certificate){.file = "wrong",
                                                        .ca = "ca",
                                                        .common_name = "wrong",
                                                        .usage = "serverAuth"});
    server_refuses(&w, NULL, "peer did not return a certificate");
    server_refuses(&w, "foreign", "'CN=ann' is not accepted: unable to get local issuer");
    server_refuses(&w, "old", "'CN=old' is not accepted: certificate has expired");
    server_refuses(&w, "wrong", "'CN=wrong' is not accepted: unsuitable certificate purpose");
    pair_open(&w.pair, w.client, NULL, w.server);
    world_close(&w);
}
END_TEST

START_TEST(an_optional_certificate_must_be_right_all_the_same)
{
    struct world w;
    world_open(&w, TLS_VERIFY_OPTIONAL);
    tls_kit_make_ca(&w.kit, "other");
    tls_kit_issue(&w.kit, &(struct tls_kit_certificate){
                              .file = "foreign", .ca = "other", .common_name = "ann"});
    server_refuses(&w, "foreign", "unable to get local issuer");
    pair_open(&w.pair, w.client, NULL, w.server);
    world_close(&w);
}
END_TEST

/* A client of another make, held at a version. */
static void old_version_is_refused(struct world *w, int version, const char *what)
{
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(old);
    SSL_CTX_set_security_level(old, 0);
    ck_assert_int_eq(SSL_CTX_set_min_proto_version(old, version), 1);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(old, version), 1);
    SSL *ssl = SSL_new(old);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    ck_assert_int_le(SSL_connect(ssl), 0);
    char *hello;
    long bytes = BIO_get_mem_data(out, &hello);
    ck_assert_int_gt(bytes, 0);
    pair_open(&w->pair, w->client, NULL, w->server);
    side_feed(&w->pair.server, slice_make(hello, (size_t)bytes));
    if (what == NULL) {
        ck_assert_int_eq(w->pair.server.last, TLS_MORE);
    } else {
        ck_assert_int_eq(w->pair.server.last, TLS_FAILED);
        ck_assert_msg(strstr(tls_session_error(w->pair.server.session), what) != NULL, "%s",
                      tls_session_error(w->pair.server.session));
    }
    pair_close(&w->pair);
    SSL_free(ssl);
    SSL_CTX_free(old);
}

START_TEST(versions_before_1_2_are_refused)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    old_version_is_refused(&w, TLS1_VERSION, "unsupported protocol");
    old_version_is_refused(&w, TLS1_1_VERSION, "unsupported protocol");
    old_version_is_refused(&w, TLS1_2_VERSION, NULL);
    pair_open(&w.pair, w.client, NULL, w.server);
    world_close(&w);
}
END_TEST

START_TEST(renegotiation_is_refused)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    SSL_CTX *foreign = SSL_CTX_new(TLS_client_method());
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(foreign, TLS1_2_VERSION), 1);
    SSL *ssl = SSL_new(foreign);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    pair_open(&w.pair, w.client, NULL, w.server);
    struct side *server = &w.pair.server;
    bool asked = false;
    bool was_told_no = false;
    for (int i = 0; i < 10; i++) {
        char *bytes;
        char ignored;
        int done = SSL_is_init_finished(ssl) ? SSL_read(ssl, &ignored, 1) : SSL_connect(ssl);
        was_told_no = was_told_no || SSL_get_error(ssl, done) == SSL_ERROR_SSL;
        long size = BIO_get_mem_data(out, &bytes);
        side_feed(server, slice_make(bytes, (size_t)size));
        (void)BIO_reset(out);
        (void)BIO_write(in, server->sent.data, (int)server->sent.size);
        buf_clear(&server->sent);
        if (!asked && SSL_is_init_finished(ssl) && tls_session_is_open(server->session)) {
            asked = true;
            ck_assert_int_eq(SSL_renegotiate(ssl), 1);
            (void)SSL_do_handshake(ssl);
        }
    }
    ck_assert(asked);
    ck_assert(was_told_no);
    SSL_free(ssl);
    SSL_CTX_free(foreign);
    world_close(&w);
}
END_TEST

/* What a client of another make has written, to the server. */
static void foreign_flush(BIO *out, struct side *server)
{
    char *bytes;
    long size = BIO_get_mem_data(out, &bytes);
    side_feed(server, slice_make(bytes, (size_t)size));
    (void)BIO_reset(out);
}

static void foreign_update_keys(SSL *ssl, BIO *out, struct side *server)
{
    ck_assert_int_eq(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ck_assert_int_eq(SSL_do_handshake(ssl), 1);
    foreign_flush(out, server);
}

START_TEST(who_asks_for_new_keys_too_often_is_cut_off)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    SSL_CTX *foreign = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(foreign);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    pair_open(&w.pair, w.client, NULL, w.server);
    struct side *server = &w.pair.server;
    while (SSL_connect(ssl) != 1) {
        foreign_flush(out, server);
        (void)BIO_write(in, server->sent.data, (int)server->sent.size);
        buf_clear(&server->sent);
    }
    for (int i = 0; i < 32; i++) {
        foreign_update_keys(ssl, out, server);
    }
    static const char much[1 << 20];
    ck_assert_int_eq(SSL_write(ssl, much, sizeof much), sizeof much);
    foreign_flush(out, server);
    ck_assert_uint_eq(server->heard.size, sizeof much);
    foreign_update_keys(ssl, out, server); /* one more for the megabyte */
    ck_assert(tls_session_is_open(server->session));
    foreign_update_keys(ssl, out, server);
    ck_assert_int_eq(server->last, TLS_FAILED);
    ck_assert_ptr_nonnull(strstr(tls_session_error(server->session), "new keys too often"));
    SSL_free(ssl);
    SSL_CTX_free(foreign);
    world_close(&w);
}
END_TEST

/* ---- damaged input ----------------------------------------------------------------------- */

START_TEST(garbage_instead_of_a_handshake_is_not_tls)
{
    static const char *const beginnings[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00",
                                             "\x16\x03\x01\x00\x04zzzz",
                                             "\x16\x02\x00\x00\x01x"};
    static const size_t sizes[] = {18, 4, 9, 6};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct world w;
        world_open(&w, TLS_VERIFY_NONE);
        pair_open(&w.pair, w.client, NULL, w.server);
        side_feed(&w.pair.server, slice_make(beginnings[i], sizes[i]));
        bool is_whole = sizes[i] != 4;
        ck_assert_int_eq(w.pair.server.last, is_whole ? TLS_FAILED : TLS_MORE);
        ck_assert_int_eq(tls_session_error(w.pair.server.session)[0] != '\0', is_whole);
        ck_assert(!tls_session_is_open(w.pair.server.session));
        world_close(&w);
    }
}
END_TEST

START_TEST(a_changed_byte_after_the_handshake_ends_the_session_for_good)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    pair_run(&w.pair);
    ck_assert(tls_session_write(w.pair.client.session, slice_str("pay 1 to bob")));
    w.pair.client.sent.data[w.pair.client.sent.size - 3] ^= 1;
    (void)move(&w.pair.client, &w.pair.server, 0);
    ck_assert_int_eq(w.pair.server.last, TLS_FAILED);
    ck_assert_uint_eq(w.pair.server.heard.size, 0);
    ck_assert(!tls_session_is_open(w.pair.server.session));
    ck_assert(!tls_session_write(w.pair.server.session, slice_str("x")));
    struct slice more = slice_str("more");
    char byte;
    size_t got;
    ck_assert_int_eq(tls_session_read(w.pair.server.session, &more, &byte, 1, &got),
                     TLS_FAILED);
    world_close(&w);
}
END_TEST

START_TEST(a_handshake_may_be_given_up_at_every_byte)
{
    struct world w;
    world_open(&w, TLS_VERIFY_REQUIRED);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    size_t hello = w.pair.client.sent.size;
    pair_close(&w.pair);
    for (size_t cut = 0; cut < hello; cut += 7) {
        pair_open(&w.pair, w.client, "n1.test", w.server);
        side_feed(&w.pair.server, slice_make(w.pair.client.sent.data, cut));
        ck_assert_int_eq(w.pair.server.last, TLS_MORE);
        ck_assert_uint_eq(w.pair.server.written, 0);
        tls_session_end(w.pair.server.session); /* nothing to say good-bye to */
        ck_assert_uint_eq(w.pair.server.written, 0);
        pair_close(&w.pair);
    }
    pair_open(&w.pair, w.client, NULL, w.server);
    world_close(&w);
}
END_TEST

START_TEST(every_flipped_byte_of_the_first_flight_is_refused_or_harmless)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    size_t hello = w.pair.client.sent.size;
    pair_close(&w.pair);
    for (size_t at = 0; at < hello; at++) {
        pair_open(&w.pair, w.client, "n1.test", w.server);
        w.pair.client.sent.data[at] ^= 0x55;
        pair_run(&w.pair);
        /* What the server understood differently, the end of the handshake brings to light. Nobody
         * looks at the minor version of the first record. */
        ck_assert_msg(tls_session_is_open(w.pair.server.session) == (at == 2), "byte %zu", at);
        pair_close(&w.pair);
    }
    pair_open(&w.pair, w.client, NULL, w.server);
    world_close(&w);
}
END_TEST

START_TEST(what_cannot_be_sent_fails_the_session)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    pair_run(&w.pair);
    w.pair.client.is_full = true;
    ck_assert(!tls_session_write(w.pair.client.session, slice_str("x")));
    ck_assert(!tls_session_is_open(w.pair.client.session));
    world_close(&w);
}
END_TEST

START_TEST(good_bye_is_heard_after_what_was_said_before)
{
    struct world w;
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, "n1.test", w.server);
    pair_run(&w.pair);
    ck_assert(tls_session_write(w.pair.client.session, slice_str("last words")));
    tls_session_end(w.pair.client.session);
    pair_run(&w.pair);
    ck_assert_int_eq(w.pair.server.last, TLS_ENDED);
    ck_assert(slice_is(buf_slice(&w.pair.server.heard), "last words"));
    size_t written = w.pair.client.written;
    ck_assert(tls_session_write(w.pair.client.session, slice_str("no more")));
    tls_session_end(w.pair.client.session);
    ck_assert_uint_eq(w.pair.client.written, written);
    world_close(&w);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------- */

static void refused(struct tls_kit *kit, const char *certificate, const char *key,
                    const char *ca, const char *what)
{
    struct tls_options o = {.certificate_file = tls_kit_path(kit, certificate),
                            .key_file = tls_kit_path(kit, key),
                            .ca_file = ca != NULL ? tls_kit_path(kit, ca) : NULL};
    struct tls_context *c = NULL;
    struct errmsg err = {0};
    ck_assert_int_eq(tls_context_open(&o, &c, &err), RC_INVALID);
    ck_assert_ptr_null(c);
    ck_assert_msg(strstr(err.text, what) != NULL, "%s", err.text);
}

START_TEST(files_that_do_not_fit_are_refused_by_name)
{
    struct tls_kit kit;
    tls_kit_open(&kit);
    tls_kit_make_ca(&kit, "ca");
    tls_kit_issue(&kit, &(struct tls_kit_certificate){.file = "a", .ca = "ca"});
    tls_kit_issue(&kit, &(struct tls_kit_certificate){.file = "b", .ca = "ca"});
    tls_kit_issue(&kit,
                  &(struct tls_kit_certificate){.file = "r", .ca = "ca", .has_rsa_key = true});
    tls_kit_write(&kit, "empty", "");
    tls_kit_write(&kit, "noise", "this is not PEM\n");
    refused(&kit, "none.pem", "a.key", NULL, "none.pem: No such file or directory");
    refused(&kit, "a.pem", "none.key", NULL, "none.key: No such file or directory");
    refused(&kit, "a.pem", "b.key", NULL, "b.key: key values mismatch");
    refused(&kit, "a.pem", "r.key", NULL, "r.key: it is not that of the certificate");
    refused(&kit, "empty", "a.key", NULL, "certificate ");
    refused(&kit, "noise", "a.key", NULL, "no start line");
    refused(&kit, "a.pem", "noise", NULL, "noise: ");
    refused(&kit, "a.pem", "a.key", "noise", "CA ");
    struct tls_context *c = NULL;
    struct errmsg err = {0};
    ck_assert_int_eq(tls_context_open(&(struct tls_options){.certificate_file = "x"}, &c, &err),
                     RC_INVALID);
    ck_assert_int_eq(
        tls_context_open(&(struct tls_options){.verify = TLS_VERIFY_REQUIRED}, &c, &err),
        RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "without a CA"));
    tls_kit_close(&kit);
}
END_TEST

START_TEST(a_reload_counts_for_new_sessions_and_a_bad_file_keeps_the_old_ones)
{
    struct world w;
    struct errmsg err = {0};
    world_open(&w, TLS_VERIFY_NONE);
    pair_open(&w.pair, w.client, NULL, w.server);
    pair_run(&w.pair);
    ck_assert(!tls_context_is_outdated(w.server));
    ck_assert_str_eq(tls_context_subject(w.server), "CN=n1");
    int64_t expiry = tls_context_expiry(w.server);
    ck_assert_int_gt(expiry, 1700000000);

    tls_kit_write(&w.kit, "server.pem", "half a certificate");
    ck_assert(tls_context_is_outdated(w.server));
    ck_assert_int_eq(tls_context_reload(w.server, &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "server.pem"));
    ck_assert(!tls_context_is_outdated(w.server)); /* that file was seen */
    ck_assert_int_eq(tls_context_expiry(w.server), expiry);

    struct pair second;
    pair_open(&second, w.client, "n1.test", w.server);
    pair_run(&second);
    assert_both_open(&second);
    pair_close(&second);

    tls_kit_issue(&w.kit, &(struct tls_kit_certificate){.file = "server",
                                                        .ca = "ca",
                                                        .common_name = "n2",
                                                        .names = "DNS:n2.test",
                                                        .is_expired = true});
    ck_assert(tls_context_is_outdated(w.server));
    ck_assert_int_eq(tls_context_reload(w.server, &err), RC_OK);
    ck_assert_str_eq(tls_context_subject(w.server), "CN=n2");
    ck_assert_int_lt(tls_context_expiry(w.server), expiry);
    pair_open(&second, w.client, "n2.test", w.server);
    pair_run(&second);
    ck_assert_ptr_nonnull(
        strstr(tls_session_error(second.client.session), "certificate has expired"));
    pair_close(&second);

    /* The first one goes on under the certificate it began with. */
    ck_assert(tls_session_write(w.pair.client.session, slice_str("still here")));
    pair_run(&w.pair);
    ck_assert(slice_is(buf_slice(&w.pair.server.heard), "still here"));
    world_close(&w);
}
END_TEST

static Suite *tls_suite(void)
{
    Suite *s = suite_create("tls");
    TCase *t = tcase_create("handshakes");
    tcase_add_test(t, two_sides_with_certificates_know_each_other_by_name);
    tcase_add_test(t, a_client_without_a_certificate_has_no_subject_where_one_is_optional);
    tcase_add_test(t, a_certificate_that_was_not_asked_for_is_not_known);
    tcase_add_test(t, every_byte_may_come_alone);
    tcase_add_test(t, megabytes_pass_in_both_directions_and_a_small_buffer_gets_all);
    tcase_add_test(t, protocols_are_chosen_by_our_order);
    suite_add_tcase(s, t);
    t = tcase_create("refusals");
    tcase_add_test(t, a_name_that_is_not_in_the_certificate_is_refused_by_the_client);
    tcase_add_test(t, certificates_that_prove_nothing_are_refused_by_the_server);
    tcase_add_test(t, an_optional_certificate_must_be_right_all_the_same);
    tcase_add_test(t, versions_before_1_2_are_refused);
    tcase_add_test(t, renegotiation_is_refused);
    tcase_add_test(t, who_asks_for_new_keys_too_often_is_cut_off);
    suite_add_tcase(s, t);
    t = tcase_create("damage");
    tcase_add_test(t, garbage_instead_of_a_handshake_is_not_tls);
    tcase_add_test(t, a_changed_byte_after_the_handshake_ends_the_session_for_good);
    tcase_add_test(t, a_handshake_may_be_given_up_at_every_byte);
    tcase_add_test(t, every_flipped_byte_of_the_first_flight_is_refused_or_harmless);
    tcase_add_test(t, what_cannot_be_sent_fails_the_session);
    tcase_add_test(t, good_bye_is_heard_after_what_was_said_before);
    suite_add_tcase(s, t);
    t = tcase_create("files");
    tcase_add_test(t, files_that_do_not_fit_are_refused_by_name);
    tcase_add_test(t, a_reload_counts_for_new_sessions_and_a_bad_file_keeps_the_old_ones);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){tls_suite, NULL});
}
