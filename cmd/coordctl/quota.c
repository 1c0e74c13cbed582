/* quota: set, get, list, remove. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/coordctl/ctl.h"
#include "coord/v1/quota.pb-c.h"

/* ---- how one is shown ------------------------------------------------------------------- */

static const char *state_name(Coord__V1__QuotaState state)
{
    switch ((int)state) {
    case COORD__V1__QUOTA_STATE__QUOTA_FREE: return "ok";
    case COORD__V1__QUOTA_STATE__QUOTA_SOFT: return "warning";
    case COORD__V1__QUOTA_STATE__QUOTA_FULL: return "full";
    default: return "unknown";
    }
}

static json_t *bound_json(uint64_t bound)
{
    return bound == 0 ? json_null() : json_integer((json_int_t)bound);
}

static json_t *quota_json(const Coord__V1__QuotaUsage *q)
{
    return json_pack("{s:s, s:o, s:I, s:o, s:I, s:o, s:s}", "path", q->bounds->path, "bytes",
                     bound_json(q->bounds->bytes), "used_bytes", (json_int_t)q->used_bytes,
                     "nodes", bound_json(q->bounds->nodes), "used_nodes",
                     (json_int_t)q->used_nodes, "soft_percent",
                     bound_json(q->bounds->soft_percent), "state", state_name(q->state));
}

/* "123 of 1000", or "123" where there is no bound. */
static void print_amount(const char *what, uint64_t used, uint64_t bound)
{
    printf("  %s %" PRIu64, what, used);
    if (bound > 0) {
        printf(" of %" PRIu64, bound);
    }
}

static void print_quota(const Coord__V1__QuotaUsage *q)
{
    printf("%s", q->bounds->path);
    print_amount("bytes", q->used_bytes, q->bounds->bytes);
    print_amount("nodes", q->used_nodes, q->bounds->nodes);
    if (q->bounds->soft_percent > 0) {
        printf("  warning from %" PRIu32 "%%", q->bounds->soft_percent);
    }
    printf("  %s\n", state_name(q->state));
}

/* ---- the commands ----------------------------------------------------------------------- */

static int quota_page(struct ctl *ctl, char after[CTL_PATH_BYTES], json_t *array)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__QuotaListRequest request = COORD__V1__QUOTA_LIST_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.after = after;
    int exit_code = ctl_call(ctl, CLIENT_QUOTA_LIST, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__QuotaListReply *reply = (const Coord__V1__QuotaListReply *)m;
    for (size_t i = 0; i < reply->n_quotas; i++) {
        if (array != NULL) {
            json_array_append_new(array, quota_json(reply->quotas[i]));
        } else {
            print_quota(reply->quotas[i]);
        }
    }
    snprintf(after, CTL_PATH_BYTES, "%s", reply->next);
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_quota_list(struct ctl *ctl)
{
    return ctl_list_pages(ctl, quota_page);
}

static enum coord_code get_quota(struct ctl *ctl, ProtobufCMessage **reply,
                                 struct coord_error *error)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__QuotaGetRequest request = COORD__V1__QUOTA_GET_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    return client_call(ctl->client, CLIENT_QUOTA_GET, &request.base, &header, reply, error);
}

int ctl_quota_get(struct ctl *ctl)
{
    ProtobufCMessage *m;
    struct coord_error error;
    enum coord_code code = get_quota(ctl, &m, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    const Coord__V1__QuotaGetReply *reply = (const Coord__V1__QuotaGetReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, quota_json(reply->quota));
    } else {
        print_quota(reply->quota);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

static int set_bounds(struct ctl *ctl, Coord__V1__QuotaBounds *bounds)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__QuotaSetRequest request = COORD__V1__QUOTA_SET_REQUEST__INIT;
    bounds->path = ctl_text(ctl->words[0]);
    bounds->bytes = ctl->bytes != 0 ? ctl->bytes : bounds->bytes;
    bounds->nodes = ctl->nodes != 0 ? ctl->nodes : bounds->nodes;
    bounds->soft_percent = ctl->soft != 0 ? ctl->soft : bounds->soft_percent;
    request.header = &header;
    request.bounds = bounds;
    return ctl_change(ctl, CLIENT_QUOTA_SET, &request.base, &header);
}

/* What is not given stays as it is. */
int ctl_quota_set(struct ctl *ctl)
{
    Coord__V1__QuotaBounds bounds = COORD__V1__QUOTA_BOUNDS__INIT;
    ProtobufCMessage *m = NULL;
    struct coord_error error;
    if ((ctl->bytes | ctl->nodes | ctl->soft) == 0) {
        return ctl_usage("quota set: give --bytes, --nodes or --soft");
    }
    enum coord_code code = get_quota(ctl, &m, &error);
    if (code != COORD_OK && code != COORD_NOT_FOUND) {
        return ctl_failed(ctl, &error);
    }
    if (code == COORD_OK) {
        bounds = *((const Coord__V1__QuotaGetReply *)m)->quota->bounds;
    }
    int exit_code = set_bounds(ctl, &bounds);
    if (code == COORD_OK) {
        client_reply_free(m);
    }
    return exit_code;
}

int ctl_quota_remove(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__QuotaRemoveRequest request = COORD__V1__QUOTA_REMOVE_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    return ctl_change(ctl, CLIENT_QUOTA_REMOVE, &request.base, &header);
}
