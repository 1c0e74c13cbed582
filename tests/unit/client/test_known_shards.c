/* Which shard a key belongs to, by what is known of a map. */
#include "client/known_shards.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "tests/support/check_main.h"

#define MAP  "/search/docs"
#define KEYS 5000

static struct known_shards m;

static void setup(void)
{
    m = (struct known_shards){0};
}

static void teardown(void)
{
    known_shards_close(&m);
}

static void spec(const char *text)
{
    ck_assert(known_shards_spec(&m, text, strlen(text)));
}

static void put(uint32_t number, const char *text)
{
    char path[64];
    (void)snprintf(path, sizeof path, MAP "/shards/s-%010u", number);
    ck_assert(known_shards_put(&m, SHARD_OF_MAP, path, text, strlen(text)));
}

static void drop(uint32_t number)
{
    char path[64];
    (void)snprintf(path, sizeof path, MAP "/shards/s-%010u", number);
    known_shards_remove(&m, SHARD_OF_MAP, path);
}

static void put_key(const char *hex, uint32_t shard)
{
    char path[128];
    char text[32];
    (void)snprintf(path, sizeof path, MAP "/keys/%s", hex);
    (void)snprintf(text, sizeof text, "shard=%u\n", shard);
    ck_assert(known_shards_put(&m, SHARD_KEY, path, text, strlen(text)));
}

/* Its number, or -1. */
static int locate(const char *key)
{
    const struct coord_shard *s = known_shards_locate(&m, key, strlen(key));
    return s != NULL ? (int)s->number : -1;
}

static int locate_number(int number)
{
    char key[32];
    (void)snprintf(key, sizeof key, "document-%d", number);
    return locate(key);
}

START_TEST(a_hashed_key_is_where_its_slot_is)
{
    char text[64];
    spec("strategy=hash\nslots=64\nreplicas=2\n");
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 0) {
            (void)snprintf(text, sizeof text, "high=15\n"); /* what is 0 is not said */
        } else {
            (void)snprintf(text, sizeof text, "low=%u\nhigh=%u\n", 16 * i, 16 * i + 15);
        }
        put(3 - i, text); /* in whatever order */
    }
    /* CRC-32C of "123456789" is e3069283: the check value that its definition gives. */
    ck_assert_uint_eq(coord_shard_slot("123456789", 9, 64), 0xe3069283u % 64);
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "document-%d", i);
        uint64_t slot = coord_shard_slot(key, strlen(key), 64);
        ck_assert_int_eq(locate_number(i), 3 - (int)(slot / 16));
    }
}
END_TEST

START_TEST(a_split_and_a_merge_are_followed)
{
    spec("strategy=hash\nslots=64\n");
    put(0, "epoch=1\nhigh=63\n");
    ck_assert_int_eq(locate("a"), 0);
    put(0, "epoch=2\nhigh=31\n");
    put(1, "epoch=2\nlow=32\nhigh=63\n");
    ck_assert_int_eq(locate("a"), coord_shard_slot("a", 1, 64) > 31);
    drop(1); /* the deletion is known, and not yet that the first has grown */
    ck_assert_int_eq(locate("a"), coord_shard_slot("a", 1, 64) > 31 ? -1 : 0);
    put(0, "epoch=3\nhigh=63\n");
    ck_assert_int_eq(locate("a"), 0);
}
END_TEST

START_TEST(a_key_of_a_range_is_between_its_bounds)
{
    spec("strategy=range\n");
    put(0, "high_key=67\n");             /* up to "g" */
    put(1, "low_key=67\nhigh_key=70\n"); /* up to "p" */
    put(2, "low_key=70\n");
    ck_assert_int_eq(locate(""), 0);
    ck_assert_int_eq(locate("f~~"), 0);
    ck_assert_int_eq(locate("g"), 1);
    ck_assert_int_eq(locate("ga"), 1);
    ck_assert_int_eq(locate("o\xff"), 1);
    ck_assert_int_eq(locate("p"), 2);
    ck_assert_int_eq(locate("\xff"), 2);
}
END_TEST

START_TEST(a_directory_knows_the_keys_that_it_was_told)
{
    spec("strategy=directory\n");
    put(0, "epoch=1\n");
    put(7, "epoch=1\n");
    put_key("616263", 7); /* "abc" */
    put_key("61", 0);
    ck_assert_int_eq(locate("abc"), 7);
    ck_assert_int_eq(locate("a"), 0);
    ck_assert_int_eq(locate("ab"), -1);
    put_key("616263", 0); /* it goes to another one */
    ck_assert_int_eq(locate("abc"), 0);
    put_key("62", 9); /* of a shard that is not known yet */
    ck_assert_int_eq(locate("b"), -1);
    known_shards_remove(&m, SHARD_KEY, MAP "/keys/61");
    ck_assert_int_eq(locate("a"), -1);
}
END_TEST

START_TEST(a_random_directory_says_what_a_list_would)
{
    static int expected[500];
    struct rng rng;
    rng_init(&rng, 1);
    memset(expected, 0xff, sizeof expected);
    spec("strategy=directory\n");
    for (uint32_t i = 0; i < 5; i++) {
        put(i, "epoch=1\n");
    }
    for (int step = 0; step < 20000; step++) {
        int at = (int)rng_below(&rng, 500);
        char hex[16];
        char path[64];
        char key[8];
        (void)snprintf(key, sizeof key, "%03d", at);
        (void)snprintf(hex, sizeof hex, "%02x%02x%02x", key[0], key[1], key[2]);
        if (rng_below(&rng, 3) == 0) {
            (void)snprintf(path, sizeof path, MAP "/keys/%s", hex);
            known_shards_remove(&m, SHARD_KEY, path);
            expected[at] = -1;
        } else {
            expected[at] = (int)rng_below(&rng, 5);
            put_key(hex, (uint32_t)expected[at]);
        }
        ck_assert_int_eq(locate(key), expected[at]);
    }
}
END_TEST

START_TEST(on_a_ring_each_shard_has_about_its_weight)
{
    uint32_t counts[4] = {0};
    spec("strategy=ring\n");
    put(0, "weight=100\n");
    put(1, "weight=100\n");
    put(2, "weight=200\n");
    put(3, "weight=400\n");
    for (int i = 0; i < 40000; i++) {
        counts[locate_number(i)]++;
    }
    const double parts[] = {0.125, 0.125, 0.25, 0.5};
    for (int i = 0; i < 4; i++) {
        ck_assert(counts[i] > 40000 * parts[i] * 0.7);
        ck_assert(counts[i] < 40000 * parts[i] * 1.3);
    }
}
END_TEST

START_TEST(who_comes_to_a_ring_takes_keys_and_nothing_else_moves)
{
    static int before[KEYS];
    int taken = 0;
    spec("strategy=ring\n");
    for (uint32_t i = 0; i < 8; i++) {
        put(i, "weight=100\n");
    }
    for (int i = 0; i < KEYS; i++) {
        before[i] = locate_number(i);
    }
    put(8, "weight=100\n");
    for (int i = 0; i < KEYS; i++) {
        int now = locate_number(i);
        ck_assert(now == before[i] || now == 8);
        taken += now == 8;
    }
    ck_assert(taken > KEYS / 18 && taken < KEYS / 5);
    drop(8);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(locate_number(i), before[i]);
    }
    put(3, "weight=150\n"); /* it takes more, from all others */
    for (int i = 0; i < KEYS; i++) {
        int now = locate_number(i);
        ck_assert(now == before[i] || now == 3);
    }
    put(3, "epoch=9\nleader=n1\nreplicas=n1,n2\nweight=150\n"); /* who has it does not matter */
    const struct coord_shard *s = known_shards_shard(&m, 3);
    ck_assert_uint_eq(s->epoch, 9);
    ck_assert_str_eq(s->replicas[1], "n2");
}
END_TEST

START_TEST(what_nodes_and_moves_say_is_known)
{
    static const char node[] = "address=10.0.0.7:1\nzone=a\ntags=ssd,big\nweight=100\n";
    static const char move[] =
        "state=catching-up\nkind=move\nshard=4\nfrom=n1\nto=n2\nheld=1\n";
    ck_assert(known_shards_put(&m, SHARD_NODE, MAP "/nodes/n1", node, strlen(node)));
    const struct shard_entry *e = known_shards_find(&m, SHARD_NODE, "n1");
    ck_assert_str_eq(e->node.address, "10.0.0.7:1");
    ck_assert_uint_eq(e->node.tag_count, 2);
    ck_assert_str_eq(e->node.tags[1], "big");
    ck_assert(!e->node.drains);
    ck_assert(
        known_shards_put(&m, SHARD_MOVE_NODE, MAP "/moves/m-0000000012", move, strlen(move)));
    e = known_shards_find(&m, SHARD_MOVE_NODE, "m-0000000012");
    ck_assert_uint_eq(e->move.number, 12);
    ck_assert_int_eq(e->move.state, COORD_MOVE_CATCHING_UP);
    ck_assert_str_eq(e->move.to, "n2");
    ck_assert(e->move.held);
    known_shards_clear(&m, SHARD_NODE);
    ck_assert_ptr_null(known_shards_find(&m, SHARD_NODE, "n1"));
}
END_TEST

static Suite *known_shards_suite(void)
{
    Suite *s = suite_create("known_shards");
    TCase *t = tcase_create("locate");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_hashed_key_is_where_its_slot_is);
    tcase_add_test(t, a_split_and_a_merge_are_followed);
    tcase_add_test(t, a_key_of_a_range_is_between_its_bounds);
    tcase_add_test(t, a_directory_knows_the_keys_that_it_was_told);
    tcase_add_test(t, a_random_directory_says_what_a_list_would);
    tcase_add_test(t, on_a_ring_each_shard_has_about_its_weight);
    tcase_add_test(t, who_comes_to_a_ring_takes_keys_and_nothing_else_moves);
    tcase_add_test(t, what_nodes_and_moves_say_is_known);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){known_shards_suite, NULL});
}
