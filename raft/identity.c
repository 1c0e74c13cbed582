#include "raft/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/hash.h"

#define IDENTITY_FORMAT    1
#define IDENTITY_BYTES_MAX 512

/* Ids stay below 2^63, so that SQLite and every client language hold them. */
static uint64_t as_id(uint64_t hash)
{
    hash &= INT64_MAX;
    return hash == 0 ? 1 : hash;
}

uint64_t identity_of_members(const struct node_member *members, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t h = hash_bytes(1, members[i].name, strlen(members[i].name));
        h = hash_bytes(h, members[i].host, strlen(members[i].host));
        sum += hash_mix(h, members[i].port);
    }
    return as_id(hash_mix(sum, count));
}

uint64_t identity_of_member(uint64_t cluster_id, const char *name)
{
    return as_id(hash_bytes(cluster_id, name, strlen(name)));
}

static void file_path(char *to, size_t bytes, const char *dir, const char *suffix)
{
    snprintf(to, bytes, "%s/identity%s", dir, suffix);
}

/* The whole file, with the checksum of all lines before in its last one. */
static size_t render(char *text, size_t bytes, const struct identity *identity)
{
    int size = snprintf(text, bytes,
                        "format %d\nphase %d\ncluster %016" PRIx64 "\nnode %016" PRIx64
                        "\ninitial %016" PRIx64 "\nname %s\n",
                        IDENTITY_FORMAT, (int)identity->phase, identity->cluster_id,
                        identity->node_id, identity->initial, identity->name);
    size += snprintf(text + size, bytes - (size_t)size, "crc %08" PRIx32 "\n",
                     crc32c(0, text, (size_t)size));
    return (size_t)size;
}

enum status identity_save(struct env *env, const char *dir, const struct identity *identity,
                          struct errmsg *err)
{
    char text[IDENTITY_BYTES_MAX];
    size_t size = render(text, sizeof text, identity);
    char part[4096];
    char path[4096];
    file_path(part, sizeof part, dir, ".part");
    file_path(path, sizeof path, dir, "");
    struct env_file *file;
    enum status rc =
        env->disk->open(env, part, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (rc == RC_OK) {
        rc = env->disk->write(file, 0, text, size);
        rc = rc == RC_OK ? env->disk->sync(file) : rc;
        env->disk->close(file);
        rc = rc == RC_OK ? env->disk->rename(env, part, path) : rc;
        rc = rc == RC_OK ? env->disk->sync_dir(env, dir) : rc;
    }
    return rc == RC_OK ? RC_OK : errmsg_set(err, rc, "write %s: %s", path, status_text(rc));
}

/* Right is only what render makes of the fields found: every byte of it, so the checksum too. */
static enum status parse(const char *text, size_t size, const char *path, struct identity *out,
                         struct errmsg *err)
{
    int format = 0;
    int phase = 0;
    char again[IDENTITY_BYTES_MAX];
    if (sscanf(text, "format %9d\n", &format) == 1 && format > IDENTITY_FORMAT) {
        return errmsg_set(err, RC_UNSUPPORTED, "%s has format %d, this build knows %d", path,
                          format, IDENTITY_FORMAT);
    }
    int fields =
        sscanf(text,
               "format %9d\nphase %9d\ncluster %16" SCNx64 "\nnode %16" SCNx64
               "\ninitial %16" SCNx64 "\nname %63s\n",
               &format, &phase, &out->cluster_id, &out->node_id, &out->initial, out->name);
    out->phase = (enum identity_phase)phase;
    if (fields != 6 || phase < IDENTITY_PENDING || phase > IDENTITY_REMOVED ||
        render(again, sizeof again, out) != size || memcmp(text, again, size) != 0) {
        return errmsg_set(err, RC_CORRUPT, "%s is corrupt; replace this member", path);
    }
    return RC_OK;
}

enum status identity_load(struct env *env, const char *dir, struct identity *out,
                          struct errmsg *err)
{
    char path[4096];
    file_path(path, sizeof path, dir, "");
    *out = (struct identity){0};
    struct env_file *file;
    enum status rc = env->disk->open(env, path, ENV_OPEN_READ, &file);
    if (rc == RC_NOT_FOUND) {
        return RC_OK;
    }
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "open %s: %s", path, status_text(rc));
    }
    char text[IDENTITY_BYTES_MAX];
    size_t got = 0;
    rc = env->disk->read(file, 0, text, sizeof text - 1, &got);
    env->disk->close(file);
    if (rc != RC_OK) {
        return errmsg_set(err, rc, "read %s: %s", path, status_text(rc));
    }
    text[got] = '\0';
    return parse(text, got, path, out, err);
}
