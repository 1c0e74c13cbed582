/* The highest epoch seen of each lock: for resources outside the cluster, without it.
 *
 * A file has a line for each lock, its epoch and its name, with control characters and '%'
 * as %XX, below a first line that says what it is. It is read and written as a whole, under
 * a lock on another file: written to a third one, synced, renamed. So it is never half of
 * something, and several processes may share it. In memory the same lines are kept in one
 * text. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"
#include "client/error.h"

#define HEAD_LINE      "coord epochs 1\n"
#define NAME_BYTES_MAX 4096
#define FILE_BYTES_MAX ((size_t)64 << 20)

struct coord_epochs {
    char *file; /* NULL: in memory */
    char *lock_file;
    char *new_file;
    char *text; /* with a zero behind it */
    size_t bytes;
};

/* ---- the text ---------------------------------------------------------------------------- */

static bool is_escaped(unsigned char c)
{
    return c < ' ' || c == 0x7f || c == '%';
}

/* Three times its bytes at most, and a zero. */
static void escape(const char *name, char *to)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        if (is_escaped(c)) {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    *to = '\0';
}

/* The line of this lock, or the text's end; the number on it. NULL: it is no such text. */
static char *find_line(const struct coord_epochs *e, const char *name, uint64_t *epoch)
{
    size_t head = strlen(HEAD_LINE);
    size_t name_bytes = strlen(name);
    if (e->bytes < head || memcmp(e->text, HEAD_LINE, head) != 0) {
        return NULL;
    }
    char *line = e->text + head;
    while (*line != '\0') {
        char *blank;
        errno = 0;
        uint64_t number = strtoull(line, &blank, 10);
        const char *end = strchr(line, '\n');
        if (errno != 0 || blank == line || *blank != ' ' || end == NULL) {
            return NULL;
        }
        if ((size_t)(end - blank - 1) == name_bytes &&
            memcmp(blank + 1, name, name_bytes) == 0) {
            *epoch = number;
            return line;
        }
        line = e->text + (end + 1 - e->text);
    }
    *epoch = 0;
    return line;
}

/* The text with another number on a line of it. NULL: no memory. */
static char *replace_line(const struct coord_epochs *e, const char *line, const char *name,
                          uint64_t epoch, size_t *bytes)
{
    size_t room = e->bytes + strlen(name) + 32;
    char *text = malloc(room);
    const char *rest = strchr(line, '\n');
    rest = rest != NULL ? rest + 1 : line;
    if (text != NULL) {
        size_t before = (size_t)(line - e->text);
        memcpy(text, e->text, before);
        int added =
            snprintf(text + before, room - before, "%" PRIu64 " %s\n%s", epoch, name, rest);
        *bytes = before + (size_t)added;
    }
    return text;
}

static void take_text(struct coord_epochs *e, char *text, size_t bytes)
{
    free(e->text);
    e->text = text;
    e->bytes = bytes;
}

/* ---- the file ---------------------------------------------------------------------------- */

static enum coord_code fail_file(const char *file, struct coord_error *error)
{
    return client_fail(error, errno == ENOMEM ? COORD_NO_MEMORY : COORD_INTERNAL, "%s: %s",
                       file, strerror(errno));
}

/* Takes what the file has; none, or an empty one, is one without locks. */
static enum coord_code load(struct coord_epochs *e, struct coord_error *error)
{
    struct stat stat;
    uint64_t epoch;
    enum coord_code code = COORD_OK;
    int fd = open(e->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        return fail_file(e->file, error);
    }
    if (fd < 0 || (fstat(fd, &stat) == 0 && stat.st_size == 0)) {
        stat.st_size = 0;
    } else if ((uintmax_t)stat.st_size > FILE_BYTES_MAX || !S_ISREG(stat.st_mode)) {
        (void)close(fd);
        return client_fail(error, COORD_INVALID, "%s: no file of epochs", e->file);
    }
    size_t head = strlen(HEAD_LINE);
    size_t size = (size_t)stat.st_size;
    char *text = malloc((size > head ? size : head) + 1);
    size_t bytes = 0;
    ssize_t got = 1;
    if (text == NULL) {
        code = client_fail(error, COORD_NO_MEMORY, "out of memory for %s", e->file);
    } else if (size == 0) {
        memcpy(text, HEAD_LINE, head);
        bytes = head;
    }
    while (code == COORD_OK && fd >= 0 && bytes < size && got > 0) {
        got = read(fd, text + bytes, size - bytes);
        bytes += got > 0 ? (size_t)got : 0;
        if (got < 0 && errno == EINTR) {
            got = 1;
        } else if (got < 0) {
            code = fail_file(e->file, error);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (code != COORD_OK) {
        free(text);
        return code;
    }
    text[bytes] = '\0';
    take_text(e, text, bytes);
    return strlen(text) == bytes && find_line(e, "", &epoch) != NULL
               ? COORD_OK
               : client_fail(error, COORD_INVALID, "%s: no file of epochs", e->file);
}

/* The directory, so that the renaming is there after a crash. */
static bool sync_directory(const char *file)
{
    char *copy = strdup(file);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    free(copy);
    return ok;
}

static bool write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        text += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static enum coord_code save(const struct coord_epochs *e, const char *text, size_t bytes,
                            struct coord_error *error)
{
    int fd = open(e->new_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write_all(fd, text, bytes) && fsync(fd) == 0;
    ok = fd >= 0 && close(fd) == 0 && ok;
    return ok && rename(e->new_file, e->file) == 0 && sync_directory(e->file)
               ? COORD_OK
               : fail_file(e->file, error);
}

/* -1: it cannot be had. */
static int lock_file(const struct coord_epochs *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(e->lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int rc = fd >= 0 ? fcntl(fd, F_SETLKW, &lock) : -1;
    while (rc < 0 && fd >= 0 && errno == EINTR) {
        rc = fcntl(fd, F_SETLKW, &lock);
    }
    if (rc < 0 && fd >= 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* ---- the calls --------------------------------------------------------------------------- */

static char *with_suffix(const char *file, const char *suffix)
{
    size_t bytes = strlen(file) + strlen(suffix) + 1;
    char *name = malloc(bytes);
    if (name != NULL) {
        snprintf(name, bytes, "%s%s", file, suffix);
    }
    return name;
}

enum coord_code coord_epochs_open(const char *file, struct coord_epochs **epochs,
                                  struct coord_error *error)
{
    struct coord_epochs *e = calloc(1, sizeof *e);
    enum coord_code code = COORD_OK;
    if (e == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for epochs");
    }
    if (file == NULL) {
        char *text = strdup(HEAD_LINE);
        take_text(e, text, strlen(HEAD_LINE));
        code = text != NULL ? COORD_OK : COORD_NO_MEMORY;
    } else {
        e->file = strdup(file);
        e->lock_file = with_suffix(file, ".lock");
        e->new_file = with_suffix(file, ".new");
        bool has_names = e->file != NULL && e->lock_file != NULL && e->new_file != NULL;
        code = has_names ? load(e, error) : COORD_NO_MEMORY;
    }
    if (code != COORD_OK) {
        coord_epochs_close(e);
        return code != COORD_NO_MEMORY
                   ? code
                   : client_fail(error, COORD_NO_MEMORY, "out of memory for epochs");
    }
    *epochs = e;
    return client_fail(error, COORD_OK, "%s", "");
}

void coord_epochs_close(struct coord_epochs *e)
{
    if (e != NULL) {
        free(e->file);
        free(e->lock_file);
        free(e->new_file);
        free(e->text);
        free(e);
    }
}

/* With the text as it is now. */
static enum coord_code check(struct coord_epochs *e, const char *lock, const char *name,
                             uint64_t epoch, struct coord_error *error)
{
    uint64_t seen;
    const char *line = find_line(e, name, &seen);
    if (line == NULL) {
        return client_fail(error, COORD_INVALID, "%s: no file of epochs", e->file);
    }
    if (epoch <= seen) {
        return epoch == seen && epoch != 0
                   ? COORD_OK
                   : client_fail(error, COORD_GUARD_STALE,
                                 "%s: epoch %" PRIu64 " is over, %" PRIu64 " was seen", lock,
                                 epoch, seen);
    }
    size_t bytes;
    char *text = replace_line(e, line, name, epoch, &bytes);
    if (text == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for an epoch");
    }
    enum coord_code code = COORD_OK;
    if (bytes > FILE_BYTES_MAX) {
        code = client_fail(error, COORD_LIMITED, "more than %zu MiB of epochs",
                           FILE_BYTES_MAX >> 20);
    } else if (e->file != NULL) {
        code = save(e, text, bytes, error);
    }
    if (code == COORD_OK) {
        take_text(e, text, bytes);
    } else {
        free(text);
    }
    return code;
}

enum coord_code coord_epoch_check(struct coord_epochs *e, const char *lock, uint64_t epoch,
                                  struct coord_error *error)
{
    size_t bytes = strlen(lock);
    if (bytes == 0 || bytes > NAME_BYTES_MAX || epoch == 0) {
        return client_fail(error, COORD_INVALID,
                           epoch == 0 ? "epoch 0 is none"
                                      : "a lock's name has 1 to 4096 bytes");
    }
    char *name = malloc(3 * bytes + 1);
    if (name == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a name");
    }
    escape(lock, name);
    int fd = e->file != NULL ? lock_file(e) : -1;
    enum coord_code code = COORD_OK;
    if (e->file != NULL) {
        code = fd >= 0 ? load(e, error) : fail_file(e->lock_file, error);
    }
    if (code == COORD_OK) {
        code = check(e, lock, name, epoch, error);
    }
    if (fd >= 0) {
        (void)close(fd); /* and with it the lock */
    }
    free(name);
    return code == COORD_OK ? client_fail(error, COORD_OK, "%s", "") : code;
}
