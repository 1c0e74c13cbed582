#include "net/block_meter.h"

#define PREFACE_BYTES     24 /* "PRI * HTTP/2.0" and so on */
#define TYPE_HEADERS      0x1
#define TYPE_CONTINUATION 0x9

void block_meter_init(struct block_meter *m, bool is_server)
{
    *m = (struct block_meter){.skip = is_server ? PREFACE_BYTES : 0};
}

static void frame_begin(struct block_meter *m)
{
    const uint8_t *h = m->head;
    m->skip = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    m->is_in_block = h[3] == TYPE_HEADERS || (h[3] == TYPE_CONTINUATION && m->is_in_block);
    m->block_bytes = h[3] == TYPE_CONTINUATION ? m->block_bytes : 0;
    m->block_bytes += m->is_in_block ? BLOCK_METER_HEAD_BYTES : 0;
    m->head_bytes = 0;
}

size_t block_meter_feed(struct block_meter *m, struct slice bytes)
{
    size_t longest = 0;
    for (size_t at = 0; at < bytes.size;) {
        if (m->skip == 0) {
            m->head[m->head_bytes++] = bytes.data[at++];
            if (m->head_bytes < BLOCK_METER_HEAD_BYTES) {
                continue;
            }
            frame_begin(m);
        } else {
            size_t rest = bytes.size - at;
            size_t step = rest < m->skip ? rest : m->skip;
            m->skip -= step;
            m->block_bytes += m->is_in_block ? step : 0;
            at += step;
        }
        if (m->is_in_block && m->block_bytes > longest) {
            longest = m->block_bytes;
        }
    }
    return longest;
}
