/* Opening a log that anybody may have written. Bytes alone would never pass the checksums, so the
 * input is a story of one to three segments: headers and records with any content, sealed as the
 * log seals them, then cut short or damaged. The log either opens or says why it does not; what it
 * finds is the same when read without writing, and again after it was opened; it can be written
 * to, and what was written is there. */
#include "base/assert.h"
#include "base/mem.h"
#include "raft/wal_internal.h"
#include "tests/support/fake_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIR           "log"
#define SEGMENT_BYTES 4096
#define STEPS_MAX     64
#define SALT          UINT64_C(0x9e3779b97f4a7c15) /* of the first segment */

static const struct wal_options options = {
    .segment_bytes = SEGMENT_BYTES,
    .cluster_id = 0xc1,
    .node_id = 0xa1,
};

/* ---- the story ---------------------------------------------------------------------------- */

enum step {
    STEP_ENTRIES,
    STEP_TERM,
    STEP_RESET,
    STEP_WATERMARK,
    STEP_BYTES,
    STEP_FLIP,
    STEP_GAP,
    STEP_NEXT_SEGMENT,
};

struct story {
    struct unpack input;
    struct fake_env *env;
    struct buf segment;
    struct wal_header header; /* of the segment under way */
    struct wal_state state;   /* as a correct log's would be */
};

static void put_entries(struct story *s, struct buf *b)
{
    uint8_t back = unpack_u8(&s->input);
    uint8_t count = unpack_u8(&s->input) % 8;
    uint64_t next = s->state.next_index;
    pack_u64(b, (back & 15) < next ? next - (back & 15) : next + back);
    pack_u32(b, (back & 0x80) != 0 ? (uint32_t)back << 24 : count);
    for (uint8_t i = 0; i < count; i++) {
        pack_u64(b, s->state.term);
        pack_u8(b, unpack_u8(&s->input));
        pack_bytes(b, unpack_raw(&s->input, unpack_u8(&s->input) % 32));
    }
}

static void put_record(struct story *s, enum step step)
{
    static const enum wal_record_type types[] = {WAL_ENTRIES, WAL_TERM, WAL_RESET,
                                                 WAL_WATERMARK};
    struct buf *b = &s->segment;
    size_t at = wal_record_begin(b, types[step]);
    switch (step) {
    case STEP_ENTRIES: put_entries(s, b); break;
    case STEP_TERM:
        pack_u64(b, s->state.term + unpack_u8(&s->input) % 4);
        pack_u64(b, unpack_u8(&s->input));
        break;
    case STEP_RESET:
        pack_u64(b, s->state.next_index + unpack_u8(&s->input));
        pack_u64(b, s->state.term);
        break;
    default: break;
    }
    wal_record_end(b, at, 0);
    struct wal_record r = wal_record_at(b, at, NULL);
    uint64_t mark = unpack_u8(&s->input) * UINT64_C(8);
    wal_record_seal(b, at, (struct wal_position){s->header.segment, at}, s->header.salt,
                    (struct wal_position){s->header.segment, mark > at ? at : mark});
    (void)wal_state_apply(&s->state, &r);
}

static void header_begin(struct story *s)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    uint8_t oddity = unpack_u8(&s->input);
    s->header.state = s->state;
    s->header.salt = s->header.next_salt;
    s->header.next_salt *= 3;
    if ((oddity & 7) == 1) { /* it does not continue the one before it */
        s->header.state.term += oddity;
    } else if ((oddity & 7) == 2) {
        s->header.state.next_index += oddity;
    } else if ((oddity & 7) == 3) {
        s->header.previous.offset += oddity;
    } else if ((oddity & 7) == 4) {
        s->header.cluster_id ^= oddity;
    } else if ((oddity & 7) == 5) {
        s->header.salt += oddity;
    } else if ((oddity & 7) == 6) { /* as in format 1 */
        s->header.next_salt = 0;
    }
    wal_header_encode(bytes, &s->header);
    buf_append(&s->segment, bytes, sizeof bytes);
}

static void segment_end(struct story *s, bool is_cut)
{
    size_t end = s->segment.size;
    if (!is_cut && end < SEGMENT_BYTES) {
        memset(buf_extend(&s->segment, SEGMENT_BYTES - end), 0, SEGMENT_BYTES - end);
    }
    char *path = wal_path(DIR, WAL_NAME_SEGMENT, s->header.segment);
    fake_env_put(s->env, path, buf_slice(&s->segment));
    mem_free(path);
    buf_clear(&s->segment);
    s->header.previous = (struct wal_position){s->header.segment, end};
    s->header.segment++;
}

static void tell(struct story *s)
{
    s->header = (struct wal_header){.segment = 1,
                                    .cluster_id = options.cluster_id,
                                    .node_id = options.node_id,
                                    .next_salt = SALT};
    s->state = (struct wal_state){.next_index = 1};
    header_begin(s);
    for (size_t i = 0; i < STEPS_MAX && !s->input.failed && s->input.rest.size > 0; i++) {
        uint8_t byte = unpack_u8(&s->input);
        enum step step = byte & 7;
        switch (step) {
        case STEP_BYTES: buf_append_slice(&s->segment, unpack_raw(&s->input, byte >> 3)); break;
        case STEP_FLIP: {
            size_t at = ((size_t)unpack_u8(&s->input) << 4 | byte >> 4) % s->segment.size;
            s->segment.data[at] ^= 0x10;
            break;
        }
        case STEP_GAP: memset(buf_extend(&s->segment, byte & 0xf8), 0, byte & 0xf8); break;
        case STEP_NEXT_SEGMENT:
            if (s->header.segment < 3) {
                segment_end(s, false);
                header_begin(s);
            }
            break;
        default: /* records begin at multiples of 8 */
            memset(buf_extend(&s->segment, -s->segment.size & 7), 0, -s->segment.size & 7);
            put_record(s, step);
            break;
        }
    }
    segment_end(s, s->input.failed);
    buf_close(&s->segment);
}

/* ---- what must hold ----------------------------------------------------------------------- */

static void on_durable(void *context, uint64_t ticket)
{
    *(uint64_t *)context = ticket;
}

static void on_failed(void *context, enum status rc)
{
    (void)context;
    (void)rc;
    PRE(false);
}

static void must_be_equal(const struct wal_recovery *a, const struct wal_recovery *b)
{
    PRE(a->is_new == b->is_new && a->term == b->term && a->vote == b->vote);
    PRE(a->reset_index == b->reset_index && a->reset_term == b->reset_term);
    PRE(a->entry_count == b->entry_count);
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct wal_entry *x = &a->entries[i];
        const struct wal_entry *y = &b->entries[i];
        PRE(x->index == y->index && x->term == y->term && x->type == y->type);
        PRE(slice_equal(x->payload, y->payload));
        PRE(i == 0 || x->index == a->entries[i - 1].index + 1);
    }
}

static enum status open_log(struct fake_env *env, uint64_t *durable, struct wal **out,
                            struct wal_recovery *found)
{
    static const struct wal_events events = {.durable = on_durable, .failed = on_failed};
    struct errmsg err = {0};
    enum status rc = wal_open(&env->env, DIR, &options, &events, durable, out, found, &err);
    PRE(rc == RC_OK || err.text[0] != '\0');
    return rc;
}

static void write_one(struct fake_env *env, struct wal *w, const struct wal_recovery *found,
                      const uint64_t *durable)
{
    uint64_t next = found->entry_count > 0 ? found->entries[found->entry_count - 1].index + 1
                                           : found->reset_index + 1;
    struct wal_entry e = {
        .index = next, .term = found->term + 1, .type = 1, .payload = slice_str("new")};
    uint64_t ticket = wal_append(w, &e, 1);
    wal_flush(w);
    fake_env_run(env);
    PRE(*durable == ticket);
}

static void check(struct fake_env *env)
{
    struct wal_recovery read, found, again;
    struct errmsg err = {0};
    struct wal *w;
    uint64_t durable = 0;
    enum status rc = wal_read(&env->env, DIR, &options, &read, &err);
    PRE(rc == RC_OK || err.text[0] != '\0');
    PRE(open_log(env, &durable, &w, &found) == rc);
    if (rc != RC_OK) {
        return;
    }
    must_be_equal(&read, &found);
    wal_recovery_close(&read);
    wal_close(w);
    fake_env_power_cut(env);
    PRE(open_log(env, &durable, &w, &again) == RC_OK);
    must_be_equal(&found, &again);
    PRE(again.cut_bytes == 0);
    wal_recovery_close(&again);
    write_one(env, w, &found, &durable);
    wal_close(w);
    fake_env_power_cut(env);
    PRE(open_log(env, &durable, &w, &again) == RC_OK);
    PRE(again.entry_count > 0 &&
        slice_equal(again.entries[again.entry_count - 1].payload, slice_str("new")));
    wal_recovery_close(&again);
    wal_recovery_close(&found);
    wal_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_env env;
    fake_env_init(&env, 1);
    struct story s = {.input = unpack_make(slice_make(data, size)), .env = &env};
    tell(&s);
    check(&env);
    fake_env_close(&env);
    return 0;
}
