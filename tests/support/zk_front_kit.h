/* Two ZooKeeper clients of one front end: the fixture of its tests. */
#ifndef TESTS_SUPPORT_ZK_FRONT_KIT_H
#define TESTS_SUPPORT_ZK_FRONT_KIT_H

#include "lease/table.h"
#include "tests/support/check_main.h"
#include "tests/support/zk_say.h"

static struct zk_world w;
static struct zk_peer *a;
static struct zk_peer *b;

static inline void setup(void)
{
    zk_world_open(&w, NULL);
    a = zk_peer_connect(&w, "192.0.2.7:51434");
    b = zk_peer_connect(&w, "192.0.2.8:4711");
}

static inline void teardown(void)
{
    zk_world_close(&w);
}

#define EXPECT(got, wanted) ck_assert_str_eq((got), (wanted))

#endif
