/* Questions of the DNS under arbitrary bytes, by UDP and TCP: whatever comes, what goes out is a
 * reply to it or nothing. Seeds: tests/fuzz/corpus/dns, one packet each. */
#include "base/assert.h"
#include "net/dns/answer.h"
#include "tests/support/store_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct store *s, struct slice packet, bool by_tcp)
{
    struct buf reply = {0};
    const struct dns_asked asked = {.packet = packet, .by_tcp = by_tcp, .ttl_s = 1, .turn = 1};
    if (dns_answer(s, &asked, &reply)) {
        PRE(reply.size >= 12 && memcmp(reply.data, packet.data, 2) == 0);
        PRE((reply.data[2] & 0x80) != 0);
        PRE(reply.size <= (by_tcp ? DNS_TCP_BYTES_MAX : DNS_UDP_BYTES_MAX));
    }
    buf_close(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kit k;
    kit_open(&k);
    (void)kit_create(&k, "/services", "");
    (void)kit_create(&k, "/services/web", "");
    (void)kit_create(&k, "/services/web/a",
                     "address=10.0.0.7\nport=80\nweight=30\nzone=z1\ntag=blue\nmeta.build=12\n");
    (void)kit_create(&k, "/services/web/b", "address=fd00::8\nport=81\nweight=100\n");
    (void)kit_create(&k, "/services/web/c", "address=db.example.com\nport=82\nweight=100\n");
    check(k.store, slice_make(data, size), false);
    check(k.store, slice_make(data, size), true);
    kit_close(&k);
    return 0;
}
