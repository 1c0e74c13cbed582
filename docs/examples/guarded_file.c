/* A file that takes lines only from who holds a lock, by the lock's epoch: a resource outside
 * the cluster, which can refuse late writers all the same.
 *
 *     guarded_file FILE TEXT
 *
 * COORD_LOCK and COORD_LOCK_EPOCH say by what right, as `coordctl lock NAME -- guarded_file
 * ...` sets them. The highest epoch seen is kept in FILE.epochs. The check and the write are
 * one, under a lock on FILE, which stands for whatever makes writes one at a time where the
 * resource is. */
#include <coord/client.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum coord_code append(const char *file, const char *text, const char *lock,
                              uint64_t epoch, struct coord_error *error)
{
    char name[4096];
    struct coord_epochs *epochs;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)snprintf(name, sizeof name, "%s.epochs", file);
    enum coord_code code = coord_epochs_open(name, &epochs, error);
    if (code != COORD_OK) {
        return code;
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || fcntl(fd, F_SETLKW, &whole) != 0) {
        perror(file);
        code = COORD_INTERNAL;
    }
    if (code == COORD_OK) {
        code = coord_epoch_check(epochs, lock, epoch, error);
    }
    if (code == COORD_OK && (write(fd, text, strlen(text)) < 0 || write(fd, "\n", 1) < 0)) {
        perror(file);
        code = COORD_INTERNAL;
    }
    if (fd >= 0) {
        (void)close(fd); /* and with it its lock */
    }
    coord_epochs_close(epochs);
    return code;
}

int main(int argc, char **argv)
{
    const char *lock = getenv("COORD_LOCK");
    const char *epoch = getenv("COORD_LOCK_EPOCH");
    struct coord_error error = {.message = ""};
    if (argc != 3 || lock == NULL || epoch == NULL) {
        fprintf(stderr, "usage: coordctl lock NAME -- guarded_file FILE TEXT\n");
        return 2;
    }
    enum coord_code code = append(argv[1], argv[2], lock, strtoull(epoch, NULL, 10), &error);
    if (code != COORD_OK) {
        fprintf(stderr, "guarded_file: %s: %s\n", coord_code_text(code), error.message);
    }
    return code == COORD_OK ? 0 : 1;
}
