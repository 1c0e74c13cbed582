/* snapshot save: a member's state into a file.
 *
 * The file is written beside (FILE.part), synced and given its name at the end, so that whatever
 * bears the name is whole. It holds session secrets and what access control lists protect, so
 * only its owner may read it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/write_out.h"
#include "client/socket.h"
#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/values.h"

#define PROGRESS_MS 200

struct saving {
    struct ctl *ctl;
    const char *name; /* of the file */
    struct buf part;  /* its path, with its zero */
    int fd;
    bool is_stdout;
    bool has_name; /* FILE.part is nobody's, or another's */
    struct signals signals;
    int signal_number;
    struct buf trouble; /* why the sink took no more, with its zero */
    /* progress */
    bool shows;
    struct coord_snapshot_file file;
    uint64_t written;
    struct write_out out;
    uint64_t begun_ms;
    uint64_t shown_ms;
};

/* ---- progress ---------------------------------------------------------------------------- */

static void show_progress(struct saving *s)
{
    char written[16];
    char whole[16];
    char speed[16];
    uint64_t now = socket_now_ms();
    if (!s->shows || now < s->shown_ms + PROGRESS_MS) {
        return;
    }
    s->shown_ms = now;
    if (s->file.bytes == 0) {
        fprintf(stderr, "\r\033[Kwaiting for the snapshot, %" PRIu64 " s",
                (now - s->begun_ms) / 1000);
        return;
    }
    uint64_t took_ms = now - s->begun_ms + 1;
    uint64_t per_s = s->written * 1000 / took_ms;
    uint64_t left_s = per_s > 0 ? (s->file.bytes - s->written) / per_s : 0;
    fprintf(stderr, "\r\033[K%s of %s from %s, %u %%, %s/s, %" PRIu64 " s left",
            value_format_size(s->written, written), value_format_size(s->file.bytes, whole),
            s->file.member, (unsigned)(s->written * 100 / s->file.bytes),
            value_format_size(per_s, speed), left_s);
}

static void clear_progress(const struct saving *s)
{
    if (s->shows) {
        fputs("\r\033[K", stderr);
    }
}

/* ---- the sink ---------------------------------------------------------------------------- */

static bool stop_with(struct saving *s, const char *what, int error)
{
    buf_clear(&s->trouble);
    buf_printf(&s->trouble, "%s%s%s", what, error != 0 ? ": " : "",
               error != 0 ? strerror(error) : "");
    buf_append(&s->trouble, "", 1);
    return false;
}

static bool go_on(struct saving *s)
{
    s->signal_number = signals_take(&s->signals);
    show_progress(s);
    return s->signal_number == 0;
}

static bool on_idle(void *context)
{
    return go_on(context);
}

static bool on_begin(void *context, const struct coord_snapshot_file *file)
{
    struct saving *s = context;
    if (s->is_stdout && s->written > 0) {
        return stop_with(s,
                         "the member failed half way, and what went to standard output "
                         "cannot be taken back",
                         0);
    }
    if (!s->is_stdout && (ftruncate(s->fd, 0) != 0 || lseek(s->fd, 0, SEEK_SET) != 0)) {
        return stop_with(s, (const char *)s->part.data, errno);
    }
    s->file = *file;
    s->written = 0;
    s->out = (struct write_out){.end = 0};
    s->begun_ms = socket_now_ms();
    return go_on(s);
}

static bool on_data(void *context, const void *data, size_t bytes)
{
    struct saving *s = context;
    for (size_t at = 0; at < bytes;) {
        ssize_t wrote = write(s->fd, (const char *)data + at, bytes - at);
        if (wrote < 0 && errno != EINTR) {
            return stop_with(s, s->is_stdout ? "standard output" : (const char *)s->part.data,
                             errno);
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    if (!s->is_stdout && write_out_wrote(&s->out, s->fd, s->written, bytes) != 0) {
        return stop_with(s, (const char *)s->part.data, errno);
    }
    s->written += bytes;
    return go_on(s);
}

/* ---- the file ---------------------------------------------------------------------------- */

static int fail_file(const struct saving *s, const char *what)
{
    return ctl_general(s->ctl, "%s %s: %s", what, s->name, strerror(errno));
}

static int refuse_existing(const struct saving *s)
{
    (void)ctl_general(s->ctl, "%s exists already; --force replaces it", s->name);
    return EXIT_EXISTS;
}

static int fail_part(const struct saving *s, const char *what)
{
    return ctl_general(s->ctl, "%s %s: %s", what, (const char *)s->part.data, strerror(errno));
}

/* Whether the file that is open still is the one of that name: another save may have ended, which
 * gave its file another name or removed it. */
static bool is_of_that_name(const struct saving *s)
{
    struct stat opened;
    struct stat named;
    return fstat(s->fd, &opened) == 0 && lstat((const char *)s->part.data, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Makes a file of our own, for us alone, with nobody's descriptor on it. EXIT_DONE without one: a
 * former one was in the way, and it is to be tried again. */
static int try_part(struct saving *s)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const char *part = (const char *)s->part.data;
    s->fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool is_new = s->fd >= 0;
    if (!is_new && errno == EEXIST) {
        s->fd = open(part, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (s->fd < 0 && errno == ENOENT) {
            return EXIT_DONE;
        }
    }
    if (s->fd < 0) {
        return fail_part(s, "create");
    }
    if (fcntl(s->fd, F_SETLK, &lock) != 0) {
        return ctl_general(s->ctl, "%s is being saved already, by another process", s->name);
    }
    bool is_named = is_of_that_name(s);
    if (is_new && is_named) {
        return EXIT_DONE;
    }
    int exit_code =
        !is_new && is_named && unlink(part) != 0 ? fail_part(s, "remove") : EXIT_DONE;
    (void)close(s->fd);
    s->fd = -1;
    return exit_code;
}

/* What an earlier save that was killed has left is replaced; one that is under way is not. */
static int open_part(struct saving *s)
{
    if (!s->ctl->force && access(s->name, F_OK) == 0) {
        return refuse_existing(s);
    }
    buf_printf(&s->part, "%s.part", s->name);
    buf_append(&s->part, "", 1);
    int exit_code;
    do {
        exit_code = try_part(s);
    } while (exit_code == EXIT_DONE && s->fd < 0);
    return exit_code;
}

static int sync_name(const struct saving *s)
{
    char dir[4096];
    const char *slash = strrchr(s->name, '/');
    size_t bytes = slash == NULL ? 0 : slash == s->name ? 1 : (size_t)(slash - s->name);
    snprintf(dir, sizeof dir, "%.*s", bytes > 0 ? (int)bytes : 1, bytes > 0 ? s->name : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? 1 : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return failed != 0 ? fail_file(s, "sync the name of") : EXIT_DONE;
}

/* Without --force a file that has appeared meanwhile stays what it is. */
static int give_name(struct saving *s)
{
    const char *part = (const char *)s->part.data;
    if (fsync(s->fd) != 0) {
        return fail_file(s, "sync");
    }
    if (!s->ctl->force && link(part, s->name) == 0) {
        (void)unlink(part);
        s->has_name = true;
        return sync_name(s);
    }
    if (!s->ctl->force && errno == EEXIST) {
        return refuse_existing(s);
    }
    if (rename(part, s->name) != 0) {
        return fail_file(s, "name");
    }
    s->has_name = true;
    return sync_name(s);
}

static void print_saved(const struct saving *s)
{
    char size[16];
    FILE *to = s->is_stdout ? stderr : stdout;
    if (ctl_is_json(s->ctl) && !s->is_stdout) {
        ctl_print_json(
            s->ctl,
            json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:s}", "file", s->name, "member",
                      s->file.member, "cluster_id", ctl_json_hex(s->file.cluster_id),
                      "revision", (json_int_t)s->file.revision, "index",
                      (json_int_t)s->file.index, "bytes", (json_int_t)s->file.bytes, "digest",
                      ctl_json_hex(s->file.digest), "sha256", s->file.sha256));
    } else if (!s->is_stdout || s->shows) {
        fprintf(to, "%s: revision %" PRIu64 " from %s, %s, sha256 %s\n", s->name,
                s->file.revision, s->file.member, value_format_size(s->file.bytes, size),
                s->file.sha256);
    }
}

/* ---- the command ------------------------------------------------------------------------- */

static int save(struct saving *s)
{
    struct coord_error error = {.code = COORD_OK};
    const struct coord_snapshot_sink sink = {
        .begin = on_begin, .data = on_data, .idle = on_idle, .context = s};
    s->begun_ms = socket_now_ms();
    enum coord_code code = coord_snapshot_save(s->ctl->client, &sink, &s->file, &error);
    clear_progress(s);
    if (s->signal_number != 0) {
        return ctl_signal_exit(s->signal_number);
    }
    if (s->trouble.size > 0) {
        return ctl_general(s->ctl, "%s", (const char *)s->trouble.data);
    }
    int exit_code = ctl_check(s->ctl, code, &error);
    if (exit_code == EXIT_DONE && !s->is_stdout) {
        exit_code = give_name(s);
    }
    if (exit_code == EXIT_DONE) {
        print_saved(s);
    }
    return exit_code;
}

int ctl_snapshot_save(struct ctl *ctl)
{
    struct saving s = {.ctl = ctl,
                       .name = ctl->words[0],
                       .is_stdout = strcmp(ctl->words[0], "-") == 0,
                       .shows = isatty(STDERR_FILENO) == 1};
    if (s.is_stdout && isatty(STDOUT_FILENO) == 1) {
        return ctl_general(ctl, "a snapshot is no text: not written to a terminal");
    }
    s.fd = s.is_stdout ? STDOUT_FILENO : -1;
    int exit_code = s.is_stdout ? EXIT_DONE : open_part(&s);
    if (exit_code == EXIT_DONE && !signals_open(&s.signals)) {
        exit_code = ctl_general(ctl, "signals cannot be waited for");
    } else if (exit_code == EXIT_DONE) {
        exit_code = save(&s);
        if (exit_code != EXIT_DONE && !s.is_stdout && !s.has_name) {
            (void)unlink((const char *)s.part.data);
        }
        signals_close(&s.signals);
    }
    if (!s.is_stdout && s.fd >= 0) {
        (void)close(s.fd);
    }
    buf_close(&s.part);
    buf_close(&s.trouble);
    return exit_code;
}
