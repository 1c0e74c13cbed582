/* Requests: bytes to structs. */
#include "net/zookeeper/packet.h"

/* The least that an item of each vector takes. */
#define PATH_BYTES_MIN ((size_t)4)
#define ACL_BYTES_MIN  ((size_t)12)

enum status zk_frame(struct slice bytes, struct slice *packet, size_t *taken)
{
    *packet = slice_make(NULL, 0);
    *taken = 0;
    if (bytes.size < 4) {
        return RC_OK;
    }
    struct jute_in in = jute_in_make(bytes);
    int32_t size = jute_int(&in);
    if (size < 0) {
        return RC_MALFORMED;
    }
    if ((size_t)size > ZK_PACKET_BYTES_MAX) {
        return RC_TOO_LARGE;
    }
    if (in.rest.size >= (size_t)size) {
        *packet = slice_make(in.rest.data, (size_t)size);
        *taken = 4 + (size_t)size;
    }
    return RC_OK;
}

enum status zk_connect_decode(struct slice packet, struct zk_connect *out)
{
    struct jute_in in = jute_in_make(packet);
    *out = (struct zk_connect){.protocol_version = jute_int(&in)};
    out->last_zxid_seen = jute_long(&in);
    out->timeout_ms = jute_int(&in);
    out->session = jute_long(&in);
    out->password = jute_buffer(&in).bytes;
    if (in.failed) {
        return RC_MALFORMED;
    }
    out->has_read_only = in.rest.size > 0;
    out->read_only = out->has_read_only && jute_bool(&in);
    return RC_OK;
}

/* ---- fields ------------------------------------------------------------------------------- */

/* What reads a node takes no path that is null; the others see for themselves. */
static void decode_path(struct jute_in *in, struct zk_request *r)
{
    struct jute_bytes path = jute_buffer(in);
    r->path = path.bytes;
    switch (r->type) {
    case ZK_EXISTS:
    case ZK_GET_DATA:
    case ZK_GET_ACL:
    case ZK_GET_CHILDREN:
    case ZK_GET_CHILDREN2:
    case ZK_GET_ALL_CHILDREN_NUMBER:
    case ZK_ADD_WATCH:
    case ZK_CHECK_WATCHES: in->failed = in->failed || path.is_null; break;
    default: break;
    }
}

static void decode_data(struct jute_in *in, struct zk_request *r)
{
    struct jute_bytes data = jute_buffer(in);
    r->data = data.bytes;
    r->data_is_null = data.is_null;
}

static void decode_acl(struct jute_in *in, struct zk_request *r, struct arena *arena)
{
    r->acl_count = jute_count(in, ACL_BYTES_MIN);
    struct zk_acl *acl = arena_alloc(arena, r->acl_count * sizeof *acl);
    for (size_t i = 0; i < r->acl_count && !in->failed; i++) {
        acl[i].permissions = jute_int(in);
        acl[i].scheme = jute_buffer(in).bytes;
        acl[i].id = jute_buffer(in).bytes;
    }
    r->acl = acl;
}

static struct zk_paths decode_paths(struct jute_in *in, struct arena *arena)
{
    size_t count = jute_count(in, PATH_BYTES_MIN);
    struct slice *paths = arena_alloc(arena, count * sizeof *paths);
    for (size_t i = 0; i < count && !in->failed; i++) {
        paths[i] = jute_buffer(in).bytes;
    }
    return (struct zk_paths){.paths = paths, .count = count};
}

static void decode_create(struct jute_in *in, struct zk_request *r, struct arena *arena)
{
    decode_path(in, r);
    decode_data(in, r);
    decode_acl(in, r, arena);
    r->flags = jute_int(in);
    if (r->type == ZK_CREATE_TTL) {
        r->ttl_ms = jute_long(in);
    }
}

static void decode_set_watches(struct jute_in *in, struct zk_request *r, struct arena *arena)
{
    r->relative_zxid = jute_long(in);
    r->data_watches = decode_paths(in, arena);
    r->exist_watches = decode_paths(in, arena);
    r->child_watches = decode_paths(in, arena);
    if (r->type == ZK_SET_WATCHES2) {
        r->persistent_watches = decode_paths(in, arena);
        r->recursive_watches = decode_paths(in, arena);
    }
}

/* ---- bodies ------------------------------------------------------------------------------- */

static void decode_body(struct jute_in *in, struct zk_request *r, struct arena *arena)
{
    switch (r->type) {
    case ZK_CREATE:
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL: decode_create(in, r, arena); break;
    case ZK_DELETE:
    case ZK_CHECK:
        decode_path(in, r);
        r->version = jute_int(in);
        break;
    case ZK_SET_DATA:
        decode_path(in, r);
        decode_data(in, r);
        r->version = jute_int(in);
        break;
    case ZK_EXISTS:
    case ZK_GET_DATA:
    case ZK_GET_CHILDREN:
    case ZK_GET_CHILDREN2:
        decode_path(in, r);
        r->watch = jute_bool(in);
        break;
    case ZK_SET_ACL:
        decode_path(in, r);
        decode_acl(in, r, arena);
        r->version = jute_int(in);
        break;
    case ZK_CHECK_WATCHES:
    case ZK_REMOVE_WATCHES:
    case ZK_ADD_WATCH:
        decode_path(in, r);
        r->flags = jute_int(in);
        break;
    case ZK_GET_ACL:
    case ZK_SYNC:
    case ZK_GET_EPHEMERALS:
    case ZK_GET_ALL_CHILDREN_NUMBER: decode_path(in, r); break;
    case ZK_AUTH:
        (void)jute_int(in);
        r->scheme = jute_buffer(in).bytes;
        decode_data(in, r);
        break;
    case ZK_SASL: decode_data(in, r); break;
    case ZK_RECONFIG: /* is refused, but not if it is none */
        (void)jute_buffer(in);
        (void)jute_buffer(in);
        (void)jute_buffer(in);
        (void)jute_long(in);
        break;
    case ZK_SET_WATCHES:
    case ZK_SET_WATCHES2: decode_set_watches(in, r, arena); break;
    default: break; /* no body, or one that nobody looks at */
    }
}

static bool may_be_in_multi(int32_t multi, int32_t type)
{
    switch (type) {
    case ZK_CREATE:
    case ZK_CREATE2:
    case ZK_CREATE_CONTAINER:
    case ZK_CREATE_TTL:
    case ZK_DELETE:
    case ZK_SET_DATA:
    case ZK_CHECK: return multi == ZK_MULTI;
    case ZK_GET_DATA:
    case ZK_GET_CHILDREN: return multi == ZK_MULTI_READ;
    default: return false;
    }
}

/* Operations until the head that says done. Their number is not announced, so the array grows; what
 * it grew out of stays in the arena, which is at most as much again. */
static void decode_multi(struct jute_in *in, struct zk_request *r, struct arena *arena)
{
    struct zk_request *ops = NULL;
    size_t capacity = 0;
    while (!in->failed) {
        int32_t type = jute_int(in);
        bool done = jute_bool(in);
        (void)jute_int(in);
        if (in->failed || done) {
            break;
        }
        if (!may_be_in_multi(r->type, type)) {
            in->failed = true;
            break;
        }
        if (r->op_count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            struct zk_request *more = arena_alloc(arena, capacity * sizeof *more);
            if (r->op_count > 0) {
                memcpy(more, ops, r->op_count * sizeof *more);
            }
            ops = more;
        }
        ops[r->op_count] = (struct zk_request){.type = type};
        decode_body(in, &ops[r->op_count], arena);
        in->failed = in->failed || ops[r->op_count].path.data == NULL;
        r->op_count++;
    }
    r->ops = ops;
}

enum status zk_request_decode(struct slice packet, struct zk_request *out, enum zk_error *error,
                              struct arena *arena)
{
    struct jute_in in = jute_in_make(packet);
    *out = (struct zk_request){.xid = jute_int(&in)};
    out->type = jute_int(&in);
    if (in.failed) {
        return RC_MALFORMED;
    }
    *error = ZK_OK;
    if (!zk_type_is_known(out->type) || out->type == ZK_CHECK) {
        *error = ZK_UNIMPLEMENTED;
        return RC_OK;
    }
    if (out->type == ZK_MULTI || out->type == ZK_MULTI_READ) {
        decode_multi(&in, out, arena);
    } else {
        decode_body(&in, out, arena);
    }
    if (in.failed) {
        *error = ZK_MARSHALLING_ERROR;
    }
    return RC_OK;
}

/* Everything but the server's own commands (createSession, deleteContainer) and what never was. A
 * check is known inside a multi. */
static const struct {
    int32_t type;
    const char *name;
    const char *brief;
} types[] = {
    {ZK_CREATE, "create", "CREA"},
    {ZK_DELETE, "delete", "DELE"},
    {ZK_EXISTS, "exists", "EXIS"},
    {ZK_GET_DATA, "getData", "GETD"},
    {ZK_SET_DATA, "setData", "SETD"},
    {ZK_GET_ACL, "getACL", "GETA"},
    {ZK_SET_ACL, "setACL", "SETA"},
    {ZK_GET_CHILDREN, "getChildren", "GETC"},
    {ZK_SYNC, "sync", "SYNC"},
    {ZK_PING, "ping", "PING"},
    {ZK_GET_CHILDREN2, "getChildren2", "GETC"},
    {ZK_CHECK, "check", "CHEC"},
    {ZK_MULTI, "multi", "MULT"},
    {ZK_CREATE2, "create2", "CREA"},
    {ZK_RECONFIG, "reconfig", "RECO"},
    {ZK_CHECK_WATCHES, "checkWatches", "CHKW"},
    {ZK_REMOVE_WATCHES, "removeWatches", "REMW"},
    {ZK_CREATE_CONTAINER, "createContainer", "CREA"},
    {ZK_CREATE_TTL, "createTTL", "CREA"},
    {ZK_MULTI_READ, "multiRead", "MLTR"},
    {ZK_AUTH, "auth", "AUTH"},
    {ZK_SET_WATCHES, "setWatches", "SETW"},
    {ZK_SASL, "sasl", "SASL"},
    {ZK_GET_EPHEMERALS, "getEphemerals", "GETE"},
    {ZK_GET_ALL_CHILDREN_NUMBER, "getAllChildrenNumber", "GACN"},
    {ZK_SET_WATCHES2, "setWatches2", "STW2"},
    {ZK_ADD_WATCH, "addWatch", "ADDW"},
    {ZK_WHO_AM_I, "whoAmI", "WHOM"},
    {ZK_CLOSE_SESSION, "closeSession", "CLOS"},
};

static size_t type_index(int32_t type)
{
    size_t i = 0;
    while (i < sizeof types / sizeof types[0] && types[i].type != type) {
        i++;
    }
    return i;
}

bool zk_type_is_known(int32_t type)
{
    return type_index(type) < sizeof types / sizeof types[0];
}

const char *zk_type_name(int32_t type)
{
    return zk_type_is_known(type) ? types[type_index(type)].name : "unknown";
}

const char *zk_type_short(int32_t type)
{
    return zk_type_is_known(type) ? types[type_index(type)].brief : "NA";
}
