/* Answers of the DNS about services, asked and read with the library's own messages. */
#include "net/dns/answer.h"

#include <ldns/ldns.h>

#include "base/rng.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;

static void add(const char *path, const char *text)
{
    ck_assert_int_eq(kit_create(&k, path, text), OUTCOME_OK);
}

static void setup(void)
{
    kit_open(&k);
    add("/services", "");
    add("/services/web", "");
    add("/services/empty", "");
    add("/services/web/a", "address=10.0.0.7\nport=80\nweight=30\nzone=z1\ntag=Blue\n"
                           "meta.build=12\n");
    add("/services/web/b", "address=fd00::8\nport=81\nweight=100\n");
    add("/services/web/c", "address=db.example.com\nport=82\nweight=100\n");
    add("/services/web/d", "address=10.0.0.9\nport=83\nweight=100\ndraining=yes\n");
    add("/services/web/odd", "no instance");
}

static void teardown(void)
{
    kit_close(&k);
}

/* ---- asking ------------------------------------------------------------------------------- */

static struct buf question(const char *name, ldns_rr_type type, uint16_t udp_bytes)
{
    struct buf packet = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    ldns_pkt *p = ldns_pkt_query_new(ldns_dname_new_frm_str(name), type, LDNS_RR_CLASS_IN,
                                     LDNS_RD);
    ck_assert_ptr_nonnull(p);
    ldns_pkt_set_id(p, 4711);
    if (udp_bytes > 0) {
        ldns_pkt_set_edns_udp_size(p, udp_bytes);
    }
    ck_assert_int_eq(ldns_pkt2wire(&bytes, p, &size), LDNS_STATUS_OK);
    buf_append(&packet, bytes, size);
    free(bytes);
    ldns_pkt_free(p);
    return packet;
}

static ldns_pkt *ask_as(const char *name, ldns_rr_type type, uint16_t udp_bytes, bool by_tcp)
{
    struct buf packet = question(name, type, udp_bytes);
    struct buf reply = {0};
    ldns_pkt *answer = NULL;
    const struct dns_asked asked = {
        .packet = buf_slice(&packet), .by_tcp = by_tcp, .ttl_s = 3};
    ck_assert(dns_answer(k.store, &asked, &reply));
    ck_assert_int_eq(ldns_wire2pkt(&answer, reply.data, reply.size), LDNS_STATUS_OK);
    ck_assert_uint_eq(ldns_pkt_id(answer), 4711);
    ck_assert(ldns_pkt_qr(answer));
    buf_close(&packet);
    buf_close(&reply);
    return answer;
}

static ldns_pkt *ask(const char *name, ldns_rr_type type)
{
    return ask_as(name, type, 0, false);
}

/* The answers' data, one after the other. */
static void expect_answers(const char *name, ldns_rr_type type, const char *data)
{
    char text[2048] = "";
    ldns_pkt *answer = ask(name, type);
    ldns_rr_list *list = ldns_pkt_answer(answer);
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);
        ck_assert_uint_eq(ldns_rr_ttl(rr), 3);
        for (size_t d = 0; d < ldns_rr_rd_count(rr); d++) {
            char *one = ldns_rdf2str(ldns_rr_rdf(rr, d));
            size_t size = strlen(text);
            (void)snprintf(text + size, sizeof text - size, "%s ", one);
            free(one);
        }
        size_t size = strlen(text);
        (void)snprintf(text + size, sizeof text - size, "| ");
    }
    ck_assert_str_eq(text, data);
    ck_assert_int_eq(ldns_pkt_get_rcode(answer), LDNS_RCODE_NOERROR);
    ck_assert(ldns_pkt_aa(answer));
    ck_assert_uint_eq(ldns_pkt_nscount(answer), data[0] == '\0');
    ldns_pkt_free(answer);
}

static void expect_code(const char *name, ldns_rr_type type, ldns_pkt_rcode code)
{
    ldns_pkt *answer = ask(name, type);
    ck_assert_msg(ldns_pkt_get_rcode(answer) == code, "%s: %d", name,
                  (int)ldns_pkt_get_rcode(answer));
    ck_assert_uint_eq(ldns_pkt_ancount(answer), 0);
    ldns_pkt_free(answer);
}

/* ---- tests -------------------------------------------------------------------------------- */

START_TEST(a_service_has_addresses_ports_and_texts)
{
    expect_answers("web.service.coord.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
    expect_answers("WEB.Service.COORD.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
    expect_answers("web.service.coord.", LDNS_RR_TYPE_AAAA, "fd00::8 | ");
    expect_answers("web.service.coord.", LDNS_RR_TYPE_SRV,
                   "0 30 80 10-0-0-7.ip.coord. | 0 100 81 fd00--8.ip.coord. | "
                   "0 100 82 db.example.com. | ");
    expect_answers("web.service.coord.", LDNS_RR_TYPE_TXT,
                   "\"id=a\" \"zone=z1\" \"weight=30\" \"tags=Blue\" \"build=12\" | "
                   "\"id=b\" \"weight=100\" | \"id=c\" \"weight=100\" | ");
    expect_answers("blue.web.service.coord.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
    expect_answers("10-0-0-7.ip.coord.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
    expect_answers("fd00--8.ip.coord.", LDNS_RR_TYPE_AAAA, "fd00::8 | ");
}
END_TEST

START_TEST(names_of_srv_records_come_with_their_addresses)
{
    ldns_pkt *answer = ask("web.service.coord.", LDNS_RR_TYPE_SRV);
    ck_assert_uint_eq(ldns_rr_list_rr_count(ldns_pkt_additional(answer)), 2);
    ldns_pkt_free(answer);
}
END_TEST

START_TEST(if_all_drain_any_will_do)
{
    ck_assert_int_eq(kit_delete(&k, "/services/web/a"), OUTCOME_OK);
    expect_answers("web.service.coord.", LDNS_RR_TYPE_A, "");
    ck_assert_int_eq(kit_delete(&k, "/services/web/b"), OUTCOME_OK);
    ck_assert_int_eq(kit_delete(&k, "/services/web/c"), OUTCOME_OK);
    expect_answers("web.service.coord.", LDNS_RR_TYPE_A, "10.0.0.9 | ");
}
END_TEST

START_TEST(what_is_not_there_is_told_apart_from_what_has_no_such_record)
{
    expect_answers("empty.service.coord.", LDNS_RR_TYPE_A, "");
    expect_answers("web.service.coord.", LDNS_RR_TYPE_MX, "");
    expect_answers("service.coord.", LDNS_RR_TYPE_A, "");
    expect_answers("10-0-0-7.ip.coord.", LDNS_RR_TYPE_AAAA, "");
    expect_code("nope.service.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN);
    expect_code("red.web.service.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN);
    expect_code("a.b.web.service.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN);
    expect_code("a.b.c.d.e.f.g.h.i.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN);
    expect_code("10-0-0.ip.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN);
    expect_code("other.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN);
    expect_code("example.com.", LDNS_RR_TYPE_A, LDNS_RCODE_REFUSED);
    expect_code("a.b.c.d.e.f.g.h.i.example.com.", LDNS_RR_TYPE_A, LDNS_RCODE_REFUSED);
    expect_code("8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
                LDNS_RR_TYPE_PTR, LDNS_RCODE_REFUSED);
    expect_code(".", LDNS_RR_TYPE_NS, LDNS_RCODE_REFUSED);
}
END_TEST

START_TEST(who_proves_nothing_may_read_no_more_by_dns)
{
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_ADD, "root", NULL), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_user(&k, NULL, AUTH_USER_GRANT, "root", "root"), OUTCOME_OK);
    ck_assert_int_eq(auth_kit_enable(&k, "root"), OUTCOME_OK);
    expect_code("web.service.coord.", LDNS_RR_TYPE_A, LDNS_RCODE_REFUSED);
}
END_TEST

START_TEST(what_does_not_fit_a_datagram_is_asked_for_by_tcp)
{
    for (int i = 0; i < 100; i++) {
        char path[64];
        char text[64];
        (void)snprintf(path, sizeof path, "/services/web/m%d", i);
        (void)snprintf(text, sizeof text, "address=10.0.1.%d\nport=80\nweight=1\n", i);
        add(path, text);
    }
    ldns_pkt *answer = ask("web.service.coord.", LDNS_RR_TYPE_A);
    ck_assert(ldns_pkt_tc(answer));
    ck_assert_uint_eq(ldns_pkt_ancount(answer), 0);
    ldns_pkt_free(answer);
    answer = ask_as("web.service.coord.", LDNS_RR_TYPE_A, 65000, false);
    ck_assert(ldns_pkt_tc(answer)); /* nor one that is larger than a path without fragments */
    ldns_pkt_free(answer);
    answer = ask_as("web.service.coord.", LDNS_RR_TYPE_A, 0, true);
    ck_assert(!ldns_pkt_tc(answer));
    ck_assert_uint_eq(ldns_pkt_ancount(answer), 101);
    ldns_pkt_free(answer);
}
END_TEST

/* What stops early when it cannot fit must not stop before that. */
START_TEST(a_datagram_is_used_to_its_end)
{
    size_t count = 1;
    for (bool fits = true; fits; count++) {
        char path[64];
        char text[64];
        (void)snprintf(path, sizeof path, "/services/web/m%zu", count);
        (void)snprintf(text, sizeof text, "address=10.0.1.%zu\nport=80\nweight=1\n", count);
        add(path, text);
        ldns_pkt *answer = ask_as("web.service.coord.", LDNS_RR_TYPE_A, 1232, false);
        fits = !ldns_pkt_tc(answer);
        ck_assert_uint_eq(ldns_pkt_ancount(answer), fits ? count + 1 : 0);
        ldns_pkt_free(answer);
    }
    /* 12 bytes of header, 23 of the question, 11 for EDNS, 16 for each address */
    ck_assert_uint_eq(count - 1, (1232 - 12 - 23 - 11) / 16);
}
END_TEST

/* To know that there are none of a kind takes a look at all: of many only by TCP. */
START_TEST(a_datagram_costs_a_look_at_so_many_instances_and_no_more)
{
    size_t count = 5; /* of the setup */
    char path[64];
    for (; count < DNS_UDP_LOOKED_MAX; count++) {
        (void)snprintf(path, sizeof path, "/services/web/m%zu", count);
        add(path, "address=db.example.com\nport=80\nweight=1\n");
    }
    expect_answers("web.service.coord.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
    expect_answers("blue.web.service.coord.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
    add("/services/web/z", "address=10.0.0.8\nport=80\nweight=1\ntag=blue\n");
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "web.service.coord." : "blue.web.service.coord.";
        ldns_pkt *answer = ask(name, LDNS_RR_TYPE_A);
        ck_assert(ldns_pkt_tc(answer));
        ck_assert_uint_eq(ldns_pkt_ancount(answer), 0);
        ck_assert_int_eq(ldns_pkt_get_rcode(answer), LDNS_RCODE_NOERROR);
        ldns_pkt_free(answer);
        answer = ask_as(name, LDNS_RR_TYPE_A, 0, true);
        ck_assert(!ldns_pkt_tc(answer));
        ck_assert_uint_eq(ldns_pkt_ancount(answer), 2);
        ldns_pkt_free(answer);
    }
}
END_TEST

START_TEST(those_that_are_well_are_found_on_whatever_page_they_are)
{
    char path[64];
    for (int i = 0; i < 250; i++) {
        (void)snprintf(path, sizeof path, "/services/late/m%03d", i);
        if (i == 0) {
            add("/services/late", "");
        }
        add(path, i == 240 ? "address=10.0.0.7\nport=80\nweight=1\n"
                           : "address=10.0.0.9\nport=80\nweight=1\ndraining=yes\n");
    }
    expect_answers("late.service.coord.", LDNS_RR_TYPE_A, "10.0.0.7 | ");
}
END_TEST

START_TEST(who_asks_too_much_is_sent_to_tcp_with_its_question)
{
    struct buf packet = question("web.service.coord.", LDNS_RR_TYPE_A, 0);
    struct buf reply = {0};
    ldns_pkt *answer = NULL;
    const struct dns_asked asked = {
        .packet = buf_slice(&packet), .is_over = true, .ttl_s = 3};
    ck_assert(dns_answer(k.store, &asked, &reply));
    ck_assert_uint_eq(reply.size, packet.size);
    ck_assert_int_eq(ldns_wire2pkt(&answer, reply.data, reply.size), LDNS_STATUS_OK);
    ck_assert(ldns_pkt_tc(answer));
    ck_assert_uint_eq(ldns_pkt_qdcount(answer), 1);
    ck_assert_uint_eq(ldns_pkt_ancount(answer) + ldns_pkt_nscount(answer), 0);
    ldns_pkt_free(answer);
    buf_close(&packet);
    buf_close(&reply);
}
END_TEST

START_TEST(addresses_that_are_no_names_are_left_out)
{
    char text[128];
    char label[65];
    memset(label, 'x', 64);
    label[64] = '\0';
    add("/services/web/e", "address=a..b\nport=84\nweight=100\n");
    (void)snprintf(text, sizeof text, "address=%s.b\nport=85\nweight=100\n", label);
    add("/services/web/f", text);
    add("/services/web/g", "address=.\nport=86\nweight=100\n");
    add("/services/web/h", "address=db2.example.com\nport=87\nweight=100\n");
    expect_answers("web.service.coord.", LDNS_RR_TYPE_SRV,
                   "0 30 80 10-0-0-7.ip.coord. | 0 100 81 fd00--8.ip.coord. | "
                   "0 100 82 db.example.com. | 0 100 86 . | 0 100 87 db2.example.com. | ");
}
END_TEST

START_TEST(answers_are_never_answered_and_other_requests_are_refused)
{
    struct buf packet = question("web.service.coord.", LDNS_RR_TYPE_A, 0);
    struct buf reply = {0};
    struct dns_asked asked = {.packet = buf_slice(&packet), .ttl_s = 3};
    packet.data[2] |= 0x80;
    ck_assert(!dns_answer(k.store, &asked, &reply));
    packet.data[2] = 0x28; /* an update */
    ck_assert(dns_answer(k.store, &asked, &reply));
    ck_assert_uint_eq(reply.size, 12);
    ck_assert_uint_eq(reply.data[3], DNS_NOT_IMPLEMENTED);
    packet.data[2] = 0;
    packet.data[5] = 2; /* two questions */
    buf_clear(&reply);
    ck_assert(dns_answer(k.store, &asked, &reply));
    ck_assert_uint_eq(reply.data[3], DNS_FORMAT);
    asked.packet.size = 11;
    ck_assert(!dns_answer(k.store, &asked, &reply));
    buf_close(&packet);
    buf_close(&reply);
}
END_TEST

/* Whatever comes, what goes out is a reply to it or nothing. */
START_TEST(garbage_is_survived)
{
    struct rng rng;
    struct buf reply = {0};
    rng_init(&rng, 5);
    for (int round = 0; round < 10000; round++) {
        struct buf packet = question("blue.web.service.coord.", LDNS_RR_TYPE_ANY, 1232);
        size_t changes = rng_below(&rng, 6);
        for (size_t i = 0; i < changes; i++) {
            packet.data[rng_below(&rng, packet.size)] = (uint8_t)rng_below(&rng, 256);
        }
        if (rng_chance(&rng, 300)) {
            packet.size = rng_below(&rng, packet.size + 1);
        }
        const struct dns_asked asked = {.packet = buf_slice(&packet),
                                        .by_tcp = rng_chance(&rng, 500),
                                        .turn = (uint32_t)rng_next(&rng)};
        buf_clear(&reply);
        if (dns_answer(k.store, &asked, &reply)) {
            ck_assert_uint_ge(reply.size, 12);
            ck_assert(memcmp(reply.data, packet.data, 2) == 0);
            ck_assert_uint_ne(reply.data[2] & 0x80, 0);
        }
        buf_close(&packet);
    }
    buf_close(&reply);
}
END_TEST

static Suite *answer_suite(void)
{
    Suite *suite = suite_create("dns_answer");
    TCase *tcase = tcase_create("dns_answer");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_service_has_addresses_ports_and_texts);
    tcase_add_test(tcase, names_of_srv_records_come_with_their_addresses);
    tcase_add_test(tcase, if_all_drain_any_will_do);
    tcase_add_test(tcase, what_is_not_there_is_told_apart_from_what_has_no_such_record);
    tcase_add_test(tcase, who_proves_nothing_may_read_no_more_by_dns);
    tcase_add_test(tcase, what_does_not_fit_a_datagram_is_asked_for_by_tcp);
    tcase_add_test(tcase, a_datagram_is_used_to_its_end);
    tcase_add_test(tcase, a_datagram_costs_a_look_at_so_many_instances_and_no_more);
    tcase_add_test(tcase, those_that_are_well_are_found_on_whatever_page_they_are);
    tcase_add_test(tcase, who_asks_too_much_is_sent_to_tcp_with_its_question);
    tcase_add_test(tcase, addresses_that_are_no_names_are_left_out);
    tcase_add_test(tcase, answers_are_never_answered_and_other_requests_are_refused);
    tcase_add_test(tcase, garbage_is_survived);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){answer_suite, NULL});
}
