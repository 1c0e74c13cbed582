/* What the node of a service's instance says: readable text, one `name=value` line for each field
 * that is set, in the order of `struct service_instance`. `coordctl get` shows it, and it is the
 * only truth: there is no table of services besides the nodes.
 *
 *   /services/NAME      a service; made with its first instance
 *   /services/NAME/ID   an instance: an ephemeral node, which goes with its lease
 *
 * There is one text for each content: what decodes encodes to the same bytes. Texts are UTF-8
 * without control characters, so that nothing has to be escaped. Tags and metadata are in the order
 * of their bytes, each once. To add a field: a member, its half line in instance.c's encode and
 * decode, a line in docs/formats.md; readers of older builds refuse what they do not know, so a new
 * field comes with a new feature level once one has been released. Pure. */
#ifndef RECIPES_INSTANCE_H
#define RECIPES_INSTANCE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

#define SERVICE_ROOT               "/services"
#define SERVICE_NAME_BYTES_MAX     ((size_t)63)
#define INSTANCE_ID_BYTES_MAX      ((size_t)128)
#define INSTANCE_ADDRESS_BYTES_MAX ((size_t)253)
#define INSTANCE_WORD_BYTES_MAX    ((size_t)63) /* zone, a tag, a name of metadata */
#define INSTANCE_TAGS_MAX          32
#define INSTANCE_META_MAX          32
#define INSTANCE_META_BYTES_MAX    ((size_t)1024) /* one value */
#define INSTANCE_WEIGHT_MAX        ((uint32_t)10000)
#define INSTANCE_WEIGHT_DEFAULT    ((uint32_t)100)
#define INSTANCE_BYTES_MAX         ((size_t)64 << 10)
/* "/services/NAME/ID" and a zero. */
#define INSTANCE_PATH_BYTES_MAX \
    (sizeof SERVICE_ROOT + SERVICE_NAME_BYTES_MAX + INSTANCE_ID_BYTES_MAX + 2)

struct instance_meta {
    struct slice name;
    struct slice value;
};

/* In the order in which they are worse. */
enum instance_health {
    HEALTH_PASSING = 0,
    HEALTH_SLOW = 1,
    HEALTH_UNSTABLE = 2,
    HEALTH_SUSPECTED_DOWN = 3,
    HEALTH_DOWN = 4,
};

enum instance_check_type {
    CHECK_NONE = 0,
    CHECK_TCP = 1,
    CHECK_HTTP = 2,
    CHECK_HEARTBEAT = 3, /* the leader does not look: it is told, or else it is a miss */
};

#define CHECK_EVERY_MS_MIN   ((uint32_t)100)
#define CHECK_EVERY_MS_MAX   ((uint32_t)3600000)
#define CHECK_PATH_BYTES_MAX ((size_t)1024)

/* How the leader knows whether it is well: it looks, at its own address and port, or is told. */
struct instance_check {
    uint8_t type;      /* enum instance_check_type; without one the rest is zero */
    struct slice path; /* HTTP: begins with '/' */
    uint32_t every_ms;
    uint32_t timeout_ms; /* HEARTBEAT: so late may one be */
    uint32_t slow_ms; /* longer on average is SLOW */
};

struct service_instance {
    struct slice address; /* of IP, or a host name */
    uint16_t port;
    uint32_t weight; /* 0: gets nothing while others are there */
    struct slice zone;
    const struct slice *tags;
    uint32_t tag_count;
    const struct instance_meta *meta;
    uint32_t meta_count;
    struct instance_check check;
    bool draining; /* takes no new work, and will leave */
    uint8_t health;           /* enum instance_health, as checks say; PASSING without any */
    uint64_t health_since_ms; /* wall clock, for display; 0 while PASSING */
};

/* A label of the DNS in small letters: a to z, 0 to 9, '-' inside. RC_INVALID: `err` (may be NULL)
 * names what is wrong. */
enum status service_name_check(struct slice name, struct errmsg *err);
/* Letters, digits and ". _ : -", at most INSTANCE_ID_BYTES_MAX; not "." or "..". */
enum status instance_id_check(struct slice id, struct errmsg *err);
/* Every field; tags and metadata must be in order. */
enum status instance_validate(const struct service_instance *in, struct errmsg *err);

/* Brings them in order, as instance_validate wants them; of two that are the same both stay. */
void instance_sort_tags(struct slice *tags, size_t count);
void instance_sort_meta(struct instance_meta *meta, size_t count);
/* "passing", "slow", ...; static memory. */
const char *instance_health_name(uint8_t health);
bool instance_has_tag(const struct service_instance *in, struct slice tag);

void instance_encode(struct buf *b, const struct service_instance *in);
/* False unless it is the text of an instance. Slices point into `text`, arrays into `arena`. */
bool instance_decode(struct slice text, struct service_instance *in, struct arena *arena);

/* "/services/NAME" or "/services/NAME/ID" (an empty id: the former) into `path`. */
struct slice instance_path(struct slice service, struct slice id,
                           char path[INSTANCE_PATH_BYTES_MAX]);
/* The parts of such a path. False: it is none of an instance. */
bool instance_path_split(struct slice path, struct slice *service, struct slice *id);

#endif
