/* The state of a cluster as a file. Part of libcoord; see client.h, which includes it, for what
 * holds for all of it, and docs/operations.md for what to do with such a file. */
#ifndef CLIENT_BACKUP_H
#define CLIENT_BACKUP_H

#include "core.h" /* beside this one, in the sources as where it is installed */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* what the shared library shows */
#endif

/* ---- backup ----------------------------------------------------------------------------- */

struct coord_snapshot_file {
    uint64_t cluster_id;
    uint64_t bytes;
    uint64_t index;    /* log position that the file holds */
    uint64_t revision; /* of the store then */
    uint64_t digest;   /* of the whole state then */
    char sha256[65];   /* of the file, hexadecimal; "" until it is complete */
    char member[64];   /* whose file it is */
};

/* Where the file goes. False from any of them gives it up: COORD_INVALID. */
struct coord_snapshot_sink {
    /* It begins. Called again, what came until then is void: the member that was sending it has
     * failed, and another one sends its own. */
    bool (*begin)(void *context, const struct coord_snapshot_file *file);
    bool (*data)(void *context, const void *data, size_t bytes);
    /* Nothing has come for a quarter of a second, as while the member writes the file. May be
     * NULL. */
    bool (*idle)(void *context);
    void *context;
};

/* The whole state of the member spoken to as a SQLite file: as of this call or later, and with
 * COORD_LOCAL whatever that member has. Tries each endpoint once. On COORD_OK all of it has come,
 * and its SHA-256 is right; `file` (may be NULL) says what it is. Takes as long as it takes; a
 * member is given up when nothing has come for a minute. */
enum coord_code coord_snapshot_save(struct coord_client *client,
                                    const struct coord_snapshot_sink *sink,
                                    struct coord_snapshot_file *file,
                                    struct coord_error *error);
/* `sink` is copied; it is called from the loop. It is given up by its sink, or with the client. */
enum coord_code coord_snapshot_save_async(struct coord_client *client,
                                          const struct coord_snapshot_sink *sink,
                                          coord_done_fn done, void *context,
                                          struct coord_error *error);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
