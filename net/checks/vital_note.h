/* Notes that members exchange about signs of life and load (net/checks/vitals.h): structs and their
 * codec, strict. Integers as everywhere (base/pack.h), a number with a fraction as the 64 bits of
 * its IEEE 754 double. Pure.
 *
 *   BEAT  u8 1 | bytes path | u64 revision | bool load | load
 *   ASK   u8 2 | u64 era | u64 since
 *   TELL  u8 3 | u64 era | u64 upto | bool more | u32 count | entries
 *   entry bytes path | u64 revision | u64 silence_ms | u32 intervals | f64 mean_ms | f64 variance |
 *         bool load | u64 load_age_ms | load
 *   load  f64 cpu | f64 mem | f64 qps | f64 avg_latency_ms | u64 queue_length
 *
 * Behind a bool that is 0 what it announces is missing, load_age_ms included. */
#ifndef NET_CHECKS_VITAL_NOTE_H
#define NET_CHECKS_VITAL_NOTE_H

#include "base/arena.h"
#include "base/buf.h"
#include "net/checks/load.h"

#define VITAL_NOTE_ENTRIES_MAX ((uint32_t)500)

enum vital_note_type { VITAL_BEAT = 1, VITAL_ASK = 2, VITAL_TELL = 3 };

struct vital_entry {
    struct slice path;
    uint64_t revision;
    uint64_t silence_ms;
    uint32_t intervals;
    double mean_ms;
    double variance;
    bool has_load;
    uint64_t load_age_ms;
    struct service_load load;
};

struct vital_note {
    uint8_t type; /* enum vital_note_type */
    struct vital_entry beat; /* BEAT: path, revision, load */
    uint64_t era;   /* ASK: of the last answer, 0 = none. TELL: of the table that tells */
    uint64_t since; /* ASK: what changed behind this. TELL: all up to here is told */
    bool more;
    uint32_t count; /* <= VITAL_NOTE_ENTRIES_MAX */
    const struct vital_entry *entries;
};

void vital_note_encode(struct buf *b, const struct vital_note *note);
/* False: it is none. Slices point into `bytes`, entries into `arena`. */
bool vital_note_decode(struct slice bytes, struct vital_note *note, struct arena *arena);

#endif
