#include "net/source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct slice source_address(const char *peer)
{
    if (peer[0] == '[') {
        return slice_make(peer + 1, strcspn(peer + 1, "]%"));
    }
    const char *colon = strchr(peer, ':');
    bool is_bare_v6 = colon != NULL && strchr(colon + 1, ':') != NULL;
    return slice_make(peer, strcspn(peer, is_bare_v6 ? "%" : ":"));
}

void source_of(char out[SOURCE_BYTES], const char *peer)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    struct slice whole = source_address(peer);
    (void)snprintf(out, SOURCE_BYTES, "%.*s", (int)whole.size, (const char *)whole.data);
    if (inet_pton(AF_INET6, out, &address) != 1 || IN6_IS_ADDR_LOOPBACK(&address)) {
        return;
    }
    if (memcmp(address.s6_addr, mapped, sizeof mapped) == 0) {
        (void)inet_ntop(AF_INET, address.s6_addr + sizeof mapped, out, SOURCE_BYTES);
        return;
    }
    memset(address.s6_addr + 8, 0, 8);
    (void)snprintf(out, SOURCE_BYTES, "%s/64",
                   inet_ntop(AF_INET6, &address, text, sizeof text));
}
