#include "net/header_block.h"

#include <nghttp2/nghttp2.h>

struct header_block *header_block_new(void)
{
    nghttp2_hd_inflater *inflater = NULL;
    return nghttp2_hd_inflate_new(&inflater) == 0 ? (struct header_block *)inflater : NULL;
}

void header_block_free(struct header_block *b)
{
    nghttp2_hd_inflate_del((nghttp2_hd_inflater *)b);
}

bool header_block_decode(struct header_block *b, struct slice bytes,
                         void (*field)(void *owner, struct slice name, struct slice value),
                         void *owner)
{
    nghttp2_hd_inflater *inflater = (nghttp2_hd_inflater *)b;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t taken =
            nghttp2_hd_inflate_hd2(inflater, &nv, &flags, bytes.data, bytes.size, 1);
        if (taken < 0) {
            return false;
        }
        bytes = slice_make(bytes.data + taken, bytes.size - (size_t)taken);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            field(owner, slice_make(nv.name, nv.namelen), slice_make(nv.value, nv.valuelen));
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
            return nghttp2_hd_inflate_end_headers(inflater) == 0;
        }
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && bytes.size == 0) {
            return false;
        }
    }
}
