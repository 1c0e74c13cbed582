/* Sessions: their events, resuming, expiry, and servers that are killed. */
#include <string.h>

#include "client.h"

#define OPEN &ZOO_OPEN_ACL_UNSAFE

static void opens(void)
{
    for (int i = 0; i < 3; i++) {
        struct inbox *inbox = inbox_new();
        zhandle_t *zh = open_handle(host(i), 10000, NULL, inbox);
        struct note note = inbox_next(inbox);
        EQUAL(note.type, ZOO_SESSION_EVENT);
        EQUAL(note.state, ZOO_CONNECTED_STATE);
        EQUAL(zoo_state(zh), ZOO_CONNECTED_STATE);
        EQUAL(zoo_recv_timeout(zh), 10000);
        EXPECT(zoo_client_id(zh)->client_id != 0);
        SAME_TEXT(zoo_get_current_server(zh), host(i));
        close_handle(zh);
    }
}

static void negotiates(void)
{
    zhandle_t *zh = connected(all_hosts, 100, NULL, inbox_new());
    EQUAL(zoo_recv_timeout(zh), 4000);
    zh = connected(all_hosts, 1000000, NULL, inbox_new());
    EQUAL(zoo_recv_timeout(zh), 40000);
}

static void resumes(void)
{
    clientid_t id = owner_start(host(0), 20000, base());
    owner_kill();
    zhandle_t *second = connected(host(1), 20000, &id, inbox_new());
    EQUAL(zoo_client_id(second)->client_id, id.client_id);
    struct Stat stat;
    EQUAL(zoo_exists(second, base(), 0, &stat), ZOK);
    EQUAL(stat.ephemeralOwner, id.client_id);
    close_handle(second);
    zhandle_t *other = connected(host(1), 20000, NULL, inbox_new());
    EQUAL(zoo_exists(other, base(), 0, &stat), ZNONODE);
}

static void refuses_a_wrong_password(void)
{
    zhandle_t *holder = connected(host(0), 20000, NULL, inbox_new());
    clientid_t id = *zoo_client_id(holder);
    id.passwd[3] = (char)(id.passwd[3] ^ 1);
    struct inbox *inbox = inbox_new();
    zhandle_t *liar = open_handle(host(1), 20000, &id, inbox);
    await_state(inbox, ZOO_EXPIRED_SESSION_STATE);
    EQUAL(is_unrecoverable(liar), ZINVALIDSTATE);
    struct Stat stat;
    EQUAL(zoo_exists(holder, "/", 0, &stat), ZOK);
}

static void refuses_an_ended_session(void)
{
    zhandle_t *zh = connected(host(0), 20000, NULL, inbox_new());
    clientid_t id = *zoo_client_id(zh);
    close_handle(zh);
    struct inbox *inbox = inbox_new();
    open_handle(host(2), 20000, &id, inbox);
    await_state(inbox, ZOO_EXPIRED_SESSION_STATE);
}

static void ends_with_its_ephemerals(void)
{
    zhandle_t *owner = connected(host(0), 20000, NULL, inbox_new());
    zhandle_t *watcher = connected(host(1), 20000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    struct inbox *synced = inbox_new();
    struct Stat stat;
    EQUAL(zoo_create(owner, base(), "", 0, OPEN, ZOO_EPHEMERAL, NULL, 0), ZOK);
    EQUAL(zoo_async(watcher, "/", on_string, synced), ZOK);
    EQUAL(inbox_next(synced).rc, ZOK);
    EQUAL(zoo_wexists(watcher, base(), on_event, events, &stat), ZOK);
    close_handle(owner);
    struct note note = inbox_next(events);
    EQUAL(note.type, ZOO_DELETED_EVENT);
    SAME_TEXT(note.path, base());
}

static void expires(void)
{
    clientid_t id = owner_start(host(0), 4000, base());
    owner_kill();
    zhandle_t *watcher = connected(host(1), 20000, NULL, inbox_new());
    struct inbox *events = inbox_new();
    struct inbox *synced = inbox_new();
    struct Stat stat;
    EQUAL(zoo_async(watcher, "/", on_string, synced), ZOK);
    EQUAL(inbox_next(synced).rc, ZOK);
    EQUAL(zoo_wexists(watcher, base(), on_event, events, &stat), ZOK);
    EQUAL(inbox_next(events).type, ZOO_DELETED_EVENT);
    struct inbox *inbox = inbox_new();
    open_handle(host(2), 4000, &id, inbox);
    await_state(inbox, ZOO_EXPIRED_SESSION_STATE);
}

/* What a call returns while its server goes: it may have been executed, or not. */
static void until_it_works(zhandle_t *zh, const char *at)
{
    struct Stat stat;
    int rc = ZCONNECTIONLOSS;
    for (int i = 0; i < 1000 && rc == ZCONNECTIONLOSS; i++) {
        rc = zoo_exists(zh, at, 0, &stat);
    }
    EQUAL(rc, ZOK);
}

static void outlives_its_server(void)
{
    struct inbox *inbox = inbox_new();
    struct inbox *changed = inbox_new();
    struct inbox *missed = inbox_new();
    struct inbox *made = inbox_new();
    struct inbox *listed = inbox_new();
    zhandle_t *zh = connected(all_hosts, 20000, NULL, inbox);
    char server[64];
    char value[8];
    int bytes = sizeof value;
    struct String_vector names = {0, NULL};
    struct Stat stat;
    strcpy(server, zoo_get_current_server(zh));
    int64_t id = zoo_client_id(zh)->client_id;
    struct inbox *authorised = inbox_new();
    EQUAL(zoo_add_auth(zh, "digest", "ann:secret", 10, on_void, authorised), ZOK);
    EQUAL(inbox_next(authorised).rc, ZOK);
    EQUAL(zoo_create(zh, base(), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
    /* Everybody may look, only its creator may change it. */
    struct ACL entries[] = {{ZOO_PERM_READ, ZOO_ANYONE_ID_UNSAFE},
                            {ZOO_PERM_WRITE, ZOO_AUTH_IDS}};
    struct ACL_vector acl = {2, entries};
    EQUAL(zoo_create(zh, path("mine"), "", 0, &acl, ZOO_EPHEMERAL, NULL, 0), ZOK);
    EQUAL(zoo_create(zh, path("later"), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_create(zh, path("missed"), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_wget(zh, path("later"), on_event, changed, value, &bytes, NULL), ZOK);
    bytes = sizeof value;
    EQUAL(zoo_wget(zh, path("missed"), on_event, missed, value, &bytes, NULL), ZOK);
    EQUAL(zoo_wexists(zh, path("made"), on_event, made, &stat), ZNONODE);
    EQUAL(zoo_wget_children(zh, base(), on_event, listed, &names), ZOK);
    deallocate_String_vector(&names);

    ask_to("kill", server);
    await_state(inbox, ZOO_CONNECTING_STATE);
    await_state(inbox, ZOO_CONNECTED_STATE);
    EXPECT(strcmp(zoo_get_current_server(zh), server) != 0);
    EQUAL(zoo_client_id(zh)->client_id, id);
    until_it_works(zh, path("later"));
    EQUAL(zoo_exists(zh, path("mine"), 0, &stat), ZOK);
    EQUAL(stat.ephemeralOwner, id);
    /* The library has authenticated again. */
    EQUAL(zoo_set(zh, path("mine"), "x", 1, -1), ZOK);

    struct inbox *others = inbox_new();
    zhandle_t *other = connected(zoo_get_current_server(zh), 20000, NULL, others);
    EQUAL(zoo_set(other, path("later"), "x", 1, -1), ZOK);
    EQUAL(zoo_set(other, path("missed"), "x", 1, -1), ZOK);
    EQUAL(zoo_create(other, path("made"), "", 0, OPEN, 0, NULL, 0), ZOK);
    /* None of these is a session event: those went to `inbox` and, to all watchers, as well. */
    struct {
        struct inbox *inbox;
        int type;
        const char *at;
    } wanted[] = {{changed, ZOO_CHANGED_EVENT, path("later")},
                  {missed, ZOO_CHANGED_EVENT, path("missed")},
                  {made, ZOO_CREATED_EVENT, path("made")},
                  {listed, ZOO_CHILD_EVENT, base()}};
    for (int i = 0; i < 4; i++) {
        struct note note = inbox_next(wanted[i].inbox);
        while (note.type == ZOO_SESSION_EVENT) {
            note = inbox_next(wanted[i].inbox);
        }
        EQUAL(note.type, wanted[i].type);
        SAME_TEXT(note.path, wanted[i].at);
    }
    ask_to("start", server);
    zhandle_t *back = connected(server, 20000, NULL, inbox_new());
    struct inbox *synced = inbox_new();
    EQUAL(zoo_async(back, "/", on_string, synced), ZOK);
    EQUAL(inbox_next(synced).rc, ZOK);
    EQUAL(zoo_exists(back, path("mine"), 0, &stat), ZOK);
    EQUAL(zoo_set(back, path("mine"), "x", 1, -1), ZNOAUTH);
    close_handle(zh);
    EQUAL(zoo_async(back, "/", on_string, synced), ZOK);
    EQUAL(inbox_next(synced).rc, ZOK);
    EQUAL(zoo_exists(back, path("mine"), 0, &stat), ZNONODE);
}

/* Changed while the watcher had no connection: setWatches must tell. */
static void hears_what_it_missed(void)
{
    struct inbox *inbox = inbox_new();
    struct inbox *events = inbox_new();
    zhandle_t *zh = connected(host(0), 20000, NULL, inbox);
    zhandle_t *other = connected(host(1), 20000, NULL, inbox_new());
    char value[8];
    int bytes = sizeof value;
    EQUAL(zoo_create(zh, base(), "", 0, OPEN, 0, NULL, 0), ZOK);
    EQUAL(zoo_wget(zh, base(), on_event, events, value, &bytes, NULL), ZOK);
    ask_to("kill", host(0));
    await_state(inbox, ZOO_CONNECTING_STATE);
    int rc = ZCONNECTIONLOSS;
    for (int i = 0; i < 1000 && rc == ZCONNECTIONLOSS; i++) {
        rc = zoo_set(other, base(), "x", 1, -1);
    }
    EQUAL(rc, ZOK);
    ask_to("start", host(0));
    await_state(inbox, ZOO_CONNECTED_STATE);
    struct note note = inbox_next(events);
    while (note.type == ZOO_SESSION_EVENT) {
        note = inbox_next(events);
    }
    EQUAL(note.type, ZOO_CHANGED_EVENT);
    SAME_TEXT(note.path, base());
}

void check_sessions(void)
{
    check("a session opens on every server, with an event, its id and timeout", opens);
    check("timeouts are negotiated", negotiates);
    check("a session is resumed on another server by its id and password", resumes);
    check("with a wrong password the state is EXPIRED, and the holder goes on",
          refuses_a_wrong_password);
    check("a session that was closed is EXPIRED", refuses_an_ended_session);
    check("closing a session deletes its ephemerals, and watchers hear of it",
          ends_with_its_ephemerals);
    check("a session nobody keeps alive expires", expires);
    check("when its server is killed, session, ephemerals, users and watches go on elsewhere",
          outlives_its_server);
    check("what changed while its server was down is told after the reconnect",
          hears_what_it_missed);
}
