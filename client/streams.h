/* What goes on being told: changes of a configuration, the value that is meant for an instance, and
 * whether members serve. Part of libcoord; see client.h for what holds for all of it, and
 * docs/config.md. Strings are "" if they are not known, never NULL.
 *
 * Each is told for as long as the client is driven, whichever members die meanwhile. Nothing here
 * waits: whatever is wrong is told. A function that is told may close its stream; what it is given
 * is valid until it returns. Close all of them before the client. `chroot` does not apply to names
 * of services; it does to paths. */
#ifndef CLIENT_STREAMS_H
#define CLIENT_STREAMS_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

struct coord_stream;

void coord_stream_close(struct coord_stream *stream); /* NULL is fine */

/* ---- changes of a configuration ---------------------------------------------------------- */

struct coord_config_change {
    enum coord_event_type type; /* COORD_EVENT_CREATED, _SET, _DELETED */
    const char *path;
    const void *old_value;
    size_t old_bytes;
    const void *new_value;
    size_t new_bytes;
    uint32_t version; /* after it; of a key that was deleted: the last */
    uint64_t revision;
    uint64_t time_ms; /* wall clock, since 1970 */
    const char *user; /* who, if the cluster asks for users */
    uint64_t session;
    const char *note;
};

struct coord_config_event {
    const struct coord_config_change *change;
    /* Not NULL: the end, nothing more is told, and there is no change. COORD_COMPACTED: history
     * does not reach back to what was told last; COORD_NOT_FOUND: it is no configuration. */
    const struct coord_error *over;
};
typedef void (*coord_config_fn)(void *context, struct coord_stream *stream,
                                const struct coord_config_event *event);

/* Each change of a key, or with `recursive` of all at and below it, once and in order. From
 * `from_revision` on; 0: from when a member has been reached. */
enum coord_code coord_config_watch(struct coord_client *client, const char *path,
                                   bool recursive, uint64_t from_revision,
                                   coord_config_fn changed, void *context,
                                   struct coord_stream **stream, struct coord_error *error);

/* Every change up to this revision has been told: a later watch may go on at this + 1. It moves
 * while nothing changes, too. 0: not known yet. */
uint64_t coord_config_watch_revision(const struct coord_stream *stream);

/* ---- the value that is meant for an instance --------------------------------------------- */

struct coord_config_value {
    bool exists;  /* else the rest is zero */
    bool rollout; /* the value is that of a rollout in progress */
    const char *path;
    const void *value;
    size_t bytes;
    uint32_t version; /* of the key, as all below */
    uint64_t create_revision;
    uint64_t modify_revision;
    uint64_t modify_time_ms;      /* wall clock, since 1970 */
    const struct coord_error *over; /* not NULL: the end, nothing more is told */
};
typedef void (*coord_value_fn)(void *context, struct coord_stream *stream,
                               const struct coord_config_value *value);

struct coord_config_instance {
    const char *id;
    const char *const *labels; /* "zone=a"; NULL if there are none */
    size_t label_count;
};

/* What is meant for the instance now, and then whenever it is something else: what came and went
 * while nobody could be reached is not told. COORD_UNSUPPORTED is told by clusters that do not
 * know the call. */
enum coord_code coord_config_watch_effective(struct coord_client *client, const char *path,
                                             const struct coord_config_instance *instance,
                                             coord_value_fn changed, void *context,
                                             struct coord_stream **stream,
                                             struct coord_error *error);

/* ---- health ------------------------------------------------------------------------------ */

enum coord_serving {
    COORD_SERVING_UNKNOWN = 0,
    COORD_SERVING = 1,
    COORD_NOT_SERVING = 2,
    COORD_NO_SERVICE = 3, /* the member does not know it */
};
struct coord_health_event {
    enum coord_serving serving;
    const struct coord_error *over; /* not NULL: the end, nothing more is told */
};
typedef void (*coord_health_fn)(void *context, struct coord_stream *stream,
                                const struct coord_health_event *event);

/* Of the member that the client is with, as gRPC's health service says it: at once, whenever it
 * changes, and whenever another member is asked. `service`: "coord.v1.Tree"; "" = the member. */
enum coord_code coord_health_watch(struct coord_client *client, const char *service,
                                   coord_health_fn changed, void *context,
                                   struct coord_stream **stream, struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
