#include "net/source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* The part before the port, without brackets. */
static void source_address(char out[SOURCE_BYTES], const char *peer)
{
    size_t skip = peer[0] == '[';
    const char *end = strrchr(peer, skip ? ']' : ':');
    size_t bytes = end != NULL ? (size_t)(end - peer) - skip : strlen(peer) - skip;
    (void)snprintf(out, SOURCE_BYTES, "%.*s", (int)bytes, peer + skip);
}

void source_of(char out[SOURCE_BYTES], const char *peer)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    source_address(out, peer);
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
