/* The simulator's own disk and network must be what they claim, or it proves nothing. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/sim/scenario.h"

/* ---- disk -------------------------------------------------------------------------------- */

#define PIECES      8
#define PIECE_BYTES 1024

static void write_piece(struct sim_disk *d, struct sim_file *f, uint32_t piece, uint8_t fill)
{
    uint8_t bytes[PIECE_BYTES];
    memset(bytes, fill, sizeof bytes);
    if (sim_disk_write(f, piece * PIECE_BYTES, bytes, sizeof bytes) != RC_OK) {
        world_fail(d->world, "a write failed");
    }
}

struct seen {
    bool was_lost, was_kept, was_torn;
    bool old_name, new_name, no_name;
};

/* Synced: all 1. Unsynced: all 2. After the loss of power each sector is one of both. */
static void power_loss_once(struct story *s, struct seen *seen)
{
    struct sim_disk d;
    struct sim_file f;
    uint8_t bytes[PIECES * PIECE_BYTES];
    size_t got = 0;
    uint32_t twos = 0;
    sim_disk_init(&d, &s->cluster.world, 0);
    (void)story_expect(s,
                       sim_disk_open(&d, "d/a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f) == RC_OK,
                       "cannot create");
    for (uint32_t i = 0; i < PIECES; i++) {
        write_piece(&d, &f, i, 1);
    }
    (void)story_expect(s, sim_disk_sync(&f) == RC_OK && sim_disk_sync_dir(&d, "d") == RC_OK,
                       "cannot sync");
    for (uint32_t i = 0; i < PIECES; i++) {
        write_piece(&d, &f, i, 2);
    }
    (void)story_expect(s, sim_disk_rename(&d, "d/a", "d/b") == RC_OK, "cannot rename");
    sim_disk_close_file(&f);
    sim_disk_lose_power(&d);
    bool is_old = sim_disk_open(&d, "d/a", ENV_OPEN_READ, &f) == RC_OK;
    bool is_new = !is_old && sim_disk_open(&d, "d/b", ENV_OPEN_READ, &f) == RC_OK;
    if (story_expect(s, is_old || is_new, "a rename lost the file")) {
        (void)story_expect(
            s, sim_disk_read(&f, 0, bytes, sizeof bytes, &got) == RC_OK && got == sizeof bytes,
            "synced bytes are lost");
        for (size_t i = 0; i < got; i++) {
            (void)story_expect(s, bytes[i] == 1 || bytes[i] == 2, "bytes from nowhere");
            twos += bytes[i] == 2;
        }
        sim_disk_close_file(&f);
    }
    seen->was_lost |= twos == 0;
    seen->was_kept |= twos == sizeof bytes;
    seen->was_torn |= twos > 0 && twos < sizeof bytes;
    seen->old_name |= is_old;
    seen->new_name |= is_new;
    sim_disk_close(&d);
}

static void check_unsynced_name(struct story *s, struct seen *seen)
{
    struct sim_disk d;
    struct sim_file f;
    sim_disk_init(&d, &s->cluster.world, 0);
    (void)story_expect(s,
                       sim_disk_open(&d, "d/a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f) == RC_OK,
                       "cannot create");
    write_piece(&d, &f, 0, 1);
    (void)story_expect(s, sim_disk_sync(&f) == RC_OK, "cannot sync");
    sim_disk_close_file(&f);
    sim_disk_lose_power(&d);
    if (sim_disk_open(&d, "d/a", ENV_OPEN_READ, &f) == RC_OK) {
        sim_disk_close_file(&f);
    } else {
        seen->no_name = true;
    }
    sim_disk_close(&d);
}

static void check_faults(struct story *s)
{
    struct sim_disk d;
    struct sim_file f;
    uint8_t byte = 7;
    sim_disk_init(&d, &s->cluster.world, 0);
    (void)story_expect(s,
                       sim_disk_open(&d, "d/a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f) == RC_OK,
                       "cannot create");
    write_piece(&d, &f, 0, 1);
    d.is_full = true;
    (void)story_expect(s, sim_disk_write(&f, PIECE_BYTES, &byte, 1) == RC_NO_SPACE,
                       "a full disk takes more");
    (void)story_expect(s, sim_disk_write(&f, 0, &byte, 1) == RC_OK,
                       "a full disk refuses to overwrite");
    d.fail_after = 2;
    (void)story_expect(s, sim_disk_write(&f, 0, &byte, 1) == RC_OK, "fails too early");
    (void)story_expect(s, sim_disk_sync(&f) == RC_IO, "an armed failure does not strike");
    d.die_after = 1;
    (void)story_expect(s, sim_disk_write(&f, 0, &byte, 1) == RC_IO && d.is_dead,
                       "an armed death does not strike");
    sim_disk_close_file(&f);
    sim_disk_close(&d);
}

void scenario_disk_itself(struct story *s)
{
    struct seen seen = {0};
    for (int i = 0; i < 200 && !s->cluster.world.failed; i++) {
        power_loss_once(s, &seen);
        check_unsynced_name(s, &seen);
    }
    (void)story_expect(s, seen.was_lost, "unsynced writes are never lost");
    (void)story_expect(s, seen.was_kept, "unsynced writes are never kept");
    (void)story_expect(s, seen.was_torn, "unsynced writes are never torn");
    (void)story_expect(s, seen.old_name && seen.new_name, "a rename has only one outcome");
    (void)story_expect(s, seen.no_name, "a name without a directory sync is never lost");
    check_faults(s);
}

/* ---- network ----------------------------------------------------------------------------- */

struct line {
    struct story *story;
    struct env_stream *stream; /* of the side that sends */
    struct env_stream *taken;  /* of the side that listens */
    struct buf received;
    bool is_open;
    bool sender_closed;
    bool taker_closed;
};

static void line_open(void *owner)
{
    ((struct line *)owner)->is_open = true;
}

static void line_data(void *owner, struct slice bytes)
{
    buf_append_slice(&((struct line *)owner)->received, bytes);
}

static void line_no_data(void *owner, struct slice bytes)
{
    (void)bytes;
    world_fail(&((struct line *)owner)->story->cluster.world, "bytes at the wrong end");
}

static void sender_closed(void *owner, enum status rc)
{
    struct line *l = owner;
    (void)rc;
    l->sender_closed = true;
    l->stream = NULL;
}

static void taker_closed(void *owner, enum status rc)
{
    struct line *l = owner;
    (void)rc;
    l->taker_closed = true;
    l->taken = NULL;
}

static const struct env_stream_events sender_events = {
    .open = line_open, .data = line_no_data, .closed = sender_closed};
static const struct env_stream_events taker_events = {.data = line_data,
                                                      .closed = taker_closed};

static void line_accept(void *owner, struct env_stream *stream)
{
    struct line *l = owner;
    l->taken = stream;
    sim_net_table.attach(stream, &taker_events, l);
}

static void nothing(void *context)
{
    (void)context;
}

static bool line_is_open(struct cluster *c, void *context)
{
    (void)c;
    return ((struct line *)context)->is_open;
}

static void send_numbers(struct line *l, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        (void)sim_net_table.write(l->stream, slice_make(&i, sizeof i));
    }
}

/* How many whole numbers came, in order from 0; fails the story if they did not. */
static uint32_t numbers_in_order(struct line *l)
{
    uint32_t count = (uint32_t)(l->received.size / sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = 0;
        memcpy(&v, l->received.data + i * sizeof v, sizeof v);
        (void)story_expect(l->story, v == i, "bytes out of order");
    }
    return count;
}

void scenario_net_itself(struct story *s)
{
    struct cluster *c = &s->cluster;
    struct line l = {.story = s};
    struct env_listener *listener = NULL;
    struct sim_env *a = sim_env_new(&c->nodes[0].host, nothing, nothing, NULL);
    struct sim_env *b = sim_env_new(&c->nodes[1].host, nothing, nothing, NULL);
    if (!story_expect(
            s,
            sim_net_table.listen(&b->env, "n2", 9, line_accept, &l, &listener, NULL) == RC_OK,
            "cannot listen")) {
        return;
    }
    l.stream = sim_net_table.connect(&a->env, "n2", 9, &sender_events, &l);
    (void)story_expect(s, cluster_run_until(c, SECOND, line_is_open, &l), "does not connect");
    send_numbers(&l, 0, 100);
    cluster_run(c, 200 * MS);
    (void)story_expect(s, numbers_in_order(&l) == 100, "bytes are missing");
    /* A one-way cut stalls, and heals without loss. */
    cluster_cut(c, 0, 1, true);
    send_numbers(&l, 100, 200);
    cluster_run(c, 500 * MS);
    (void)story_expect(s, numbers_in_order(&l) == 100, "a cut lets bytes through");
    cluster_cut(c, 0, 1, false);
    cluster_run(c, 200 * MS);
    (void)story_expect(s, numbers_in_order(&l) == 200, "a healed cut has lost bytes");
    /* A late reset: the sender knows at once, what is under way still arrives. */
    c->net.links[0][1].extra_us = 50 * MS;
    send_numbers(&l, 200, 300);
    (void)story_expect(s, sim_net_reset(&c->net, 0, 1, 300 * MS) == 1, "nothing to reset");
    cluster_run(c, 10 * MS);
    (void)story_expect(s, l.sender_closed && !l.taker_closed, "a late reset is not late");
    cluster_run(c, 200 * MS);
    (void)story_expect(s, numbers_in_order(&l) == 300, "old bytes do not arrive late");
    cluster_run(c, 200 * MS);
    (void)story_expect(s, l.taker_closed, "a late reset never comes");
    sim_net_table.listener_close(listener);
    sim_env_kill(a, false);
    sim_env_kill(b, true);
    (void)story_expect(s, sim_env_free(a) + sim_env_free(b) == 0, "handles are left");
    buf_close(&l.received);
}
