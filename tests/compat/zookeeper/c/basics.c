/* The calls that read and write, synchronous and with completions; ACLs. */
#include <stdio.h>
#include <string.h>

#include "client.h"

static zhandle_t *any(void)
{
    return connected(all_hosts, 10000, NULL, inbox_new());
}

static void make(zhandle_t *zh, const char *at, const char *value, int mode)
{
    EQUAL(zoo_create(zh, at, value, (int)strlen(value), &ZOO_OPEN_ACL_UNSAFE, mode, NULL, 0),
          ZOK);
}

static void create_get_set_delete(void)
{
    zhandle_t *zh = any();
    char made[64];
    struct Stat stat;
    struct Stat set;
    char value[64];
    int bytes = sizeof value;
    EQUAL(zoo_create(zh, base(), "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made), ZOK);
    SAME_TEXT(made, base());
    EQUAL(zoo_get(zh, base(), 0, value, &bytes, &stat), ZOK);
    EQUAL(bytes, 3);
    EXPECT(memcmp(value, "one", 3) == 0);
    EXPECT(stat.czxid != 0 && stat.czxid == stat.mzxid && stat.mzxid == stat.pzxid);
    EQUAL(stat.dataLength, 3);
    EQUAL(zoo_set2(zh, base(), "longer", 6, 0, &set), ZOK);
    EQUAL(set.version, 1);
    EXPECT(set.mzxid > stat.mzxid && set.czxid == stat.czxid);
    EQUAL(zoo_set(zh, base(), "x", 1, 0), ZBADVERSION);
    EQUAL(zoo_exists(zh, base(), 0, &stat), ZOK);
    EXPECT(memcmp(&stat, &set, sizeof stat) == 0 || stat.mzxid == set.mzxid);
    EQUAL(zoo_delete(zh, base(), 0), ZBADVERSION);
    EQUAL(zoo_delete(zh, base(), 1), ZOK);
    EQUAL(zoo_exists(zh, base(), 0, &stat), ZNONODE);
}

static void errors(void)
{
    zhandle_t *zh = any();
    char value[8];
    int bytes = sizeof value;
    struct ACL_vector none = {0, NULL};
    make(zh, base(), "", 0);
    make(zh, path("child"), "", 0);
    make(zh, path("eph"), "", ZOO_EPHEMERAL);
    EQUAL(zoo_create(zh, base(), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNODEEXISTS);
    EQUAL(zoo_create(zh, path("x/y"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNONODE);
    EQUAL(zoo_create(zh, path("eph/y"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0),
          ZNOCHILDRENFOREPHEMERALS);
    EQUAL(zoo_create(zh, path("x"), "", 0, &none, 0, NULL, 0), ZINVALIDACL);
    EQUAL(zoo_delete(zh, base(), -1), ZNOTEMPTY);
    EQUAL(zoo_delete(zh, path("x"), -1), ZNONODE);
    EQUAL(zoo_get(zh, path("x"), 0, value, &bytes, NULL), ZNONODE);
    EQUAL(zoo_set(zh, path("x"), "", 0, -1), ZNONODE);
    EQUAL(zoo_delete(zh, "/zookeeper", -1), ZBADARGUMENTS);
}

static void null_data(void)
{
    zhandle_t *zh = any();
    char value[8];
    int bytes = sizeof value;
    EQUAL(zoo_create(zh, base(), NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
    EQUAL(zoo_get(zh, base(), 0, value, &bytes, NULL), ZOK);
    EQUAL(bytes, -1);
    EQUAL(zoo_set(zh, base(), "", 0, -1), ZOK);
    bytes = sizeof value;
    EQUAL(zoo_get(zh, base(), 0, value, &bytes, NULL), ZOK);
    EQUAL(bytes, 0);
}

static void large_value(void)
{
    static char big[1000000];
    static char back[sizeof big];
    zhandle_t *zh = any();
    for (size_t i = 0; i < sizeof big; i++) {
        big[i] = (char)(i * 7 + i / 1000);
    }
    EQUAL(zoo_create(zh, base(), big, sizeof big, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
    int bytes = sizeof back;
    EQUAL(zoo_get(zh, base(), 0, back, &bytes, NULL), ZOK);
    EQUAL(bytes, sizeof big);
    EXPECT(memcmp(big, back, sizeof big) == 0);
    EQUAL(zoo_delete(zh, base(), -1), ZOK);
}

static void sequential(void)
{
    zhandle_t *zh = any();
    make(zh, base(), "", 0);
    for (int i = 0; i < 3; i++) {
        char made[64];
        int mode = i == 1 ? ZOO_EPHEMERAL_SEQUENTIAL : ZOO_PERSISTENT_SEQUENTIAL;
        EQUAL(zoo_create(zh, path("n-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, mode, made, sizeof made),
              ZOK);
        SAME_TEXT(made, path("n-%010d", i));
    }
    struct Stat stat;
    EQUAL(zoo_exists(zh, path("n-0000000001"), 0, &stat), ZOK);
    EQUAL(stat.ephemeralOwner, zoo_client_id(zh)->client_id);
}

static void children(void)
{
    zhandle_t *zh = any();
    struct String_vector names = {0, NULL};
    struct Stat stat;
    make(zh, base(), "", 0);
    EQUAL(zoo_get_children(zh, base(), 0, &names), ZOK);
    EQUAL(names.count, 0);
    deallocate_String_vector(&names);
    make(zh, path("a"), "", 0);
    make(zh, path("b"), "", 0);
    EQUAL(zoo_get_children2(zh, base(), 0, &names, &stat), ZOK);
    EQUAL(names.count, 2);
    EXPECT(strcmp(names.data[0], names.data[1]) != 0);
    for (int i = 0; i < names.count; i++) {
        EXPECT(strcmp(names.data[i], "a") == 0 || strcmp(names.data[i], "b") == 0);
    }
    deallocate_String_vector(&names);
    EQUAL(stat.numChildren, 2);
    EQUAL(stat.cversion, 2);
    EQUAL(zoo_get_children(zh, path("none"), 0, &names), ZNONODE);
}

static void create2_and_kinds(void)
{
    zhandle_t *zh = any();
    char made[64];
    struct Stat stat;
    EQUAL(zoo_create2(zh, base(), "abc", 3, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made, &stat),
          ZOK);
    SAME_TEXT(made, base());
    EQUAL(stat.dataLength, 3);
    EQUAL(stat.ephemeralOwner, 0);
    EQUAL(zoo_create2(zh, path("c"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, made,
                      sizeof made, &stat),
          ZOK);
    EQUAL(stat.ephemeralOwner, 0);
    EQUAL(zoo_create2_ttl(zh, path("t"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL,
                          1000000, made, sizeof made, &stat),
          ZOK);
    EQUAL(zoo_create_ttl(zh, path("s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE,
                         ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 1000000, made, sizeof made),
          ZOK);
    SAME_TEXT(made, path("s-0000000002"));
    EQUAL(zoo_create2(zh, path("e"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, made,
                      sizeof made, &stat),
          ZOK);
    EQUAL(stat.ephemeralOwner, zoo_client_id(zh)->client_id);
    EQUAL(
        zoo_create2(zh, path("c/x"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made, &stat),
        ZOK);
}

static void sync_then_read(void)
{
    zhandle_t *writer = connected(host(0), 10000, NULL, inbox_new());
    zhandle_t *reader = connected(host(1), 10000, NULL, inbox_new());
    struct inbox *synced = inbox_new();
    make(writer, base(), "0", 0);
    for (int i = 1; i < 20; i++) {
        char value[8];
        int bytes = sizeof value;
        char wanted[8];
        int length = snprintf(wanted, sizeof wanted, "%d", i);
        EQUAL(zoo_set(writer, base(), wanted, length, -1), ZOK);
        EQUAL(zoo_async(reader, base(), on_string, synced), ZOK);
        struct note note = inbox_next(synced);
        EQUAL(note.rc, ZOK);
        SAME_TEXT(note.path, base());
        EQUAL(zoo_get(reader, base(), 0, value, &bytes, NULL), ZOK);
        EXPECT(bytes == length && memcmp(value, wanted, (size_t)length) == 0);
    }
}

/* A pipeline of calls completes in the order in which it was sent. */
static void completions(void)
{
    zhandle_t *zh = any();
    struct inbox *done = inbox_new();
    EQUAL(zoo_acreate(zh, base(), "v", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, done), ZOK);
    EQUAL(zoo_acreate2(zh, path("two"), "vw", 2, &ZOO_OPEN_ACL_UNSAFE, 0, on_string_stat, done),
          ZOK);
    EQUAL(zoo_aset(zh, base(), "xyz", 3, 0, on_stat, done), ZOK);
    EQUAL(zoo_aget(zh, base(), 0, on_data, done), ZOK);
    EQUAL(zoo_aget_children(zh, base(), 0, on_strings, done), ZOK);
    EQUAL(zoo_aexists(zh, path("none"), 0, on_stat, done), ZOK);
    EQUAL(zoo_adelete(zh, path("two"), 5, on_void, done), ZOK);
    EQUAL(zoo_adelete(zh, path("two"), 0, on_void, done), ZOK);
    struct note note = inbox_next(done);
    EQUAL(note.rc, ZOK);
    SAME_TEXT(note.path, base());
    note = inbox_next(done);
    EQUAL(note.rc, ZOK);
    SAME_TEXT(note.path, path("two"));
    EXPECT(note.has_stat && note.stat.dataLength == 2);
    note = inbox_next(done);
    EXPECT(note.rc == ZOK && note.stat.version == 1);
    note = inbox_next(done);
    EXPECT(note.rc == ZOK && note.value_len == 3);
    SAME_TEXT(note.value, "xyz");
    note = inbox_next(done);
    EXPECT(note.rc == ZOK && note.value_len == 1);
    EQUAL(inbox_next(done).rc, ZNONODE);
    EQUAL(inbox_next(done).rc, ZBADVERSION);
    EQUAL(inbox_next(done).rc, ZOK);
}

static void many_completions(void)
{
    zhandle_t *zh = any();
    struct inbox *done = inbox_new();
    make(zh, base(), "", 0);
    for (int i = 0; i < 2000; i++) {
        EQUAL(zoo_aset(zh, base(), "v", 1, i, on_stat, done), ZOK);
    }
    for (int i = 0; i < 2000; i++) {
        struct note note = inbox_next(done);
        EQUAL(note.rc, ZOK);
        EQUAL(note.stat.version, i + 1);
    }
}

static void digest_users(void)
{
    struct inbox *authorised = inbox_new();
    zhandle_t *ann = connected(host(0), 10000, NULL, inbox_new());
    zhandle_t *other = connected(host(0), 10000, NULL, inbox_new());
    EQUAL(zoo_add_auth(ann, "digest", "ann:secret", 10, on_void, authorised), ZOK);
    EQUAL(inbox_next(authorised).rc, ZOK);
    EQUAL(zoo_create(ann, base(), "v", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
    char value[8];
    int bytes = sizeof value;
    EQUAL(zoo_get(ann, base(), 0, value, &bytes, NULL), ZOK);
    bytes = sizeof value;
    EQUAL(zoo_get(other, base(), 0, value, &bytes, NULL), ZNOAUTH);
    EQUAL(zoo_set(other, base(), "", 0, -1), ZNOAUTH);
    EQUAL(zoo_create(other, path("c"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNOAUTH);

    struct ACL_vector acl = {0, NULL};
    struct Stat stat;
    EQUAL(zoo_get_acl(ann, base(), &acl, &stat), ZOK);
    EQUAL(acl.count, 1);
    EQUAL(acl.data[0].perms, ZOO_PERM_ALL);
    SAME_TEXT(acl.data[0].id.scheme, "digest");
    SAME_TEXT(acl.data[0].id.id, "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=");
    deallocate_ACL_vector(&acl);
    EQUAL(zoo_set_acl(other, base(), -1, &ZOO_OPEN_ACL_UNSAFE), ZNOAUTH);
    EQUAL(zoo_set_acl(ann, base(), 3, &ZOO_OPEN_ACL_UNSAFE), ZBADVERSION);
    EQUAL(zoo_set_acl(ann, base(), 0, &ZOO_READ_ACL_UNSAFE), ZOK);
    bytes = sizeof value;
    EQUAL(zoo_get(other, base(), 0, value, &bytes, &stat), ZOK);
    EQUAL(stat.aversion, 1);
    EQUAL(zoo_set(ann, base(), "", 0, -1), ZNOAUTH);
}

static void unknown_scheme(void)
{
    struct inbox *inbox = inbox_new();
    struct inbox *authorised = inbox_new();
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox);
    EQUAL(zoo_add_auth(zh, "nosuch", "x", 1, on_void, authorised), ZOK);
    EQUAL(inbox_next(authorised).rc, ZAUTHFAILED);
    await_state(inbox, ZOO_AUTH_FAILED_STATE);
    EXPECT(is_unrecoverable(zh) != ZOK);
}

static void configuration(void)
{
    zhandle_t *zh = any();
    char value[4096];
    int bytes = sizeof value;
    struct Stat stat;
    EQUAL(zoo_getconfig(zh, 0, value, &bytes, &stat), ZOK);
    EQUAL(stat.dataLength, bytes < 0 ? 0 : bytes);
}

void check_basics(void)
{
    check("create, get, set2, exists and delete agree on Stat and versions",
          create_get_set_delete);
    check("each refusal has its code", errors);
    check("null data comes back as length -1, empty data as 0", null_data);
    check("a value of a million bytes comes back", large_value);
    check("sequential nodes are counted by their parent", sequential);
    check("get_children and get_children2", children);
    check("create2, containers and TTL nodes", create2_and_kinds);
    check("after zoo_async a follower shows the last acknowledged write", sync_then_read);
    check("completions come in the order of the calls", completions);
    check("2000 pipelined sets complete in order", many_completions);
    check("ACLs let in who has authenticated, and nobody else", digest_users);
    check("an unknown scheme ends in ZAUTHFAILED and the state AUTH_FAILED", unknown_scheme);
    check("zoo_getconfig reads /zookeeper/config", configuration);
}
