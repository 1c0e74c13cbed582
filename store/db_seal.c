#include "store/db_seal.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/db_page.h"

/* Read at once. */
#define SEAL_WINDOW_PAGES ((uint64_t)32)

static uint64_t seal_of(const uint8_t *page, uint32_t number)
{
    return hash_bytes(number, page, DB_USABLE_BYTES);
}

void db_seal_page(uint8_t *page, uint32_t number)
{
    uint64_t seal = seal_of(page, number);
    for (size_t i = 0; i < DB_SEAL_BYTES; i++) {
        page[DB_USABLE_BYTES + i] = (uint8_t)(seal >> 8 * i);
    }
}

static bool is_sealed(const uint8_t *page, uint32_t number)
{
    uint64_t seal = 0;
    for (size_t i = DB_SEAL_BYTES; i-- > 0;) {
        seal = seal << 8 | page[DB_USABLE_BYTES + i];
    }
    return seal == seal_of(page, number);
}

static enum status check_pages(struct env *env, struct env_file *file, uint64_t pages,
                               const char *path, struct errmsg *err)
{
    uint8_t *window = mem_alloc(SEAL_WINDOW_PAGES * DB_PAGE_BYTES);
    enum status rc = RC_OK;
    for (uint64_t first = 0; rc == RC_OK && first < pages; first += SEAL_WINDOW_PAGES) {
        uint64_t count = pages - first < SEAL_WINDOW_PAGES ? pages - first : SEAL_WINDOW_PAGES;
        size_t bytes = (size_t)count * DB_PAGE_BYTES;
        size_t got = 0;
        rc = env->disk->read(file, first * DB_PAGE_BYTES, window, bytes, &got);
        if (rc != RC_OK) {
            (void)errmsg_set(err, rc, "%s: %s", path, status_text(rc));
            break;
        }
        for (uint64_t i = 0; rc == RC_OK && i < count; i++) {
            const uint8_t *page = window + i * DB_PAGE_BYTES;
            bool is_whole = got == bytes && is_sealed(page, (uint32_t)(first + i + 1));
            bool is_all = first + i > 0 || page_get32(page + FILE_PAGES_AT) == pages;
            if (!is_whole || !is_all) {
                rc = errmsg_set(err, RC_CORRUPT, "%s: page %" PRIu64 " of the database is %s",
                                path, first + i + 1,
                                is_whole ? "sound, but others are missing" : "damaged");
            }
            env_give_way(env);
        }
    }
    mem_free(window);
    return rc;
}

enum status db_check_seals(struct env *env, const char *path, struct errmsg *err)
{
    struct env_file *file = NULL;
    uint64_t bytes = 0;
    enum status rc = env->disk->open(env, path, ENV_OPEN_READ, &file);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "%s: %s", path, status_text(rc));
    }
    rc = env->disk->size(file, &bytes);
    if (rc != RC_OK) {
        (void)errmsg_set(err, rc, "%s: %s", path, status_text(rc));
    } else if (bytes == 0 || bytes % DB_PAGE_BYTES != 0 || bytes / DB_PAGE_BYTES > UINT32_MAX) {
        rc = errmsg_set(err, RC_CORRUPT, "%s: %" PRIu64 " bytes are no whole number of pages",
                        path, bytes);
    } else {
        rc = check_pages(env, file, bytes / DB_PAGE_BYTES, path, err);
    }
    env->disk->close(file);
    return rc;
}
