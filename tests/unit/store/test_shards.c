/* Shard maps by the store's commands: what one command may bring and may cost. The random traffic
 * is in test_shard_model.c. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "recipes/shard_record.h"
#include "store/state.h"
#include "store/validate.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define MAP "/m"

static struct kit k;
static struct buf text;

static void setup(void)
{
    kit_open(&k);
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
    buf_close(&text);
}

static enum outcome run(struct command_shard what)
{
    struct command c = {.type = COMMAND_SHARD, .shard = what};
    c.shard.path = slice_str(MAP);
    return kit_run(&k, &c);
}

/* Of the slots of a hash, with this many shards. */
static enum outcome create(uint64_t shards, const char *promote, uint32_t concurrent)
{
    struct shard_step count = {.number = shards};
    buf_clear(&text);
    buf_printf(&text,
               "strategy=hash\nslots=16384\nreplicas=3\npromote=%s\nbalance=replicas\n"
               "concurrent=%" PRIu32 "\n",
               promote, concurrent);
    return run((struct command_shard){.action = SHARD_CREATE,
                                      .text = buf_slice(&text),
                                      .steps = &count,
                                      .step_count = 1});
}

static uint64_t cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- lists of names ----------------------------------------------------------------------- */

/* Before and behind so many different tags. */
static struct slice tags_between(const char *before, uint32_t count, const char *behind)
{
    buf_clear(&text);
    buf_append_str(&text, before);
    buf_append_str(&text, "tags=");
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(&text, "%st%" PRIu32, i > 0 ? "," : "", i);
    }
    buf_append_str(&text, "\n");
    buf_append_str(&text, behind);
    return buf_slice(&text);
}

static enum outcome configure_with(uint32_t tags)
{
    struct slice spec = tags_between("strategy=hash\nslots=16384\nreplicas=3\n", tags,
                                     "promote=fresh\nbalance=replicas\nconcurrent=2\n");
    return run((struct command_shard){.action = SHARD_CONFIGURE, .text = spec});
}

static enum outcome set_with(uint32_t tags)
{
    struct shard_step step = {.number = 0};
    return run((struct command_shard){.action = SHARD_SET_SHARD,
                                      .text = tags_between("", tags, ""),
                                      .steps = &step,
                                      .step_count = 1});
}

static enum outcome join_with(uint32_t tags)
{
    return run((struct command_shard){.action = SHARD_JOIN,
                                      .node = slice_str("n1"),
                                      .text = tags_between("", tags, "weight=100\n"),
                                      .lease = 1});
}

START_TEST(lists_of_names_have_a_bound)
{
    struct errmsg err;
    ck_assert_int_eq(create(1, "fresh", 2), OUTCOME_OK);
    kit_grant(&k, 1);
    ck_assert_int_eq(configure_with(SHARD_NAMES_MAX), OUTCOME_OK);
    ck_assert_int_eq(set_with(SHARD_NAMES_MAX), OUTCOME_OK);
    ck_assert_int_eq(join_with(SHARD_NAMES_MAX), OUTCOME_OK);
    ck_assert_int_eq(configure_with(SHARD_NAMES_MAX + 1), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(set_with(SHARD_NAMES_MAX + 1), OUTCOME_BAD_ARGUMENTS);
    ck_assert_int_eq(join_with(SHARD_NAMES_MAX + 1), OUTCOME_BAD_ARGUMENTS);
    uint64_t begin = cpu_ms();
    ck_assert_int_eq(set_with(400000), OUTCOME_BAD_ARGUMENTS); /* 2.7 MB */
    ck_assert_uint_lt(cpu_ms() - begin, 1000);
    struct command_shard asked = {.action = SHARD_SET_SHARD,
                                  .path = slice_str(MAP),
                                  .text = tags_between("", SHARD_NAMES_MAX + 1, ""),
                                  .steps = &(struct shard_step){.number = 0},
                                  .step_count = 1};
    ck_assert_int_eq(shard_check(&asked, &err), OUTCOME_BAD_ARGUMENTS);
    ck_assert_ptr_nonnull(strstr(err.text, "at most 64 names in a list"));
    kit_reload(&k);
}
END_TEST

static Suite *shards_suite(void)
{
    Suite *suite = suite_create("store_shards");
    TCase *tcase = tcase_create("store_shards");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, lists_of_names_have_a_bound);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){shards_suite, NULL});
}
