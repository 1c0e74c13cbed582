/* Stories about members that come. */
#include "tests/sim/members.h"
#include "tests/sim/scenario.h"

static bool has_grown(struct cluster *c, void *context)
{
    (void)c;
    return ((struct members *)context)->counts[MEMBER_COUNT_GROWN] == 1;
}

/* Two wait for a single node to grow. While that does not answer they ask each other, and are told
 * that nobody serves there: they must not go on asking those who cannot know. */
void scenario_grow_finds_who_serves(struct story *s)
{
    struct cluster *c = &s->cluster;
    struct members m;
    if (story_begin(s) < 0) {
        return;
    }
    for (uint32_t i = 1; i < 3; i++) {
        story_cut(s, 0, i, true);
    }
    for (uint32_t i = 1; i < 3; i++) {
        cluster_lose_disk(c, i);
        c->nodes[i].is_out = false;
        (void)cluster_start(c, i);
    }
    cluster_run(c, 5 * SECOND);
    for (uint32_t i = 1; i < 3; i++) {
        story_cut(s, 0, i, false);
    }
    members_init(&m, c);
    members_start(&m);
    members_end(&m); /* nothing else than that */
    (void)story_expect(s, cluster_run_until(c, 20 * SECOND, has_grown, &m),
                       "the single node does not grow");
    cluster_run(c, SECOND); /* the last question has its answer */
    members_close(&m);
    story_end(s);
}
