/* Observing elections: a stream that goes on behind what was told last (client/follower.h). When
 * history no longer reaches back so far it begins anew, with who leads now. */
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/convert.h"
#include "client/elections.h"
#include "client/follower.h"
#include "client/observer.h"
#include "coord/v1/election.pb-c.h"

struct coord_observer {
    struct follower follower;
    char *path;
    coord_election_fn changed;
    void *context;
    uint64_t after_revision; /* of what was told last */
    bool has_missed;
    bool is_telling;
    bool is_closed; /* from inside the callback */
};

static struct coord_observer *of(struct follower *f)
{
    return LOOP_OF(f, struct coord_observer, follower);
}

static void ask(struct follower *f)
{
    const struct coord_observer *o = of(f);
    Coord__V1__ElectionObserveRequest request = COORD__V1__ELECTION_OBSERVE_REQUEST__INIT;
    Coord__V1__RequestHeader header;
    follower_header(f, &header);
    request.header = &header;
    request.path = o->path;
    request.after_revision = o->after_revision;
    follower_ask(f, &request.base);
}

static void destroy(struct coord_observer *o)
{
    follower_stop(&o->follower);
    free(o->path);
    free(o);
}

/* False: the observer has gone. */
static bool tell(struct coord_observer *o, const struct coord_election_event *event)
{
    o->is_telling = true;
    o->changed(o->context, o, event);
    o->is_telling = false;
    if (o->is_closed) {
        destroy(o);
        return false;
    }
    return true;
}

static bool take(struct follower *f, const ProtobufCMessage *m)
{
    struct coord_observer *o = of(f);
    const Coord__V1__ElectionObserveReply *reply = (const Coord__V1__ElectionObserveReply *)m;
    struct coord_leader leader = {.memory = NULL};
    struct coord_election_event event = {.revision = reply->revision, .missed = o->has_missed};
    if (reply->header != NULL) {
        client_learn(f->client, reply->header);
    }
    if (reply->leader != NULL && reply->leader->grant != NULL) {
        convert_leader(reply->leader, &leader);
        event.leader = &leader;
    }
    o->has_missed = false;
    o->after_revision = reply->revision;
    return tell(o, &event);
}

static bool refused(struct follower *f, const struct coord_error *error)
{
    struct coord_observer *o = of(f);
    if (error->code == COORD_COMPACTED) {
        o->has_missed = o->has_missed || o->after_revision > 0;
        o->after_revision = 0;
        return true;
    }
    (void)tell(o, &(struct coord_election_event){.over = error});
    return false;
}

static const struct follower_ops ops = {
    .method = CLIENT_ELECTION_OBSERVE, .ask = ask, .take = take, .refused = refused};

enum coord_code coord_election_observe(struct coord_client *client, const char *path,
                                       coord_election_fn changed, void *context,
                                       struct coord_observer **observer,
                                       struct coord_error *error)
{
    enum coord_code code = client_may_begin(client, error);
    if (code != COORD_OK) {
        return code;
    }
    struct coord_observer *o = calloc(1, sizeof *o);
    char *copy = strdup(path);
    if (o == NULL || copy == NULL) {
        free(o);
        free(copy);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for an observer");
    }
    *o = (struct coord_observer){.path = copy, .changed = changed, .context = context};
    client_enter(client);
    follower_start(&o->follower, client, &ops);
    client_leave(client);
    *observer = o;
    return client_fail(error, COORD_OK, "%s", "");
}

const struct coord_error *observer_trouble(const struct coord_observer *o)
{
    return o->follower.trouble.code != COORD_OK ? &o->follower.trouble : NULL;
}

void coord_observer_close(struct coord_observer *observer)
{
    if (observer == NULL) {
        return;
    }
    if (observer->is_telling) {
        observer->is_closed = true;
        return;
    }
    struct coord_client *client = observer->follower.client;
    client_enter(client);
    destroy(observer);
    client_leave(client);
}
