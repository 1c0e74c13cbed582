/* The model's access control: lists and callers by number, and a table, written by hand, of what
 * each caller may do where. */
#include "store/acl.h"
#include "tests/support/store_model.h"

struct line {
    uint32_t permissions;
    const char *scheme;
    const char *id;
};

#define ALICE "alice:aGFzaA=="
#define BOB   "bob:b3RoZXI="

static const struct line lists[MODEL_LISTS][2] = {
    {{31, "world", "anyone"}},
    {{31, "digest", ALICE}},
    {{1, "world", "anyone"}, {31, "digest", ALICE}},
    {{15, "ip", "10.0.0.0/8"}, {17, "digest", BOB}},
    {{0, "world", "anyone"}},
    {{13, "world", "anyone"}},
    {{31, "world", "anyone"}, {0, "digest", ALICE}},
    {{1, "world", "anyone"}},
};

static const struct line callers[MODEL_CALLERS][2] = {
    {{0, NULL, NULL}},
    {{0, "ip", "10.1.2.3"}},
    {{0, "ip", "10.1.2.3"}, {0, "digest", ALICE}},
    {{0, "ip", "192.0.2.1"}, {0, "digest", BOB}},
    {{0, "super", ""}},
};

static const uint8_t may[MODEL_LISTS][MODEL_CALLERS] = {
    {31, 31, 31, 31, 31}, {0, 0, 31, 0, 31},     {1, 1, 31, 1, 31},    {0, 15, 15, 17, 31},
    {0, 0, 0, 0, 31},     {13, 13, 13, 13, 31}, {31, 31, 31, 31, 31}, {1, 1, 1, 1, 31},
};

void model_list_encode(uint8_t list, struct buf *out)
{
    struct acl_entry entries[2];
    size_t count = 0;
    for (; list < MODEL_LISTS && count < 2 && lists[list][count].scheme != NULL; count++) {
        const struct line *line = &lists[list][count];
        entries[count] = (struct acl_entry){
            line->permissions, slice_str(line->scheme), slice_str(line->id)};
    }
    acl_encode(out, entries, count);
}

void model_caller_encode(uint8_t caller, struct buf *out)
{
    for (size_t i = 0; i < 2 && callers[caller][i].scheme != NULL; i++) {
        identity_encode(out, slice_str(callers[caller][i].scheme),
                        slice_str(callers[caller][i].id));
    }
}

uint8_t model_list_of(struct slice encoded)
{
    uint8_t list = 0;
    for (; encoded.size > 0 && list < MODEL_LISTS; list++) {
        struct buf bytes = {0};
        model_list_encode(list, &bytes);
        bool same = slice_equal(buf_slice(&bytes), encoded);
        buf_close(&bytes);
        if (same) {
            break;
        }
    }
    return list;
}

bool model_may(const struct model *m, const struct record *r, uint32_t permission)
{
    return r == NULL || (may[r->list][m->caller] & permission) != 0;
}
