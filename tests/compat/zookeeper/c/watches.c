/* One-shot watches with their own watcher and with the handle's; removing them. */
#include <string.h>

#include "client.h"

#define OPEN &ZOO_OPEN_ACL_UNSAFE

static void expect_event(struct inbox *inbox, int type, const char *at)
{
    struct note note = inbox_next(inbox);
    EQUAL(note.type, type);
    SAME_TEXT(note.path, at);
    EQUAL(note.state, ZOO_CONNECTED_STATE);
}

/* Behind a sync of the watcher's connection all events of former writes are there. */
static void settle(zhandle_t *zh)
{
    struct inbox *synced = inbox_new();
    EQUAL(zoo_async(zh, "/", on_string, synced), ZOK);
    EQUAL(inbox_next(synced).rc, ZOK);
}

static void of_data(void)
{
    zhandle_t *zh = connected(host(0), 10000, NULL, inbox_new());
    zhandle_t *other = connected(host(1), 10000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    char value[8];
    int bytes = sizeof value;
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_wget(zh, base(), on_event, events, value, &bytes, NULL), ZOK);
    EQUAL(zoo_set(other, base(), "x", 1, -1), ZOK);
    EQUAL(zoo_set(other, base(), "y", 1, -1), ZOK);
    expect_event(events, ZOO_CHANGED_EVENT, base());
    settle(zh);
    EXPECT(inbox_is_empty(events));
    bytes = sizeof value;
    EQUAL(zoo_wget(zh, base(), on_event, events, value, &bytes, NULL), ZOK);
    EQUAL(zoo_delete(other, base(), -1), ZOK);
    expect_event(events, ZOO_DELETED_EVENT, base());
}

static void of_existence(void)
{
    zhandle_t *zh = connected(host(0), 10000, NULL, inbox_new());
    zhandle_t *other = connected(host(1), 10000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    struct Stat stat;
    EQUAL(zoo_wexists(zh, base(), on_event, events, &stat), ZNONODE);
    EQUAL(zoo_create(other, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    expect_event(events, ZOO_CREATED_EVENT, base());
    EQUAL(zoo_wexists(zh, base(), on_event, events, &stat), ZOK);
    EQUAL(zoo_set(other, base(), "x", 1, -1), ZOK);
    expect_event(events, ZOO_CHANGED_EVENT, base());
}

static void of_children(void)
{
    zhandle_t *zh = connected(host(2), 10000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    struct String_vector names = {0, NULL};
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_wget_children(zh, base(), on_event, events, &names), ZOK);
    deallocate_String_vector(&names);
    EQUAL(zoo_set(zh, base(), "x", 1, -1), ZOK);
    EQUAL(zoo_create(zh, path("a"), "", 0, OPEN, 0, NULL, 0), ZOK);
    expect_event(events, ZOO_CHILD_EVENT, base());
    struct Stat stat;
    EQUAL(zoo_wget_children2(zh, base(), on_event, events, &names, &stat), ZOK);
    deallocate_String_vector(&names);
    EQUAL(zoo_set(zh, path("a"), "x", 1, -1), ZOK);
    EQUAL(zoo_create(zh, path("a/b"), "", 0, OPEN, 0, NULL, 0), ZOK);
    settle(zh);
    EXPECT(inbox_is_empty(events));
    EQUAL(zoo_delete(zh, path("a/b"), -1), ZOK);
    EQUAL(zoo_delete(zh, path("a"), -1), ZOK);
    expect_event(events, ZOO_CHILD_EVENT, base());
}

static void by_the_handle(void)
{
    struct inbox *events = inbox_new();
    zhandle_t *zh = connected(all_hosts, 10000, NULL, events);
    struct Stat stat;
    EQUAL(zoo_exists(zh, base(), 1, &stat), ZNONODE);
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    expect_event(events, ZOO_CREATED_EVENT, base());
    /* The same events for whoever is the handle's watcher now. */
    EXPECT(zoo_set_watcher(zh, on_event) == on_event);
    struct inbox *later = inbox_new();
    zoo_set_context(zh, later);
    EQUAL(zoo_exists(zh, base(), 1, &stat), ZOK);
    EQUAL(zoo_delete(zh, base(), -1), ZOK);
    expect_event(later, ZOO_DELETED_EVENT, base());
    EXPECT(inbox_is_empty(events));
}

static void of_several(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    struct inbox *one = inbox_new();
    struct inbox *two = inbox_new();
    struct String_vector names = {0, NULL};
    char value[8];
    int bytes = sizeof value;
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_wget(zh, base(), on_event, one, value, &bytes, NULL), ZOK);
    EQUAL(zoo_wget_children(zh, base(), on_event, two, &names), ZOK);
    deallocate_String_vector(&names);
    EQUAL(zoo_delete(zh, base(), -1), ZOK);
    expect_event(one, ZOO_DELETED_EVENT, base());
    expect_event(two, ZOO_DELETED_EVENT, base());
    settle(zh);
    EXPECT(inbox_is_empty(one) && inbox_is_empty(two));
}

static void removed(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    char value[8];
    int bytes = sizeof value;
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_wget(zh, base(), on_event, events, value, &bytes, NULL), ZOK);
    EQUAL(zoo_remove_watches(zh, base(), ZWATCHTYPE_DATA, on_event, events, 0), ZOK);
    EQUAL(zoo_remove_watches(zh, base(), ZWATCHTYPE_DATA, on_event, events, 0), ZNOWATCHER);
    EQUAL(zoo_set(zh, base(), "x", 1, -1), ZOK);
    settle(zh);
    EXPECT(inbox_is_empty(events));
    bytes = sizeof value;
    EQUAL(zoo_wget(zh, base(), on_event, events, value, &bytes, NULL), ZOK);
    EQUAL(zoo_remove_all_watches(zh, base(), ZWATCHTYPE_DATA, 0), ZOK);
    EQUAL(zoo_set(zh, base(), "x", 1, -1), ZOK);
    settle(zh);
    EXPECT(inbox_is_empty(events));
}

static void of_the_configuration(void)
{
    zhandle_t *zh = connected(all_hosts, 10000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    char value[4096];
    int bytes = sizeof value;
    struct Stat stat;
    EQUAL(zoo_wgetconfig(zh, on_event, events, value, &bytes, &stat), ZOK);
    settle(zh);
    EXPECT(inbox_is_empty(events));
}

void check_watches(void)
{
    check("a watch of data tells one change, then of the delete", of_data);
    check("a watch of existence tells of the create and of a change", of_existence);
    check("a watch of children tells of creates and deletes only", of_children);
    check(
        "watches without a watcher of their own go to the handle's, as zoo_set_watcher sets it",
        by_the_handle);
    check("a delete reaches the watcher of data and that of children, each once", of_several);
    check("removed watches are silent, and cannot be removed twice", removed);
    check("the configuration can be watched", of_the_configuration);
}
