/* Notes about instances that another member sends: what decodes encodes to the same bytes. Seeds:
 * tests/fuzz/corpus/note, one note each. */
#include "base/assert.h"
#include "net/checks/vital_note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buf again = {0};
    struct vital_note note;
    if (vital_note_decode(slice_make(data, size), &note, &arena)) {
        vital_note_encode(&again, &note);
        PRE(slice_equal(buf_slice(&again), slice_make(data, size)));
    }
    buf_close(&again);
    arena_close(&arena);
    return 0;
}
