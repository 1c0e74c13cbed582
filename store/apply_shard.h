/* The actions of a COMMAND_SHARD that have files of their own; for store/apply_shard.c only. Each
 * is between edit_begin and its end, and what it refuses takes the whole command back. `failed_op`
 * of the reply is the step that was refused. */
#ifndef STORE_APPLY_SHARD_H
#define STORE_APPLY_SHARD_H

#include "store/shards.h"
#include "store/state.h"

/* apply_shard_move.c */
enum outcome shard_plan_apply(struct shard_map *map, const struct command_shard *asked,
                              struct reply *reply);
enum outcome shard_report_apply(struct shard_map *map, const struct command_shard *asked,
                                struct reply *reply);
enum outcome shard_moves_apply(struct shard_map *map, const struct command_shard *asked,
                               struct reply *reply);

/* apply_shard_keys.c */
enum outcome shard_split_apply(struct shard_map *map, const struct command_shard *asked);
enum outcome shard_merge_apply(struct shard_map *map, const struct command_shard *asked);
enum outcome shard_set_apply(struct shard_map *map, const struct command_shard *asked);
enum outcome shard_key_apply(struct shard_map *map, const struct command_shard *asked);

#endif
