/* What nodes of a shard map say of themselves. */
#include <stdlib.h>

#include "client/call.h"
#include "client/convert.h"
#include "client/error.h"
#include "client/shards.h"
#include "coord/v1/shard_map.pb-c.h"

static char **texts(const char *const *names)
{
    return (char **)(uintptr_t)names; /* protobuf-c only reads them */
}

enum coord_code coord_shard_join(struct coord_client *client, const char *path,
                                 const struct coord_shard_node *node, uint64_t lease,
                                 struct coord_error *error)
{
    Coord__V1__ShardMapJoinRequest request = COORD__V1__SHARD_MAP_JOIN_REQUEST__INIT;
    request.path = convert_text(path);
    request.node = convert_text(node->name);
    request.lease = lease;
    request.address = convert_text_or_none(node->address);
    request.zone = convert_text_or_none(node->zone);
    request.tags = texts(node->tags);
    request.n_tags = node->tag_count;
    request.weight = (uint32_t)node->weight;
    request.drain = node->drains;
    request.capacity_bytes = node->capacity_bytes;
    request.capacity_replicas = (uint32_t)node->capacity_replicas;
    request.priority = node->priority;
    return client_do(client, CLIENT_SHARD_JOIN, &request.base, error);
}

enum coord_code coord_shard_leave(struct coord_client *client, const char *path,
                                  const char *node, struct coord_error *error)
{
    Coord__V1__ShardMapLeaveRequest request = COORD__V1__SHARD_MAP_LEAVE_REQUEST__INIT;
    request.path = convert_text(path);
    request.node = convert_text(node);
    return client_do(client, CLIENT_SHARD_LEAVE, &request.base, error);
}

enum coord_code coord_shard_report(struct coord_client *client, const char *path,
                                   const char *node, uint64_t move, enum coord_move_state state,
                                   uint32_t progress_permille, struct coord_error *error)
{
    Coord__V1__ShardMapReportRequest request = COORD__V1__SHARD_MAP_REPORT_REQUEST__INIT;
    Coord__V1__ShardMoveReport report = COORD__V1__SHARD_MOVE_REPORT__INIT;
    Coord__V1__ShardMoveReport *reports[] = {&report};
    request.path = convert_text(path);
    request.node = convert_text(node);
    request.moves = reports;
    request.n_moves = 1;
    report.move = move;
    report.state = (Coord__V1__ShardMoveState)(state - COORD_MOVE_QUEUED);
    report.progress_permille = progress_permille;
    return client_do(client, CLIENT_SHARD_REPORT, &request.base, error);
}

enum coord_code coord_shard_tell(struct coord_client *client, const char *path,
                                 const char *node, const struct coord_shard_stats *stats,
                                 size_t count, struct coord_error *error)
{
    Coord__V1__ShardMapStatsRequest request = COORD__V1__SHARD_MAP_STATS_REQUEST__INIT;
    Coord__V1__ShardStats *lines = calloc(count + 1, sizeof *lines);
    Coord__V1__ShardStats **shards = calloc(count + 1, sizeof *shards);
    enum coord_code code = COORD_NO_MEMORY;
    for (size_t i = 0; lines != NULL && shards != NULL && i < count; i++) {
        coord__v1__shard_stats__init(&lines[i]);
        lines[i].shard = stats[i].shard;
        lines[i].rows = stats[i].rows;
        lines[i].bytes = stats[i].bytes;
        lines[i].qps = stats[i].qps;
        lines[i].position = stats[i].position;
        shards[i] = &lines[i];
    }
    request.path = convert_text(path);
    request.node = convert_text(node);
    request.shards = shards;
    request.n_shards = count;
    if (lines != NULL && shards != NULL) {
        code = client_do(client, CLIENT_SHARD_STATS, &request.base, error);
    } else {
        (void)client_fail(error, COORD_NO_MEMORY, "out of memory for what %zu shards say",
                          count);
    }
    free(lines);
    free(shards);
    return code;
}
