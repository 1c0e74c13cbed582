/* Commands about the cluster itself: digest checks, feature level. They change no data, and so no
 * revision. */
#include "store/apply.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/state.h"

/* ---- who disagrees ------------------------------------------------------------------------ */

uint32_t diverged_seek(const struct store *s, uint64_t member)
{
    uint32_t at = 0;
    while (at < s->diverged_count && s->diverged[at].member < member) {
        at++;
    }
    return at;
}

void diverged_mark(struct store *s, uint64_t member, uint64_t index)
{
    uint32_t at = diverged_seek(s, member);
    bool known = at < s->diverged_count && s->diverged[at].member == member;
    if (known || s->diverged_count == DIVERGED_MAX) {
        return;
    }
    s->diverged = mem_resize(s->diverged, (s->diverged_count + 1) * sizeof s->diverged[0]);
    memmove(s->diverged + at + 1, s->diverged + at,
            (s->diverged_count - at) * sizeof s->diverged[0]);
    s->diverged[at] = (struct diverged){.member = member, .index = index};
    s->diverged_count++;
}

static uint32_t digest_votes(const struct command_check *check, uint64_t digest)
{
    uint32_t votes = 0;
    for (uint32_t i = 0; i < check->count; i++) {
        votes += check->members[i].digest == digest;
    }
    return votes;
}

/* Members are compared among each other, never with this store: apply must come out the same on
 * every member, and the one that is wrong cannot know it. Those outside a strict majority of the
 * listed ones are marked; without a majority nobody knows who is right, and all are. */
void apply_digests(struct store *s, const struct command_check *check)
{
    if (check->index == 0) { /* nothing was applied yet that could differ */
        return;
    }
    for (uint32_t i = 0; i < check->count; i++) {
        if (2 * digest_votes(check, check->members[i].digest) <= check->count) {
            diverged_mark(s, check->members[i].member, check->index);
        }
    }
}

/* ---- keys of the metadata ----------------------------------------------------------------- */

void meta_put(struct store *s, struct slice key, struct slice value)
{
    uint32_t slot = tree_find(&s->tree, SPACE_META, key);
    if (slot != TREE_NONE) {
        edit_set(s, slot, value_new(s->values, value));
        return;
    }
    struct tree_key made = {
        .space = SPACE_META,
        .kind = NODE_PERSISTENT,
        .parent = tree_root(&s->tree, SPACE_META),
        .path = key,
        .hash = tree_hash(SPACE_META, key),
    };
    (void)edit_create(s, &made, value_new(s->values, value));
}

void meta_drop(struct store *s, struct slice key)
{
    uint32_t slot = tree_find(&s->tree, SPACE_META, key);
    PRE(slot != TREE_NONE);
    edit_delete(s, slot);
}

/* ---- feature level ------------------------------------------------------------------------ */

/* Never back: members may already rely on it. */
void apply_level(struct store *s, uint32_t level)
{
    if (level > s->level) {
        s->level = level;
    }
}
