/* Service discovery for clients of coord: the instances of a service, kept up to date. Part of
 * libcoord; see client.h for what holds for all of it, and docs/discovery.md.
 *
 * To register, deregister and drain are calls that wait, or not. A subscription holds the instances
 * of one service: it asks once, is then told of changes, and takes itself up again at another
 * endpoint when its own fails. Whatever fails, what it knew stays known. */
#ifndef CLIENT_DISCOVERY_H
#define CLIENT_DISCOVERY_H

#include "client.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

struct coord_metadata {
    const char *name;
    const char *value;
};

enum coord_health {
    COORD_HEALTH_PASSING = 0,
    COORD_HEALTH_SLOW = 1,
    COORD_HEALTH_UNSTABLE = 2,
    COORD_HEALTH_SUSPECTED_DOWN = 3,
    COORD_HEALTH_DOWN = 4,
};

enum coord_check_type {
    COORD_CHECK_NONE = 0,
    COORD_CHECK_TCP = 1,
    COORD_CHECK_HTTP = 2,
    COORD_CHECK_HEARTBEAT = 3, /* the instance calls coord_heartbeat, at least each interval */
};

/* How the cluster knows whether an instance is well: it looks, at its address and port, or is told.
 * Registering: a zero is the default. */
struct coord_check {
    enum coord_check_type type;
    const char *path; /* HTTP; NULL or "" = "/" */
    unsigned interval_ms;
    unsigned timeout_ms; /* HEARTBEAT: so late may one be */
    unsigned slow_ms;
};

/* What an instance says of how much it has to do. */
struct coord_load {
    double cpu; /* of what it has, 0 to 1; mem too */
    double mem;
    double qps;            /* pieces of work in a second */
    double avg_latency_ms; /* of one; at most an hour */
    uint64_t queue_length; /* pieces that wait or are under way */
};

/* What is known of an instance besides what is stored; ages as of when it was handed out. */
struct coord_vitals {
    bool is_known; /* else nothing is, and the rest is zero */
    bool has_load; /* it has said something */
    struct coord_load load;
    uint64_t load_age_ms;
    uint64_t silence_ms; /* since its last heartbeat, or check that passed */
    double phi; /* how suspicious that is: 1 is wrong once in 10 times, 3 once in 1000 */
};

/* Strings that are not known are "", never NULL, in what libcoord fills in. */
struct coord_instance {
    const char *service; /* a label of the DNS: a-z, 0-9 and '-', at most 63 */
    const char *id;      /* letters, digits and any of . _ : -, at most 128 */
    const char *address; /* IPv4, IPv6 or host name */
    unsigned port;
    unsigned weight;  /* 1 to 10000; registering: 0 = 100 */
    const char *zone; /* registering: may be NULL */
    const char *const *tags;
    size_t tag_count;
    const struct coord_metadata *metadata;
    size_t metadata_count;
    struct coord_check check;
    bool draining; /* shall get no new work */
    /* not for registering: */
    uint64_t lease;
    uint64_t revision;        /* that registered it: an epoch, and with the path a guard */
    uint64_t modify_revision; /* of its last change */
    const char *path;         /* of its node */
    enum coord_health health;
    uint64_t health_since_ms; /* wall clock; 0 while PASSING */
    struct coord_vitals vitals;
};

/* Under `lease` (0: the client's session). It takes the place of an instance with the same id,
 * unless `only_new`: COORD_EXISTS. `revision` (may be NULL) gets its revision. */
enum coord_code coord_register(struct coord_client *client,
                               const struct coord_instance *instance, uint64_t lease,
                               bool only_new, uint64_t *revision, struct coord_error *error);
enum coord_code coord_deregister(struct coord_client *client, const char *service,
                                 const char *id, struct coord_error *error);
/* `drains` false: it gets work again. */
enum coord_code coord_drain(struct coord_client *client, const char *service, const char *id,
                            bool drains, struct coord_error *error);

/* A sign of life of an instance, with what it has to do (`load` may be NULL). `revision`: of its
 * registration, if it must be that one; else 0. `health` (may be NULL) gets what it was found to be
 * until now. COORD_NO_NODE: it is not registered (any more). Does not keep its lease alive. */
enum coord_code coord_heartbeat(struct coord_client *client, const char *service, const char *id,
                                uint64_t revision, const struct coord_load *load,
                                enum coord_health *health, struct coord_error *error);

/* ---- subscriptions ---------------------------------------------------------------------- */

struct coord_subscription;

enum coord_service_event_type {
    COORD_SERVICE_PUT = 1,     /* new, or changed */
    COORD_SERVICE_REMOVED = 2, /* gone, or not asked for any more */
    COORD_SERVICE_SYNCED = 3,  /* all is known up to a revision */
    COORD_SERVICE_REPORT = 4,  /* new vitals of one; only with report_ms */
};

struct coord_service_event {
    enum coord_service_event_type type;
    uint64_t revision;                      /* SYNCED */
    const struct coord_instance *instance; /* PUT, REPORT; REMOVED: as it was. Else NULL */
};

/* Zero everywhere is the default. */
struct coord_subscription_options {
    const char *zone;        /* only instances of this zone; NULL = all */
    const char *const *tags; /* only those that have all of these */
    size_t tag_count;
    uint32_t progress_ms; /* as in struct coord_watch_options */
    /* There is something for coord_subscription_next, after it had nothing. May close the
     * subscription. NULL = not told. */
    void (*ready)(void *context, struct coord_subscription *subscription);
    void *context;
    const enum coord_health *healths; /* only those that are one of these; none = whichever */
    size_t health_count;              /* at most 5 */
    uint32_t report_ms; /* is told of new vitals too, so often at most; >= 100; 0 = not */
};

/* Waits for the first full list, at most for the client's timeout. `options` may be NULL. The
 * client must outlive its subscriptions. Free with coord_subscription_close. */
enum coord_code coord_subscribe(struct coord_client *client, const char *service,
                                const struct coord_subscription_options *options,
                                struct coord_subscription **subscription,
                                struct coord_error *error);
/* The same without waiting: whatever is wrong, coord_subscription_next tells. */
enum coord_code coord_subscribe_start(struct coord_client *client, const char *service,
                                      const struct coord_subscription_options *options,
                                      struct coord_subscription **subscription,
                                      struct coord_error *error);
/* The next change, which is then among the instances below; what it points to is valid until the
 * next call for this subscription. COORD_TIMEOUT: none in time, all is well. COORD_UNAVAILABLE:
 * no endpoint could be reached in time; call again to go on trying. COORD_CANCELED: a callback has
 * closed it, or the client, while this waited. Everything else but COORD_NO_MEMORY is its end: what
 * is known stays known. With `timeout_ms` 0 it only looks at what has arrived. */
enum coord_code coord_subscription_next(struct coord_subscription *subscription,
                                        uint32_t timeout_ms,
                                        struct coord_service_event *event,
                                        struct coord_error *error);
/* Takes in what has arrived. True: the instances were known whole at some time. */
bool coord_subscription_update(struct coord_subscription *subscription);
/* As of the last call above, in the order of their ids; valid until the next one. */
size_t coord_subscription_count(const struct coord_subscription *subscription);
const struct coord_instance *
coord_subscription_instance(const struct coord_subscription *subscription, size_t at);
/* All changes up to this revision have been handed out; 0: none yet. */
uint64_t coord_subscription_revision(const struct coord_subscription *subscription);
/* As coord_watch_fd. */
int coord_subscription_fd(const struct coord_subscription *subscription);
void coord_subscription_close(struct coord_subscription *subscription); /* NULL is fine */

/* ---- pickers ---------------------------------------------------------------------------- */

/* Which instance gets the next piece of work. */
enum coord_pick_policy {
    COORD_PICK_ROUND_ROBIN = 1, /* in turn, each as often as its weight says */
    /* The fewest pieces of this picker's work under way, and of those that the instance says are
     * queued, by weight and by the cpu that it says it has left. */
    COORD_PICK_LEAST_LOADED = 2,
    /* The shortest time to be expected: the mean of what it took lately, or what it says itself if
     * that is more, times what is under way, by weight. Who was slow or failed is tried again after
     * some seconds. */
    COORD_PICK_RESPONSE_TIME = 3,
    /* By a key: the same instance for the same key, in all processes that know the same instances.
     * Who comes or goes moves its own share of the keys and no other. Weights above 1000 count as
     * 1000. */
    COORD_PICK_HASH = 4,
};

struct coord_picker;

/* Over what the subscription knows, which must outlive it and may have several. What instances say
 * of their load is used if the subscription has report_ms, for 30 s. */
enum coord_code coord_picker_open(struct coord_subscription *subscription,
                                  enum coord_pick_policy policy, struct coord_picker **picker,
                                  struct coord_error *error);
/* An instance that neither drains nor is down nor has weight 0, and is not suspected to be down if
 * another is not; if there is none such, any; NULL if there is none at all. Takes in what the
 * subscription has heard, and asks nobody: it goes on with what is known while no member can be
 * reached. `key` is for COORD_PICK_HASH. Valid until the next call for the subscription or one of
 * its pickers. */
const struct coord_instance *coord_picker_pick(struct coord_picker *picker, const void *key,
                                               size_t key_bytes);
/* The work that was given to `id` has ended: once for each pick. */
void coord_picker_done(struct coord_picker *picker, const char *id, uint64_t latency_ms,
                       bool failed);
void coord_picker_close(struct coord_picker *picker); /* NULL is fine */

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
