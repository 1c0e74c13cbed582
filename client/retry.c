#include "client/retry.h"

#include "client/socket.h"

#define PAUSE_MS    20
#define CONNECT_MS  1000
#define DOUBLED_MAX 3
#define LIVED_MS    1000 /* a stream that brought things for so long was of use */

uint64_t retry_connect_ms(const struct retry *r, const struct coord_client *client)
{
    size_t rounds = r->failures / client->endpoint_count;
    return (uint64_t)CONNECT_MS << (rounds < DOUBLED_MAX ? rounds : DOUBLED_MAX);
}

void retry_opened(struct retry *r)
{
    r->live_ms = 0;
}

void retry_live(struct retry *r, uint64_t revision)
{
    if (r->live_ms == 0) {
        r->live_ms = socket_now_ms();
        r->live_revision = revision;
    }
}

uint64_t retry_failed(struct retry *r, struct coord_client *client, uint64_t revision,
                      uint64_t pause_ms_max)
{
    size_t count = client->endpoint_count;
    bool was_of_use = r->live_ms != 0 &&
                      (revision > r->live_revision || socket_now_ms() >= r->live_ms + LIVED_MS);
    r->live_ms = 0;
    r->failures = was_of_use ? 1 : r->failures + 1;
    r->endpoint = (r->endpoint + 1) % count;
    if (r->failures % count != 0) {
        return 0;
    }
    uint64_t pause_ms = PAUSE_MS * (r->failures / count);
    return client_jitter(client, pause_ms < pause_ms_max ? pause_ms : pause_ms_max);
}
