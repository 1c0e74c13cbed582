/* Quotas come, change and go: the keys that store/quota.h describes are written here, and nowhere
 * else. Setting one takes admin on its path, as roles say, and as the list of the node does; if
 * there is no such node yet, that of the nearest one above it. */
#include "store/apply.h"

#include "base/assert.h"
#include "store/state.h"
#include "store/validate.h"

static enum outcome quota_set(struct store *s, const struct apply_context *context,
                              const struct command *c)
{
    const struct command_quota *asked = &c->quota;
    uint8_t key_bytes[QUOTA_KEY_BYTES_MAX];
    uint8_t value[QUOTA_VALUE_BYTES_MAX];
    struct slice key = quota_key(asked->path, key_bytes);
    bool exists = quotas_find(&s->quotas, asked->path) != NULL;
    bool removes = (asked->bytes | asked->nodes) == 0;
    if (!access_nearest(&s->access, ACL_ADMIN, asked->path)) {
        return OUTCOME_NO_AUTH;
    }
    if (removes && !exists) {
        return OUTCOME_NO_QUOTA;
    }
    if (!exists && s->quotas.count == QUOTAS_MAX) {
        return OUTCOME_LIMIT;
    }
    edit_begin(s, context, c);
    if (removes) {
        meta_drop(s, key);
    } else {
        meta_put(s, key, quota_value(asked, value));
    }
    edit_commit(s);
    return OUTCOME_OK;
}

void apply_quota(struct store *s, const struct apply_context *context, const struct command *c,
                 struct reply *reply)
{
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = quota_check(&c->quota, NULL);
    }
    if (outcome == OUTCOME_OK) {
        outcome = quota_set(s, context, c);
    }
    reply->outcome = (uint8_t)outcome;
}
