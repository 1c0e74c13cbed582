/* zoo_multi and zoo_amulti. */
#include <string.h>

#include "client.h"

#define OPEN &ZOO_OPEN_ACL_UNSAFE

static void succeeds(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    char first[64];
    char second[64];
    struct Stat set;
    zoo_op_t ops[6];
    zoo_op_result_t results[6];
    zoo_create_op_init(&ops[0], base(), "a", 1, OPEN, 0, first, sizeof first);
    zoo_create_op_init(&ops[1], path("s-"), "b", 1, OPEN, ZOO_EPHEMERAL_SEQUENTIAL, second,
                       sizeof second);
    zoo_set_op_init(&ops[2], base(), "abc", 3, 0, &set);
    zoo_check_op_init(&ops[3], base(), 1);
    zoo_create_op_init(&ops[4], path("gone"), NULL, -1, OPEN, 0, NULL, 0);
    zoo_delete_op_init(&ops[5], path("gone"), 0);
    EQUAL(zoo_multi(zh, 6, ops, results), ZOK);
    for (int i = 0; i < 6; i++) {
        EQUAL(results[i].err, ZOK);
    }
    SAME_TEXT(first, base());
    SAME_TEXT(second, path("s-0000000000"));
    EQUAL(set.version, 1);
    EQUAL(set.dataLength, 3);
    struct Stat stat;
    EQUAL(zoo_exists(zh, base(), 0, &stat), ZOK);
    EXPECT(stat.czxid == stat.mzxid && stat.mzxid == stat.pzxid);
    EQUAL(stat.cversion, 3);
    EQUAL(stat.numChildren, 1);
}

/* Which operation failed, what those before and behind it say, and that nothing was done. */
static void expect_failure(zhandle_t *zh, int failing, int code, const zoo_op_t *ops, int count)
{
    zoo_op_result_t results[8];
    memset(results, 0x55, sizeof results);
    EQUAL(zoo_multi(zh, count, ops, results), code);
    for (int i = 0; i < count; i++) {
        EQUAL(results[i].err, i < failing ? ZOK : i == failing ? code : ZRUNTIMEINCONSISTENCY);
    }
    struct Stat stat;
    EQUAL(zoo_exists(zh, path("new"), 0, &stat), ZNONODE);
    EQUAL(zoo_exists(zh, base(), 0, &stat), ZOK);
    EQUAL(stat.version, 0);
}

static void fails(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    zoo_op_t ops[4];
    static const struct {
        int code;
        const char *at;
    } cases[] = {{ZNODEEXISTS, ""}, {ZNONODE, "none"}, {ZBADVERSION, ""}, {ZNONODE, "none"}};
    for (int failing = 0; failing < 4; failing++) {
        for (int kind = 0; kind < 4; kind++) {
            for (int i = 0; i < 4; i++) {
                zoo_create_op_init(&ops[i], i == 0 ? path("new") : path("new/%d", i), "", 0,
                                   OPEN, 0, NULL, 0);
            }
            const char *at = cases[kind].at[0] == '\0' ? base() : path("%s", cases[kind].at);
            switch (kind) {
            case 0: zoo_create_op_init(&ops[failing], at, "", 0, OPEN, 0, NULL, 0); break;
            case 1: zoo_delete_op_init(&ops[failing], at, -1); break;
            case 2: zoo_set_op_init(&ops[failing], at, "", 0, 7, NULL); break;
            default: zoo_check_op_init(&ops[failing], at, -1); break;
            }
            expect_failure(zh, failing, cases[kind].code, ops, 4);
        }
    }
}

static void completes(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    struct inbox *done = inbox_new();
    zoo_op_t ops[2];
    zoo_op_result_t results[2];
    zoo_create_op_init(&ops[0], base(), "", 0, OPEN, 0, NULL, 0);
    zoo_check_op_init(&ops[1], base(), 0);
    EQUAL(zoo_amulti(zh, 2, ops, results, on_void, done), ZOK);
    EQUAL(inbox_next(done).rc, ZOK);
    zoo_op_t bad[2];
    zoo_op_result_t bad_results[2];
    zoo_check_op_init(&bad[0], base(), 3);
    zoo_delete_op_init(&bad[1], base(), -1);
    EQUAL(zoo_amulti(zh, 2, bad, bad_results, on_void, done), ZOK);
    EQUAL(inbox_next(done).rc, ZBADVERSION);
    EQUAL(bad_results[0].err, ZBADVERSION);
    EQUAL(bad_results[1].err, ZRUNTIMEINCONSISTENCY);
}

static void is_empty(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    EQUAL(zoo_multi(zh, 0, NULL, NULL), ZOK);
}

static void sees_itself(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    zoo_op_t ops[2];
    zoo_op_result_t results[2];
    char made[64];
    zoo_create_op_init(&ops[0], path("c"), "", 0, OPEN, ZOO_PERSISTENT, made, sizeof made);
    zoo_create_op_init(&ops[1], path("c/d"), "", 0, OPEN, ZOO_PERSISTENT_SEQUENTIAL, made,
                       sizeof made);
    EQUAL(zoo_multi(zh, 2, ops, results), ZOK);
    SAME_TEXT(made, path("c/d0000000000"));
}

void check_multi(void)
{
    check("a multi gives every operation its result, in one zxid", succeeds);
    check("a failed multi: ok before, the code, RUNTIMEINCONSISTENCY behind, for every place "
          "and kind",
          fails);
    check("amulti completes with the code of the operation that failed", completes);
    check("an empty multi is fine", is_empty);
    check("a multi sees its own creates", sees_itself);
}
