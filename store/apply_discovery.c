/* COMMAND_DISCOVERY: changes what an instance says, in one step. To register and to deregister are
 * ordinary creates and deletes of its node. */
#include "store/apply.h"

#include "recipes/instance.h"
#include "store/state.h"
#include "store/validate.h"

static enum outcome instance_find(const struct store *s, const struct command_discovery *asked,
                                  uint32_t *slot)
{
    *slot = tree_find(&s->tree, SPACE_NODES, asked->path);
    if (*slot == TREE_NONE) {
        return OUTCOME_NO_NODE;
    }
    bool is_it = asked->revision == 0 ||
                 tree_node(&s->tree, *slot)->create_revision == asked->revision;
    return is_it ? OUTCOME_OK : OUTCOME_NO_NODE;
}

/* Who may not read it, is told so before he learns what is there. */
static enum outcome drain(struct store *s, const struct command_discovery *asked)
{
    uint32_t slot;
    struct service_instance in;
    struct op_result result;
    struct buf text = {0};
    enum outcome outcome = instance_find(s, asked, &slot);
    bool may = access_path(&s->access, ACL_WRITE, SPACE_NODES, asked->path) &&
               (slot == TREE_NONE || access_node(&s->access, slot, ACL_WRITE));
    if (!may || outcome != OUTCOME_OK) {
        return may ? outcome : OUTCOME_NO_AUTH;
    }
    struct slice said = value_slice(tree_node(&s->tree, slot)->value);
    if (!instance_decode(said, &in, &s->arena)) {
        return OUTCOME_NO_RECIPE;
    }
    if (in.draining == asked->flag) {
        return OUTCOME_OK;
    }
    in.draining = asked->flag;
    instance_encode(&text, &in);
    struct op op = {
        .type = OP_SET,
        .space = SPACE_NODES,
        .path = asked->path,
        .data = buf_slice(&text),
        .version = VERSION_ANY,
    };
    outcome = apply_set(s, &op, &result);
    buf_close(&text);
    return outcome;
}

/* Nobody asked for it, so nobody's rights or quota are in its way. */
static enum outcome set_health(struct store *s, const struct apply_context *context,
                               const struct command_discovery *asked)
{
    uint32_t slot;
    struct service_instance in;
    struct buf text = {0};
    enum outcome outcome = instance_find(s, asked, &slot);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (!instance_decode(value_slice(tree_node(&s->tree, slot)->value), &in, &s->arena)) {
        return OUTCOME_NO_RECIPE;
    }
    if (in.health != asked->health) {
        in.health = asked->health;
        in.health_since_ms = 0;
        if (in.health != HEALTH_PASSING) {
            in.health_since_ms = context->wall_ms > 0 ? context->wall_ms : 1;
        }
        instance_encode(&text, &in);
        edit_set(s, slot, value_new(s->values, buf_slice(&text)));
        buf_close(&text);
    }
    return OUTCOME_OK;
}

void apply_discovery(struct store *s, const struct apply_context *context,
                     const struct command *c, struct reply *reply)
{
    enum outcome outcome = command_check_bytes(c, NULL);
    if (outcome == OUTCOME_OK) {
        outcome = discovery_check(&c->discovery, NULL);
    }
    if (outcome == OUTCOME_OK) {
        edit_begin(s, context, c);
        outcome = c->discovery.action == DISCOVERY_DRAIN ? drain(s, &c->discovery)
                                                         : set_health(s, context, &c->discovery);
        if (outcome == OUTCOME_OK) {
            edit_commit(s);
        } else {
            edit_rollback(s);
        }
    }
    reply->outcome = (uint8_t)outcome;
}
