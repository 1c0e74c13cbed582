/* Locks by the store's commands: what they answer and what is left in the tree. The random traffic
 * against a model is in test_lock_model.c. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "lease/lease.h"
#include "recipes/election.h"
#include "recipes/lock.h"
#include "recipes/waits.h"
#include "store/digest.h"
#include "store/state.h"
#include "store/validate.h"
#include "tests/support/auth_kit.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

static struct kit k;

static void setup(void)
{
    kit_open(&k);
    for (uint64_t id = 1; id <= 4; id++) {
        kit_grant(&k, id);
    }
}

static void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
}

static struct command lock_command(enum recipe_action action, uint64_t lease, const char *owner,
                                   const struct recipe_target *targets, uint32_t count)
{
    return (struct command){
        .type = COMMAND_RECIPE,
        .recipe = {.recipe = RECIPE_LOCK,
                   .action = (uint8_t)action,
                   .lease = lease,
                   .owner = slice_str(owner),
                   .targets = targets,
                   .target_count = count},
    };
}

static struct recipe_target target_of(const char *path, enum lock_mode mode, uint32_t permits,
                                      uint32_t limit)
{
    return (struct recipe_target){.path = slice_str(path),
                                  .mode = (uint8_t)mode,
                                  .permits = permits,
                                  .limit = limit};
}

static enum outcome acquire(uint64_t lease, const char *path, enum lock_mode mode)
{
    struct recipe_target t = target_of(path, mode, 0, 0);
    struct command c = lock_command(RECIPE_ACQUIRE, lease, "", &t, 1);
    return kit_run(&k, &c);
}

static enum outcome acquire_two(uint64_t lease, const char *a, const char *b)
{
    struct recipe_target t[] = {target_of(a, LOCK_WRITE, 0, 0), target_of(b, LOCK_WRITE, 0, 0)};
    struct command c = lock_command(RECIPE_ACQUIRE, lease, "", t, 2);
    return kit_run(&k, &c);
}

static enum outcome on_lock(enum recipe_action action, uint64_t lease, const char *path)
{
    struct recipe_target t = {.path = slice_str(path)};
    struct command c = lock_command(action, lease, "", &t, 1);
    return kit_run(&k, &c);
}

static bool is_held(void)
{
    ck_assert(k.reply.has_recipe && k.reply.recipe.place_count > 0);
    return k.reply.recipe.places[0].held;
}

static struct slice value_of(const char *path)
{
    uint32_t slot = tree_find(&k.store->tree, SPACE_NODES, slice_str(path));
    ck_assert_uint_ne(slot, TREE_NONE);
    return value_slice(tree_node(&k.store->tree, slot)->value);
}

static bool value_has(const char *path, const char *text)
{
    struct slice value = value_of(path);
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= value.size; i++) {
        if (memcmp(value.data + i, text, size) == 0) {
            return true;
        }
    }
    return false;
}

static bool text_has(const char *text)
{
    struct slice told = k.reply.recipe.text;
    char whole[4096];
    snprintf(whole, sizeof whole, "%.*s", (int)told.size, (const char *)told.data);
    return strstr(whole, text) != NULL;
}

/* ---- acquire and release ------------------------------------------------------------------ */

START_TEST(a_free_lock_is_granted_at_once_and_its_nodes_say_so)
{
    ck_assert_int_eq(acquire(1, "/locks/db", LOCK_WRITE), OUTCOME_OK);
    ck_assert(is_held());
    const struct recipe_place_result *p = &k.reply.recipe.places[0];
    ck_assert(slice_is(p->path, "/locks/db/q-0000000000"));
    ck_assert_uint_eq(p->epoch, store_revision(k.store));
    ck_assert_uint_eq(p->revision, p->epoch);
    ck_assert(slice_is(value_of("/locks/db"), "recipe=lock\n"));
    ck_assert(value_has("/locks/db/q-0000000000", "state=held\nmode=write\nepoch="));
    struct node_stat stat;
    ck_assert_int_eq(kit_stat(&k, "/locks/db", &stat), OUTCOME_OK);
    ck_assert_int_eq(stat.kind, NODE_RECIPE);
    ck_assert_int_eq(kit_stat(&k, "/locks/db/q-0000000000", &stat), OUTCOME_OK);
    ck_assert_int_eq(stat.kind, NODE_EPHEMERAL);
    ck_assert_uint_eq(stat.lease, 1);
}
END_TEST

START_TEST(what_is_released_is_the_next_ones_in_the_same_revision)
{
    acquire(1, "/l", LOCK_WRITE);
    ck_assert_int_eq(acquire(2, "/l", LOCK_WRITE), OUTCOME_OK);
    ck_assert(!is_held());
    ck_assert_uint_eq(k.reply.recipe.places[0].position, 0);
    acquire(3, "/l", LOCK_WRITE);
    ck_assert_uint_eq(k.reply.recipe.places[0].position, 1);
    uint64_t before = store_revision(k.store);
    ck_assert_int_eq(on_lock(RECIPE_RELEASE, 1, "/l"), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), before + 1);
    char epoch[64];
    snprintf(epoch, sizeof epoch, "state=held\nmode=write\nepoch=%" PRIu64 "\n", before + 1);
    ck_assert(value_has("/l/q-0000000001", epoch));
    ck_assert(value_has("/l/q-0000000002", "state=waiting\n"));
    const struct history *h = store_history(k.store);
    ck_assert_uint_eq(history_at(h, h->end - 2)->type, CHANGE_DELETE);
    ck_assert_uint_eq(history_at(h, h->end - 1)->type, CHANGE_SET);
    ck_assert_uint_eq(history_at(h, h->end - 1)->reason, REASON_GRANTED);
}
END_TEST

START_TEST(a_try_that_is_lost_leaves_nothing_behind)
{
    acquire(1, "/l", LOCK_WRITE);
    uint64_t digest = k.store->node_sum;
    uint64_t revision = store_revision(k.store);
    struct recipe_target t = target_of("/l", LOCK_READ, 0, 0);
    struct command c = lock_command(RECIPE_ACQUIRE, 2, "", &t, 1);
    c.recipe.flags = RECIPE_TRY;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_HELD);
    ck_assert(text_has("/l: held by lease 0000000000000001 (write)"));
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_uint_eq(k.store->node_sum, digest);
}
END_TEST

START_TEST(reads_share_and_do_not_pass_a_write_that_waits)
{
    acquire(1, "/l", LOCK_READ);
    acquire(2, "/l", LOCK_READ);
    ck_assert(is_held());
    acquire(3, "/l", LOCK_WRITE);
    ck_assert(!is_held());
    acquire(4, "/l", LOCK_READ);
    ck_assert(!is_held());
    on_lock(RECIPE_RELEASE, 1, "/l");
    ck_assert(value_has("/l/q-0000000002", "state=waiting"));
    on_lock(RECIPE_RELEASE, 2, "/l");
    ck_assert(value_has("/l/q-0000000002", "state=held"));
    ck_assert(value_has("/l/q-0000000003", "state=waiting"));
    on_lock(RECIPE_RELEASE, 3, "/l");
    ck_assert(value_has("/l/q-0000000003", "state=held"));
}
END_TEST

START_TEST(a_write_that_gives_up_lets_the_reads_behind_it_in)
{
    acquire(1, "/l", LOCK_READ);
    acquire(2, "/l", LOCK_WRITE);
    acquire(3, "/l", LOCK_READ);
    acquire(4, "/l", LOCK_READ);
    ck_assert_int_eq(on_lock(RECIPE_CANCEL, 2, "/l"), OUTCOME_OK);
    ck_assert(value_has("/l/q-0000000002", "state=held"));
    ck_assert(value_has("/l/q-0000000003", "state=held"));
}
END_TEST

START_TEST(the_same_owner_has_it_once_more_and_releases_as_often)
{
    acquire(1, "/l", LOCK_WRITE);
    acquire(1, "/l", LOCK_READ); /* a write covers it */
    ck_assert(is_held());
    ck_assert_uint_eq(k.reply.recipe.places[0].count, 2);
    acquire(2, "/l", LOCK_WRITE);
    on_lock(RECIPE_RELEASE, 1, "/l");
    ck_assert(value_has("/l/q-0000000001", "state=waiting"));
    on_lock(RECIPE_RELEASE, 1, "/l");
    ck_assert(value_has("/l/q-0000000001", "state=held"));
    ck_assert_int_eq(on_lock(RECIPE_RELEASE, 1, "/l"), OUTCOME_NOT_HELD);
}
END_TEST

START_TEST(another_owner_of_the_same_lease_is_somebody_else)
{
    struct recipe_target t = target_of("/l", LOCK_WRITE, 0, 0);
    struct command a = lock_command(RECIPE_ACQUIRE, 1, "thread a", &t, 1);
    struct command b = lock_command(RECIPE_ACQUIRE, 1, "thread b", &t, 1);
    ck_assert_int_eq(kit_run(&k, &a), OUTCOME_OK);
    ck_assert(is_held());
    ck_assert_int_eq(kit_run(&k, &b), OUTCOME_OK);
    ck_assert(!is_held());
    ck_assert_int_eq(kit_run(&k, &b), OUTCOME_WAITS);
    ck_assert(text_has("lease 0000000000000001 \"thread b\" waits for /l"));
}
END_TEST

START_TEST(of_a_semaphore_nobody_passes_the_first_that_waits)
{
    struct recipe_target two = target_of("/s", LOCK_PERMITS, 2, 3);
    struct recipe_target one = target_of("/s", LOCK_PERMITS, 1, 0);
    struct command c = lock_command(RECIPE_ACQUIRE, 1, "", &two, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(is_held());
    c = lock_command(RECIPE_ACQUIRE, 2, "", &two, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(!is_held());
    c = lock_command(RECIPE_ACQUIRE, 3, "", &one, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(!is_held()); /* a permit is free, but it is not its turn */
    on_lock(RECIPE_RELEASE, 1, "/s");
    ck_assert(value_has("/s/q-0000000001", "state=held"));
    ck_assert(value_has("/s/q-0000000002", "state=held"));
    ck_assert(slice_is(value_of("/s"), "recipe=lock\npermits=3\n"));
}
END_TEST

START_TEST(a_lock_is_used_in_one_way_as_long_as_anybody_is_there)
{
    struct recipe_target three = target_of("/s", LOCK_PERMITS, 1, 3);
    struct recipe_target five = target_of("/s", LOCK_PERMITS, 1, 5);
    struct recipe_target four = target_of("/s", LOCK_PERMITS, 4, 0);
    struct command c = lock_command(RECIPE_ACQUIRE, 1, "", &three, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    c = lock_command(RECIPE_ACQUIRE, 2, "", &five, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_MISMATCH);
    ck_assert(text_has("limit: 5 asked for, the lock has 3"));
    c = lock_command(RECIPE_ACQUIRE, 2, "", &four, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_MISMATCH);
    ck_assert(text_has("permits: 4 asked for, the lock has 3"));
    ck_assert_int_eq(acquire(2, "/s", LOCK_WRITE), OUTCOME_MISMATCH);
    ck_assert(text_has("mode: write asked for, the lock has 3 permits"));
    on_lock(RECIPE_RELEASE, 1, "/s");
    ck_assert_int_eq(acquire(2, "/s", LOCK_WRITE), OUTCOME_OK);
    ck_assert(slice_is(value_of("/s"), "recipe=lock\n"));
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_MISMATCH);
    ck_assert(text_has("mode: 4 permits asked for, the lock is used in modes write and read"));
    kit_create(&k, "/plain", "");
    ck_assert_int_eq(acquire(2, "/plain", LOCK_WRITE), OUTCOME_NO_RECIPE);
    ck_assert_int_eq(acquire(3, "/s/q-0000000001/x", LOCK_WRITE), OUTCOME_EPHEMERAL_PARENT);
    ck_assert_int_eq(acquire(3, "/s/x", LOCK_WRITE), OUTCOME_PROTECTED);
}
END_TEST

START_TEST(several_are_had_all_at_once_or_waited_for)
{
    acquire(1, "/b", LOCK_WRITE);
    ck_assert_int_eq(acquire_two(2, "/a", "/b"), OUTCOME_OK);
    ck_assert(!is_held());
    ck_assert_int_eq(acquire(3, "/a", LOCK_WRITE), OUTCOME_OK);
    ck_assert(!is_held()); /* behind the part of the multi-lock */
    on_lock(RECIPE_RELEASE, 1, "/b");
    ck_assert(value_has("/a/q-0000000000", "state=held"));
    ck_assert(value_has("/b/q-0000000001", "state=held"));
    struct recipe_target t = {.path = slice_str("/b/q-0000000001")};
    struct command c = lock_command(RECIPE_RELEASE, 0, "", &t, 1);
    c.recipe.flags = RECIPE_GROUP;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/a/q-0000000000"));
    ck_assert(value_has("/a/q-0000000001", "state=held"));
    acquire(4, "/c", LOCK_WRITE);
    ck_assert_int_eq(acquire_two(4, "/c", "/d"), OUTCOME_MISMATCH);
    ck_assert(text_has("/c: held by this owner already"));
}
END_TEST

/* ---- what ends by itself ------------------------------------------------------------------ */

START_TEST(the_end_of_a_lease_hands_over_what_it_held_in_one_revision)
{
    acquire(1, "/a", LOCK_WRITE);
    acquire(1, "/b", LOCK_WRITE);
    acquire(2, "/a", LOCK_WRITE);
    acquire(3, "/b", LOCK_READ);
    acquire(4, "/b", LOCK_READ);
    uint64_t before = store_revision(k.store);
    struct command c = {.type = COMMAND_EXPIRE, .lease = {.id = 1}};
    c.lease.generation = store_lease(k.store, 1)->generation;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert_uint_eq(store_revision(k.store), before + 1);
    ck_assert(value_has("/a/q-0000000001", "state=held"));
    ck_assert(value_has("/b/q-0000000001", "state=held"));
    ck_assert(value_has("/b/q-0000000002", "state=held"));
}
END_TEST

static size_t reap_all(void)
{
    struct store_due due[16];
    struct arena arena = {0};
    size_t count = store_reap_due(k.store, k.cluster_ms, due, 16);
    for (size_t i = 0; i < count; i++) {
        due[i].path = arena_copy(&arena, due[i].path);
    }
    for (size_t i = 0; i < count; i++) {
        struct command c = {.type = COMMAND_REAP,
                            .reap = {.path = due[i].path, .revision = due[i].revision}};
        (void)kit_run(&k, &c);
    }
    arena_close(&arena);
    return count;
}

START_TEST(waits_and_holds_end_when_their_time_has_run_out)
{
    struct recipe_target t = target_of("/l", LOCK_WRITE, 0, 0);
    struct command hold = lock_command(RECIPE_ACQUIRE, 1, "", &t, 1);
    hold.recipe.hold_ms = 1000;
    ck_assert_int_eq(kit_run(&k, &hold), OUTCOME_OK);
    struct command wait = lock_command(RECIPE_ACQUIRE, 2, "", &t, 1);
    wait.recipe.wait_ms = 500;
    ck_assert_int_eq(kit_run(&k, &wait), OUTCOME_OK);
    ck_assert_int_eq(acquire(3, "/l", LOCK_WRITE), OUTCOME_OK);
    ck_assert_uint_eq(reap_all(), 0);
    ck_assert_uint_le(store_reap_next_ms(k.store), k.cluster_ms + 500);
    k.cluster_ms += 600;
    ck_assert_uint_eq(reap_all(), 1);
    ck_assert(!kit_exists(&k, "/l/q-0000000001"));
    ck_assert(value_has("/l/q-0000000002", "state=waiting"));
    const struct history *h = store_history(k.store);
    ck_assert_uint_eq(history_at(h, h->end - 1)->reason, REASON_TIMED_OUT);
    struct recipe_target entry = {.path = slice_str("/l/q-0000000000")};
    struct command extend = lock_command(RECIPE_EXTEND, 0, "", &entry, 1);
    extend.recipe.hold_ms = 2000;
    ck_assert_int_eq(kit_run(&k, &extend), OUTCOME_OK);
    k.cluster_ms += 1000;
    ck_assert_uint_eq(reap_all(), 0);
    k.cluster_ms += 1000;
    ck_assert_uint_eq(reap_all(), 1);
    ck_assert(value_has("/l/q-0000000002", "state=held"));
}
END_TEST

START_TEST(who_waited_too_long_is_not_granted_though_nobody_looked)
{
    struct recipe_target t = target_of("/l", LOCK_WRITE, 0, 0);
    acquire(1, "/l", LOCK_WRITE);
    struct command wait = lock_command(RECIPE_ACQUIRE, 2, "", &t, 1);
    wait.recipe.wait_ms = 50;
    kit_run(&k, &wait);
    acquire(3, "/l", LOCK_WRITE);
    k.cluster_ms += 100;
    ck_assert_int_eq(on_lock(RECIPE_RELEASE, 1, "/l"), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/l/q-0000000001"));
    ck_assert(value_has("/l/q-0000000002", "state=held"));
}
END_TEST

/* The client is told by the reason: that of the lease that ended would say that its own did. */
START_TEST(who_waited_too_long_goes_for_a_reason_of_its_own)
{
    struct recipe_target t = target_of("/l", LOCK_WRITE, 0, 0);
    acquire(1, "/l", LOCK_WRITE);
    struct command wait = lock_command(RECIPE_ACQUIRE, 2, "", &t, 1);
    wait.recipe.wait_ms = 50;
    kit_run(&k, &wait);
    k.cluster_ms += 100;
    struct command c = {.type = COMMAND_EXPIRE, .lease = {.id = 1}};
    c.lease.generation = store_lease(k.store, 1)->generation;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(!kit_exists(&k, "/l/q-0000000001"));
    const struct history *h = store_history(k.store);
    ck_assert_uint_eq(history_at(h, h->end - 2)->reason, REASON_EXPIRED);
    ck_assert_uint_eq(history_at(h, h->end - 1)->type, CHANGE_DELETE);
    ck_assert_uint_eq(history_at(h, h->end - 1)->reason, REASON_GRANTED);
}
END_TEST

START_TEST(an_emptied_lock_goes_by_itself_and_may_be_deleted)
{
    acquire(1, "/l", LOCK_WRITE);
    ck_assert_int_eq(kit_delete(&k, "/l"), OUTCOME_PROTECTED);
    on_lock(RECIPE_RELEASE, 1, "/l");
    ck_assert_uint_eq(reap_all(), 1);
    ck_assert(!kit_exists(&k, "/l"));
    acquire(1, "/l", LOCK_WRITE);
    ck_assert(slice_is(k.reply.recipe.places[0].path, "/l/q-0000000000"));
    on_lock(RECIPE_RELEASE, 1, "/l");
    ck_assert_int_eq(kit_delete(&k, "/l"), OUTCOME_OK);
}
END_TEST

START_TEST(holders_are_told_who_asks_them_to_release_and_why)
{
    acquire(1, "/l", LOCK_READ);
    acquire(2, "/l", LOCK_READ);
    acquire(3, "/l", LOCK_WRITE);
    struct recipe_target t = {.path = slice_str("/l")};
    struct command c = lock_command(RECIPE_ASK_RELEASE, 0, "", &t, 1);
    c.recipe.value = slice_str("alice");
    c.note = slice_str("upgrade");
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    ck_assert(value_has("/l/q-0000000000", "asked_by=alice\nasked_why=upgrade\n"));
    ck_assert(value_has("/l/q-0000000001", "asked_by=alice\nasked_why=upgrade\n"));
    ck_assert(!value_has("/l/q-0000000002", "asked_by"));
}
END_TEST

/* ---- deadlocks ---------------------------------------------------------------------------- */

START_TEST(two_that_would_wait_for_each_other_are_told_how)
{
    acquire(1, "/a", LOCK_WRITE);
    acquire(2, "/b", LOCK_WRITE);
    ck_assert_int_eq(acquire(1, "/b", LOCK_WRITE), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(acquire(2, "/a", LOCK_WRITE), OUTCOME_DEADLOCK);
    ck_assert_uint_eq(store_revision(k.store), revision);
    ck_assert_uint_eq(k.reply.recipe.cycle_count, 2);
    ck_assert(text_has("lease 0000000000000002 waits for /a (write), "
                       "held by lease 0000000000000001 (write); "
                       "lease 0000000000000001 waits for /b (write), "
                       "held by lease 0000000000000002 (write)"));
    on_lock(RECIPE_RELEASE, 2, "/b");
    ck_assert(value_has("/b/q-0000000001", "state=held"));
}
END_TEST

START_TEST(two_readers_cannot_both_wait_to_write)
{
    acquire(1, "/l", LOCK_READ);
    acquire(2, "/l", LOCK_READ);
    ck_assert_int_eq(acquire(1, "/l", LOCK_WRITE), OUTCOME_OK);
    ck_assert(!is_held());
    ck_assert_int_eq(acquire(2, "/l", LOCK_WRITE), OUTCOME_DEADLOCK);
    on_lock(RECIPE_RELEASE, 2, "/l");
    ck_assert(value_has("/l/q-0000000002", "state=held\nmode=write"));
}
END_TEST

START_TEST(permits_can_come_from_anybody_who_has_some)
{
    struct recipe_target one = target_of("/s", LOCK_PERMITS, 1, 2);
    struct command c = lock_command(RECIPE_ACQUIRE, 1, "", &one, 1);
    kit_run(&k, &c);
    c = lock_command(RECIPE_ACQUIRE, 2, "", &one, 1);
    kit_run(&k, &c);
    acquire(3, "/l", LOCK_WRITE);
    ck_assert_int_eq(acquire(1, "/l", LOCK_WRITE), OUTCOME_OK); /* 1 waits for 3 */
    c = lock_command(RECIPE_ACQUIRE, 3, "", &one, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK); /* 2 can give one back */
    on_lock(RECIPE_CANCEL, 3, "/s");
    acquire(4, "/m", LOCK_WRITE);
    ck_assert_int_eq(acquire(2, "/m", LOCK_WRITE), OUTCOME_OK); /* 2 waits for 4 */
    c = lock_command(RECIPE_ACQUIRE, 4, "", &one, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK); /* 3 is free, then 1, then a permit */
    c = lock_command(RECIPE_ACQUIRE, 3, "", &one, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_DEADLOCK);
    struct recipe_target more = target_of("/t", LOCK_PERMITS, 2, 2);
    c = lock_command(RECIPE_ACQUIRE, 3, "", &more, 1);
    kit_run(&k, &c);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_DEADLOCK); /* it waits for its own */
    ck_assert_uint_eq(k.reply.recipe.cycle_count, 1);
}
END_TEST

/* ---- who may ------------------------------------------------------------------------------ */

static enum outcome run_as(const char *user, struct command *c)
{
    struct buf who = {0};
    c->identities = auth_kit_who(&who, user);
    enum outcome outcome = kit_run(&k, c);
    c->identities = slice_make(NULL, 0);
    buf_close(&who);
    return outcome;
}

static enum outcome lease_as(const char *user, uint64_t id)
{
    struct command c = {
        .type = COMMAND_GRANT,
        .lease = {.id = id,
                  .ttl_ms = 10000,
                  .kind = LEASE_PLAIN,
                  .secret = slice_str("0123456789abcdef")},
    };
    return run_as(user, &c);
}

START_TEST(an_entry_is_its_leases_and_nobody_elses)
{
    struct recipe_target t = target_of("/l", LOCK_WRITE, 0, 0);
    struct recipe_target plain = {.path = slice_str("/l")};
    struct recipe_target entry = {.path = slice_str("/l/q-0000000000")};
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "admin", "hash");
    auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", "root");
    auth_kit_add(&k, "alice", "/l", ACL_CREATE);
    auth_kit_add(&k, "bob", "/l", ACL_CREATE | ACL_WRITE);
    auth_kit_add(&k, "carol", "/other", ACL_ALL);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    ck_assert_int_eq(lease_as("alice", 11), OUTCOME_OK);
    ck_assert_int_eq(lease_as("bob", 12), OUTCOME_OK);
    ck_assert_int_eq(lease_as("carol", 13), OUTCOME_OK);
    struct command c = lock_command(RECIPE_ACQUIRE, 13, "", &t, 1);
    ck_assert_int_eq(run_as("carol", &c), OUTCOME_NO_AUTH); /* not there: needs its own rights */
    ck_assert(!kit_exists(&k, "/l"));
    c = lock_command(RECIPE_ACQUIRE, 11, "", &t, 1);
    ck_assert_int_eq(run_as("bob", &c), OUTCOME_NO_AUTH); /* alice's lease */
    ck_assert_int_eq(run_as("alice", &c), OUTCOME_OK);
    c = lock_command(RECIPE_ACQUIRE, 13, "", &t, 1);
    ck_assert_int_eq(run_as("carol", &c), OUTCOME_NO_AUTH); /* there: no word about who has it */
    ck_assert_uint_eq(k.reply.recipe.text.size, 0);
    static const enum recipe_action own[] = {RECIPE_RELEASE, RECIPE_CANCEL, RECIPE_EXTEND};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        c = lock_command(own[i], 0, "", &entry, 1);
        ck_assert_int_eq(run_as("bob", &c), OUTCOME_NO_AUTH);
    }
    c = lock_command(RECIPE_ASK_RELEASE, 0, "", &plain, 1);
    c.recipe.value = slice_str("the king");
    ck_assert_int_eq(run_as("alice", &c), OUTCOME_NO_AUTH);
    ck_assert_int_eq(run_as("bob", &c), OUTCOME_OK);
    ck_assert(value_has("/l/q-0000000000", "asked_by=bob\n")); /* whoever he says he is */
    c = lock_command(RECIPE_REMOVE, 0, "", &entry, 1);
    ck_assert_int_eq(run_as("bob", &c), OUTCOME_NO_AUTH);
    ck_assert_int_eq(run_as("admin", &c), OUTCOME_OK);
    ck_assert_int_eq(run_as("admin", &c), OUTCOME_NOT_HELD);
}
END_TEST

/* alice may read what is at /open, and queue at /shut too; bob may all. Each has a lease. */
static void enable_with_alice_and_bob(void)
{
    auth_kit_user(&k, NULL, AUTH_USER_ADD, "admin", "hash");
    auth_kit_user(&k, NULL, AUTH_USER_GRANT, "admin", "root");
    auth_kit_add(&k, "alice", "/open", ACL_ALL);
    auth_kit_rule(&k, NULL, AUTH_ROLE_GRANT, "alice", "/shut", ACL_CREATE, false);
    auth_kit_add(&k, "bob", "/", ACL_ALL);
    ck_assert_int_eq(auth_kit_enable(&k, NULL), OUTCOME_OK);
    ck_assert_int_eq(lease_as("alice", 11), OUTCOME_OK);
    ck_assert_int_eq(lease_as("bob", 12), OUTCOME_OK);
}

static enum outcome queue_as(const char *user, uint8_t recipe, const char *path, uint8_t flags)
{
    bool is_lock = recipe == RECIPE_LOCK;
    struct recipe_target t = target_of(path, is_lock ? LOCK_WRITE : 0, 0, 0);
    uint64_t lease = strcmp(user, "alice") == 0 ? 11 : 12;
    struct command c = lock_command(RECIPE_ACQUIRE, lease, user, &t, 1);
    c.recipe.recipe = recipe;
    c.recipe.flags = flags;
    c.recipe.policy = is_lock ? 0 : ELECTION_FIRST;
    return run_as(user, &c);
}

START_TEST(a_try_names_only_holders_whom_the_caller_may_read)
{
    enable_with_alice_and_bob();
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/open/l", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/shut/l", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/open/l", RECIPE_TRY), OUTCOME_HELD);
    ck_assert(text_has("/open/l: held by lease 000000000000000c \"bob\" (write)"));
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/shut/l", RECIPE_TRY), OUTCOME_HELD);
    ck_assert(text_has("/shut/l: held, or waited for, by somebody whom you may not read"));
    ck_assert(!text_has("lease") && !text_has("bob"));
    ck_assert_int_eq(queue_as("bob", RECIPE_ELECTION, "/open/e", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("bob", RECIPE_ELECTION, "/shut/e", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_ELECTION, "/open/e", RECIPE_TRY), OUTCOME_HELD);
    ck_assert(text_has("/open/e: led by lease 000000000000000c \"bob\""));
    ck_assert_int_eq(queue_as("alice", RECIPE_ELECTION, "/shut/e", RECIPE_TRY), OUTCOME_HELD);
    ck_assert(text_has("/shut/e: led by somebody whom you may not read"));
    ck_assert(!text_has("lease") && !text_has("bob"));
}
END_TEST

START_TEST(a_cycle_names_only_locks_that_the_caller_may_read)
{
    enable_with_alice_and_bob();
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/shut/l", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/open/l", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/open/l", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/shut/l", 0), OUTCOME_DEADLOCK);
    ck_assert_uint_eq(k.reply.recipe.cycle_length, 2);
    ck_assert_uint_eq(k.reply.recipe.cycle_count, 1);
    ck_assert(slice_is(k.reply.recipe.cycle[0].path, "/open/l"));
    ck_assert(text_has("lease 000000000000000c \"bob\" waits for /open/l (write), "
                       "held by lease 000000000000000b \"alice\" (write); and 1 more"));
    ck_assert(!text_has("shut"));
    /* The other way around bob sees all of it. */
    struct recipe_target t = {.path = slice_str("/open/l")};
    struct command c = lock_command(RECIPE_CANCEL, 12, "bob", &t, 1);
    ck_assert_int_eq(run_as("bob", &c), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/shut/l", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/open/l", 0), OUTCOME_DEADLOCK);
    ck_assert_uint_eq(k.reply.recipe.cycle_count, 2);
}
END_TEST

START_TEST(a_cycle_of_which_nothing_may_be_read_names_nothing)
{
    enable_with_alice_and_bob();
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/shut/a", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/shut/b", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("bob", RECIPE_LOCK, "/shut/b", 0), OUTCOME_OK);
    ck_assert_int_eq(queue_as("alice", RECIPE_LOCK, "/shut/a", 0), OUTCOME_DEADLOCK);
    ck_assert_uint_eq(k.reply.recipe.cycle_length, 2);
    ck_assert_uint_eq(k.reply.recipe.cycle_count, 0);
    ck_assert(text_has("a cycle of 2 waits, for locks that you may not read"));
    ck_assert(!text_has("shut") && !text_has("bob") && !text_has("lease"));
}
END_TEST

START_TEST(a_command_with_a_stale_grant_acquires_nothing)
{
    acquire(1, "/l", LOCK_WRITE);
    struct recipe_target t = target_of("/m", LOCK_WRITE, 0, 0);
    struct guard g = {.target = GUARD_GRANT,
                      .relation = GUARD_EQUAL,
                      .space = SPACE_NODES,
                      .path = slice_str("/l/q-0000000000"),
                      .number = k.reply.recipe.places[0].revision};
    struct command c = lock_command(RECIPE_ACQUIRE, 1, "", &t, 1);
    c.recipe.guards = &g;
    c.recipe.guard_count = 1;
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    on_lock(RECIPE_RELEASE, 1, "/l");
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_GUARD_STALE);
    ck_assert_uint_eq(k.reply.failed_op, 0);
}
END_TEST

/* ---- loading ------------------------------------------------------------------------------ */

/* A snapshot in which one entry says something else, with a digest that fits. */
static enum status load_with(const char *path, const char *value)
{
    uint32_t slot = tree_find(&k.store->tree, SPACE_NODES, slice_str(path));
    struct value *was = value_ref(tree_node(&k.store->tree, slot)->value);
    tree_set_value(&k.store->tree, slot, value_new(k.store->values, slice_str(value)));
    k.store->node_sum = digest_items(k.store);
    struct snapshot_meta meta;
    struct buf rows = {0};
    enum status rc;
    kit_rows(k.store, &meta, &rows);
    store_free(kit_load(buf_slice(&rows), &meta, &rc));
    buf_close(&rows);
    tree_set_value(&k.store->tree, slot, was);
    k.store->node_sum = digest_items(k.store);
    return rc;
}

START_TEST(queues_that_cannot_be_are_not_loaded)
{
    static const char first[] = "/l/q-0000000000";
    static const char second[] = "/l/q-0000000001";
    acquire(1, "/l", LOCK_WRITE);
    acquire(2, "/l", LOCK_WRITE);
    ck_assert_int_eq(load_with(second, "state=waiting\nmode=write\n"), RC_OK);
    ck_assert_int_eq(load_with(second, "state=held\nmode=write\nepoch=2\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(second, "state=waiting\nmode=permits\npermits=1\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(second, "hello"), RC_CORRUPT);
    ck_assert_int_eq(load_with(second, ""), RC_CORRUPT);
    ck_assert_int_eq(load_with(first, "state=waiting\nmode=write\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(first, "state=held\nmode=write\nepoch=999999\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with("/l", "recipe=lock\npermits=1\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with("/l", "recipe=election\n"), RC_CORRUPT);
    ck_assert_int_eq(load_with(first, "state=held\nmode=write\nepoch=2\n"), RC_OK);
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------- */

START_TEST(what_is_asked_for_is_checked_by_name)
{
    struct recipe_target good = target_of("/l", LOCK_WRITE, 0, 0);
    struct recipe_target bad[] = {
        target_of("/l", 0, 0, 0),
        target_of("/l", LOCK_WRITE, 1, 0),
        target_of("/l", LOCK_PERMITS, 0, 3),
        target_of("/l", LOCK_PERMITS, 4, 3),
        target_of("/l", LOCK_PERMITS, RECIPE_PERMITS_MAX + 1, 0),
        target_of("/", LOCK_WRITE, 0, 0),
        target_of("l", LOCK_WRITE, 0, 0),
    };
    struct errmsg err = {0};
    struct command c = lock_command(RECIPE_ACQUIRE, 1, "", &good, 1);
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c.recipe.targets = &bad[i];
        err.text[0] = '\0';
        ck_assert_int_ne(command_check(&c, &err), OUTCOME_OK);
        ck_assert_int_ne(err.text[0], '\0');
        ck_assert_int_ne(kit_run(&k, &c), OUTCOME_OK);
    }
    struct recipe_target twice[] = {good, good};
    c = lock_command(RECIPE_ACQUIRE, 1, "", twice, 2);
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_ARGUMENTS);
    ck_assert_ptr_nonnull(strstr(err.text, "twice"));
    c = lock_command(RECIPE_ACQUIRE, 0, "", &good, 1);
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_ARGUMENTS);
    c = lock_command(RECIPE_ACQUIRE, 1, "\xff", &good, 1);
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_ARGUMENTS);
    c = lock_command(RECIPE_ACQUIRE, 1, "", &good, 1);
    c.recipe.wait_ms = RECIPE_MS_MAX + 1;
    ck_assert_int_eq(command_check(&c, &err), OUTCOME_BAD_ARGUMENTS);
    ck_assert_ptr_nonnull(strstr(err.text, "wait_ms: "));
    c = lock_command(RECIPE_ACQUIRE, 9, "", &good, 1);
    ck_assert_int_eq(kit_run(&k, &c), OUTCOME_NO_LEASE);
}
END_TEST

/* 10,000 that wait for one lock, each of which holds one of its own, so that each wait has to be
 * looked at: neither joining nor handing over takes longer the more there are. */
#define CROWD 10000

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static enum outcome acquire_as(uint64_t i, const char *path)
{
    char owner[32];
    snprintf(owner, sizeof owner, "o%" PRIu64, i);
    struct recipe_target t = target_of(path, LOCK_WRITE, 0, 0);
    struct command c = lock_command(RECIPE_ACQUIRE, 1 + i % 4, owner, &t, 1);
    return kit_run(&k, &c);
}

START_TEST(a_crowd_at_one_lock_joins_and_passes_in_linear_time)
{
    for (uint64_t i = 0; i < CROWD; i++) {
        char own[32];
        snprintf(own, sizeof own, "/own/%" PRIu64, i);
        ck_assert_int_eq(acquire_as(i, own), OUTCOME_OK);
        ck_assert_int_eq(acquire_as(i, "/l"), OUTCOME_OK);
        ck_assert_uint_eq(k.reply.recipe.places[0].position, i == 0 ? 0 : i - 1);
    }
    for (uint64_t i = 0; i < CROWD; i++) {
        char entry[64];
        snprintf(entry, sizeof entry, "/l/q-%010" PRIu64, i);
        ck_assert_int_eq(on_lock(RECIPE_RELEASE, 0, entry), OUTCOME_OK);
    }
    ck_assert_uint_eq(k.store->recipes.queue_count, CROWD);
}
END_TEST

/* One that has many finds each of them by its lock, whether it releases it or wants it again. */
START_TEST(who_holds_many_locks_finds_each_at_once)
{
    const uint32_t count = 30000;
    char path[32];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/own/%" PRIu32, i);
        ck_assert_int_eq(acquire(1, path, LOCK_WRITE), OUTCOME_OK);
    }
    uint64_t begin = now_us();
    for (uint32_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/own/%" PRIu32, i * 7 % count);
        ck_assert_int_eq(acquire(1, path, LOCK_WRITE), OUTCOME_OK);
        ck_assert_uint_eq(k.reply.recipe.places[0].count, 2);
        ck_assert_int_eq(on_lock(RECIPE_RELEASE, 1, path), OUTCOME_OK);
    }
    uint64_t took_us = now_us() - begin;
    printf("%" PRIu32 " locks of one owner found in %" PRIu64 " us\n", count, took_us);
    ck_assert_uint_lt(took_us, 3000000);
}
END_TEST

/* Each waits for the next. */
#define CYCLE 2500

START_TEST(a_long_cycle_is_found_within_ten_milliseconds)
{
    char path[64];
    for (uint64_t i = 0; i < CYCLE; i++) {
        snprintf(path, sizeof path, "/c/%" PRIu64, i);
        ck_assert_int_eq(acquire_as(i, path), OUTCOME_OK);
    }
    for (uint64_t i = 0; i + 1 < CYCLE; i++) {
        snprintf(path, sizeof path, "/c/%" PRIu64, i + 1);
        ck_assert_int_eq(acquire_as(i, path), OUTCOME_OK);
    }
    uint64_t begin = now_us();
    ck_assert_int_eq(acquire_as(CYCLE - 1, "/c/0"), OUTCOME_DEADLOCK);
    uint64_t took_us = now_us() - begin;
    ck_assert_uint_eq(k.reply.recipe.cycle_length, CYCLE);
    ck_assert_uint_eq(k.reply.recipe.cycle_count, RECIPE_CYCLE_MAX);
    ck_assert(text_has(" more"));
    printf("a cycle of %d found in %" PRIu64 " us\n", CYCLE, took_us);
#ifndef __SANITIZE_ADDRESS__
    ck_assert_uint_lt(took_us, 10000);
#endif
}
END_TEST

START_TEST(a_graph_beyond_the_limit_is_refused_and_nothing_added)
{
    /* Readers hold one lock, each waits for another one's writer: the next writer of the first must
     * look at them all. */
    uint64_t readers = WAITS_STEPS_MAX + 1;
    struct recipe_target shared = target_of("/l", LOCK_READ, 0, 0);
    ck_assert_int_eq(acquire_as(readers, "/w"), OUTCOME_OK);
    for (uint64_t i = 0; i < readers; i++) {
        char owner[32];
        snprintf(owner, sizeof owner, "o%" PRIu64, i);
        struct command c = lock_command(RECIPE_ACQUIRE, 1 + i % 4, owner, &shared, 1);
        ck_assert_int_eq(kit_run(&k, &c), OUTCOME_OK);
    }
    ck_assert_int_eq(acquire_as(0, "/w"), OUTCOME_OK);
    uint64_t revision = store_revision(k.store);
    ck_assert_int_eq(acquire_as(readers, "/l"), OUTCOME_GRAPH_TOO_LARGE);
    ck_assert_uint_eq(store_revision(k.store), revision);
}
END_TEST

/* What is missing above the first lock is made with it, as plain nodes: no place for the second. */
START_TEST(of_two_locks_none_is_what_the_other_has_made_above_it)
{
    ck_assert_int_eq(acquire_two(1, "/a/b", "/a"), OUTCOME_NO_RECIPE);
    ck_assert_int_eq(acquire_two(1, "/a/b/c/d", "/a/b"), OUTCOME_NO_RECIPE);
    ck_assert_int_eq(acquire_two(1, "/a/q-0000000000", "/a"), OUTCOME_NO_RECIPE);
    ck_assert_int_eq(acquire_two(1, "/a", "/a/b"), OUTCOME_PROTECTED);
    ck_assert_int_eq(acquire_two(1, "/a", "/a/q-0000000000"), OUTCOME_NO_RECIPE);
    ck_assert(!kit_exists(&k, "/a"));
    store_check(k.store);
    ck_assert_int_eq(acquire(1, "/a", LOCK_WRITE), OUTCOME_OK);
    kit_reload(&k);
}
END_TEST

static Suite *locks_suite(void)
{
    Suite *suite = suite_create("locks");
    TCase *tcase = tcase_create("locks");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_free_lock_is_granted_at_once_and_its_nodes_say_so);
    tcase_add_test(tcase, what_is_released_is_the_next_ones_in_the_same_revision);
    tcase_add_test(tcase, a_try_that_is_lost_leaves_nothing_behind);
    tcase_add_test(tcase, reads_share_and_do_not_pass_a_write_that_waits);
    tcase_add_test(tcase, a_write_that_gives_up_lets_the_reads_behind_it_in);
    tcase_add_test(tcase, the_same_owner_has_it_once_more_and_releases_as_often);
    tcase_add_test(tcase, another_owner_of_the_same_lease_is_somebody_else);
    tcase_add_test(tcase, of_a_semaphore_nobody_passes_the_first_that_waits);
    tcase_add_test(tcase, a_lock_is_used_in_one_way_as_long_as_anybody_is_there);
    tcase_add_test(tcase, several_are_had_all_at_once_or_waited_for);
    tcase_add_test(tcase, of_two_locks_none_is_what_the_other_has_made_above_it);
    tcase_add_test(tcase, the_end_of_a_lease_hands_over_what_it_held_in_one_revision);
    tcase_add_test(tcase, waits_and_holds_end_when_their_time_has_run_out);
    tcase_add_test(tcase, who_waited_too_long_is_not_granted_though_nobody_looked);
    tcase_add_test(tcase, who_waited_too_long_goes_for_a_reason_of_its_own);
    tcase_add_test(tcase, an_emptied_lock_goes_by_itself_and_may_be_deleted);
    tcase_add_test(tcase, holders_are_told_who_asks_them_to_release_and_why);
    tcase_add_test(tcase, two_that_would_wait_for_each_other_are_told_how);
    tcase_add_test(tcase, two_readers_cannot_both_wait_to_write);
    tcase_add_test(tcase, permits_can_come_from_anybody_who_has_some);
    tcase_add_test(tcase, an_entry_is_its_leases_and_nobody_elses);
    tcase_add_test(tcase, a_try_names_only_holders_whom_the_caller_may_read);
    tcase_add_test(tcase, a_cycle_names_only_locks_that_the_caller_may_read);
    tcase_add_test(tcase, a_cycle_of_which_nothing_may_be_read_names_nothing);
    tcase_add_test(tcase, a_command_with_a_stale_grant_acquires_nothing);
    tcase_add_test(tcase, queues_that_cannot_be_are_not_loaded);
    tcase_add_test(tcase, what_is_asked_for_is_checked_by_name);
    tcase_add_test(tcase, a_crowd_at_one_lock_joins_and_passes_in_linear_time);
    tcase_add_test(tcase, who_holds_many_locks_finds_each_at_once);
    tcase_add_test(tcase, a_long_cycle_is_found_within_ten_milliseconds);
    tcase_add_test(tcase, a_graph_beyond_the_limit_is_refused_and_nothing_added);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){locks_suite, NULL});
}
