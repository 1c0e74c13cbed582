#include "tests/sim/shard_judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define STATE_QUEUED   0
#define STATE_EVEN     3 /* catching up: the next is the switch */
#define STATE_CLEANING 5

static void *grow(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? mem_resize(array, (count == 0 ? 1 : 2 * count) * size)
                                      : array;
}

/* ---- names -------------------------------------------------------------------------------- */

static uint32_t node_of(const char *name)
{
    bool is_node = name[0] == 'd' && name[1] >= '0' && name[1] < '0' + SHARD_NODES_MAX;
    return is_node ? (uint32_t)(name[1] - '0') : SHARD_NOBODY;
}

static uint32_t bit(uint32_t node)
{
    return node == SHARD_NOBODY ? 0 : 1U << node;
}

static uint32_t field_node(const struct value *v, const char *name)
{
    char text[FIELD_BYTES];
    field_get(v, name, text);
    return node_of(text);
}

static uint32_t field_nodes(const struct value *v, const char *name)
{
    char text[FIELD_BYTES];
    uint32_t nodes = 0;
    field_get(v, name, text);
    for (size_t i = 0; text[i] != '\0'; i += text[i + 2] == ',' ? 3 : 2) {
        nodes |= bit(node_of(text + i));
    }
    return nodes;
}

/* What follows `parent` and a slash; NULL: it is not right below. */
static const char *name_below(struct slice path, const char *parent, char name[FIELD_BYTES])
{
    size_t size = strlen(parent);
    if (path.size <= size + 1 || memcmp(path.data, parent, size) != 0 ||
        path.data[size] != '/') {
        return NULL;
    }
    (void)snprintf(name, FIELD_BYTES, "%.*s", (int)(path.size - size - 1),
                   (const char *)path.data + size + 1);
    return strchr(name, '/') == NULL ? name : NULL;
}

/* ---- shards ------------------------------------------------------------------------------- */

/* Or was until this revision. */
static const struct shard_move_seen *move_under_way(const struct shard_judge *j, uint32_t shard)
{
    for (size_t i = j->move_count; i > 0; i--) {
        const struct shard_move_seen *m = &j->moves[i - 1];
        bool is_under_way = !m->is_gone && m->state != STATE_QUEUED;
        if (m->shard == shard && (is_under_way || m->changed == j->revision)) {
            return m;
        }
    }
    return NULL;
}

static bool is_one(uint32_t nodes)
{
    return (nodes & (nodes - 1)) == 0;
}

/* A drop takes its replica out in the revision in which it begins. */
static bool has_queued_drop(const struct shard_judge *j, uint32_t shard, uint32_t nodes)
{
    for (size_t i = 0; i < j->move_count; i++) {
        const struct shard_move_seen *m = &j->moves[i];
        if (m->shard == shard && !m->is_gone && m->kind == 'd' && bit(m->from) == nodes) {
            return true;
        }
    }
    return false;
}

static void check_replicas(struct shard_judge *j, uint32_t shard, uint32_t before,
                           uint32_t after)
{
    uint32_t come = after & ~before;
    uint32_t gone = before & ~after;
    const struct shard_move_seen *m = move_under_way(j, shard);
    if (before == 0) {
        return; /* the first ones: there was nothing to be copied */
    }
    bool is_right = is_one(come) && is_one(gone) && (come == 0 || gone == 0);
    if (come != 0) {
        is_right &= m != NULL && bit(m->to) == come &&
                    (m->state == STATE_EVEN || m->changed == j->revision);
    }
    if (gone != 0) {
        is_right &= (m != NULL && (bit(m->from) == gone || bit(m->to) == gone)) ||
                    has_queued_drop(j, shard, gone);
    }
    if (!is_right) {
        world_fail(j->world,
                   "replicas of shard %u change from %x to %x in revision %" PRIu64
                   ", and no move says so",
                   shard, before, after, j->revision);
    }
}

static void shard_change(struct shard_judge *j, uint32_t shard, const struct change *c)
{
    struct shard_seen *s = &j->shards[shard];
    uint64_t epoch = field_number(c->data, "epoch");
    uint32_t leader = field_node(c->data, "leader");
    uint32_t replicas = field_nodes(c->data, "replicas");
    bool is_same = leader == s->leader && replicas == s->replicas;
    if (c->type == CHANGE_DELETE || shard >= SHARD_COUNT) {
        world_fail(j->world, "shard %u goes, and nobody asked for it", shard);
        return;
    }
    world_trace(j->world, "shard %u: leader d%u, replicas %x, epoch %" PRIu64, shard,
                leader == SHARD_NOBODY ? 9 : leader, replicas, epoch);
    /* One revision may change it twice, when a node that leads and is moved to is lost. */
    bool is_new = epoch > s->epoch || s->epoch == c->revision;
    if (is_same ? epoch != s->epoch : epoch != c->revision || !is_new) {
        world_fail(j->world,
                   "shard %u %s in revision %" PRIu64 ", its epoch goes from %" PRIu64
                   " to %" PRIu64,
                   shard, is_same ? "stays as it is" : "changes", c->revision, s->epoch, epoch);
    }
    if (!is_same) {
        check_replicas(j, shard, s->replicas, replicas);
        j->epochs++;
    }
    s->epoch = epoch;
    s->leader = leader;
    s->replicas = replicas;
}

/* ---- moves -------------------------------------------------------------------------------- */

static struct shard_move_seen *move_find(const struct shard_judge *j, uint64_t number)
{
    for (size_t i = j->move_count; i > 0; i--) {
        if (j->moves[i - 1].number == number) {
            return &j->moves[i - 1];
        }
    }
    return NULL;
}

static uint32_t state_of(const struct value *v)
{
    static const char *const names[] = {"queued",      "preparing", "copying",
                                        "catching-up", "switching", "cleaning-up"};
    char text[FIELD_BYTES];
    field_get(v, "state", text);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void move_fill(struct shard_move_seen *m, const struct change *c)
{
    char kind[FIELD_BYTES];
    field_get(c->data, "kind", kind);
    m->kind = kind[0];
    m->shard = (uint32_t)field_number(c->data, "shard");
    m->from = field_node(c->data, "from");
    m->to = field_node(c->data, "to");
    m->cleans = field_node(c->data, "cleans");
    m->state = state_of(c->data);
    m->is_held = field_number(c->data, "held") != 0;
    m->is_aborted = field_number(c->data, "aborted") != 0;
}

static void check_new(struct shard_judge *j, const struct shard_move_seen *m)
{
    bool is_here = m->kind == 'd' || (bit(m->to) & j->members) != 0;
    bool was_lost = m->kind != 'm' || !j->repairs_only || (bit(m->from) & j->members) == 0;
    if (m->state != STATE_QUEUED || !is_here || !was_lost) {
        world_fail(j->world,
                   "move %" PRIu64 " of shard %u is made in revision %" PRIu64
                   " from d%u to d%u, but %x take part",
                   m->number, m->shard, j->revision, m->from, m->to, j->members);
    }
}

/* From preparing on: the next state, or none, or back. */
static void check_step(struct shard_judge *j, const struct shard_move_seen *was,
                       const struct shard_move_seen *m)
{
    bool is_begin = was->state == STATE_QUEUED && m->state != STATE_QUEUED;
    bool is_next = m->state == was->state || m->state == was->state + 1;
    bool is_back = m->state == STATE_QUEUED;
    bool is_undone = m->state == STATE_CLEANING && (m->is_aborted || m->kind == 'd');
    bool was_held = was->is_held && m->is_held;
    if (m->state > STATE_CLEANING || !(is_begin || is_next || is_back || is_undone) ||
        (was_held && m->state > was->state && !is_undone)) {
        world_fail(j->world, "move %" PRIu64 " goes from state %u to %u in revision %" PRIu64,
                   m->number, was->state, m->state, j->revision);
    }
    j->switched += m->state == STATE_EVEN + 1 && was->state == STATE_EVEN;
    j->requeued += is_back && was->state != STATE_QUEUED;
    j->aborted += m->is_aborted && !was->is_aborted;
}

static void move_change(struct shard_judge *j, uint64_t number, const struct change *c)
{
    struct shard_move_seen *m = move_find(j, number);
    if (c->type == CHANGE_CREATE) {
        j->moves = grow(j->moves, j->move_count, sizeof *j->moves);
        m = &j->moves[j->move_count++];
        *m = (struct shard_move_seen){.number = number, .changed = c->revision};
        move_fill(m, c);
        check_new(j, m);
        return;
    }
    if (m == NULL || m->is_gone) {
        world_fail(j->world, "move %" PRIu64 " changes, but it is not there", number);
        return;
    }
    m->changed = c->revision;
    if (c->type == CHANGE_DELETE) {
        m->is_gone = true;
        j->ended++;
        return;
    }
    struct shard_move_seen was = *m;
    move_fill(m, c);
    check_step(j, &was, m);
}

/* ---- guarded writes ----------------------------------------------------------------------- */

static void write_change(struct shard_judge *j, const struct change *c)
{
    uint64_t number = field_number(c->data, "write");
    if (c->type != CHANGE_SET || number == 0 || number > j->write_count) {
        return;
    }
    struct shard_write *w = &j->writes[number - 1];
    struct shard_seen *s = &j->shards[w->shard];
    if (w->epoch != s->epoch || w->node != s->leader) {
        world_fail(j->world,
                   "write %" PRIu64 " of d%u to shard %u is in the log under epoch %" PRIu64
                   ", but d%u leads under %" PRIu64,
                   number, w->node, w->shard, w->epoch, s->leader, s->epoch);
    }
    if (w->epoch < s->written || (w->epoch == s->written && w->node != s->writer)) {
        world_fail(j->world,
                   "d%u writes to shard %u under epoch %" PRIu64 " behind d%u under %" PRIu64,
                   w->node, w->shard, w->epoch, s->writer, s->written);
    }
    if (w->is_refused || w->written_revision != 0) {
        world_fail(j->world, "write %" PRIu64 " to shard %u is in the log %s", number, w->shard,
                   w->is_refused ? "though it was refused" : "twice");
    }
    s->written = w->epoch;
    s->writer = w->node;
    w->written_revision = c->revision;
}

uint64_t shard_judge_write(struct shard_judge *j, uint32_t shard, uint32_t node, uint64_t epoch)
{
    j->writes = grow(j->writes, j->write_count, sizeof *j->writes);
    j->writes[j->write_count++] =
        (struct shard_write){.shard = shard, .node = node, .epoch = epoch};
    return j->write_count;
}

void shard_judge_told_written(struct shard_judge *j, uint64_t number, uint64_t revision)
{
    const struct shard_write *w = &j->writes[number - 1];
    shard_judge_settle(j);
    if (w->written_revision != revision) {
        world_fail(j->world,
                   "write %" PRIu64 " to shard %u was acknowledged at revision %" PRIu64
                   ", but is in the log at %" PRIu64,
                   number, w->shard, revision, w->written_revision);
    }
}

void shard_judge_told_stale(struct shard_judge *j, uint64_t number)
{
    struct shard_write *w = &j->writes[number - 1];
    shard_judge_settle(j);
    w->is_refused = true;
    if (w->epoch == j->shards[w->shard].epoch || w->written_revision != 0) {
        world_fail(j->world, "write %" PRIu64 " to shard %u was refused, but %s", number,
                   w->shard,
                   w->written_revision != 0 ? "it is in the log" : "its epoch has not passed");
    }
}

/* ---- changes ------------------------------------------------------------------------------ */

static void member_change(struct shard_judge *j, uint32_t node, const struct change *c)
{
    if (c->type == CHANGE_DELETE) {
        j->members &= ~bit(node);
    } else {
        j->members |= bit(node);
    }
    world_trace(j->world, "d%u takes part %s: %x do", node,
                c->type == CHANGE_DELETE ? "no more" : "now", j->members);
}

void shard_judge_change(struct shard_judge *j, const struct change *c)
{
    char name[FIELD_BYTES];
    if (c->space != SPACE_NODES) {
        return;
    }
    if (c->revision != j->revision) {
        shard_judge_settle(j);
        j->revision = c->revision;
    }
    if (name_below(c->path, "/h", name) != NULL) {
        write_change(j, c);
    } else if (name_below(c->path, SHARD_MAP "/shards", name) != NULL) {
        shard_change(j, (uint32_t)strtoul(name + 2, NULL, 10), c);
    } else if (name_below(c->path, SHARD_MAP "/moves", name) != NULL) {
        move_change(j, strtoull(name + 2, NULL, 10), c);
    } else if (name_below(c->path, SHARD_MAP "/nodes", name) != NULL) {
        member_change(j, node_of(name), c);
    } else {
        return;
    }
    j->is_touched = true;
}

void shard_judge_settle(struct shard_judge *j)
{
    for (uint32_t i = 0; i < SHARD_COUNT && j->is_touched; i++) {
        const struct shard_seen *s = &j->shards[i];
        if (s->leader != SHARD_NOBODY && (bit(s->leader) & s->replicas & j->members) == 0) {
            world_fail(j->world,
                       "d%u leads shard %u after revision %" PRIu64
                       ", but of its replicas %x only %x take part",
                       s->leader, i, j->revision, s->replicas, s->replicas & j->members);
        }
    }
    j->is_touched = false;
}

static uint32_t count_of(uint32_t nodes)
{
    uint32_t count = 0;
    for (; nodes != 0; nodes &= nodes - 1) {
        count++;
    }
    return count;
}

bool shard_judge_is_calm(const struct shard_judge *j)
{
    for (size_t i = 0; i < j->move_count; i++) {
        if (!j->moves[i].is_gone) {
            return false;
        }
    }
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        const struct shard_seen *s = &j->shards[i];
        if (s->leader == SHARD_NOBODY || count_of(s->replicas & j->members) != SHARD_REPLICAS ||
            count_of(s->replicas) != SHARD_REPLICAS) {
            return false;
        }
    }
    return true;
}

void shard_judge_init(struct shard_judge *j, struct world *w)
{
    *j = (struct shard_judge){.world = w};
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        j->shards[i].leader = SHARD_NOBODY;
    }
}

void shard_judge_close(struct shard_judge *j)
{
    mem_free(j->moves);
    mem_free(j->writes);
}
