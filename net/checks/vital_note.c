#include "net/checks/vital_note.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/pack.h"
#include "net/checks/suspicion.h"
#include "recipes/instance.h"

_Static_assert(sizeof(double) == sizeof(uint64_t), "a double is 64 bits");

/* ---- numbers ------------------------------------------------------------------------------ */

static void put_double(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    pack_u64(b, bits);
}

/* Finite, and no less than nothing. */
static double take_double(struct unpack *u)
{
    uint64_t bits = unpack_u64(u);
    double v;
    memcpy(&v, &bits, sizeof v);
    bool ok = isfinite(v) && v >= 0;
    u->failed = u->failed || !ok;
    return ok ? v : 0;
}

static bool take_bool(struct unpack *u)
{
    uint8_t v = unpack_u8(u);
    u->failed = u->failed || v > 1;
    return v == 1;
}

static void put_load(struct buf *b, const struct service_load *load)
{
    put_double(b, load->cpu);
    put_double(b, load->mem);
    put_double(b, load->qps);
    put_double(b, load->avg_latency_ms);
    pack_u64(b, load->queue_length);
}

static void take_load(struct unpack *u, struct service_load *load)
{
    load->cpu = take_double(u);
    load->mem = take_double(u);
    load->qps = take_double(u);
    load->avg_latency_ms = take_double(u);
    load->queue_length = unpack_u64(u);
    u->failed = u->failed || service_load_check(load, NULL) != RC_OK;
}

/* ---- entries ------------------------------------------------------------------------------ */

static struct slice take_path(struct unpack *u)
{
    struct slice service;
    struct slice id;
    struct slice path = unpack_bytes(u);
    u->failed = u->failed || !instance_path_split(path, &service, &id);
    return path;
}

static void put_entry(struct buf *b, const struct vital_entry *e)
{
    pack_bytes(b, e->path);
    pack_u64(b, e->revision);
    pack_u64(b, e->silence_ms);
    pack_u32(b, e->intervals);
    put_double(b, e->mean_ms);
    put_double(b, e->variance);
    pack_u8(b, e->has_load);
    if (e->has_load) {
        pack_u64(b, e->load_age_ms);
        put_load(b, &e->load);
    }
}

static void take_entry(struct unpack *u, struct vital_entry *e)
{
    *e = (struct vital_entry){.path = take_path(u)};
    e->revision = unpack_u64(u);
    e->silence_ms = unpack_u64(u);
    e->intervals = unpack_u32(u);
    u->failed = u->failed || e->intervals > SUSPICION_WINDOW;
    e->mean_ms = take_double(u);
    e->variance = take_double(u);
    e->has_load = take_bool(u);
    if (e->has_load) {
        e->load_age_ms = unpack_u64(u);
        take_load(u, &e->load);
    }
}

static void take_entries(struct unpack *u, struct vital_note *note, struct arena *arena)
{
    note->count = unpack_u32(u);
    u->failed = u->failed || note->count > VITAL_NOTE_ENTRIES_MAX;
    if (u->failed) {
        note->count = 0;
        return;
    }
    struct vital_entry *entries = arena_alloc(arena, note->count * sizeof *entries);
    for (uint32_t i = 0; i < note->count && !u->failed; i++) {
        take_entry(u, &entries[i]);
    }
    note->entries = entries;
}

/* ---- notes -------------------------------------------------------------------------------- */

void vital_note_encode(struct buf *b, const struct vital_note *note)
{
    PRE(note->count <= VITAL_NOTE_ENTRIES_MAX);
    pack_u8(b, note->type);
    if (note->type == VITAL_BEAT) {
        pack_bytes(b, note->beat.path);
        pack_u64(b, note->beat.revision);
        pack_u8(b, note->beat.has_load);
        if (note->beat.has_load) {
            put_load(b, &note->beat.load);
        }
        return;
    }
    pack_u64(b, note->era);
    pack_u64(b, note->since);
    if (note->type == VITAL_TELL) {
        pack_u8(b, note->more);
        pack_u32(b, note->count);
        for (uint32_t i = 0; i < note->count; i++) {
            put_entry(b, &note->entries[i]);
        }
    }
}

bool vital_note_decode(struct slice bytes, struct vital_note *note, struct arena *arena)
{
    struct unpack u = unpack_make(bytes);
    *note = (struct vital_note){.type = unpack_u8(&u)};
    switch (note->type) {
    case VITAL_BEAT:
        note->beat.path = take_path(&u);
        note->beat.revision = unpack_u64(&u);
        note->beat.has_load = take_bool(&u);
        if (note->beat.has_load) {
            take_load(&u, &note->beat.load);
        }
        break;
    case VITAL_ASK:
    case VITAL_TELL:
        note->era = unpack_u64(&u);
        note->since = unpack_u64(&u);
        if (note->type == VITAL_TELL) {
            note->more = take_bool(&u);
            take_entries(&u, note, arena);
        }
        break;
    default: return false;
    }
    return unpack_done(&u);
}
