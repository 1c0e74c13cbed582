/* What the files of coord.v1.Config share (store/config.h says what a configuration is).
 *
 *   config.c         reads, and the table of the service
 *   config_write.c   writes: validated here, proposed with a guard on the root's revision
 *   config_schema.c  schemas as they are, and checks by them
 *   config_past.c    states of the past: Get at a revision, Diff, what Rollback has to do
 *   config_rollout.c  rollouts
 *   config_effective.c  what an instance is to see: Effective, WatchEffective
 *   config_watch.c   Watch
 *
 * A key is a node with a value, at a root or below it, no name of it beginning with a dot. */
#ifndef NET_GRPC_CONFIG_H
#define NET_GRPC_CONFIG_H

#include "coord/v1/config.pb-c.h"
#include "net/grpc/answer.h"
#include "store/config.h"
#include "store/history.h"
#include "store/policy.h"
#include "store/store.h"

/* What Diff, Rollback, Check and a Get of the past look at in one go. */
#define CONFIG_NODES_MAX   10000
#define CONFIG_CHANGES_MAX 100000
#define CONFIG_UPDATES_MAX 1000

/* ---- config.c ---- */

/* Whether the path may be that of a key; else the call is refused. `root` is its configuration. */
bool config_key_check(struct grpc_call *call, struct slice path, const struct policy **root);

/* A change as a message that borrows from it. False: it is none of a key, below a root whose path
 * has so many bytes. */
bool config_change_fill(struct grpc_call *call, const struct change *change, size_t root_bytes,
                        Coord__V1__ConfigChange *message);
/* A key; strings are gone when the handler or completion returns. */
void config_entry_fill(struct grpc_call *call, struct slice path, const struct node_stat *stat,
                       struct slice value, Coord__V1__ConfigEntry *entry);

/* Takes the header, and keeps path and cursor with the call; the query is the caller's to complete.
 * False: the call is refused. */
bool config_query_prepare(struct grpc_call *call, const Coord__V1__RequestHeader *header,
                          const char *path_text, const char *after_text);

/* ---- config_write.c ---- */

struct config_write; /* call->data, until config_write_closed */
/* Looks at what is there, and proposes; or refuses the call. */
typedef void (*config_attempt_fn)(struct grpc_call *call, struct config_write *w);
/* Takes the header of a write that depends on what is there. Attempts it once this node is up to
 * date, unless it was executed before: then `written` gets the first outcome. */
void config_write_begin(struct grpc_call *call, const ProtobufCMessage *message,
                        const Coord__V1__RequestHeader *header, config_attempt_fn how,
                        void (*written)(struct grpc_call *call, const struct reply *reply));
/* The request, as long as the attempt goes on. */
const ProtobufCMessage *config_write_message(const struct config_write *w);

/* ---- config_past.c ---- */

/* A key at two moments; what it was not at one is zero. In the call's scratch memory; values
 * point into the store. */
struct config_item {
    struct slice path;
    struct slice before;
    struct slice after;
    bool was_there;
    bool is_there;
    uint32_t children_now; /* of its node, whatever the moments */
    struct node_stat stat_before;
    struct node_stat stat_after;
};

struct config_items {
    struct config_item *items; /* in order of path */
    size_t count;
};

struct config_moments {
    struct slice path;
    bool recursive;
    uint64_t before; /* a revision; 0 = now */
    uint64_t after;
};

/* All keys at the path, or at and below it, that were there at one of the moments. False: they are
 * not known any more, are too many, or may not be read, and the call is refused. */
bool config_items_find(struct grpc_call *call, const struct config_moments *m,
                       struct config_items *out);
bool config_item_differs(const struct config_item *item);
void config_item_fill(struct grpc_call *call, const struct config_item *item,
                      Coord__V1__ConfigChange *message);

/* ---- config_rollout.c ---- */

/* With commas between them, in the call's scratch memory; false: one of them is empty or has a
 * comma, and the call is refused. */
bool config_list_join(struct grpc_call *call, char *const *parts, size_t count,
                      struct slice *out);

/* ---- handlers ---- */

void config_create_root_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_delete_root_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_set_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_update_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_rollback_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_set_schema_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_write_closed(struct grpc_call *call);

void config_get_schema_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_list_schemas_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_check_call(struct grpc_call *call, const ProtobufCMessage *message);

void config_start_rollout_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_change_rollout_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_get_rollout_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_list_rollouts_call(struct grpc_call *call, const ProtobufCMessage *message);

void config_effective_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_watch_effective_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_watch_effective_drained(struct grpc_call *call);
void config_watch_effective_woken(struct grpc_call *call);
void config_watch_effective_ended(struct grpc_call *call);

void config_watch_call(struct grpc_call *call, const ProtobufCMessage *message);
void config_watch_drained(struct grpc_call *call);
void config_watch_woken(struct grpc_call *call);
void config_watch_ended(struct grpc_call *call);

#endif
