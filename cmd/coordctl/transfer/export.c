/* export: a subtree as JSON lines (record.h), as it is at one revision.
 *
 * It is the listing that a watch begins with, so that nothing changes half way and no page has to
 * be kept. Nodes that live by a session, lease or recipe are left out: nobody could make them
 * again. A file gets its name when it is whole; only its owner may read it, as values may be
 * secret. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/rights.h"
#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/transfer/progress.h"
#include "cmd/coordctl/transfer/record.h"
#include "cmd/coordctl/values.h"

#define WAIT_MS 200

struct exporting {
    struct ctl *ctl;
    FILE *out;
    struct signals signals;
    struct progress progress;
    uint64_t revision;
    uint64_t nodes;
    uint64_t bytes;
    uint64_t left_out;
    bool has_root;
};

/* ---- one node --------------------------------------------------------------------------- */

static int add_acl(struct exporting *x, const char *path, json_t *o)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetAclRequest request = COORD__V1__GET_ACL_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(path);
    int exit_code = ctl_call(x->ctl, CLIENT_GET_ACL, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__GetAclReply *reply = (const Coord__V1__GetAclReply *)m;
    json_t *array = json_array();
    for (size_t i = 0; i < reply->n_acl; i++) {
        char rights[RIGHTS_TEXT_BYTES];
        rights_print(reply->acl[i]->permissions, rights);
        json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "rights", rights, "scheme",
                                               reply->acl[i]->scheme, "id", reply->acl[i]->id));
    }
    json_object_set_new(o, "acl", array);
    client_reply_free(m);
    return EXIT_DONE;
}

static const char *relative(const struct exporting *x, const char *path)
{
    size_t size = strlen(x->ctl->words[0]);
    path += size == 1 ? 0 : size;
    path += path[0] == '/';
    return path[0] != '\0' ? path : ".";
}

static void print_line(const struct exporting *x, json_t *o)
{
    json_dumpf(o, x->out, JSON_COMPACT);
    putc('\n', x->out);
    json_decref(o);
}

static int take_entry(struct exporting *x, const struct coord_event *e)
{
    Coord__V1__Kind kind = (Coord__V1__Kind)e->stat.kind;
    int exit_code = EXIT_DONE;
    if (!x->has_root) { /* it comes first, and without it there is nothing to be said */
        print_line(x, json_pack("{s:i, s:s, s:I}", "coord_export", RECORD_FORMAT, "path",
                                x->ctl->words[0], "revision", (json_int_t)x->revision));
    }
    x->has_root = true;
    if (kind != COORD__V1__KIND__PERSISTENT && kind != COORD__V1__KIND__CONTAINER &&
        kind != COORD__V1__KIND__TTL) {
        x->left_out++;
        return EXIT_DONE;
    }
    const char *path = relative(x, e->path);
    json_t *o = json_pack("{s:o, s:o}", "path", ctl_json_bytes(path, strlen(path)), "data",
                          ctl_json_bytes(e->data, e->bytes));
    if (kind != COORD__V1__KIND__PERSISTENT) {
        json_object_set_new(o, "kind", json_string(ctl_kind_name((int)kind)));
    }
    if (kind == COORD__V1__KIND__TTL) {
        json_object_set_new(o, "ttl_ms", json_integer((json_int_t)e->stat.ttl_ms));
    }
    if (x->ctl->with_acl) {
        exit_code = add_acl(x, e->path, o);
    }
    print_line(x, o);
    x->nodes++;
    x->bytes += e->bytes;
    return exit_code;
}

/* ---- all of them ------------------------------------------------------------------------ */

static int take_event(struct exporting *x, const struct coord_event *e, bool *is_over)
{
    static const struct coord_error missing = {
        .code = COORD_NOT_FOUND, .outcome = "NO_NODE", .message = "node does not exist"};
    if (e->type == COORD_EVENT_LISTING) {
        x->revision = e->revision;
    } else if (e->type == COORD_EVENT_ENTRY) {
        return take_entry(x, e);
    } else {
        *is_over = true;
        return x->has_root ? EXIT_DONE : ctl_failed(x->ctl, &missing);
    }
    return EXIT_DONE;
}

static int follow(struct exporting *x, struct coord_watch *watch)
{
    bool is_over = false;
    int exit_code = EXIT_DONE;
    uint64_t left_ms = x->ctl->options.timeout_ms;
    while (exit_code == EXIT_DONE && !is_over) {
        struct coord_event event;
        struct coord_error error;
        int number = signals_take(&x->signals);
        if (number != 0) {
            return ctl_signal_exit(number);
        }
        enum coord_code code = coord_watch_next(watch, WAIT_MS, &event, &error);
        bool is_silent = code == COORD_TIMEOUT || code == COORD_UNAVAILABLE;
        progress_show(&x->progress, x->nodes, 0, x->bytes);
        if (is_silent && left_ms > WAIT_MS) {
            left_ms -= WAIT_MS;
        } else if (code != COORD_OK) {
            exit_code = ctl_failed(x->ctl, &error);
        } else if (event.type == COORD_EVENT_LISTING && x->revision != 0) {
            exit_code = ctl_general(x->ctl, "the member failed half way; try again");
        } else {
            left_ms = x->ctl->options.timeout_ms;
            exit_code = take_event(x, &event, &is_over);
        }
        if (exit_code == EXIT_DONE && ferror(x->out) != 0) {
            exit_code = ctl_general(x->ctl, "cannot be written: %s", strerror(errno));
        }
    }
    return exit_code;
}

static int export_to(struct exporting *x)
{
    const struct coord_watch_options o = {
        .scope = COORD_WATCH_SUBTREE, .list = true, .relist = true};
    struct coord_watch *watch;
    struct coord_error error;
    enum coord_code code =
        coord_watch_open(x->ctl->client, x->ctl->words[0], &o, &watch, &error);
    if (code != COORD_OK) {
        return ctl_failed(x->ctl, &error);
    }
    if (!signals_open(&x->signals)) {
        coord_watch_close(watch);
        return ctl_general(x->ctl, "signals cannot be waited for");
    }
    int exit_code = follow(x, watch);
    progress_clear(&x->progress);
    signals_close(&x->signals);
    coord_watch_close(watch);
    return exit_code;
}

/* ---- the file --------------------------------------------------------------------------- */

static int refuse_existing(const struct ctl *ctl, const char *name)
{
    (void)ctl_general(ctl, "%s exists already; --force replaces it", name);
    return EXIT_EXISTS;
}

static int give_name(struct exporting *x, const char *part, const char *name)
{
    bool is_whole = fflush(x->out) == 0 && fsync(fileno(x->out)) == 0;
    if (is_whole && !x->ctl->force && link(part, name) != 0) {
        return errno == EEXIST ? refuse_existing(x->ctl, name)
                               : ctl_general(x->ctl, "%s: %s", name, strerror(errno));
    }
    if (!is_whole || (x->ctl->force && rename(part, name) != 0)) {
        return ctl_general(x->ctl, "%s: %s", name, strerror(errno));
    }
    return EXIT_DONE;
}

static int export_file(struct exporting *x, const char *name)
{
    struct buf part = {0};
    int fd = -1;
    if (!x->ctl->force && access(name, F_OK) == 0) {
        return refuse_existing(x->ctl, name);
    }
    buf_printf(&part, "%s.part", name);
    buf_append(&part, "", 1);
    const char *path = (const char *)part.data;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    x->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (x->out == NULL) {
        buf_close(&part);
        return ctl_general(x->ctl, "%s.part: %s", name, strerror(errno));
    }
    int exit_code = export_to(x);
    if (exit_code == EXIT_DONE) {
        exit_code = give_name(x, path, name);
    }
    (void)fclose(x->out);
    (void)unlink(path);
    buf_close(&part);
    return exit_code;
}

/* Talk, which standard output is for only if the lines do not go there. */
static void print_summary(const struct exporting *x, bool is_stdout)
{
    char size[16];
    FILE *to = is_stdout ? stderr : stdout;
    if (is_stdout && x->left_out == 0 && !isatty(STDERR_FILENO)) {
        return;
    }
    if (ctl_is_json(x->ctl) && !is_stdout) {
        ctl_print_json(x->ctl, json_pack("{s:s, s:I, s:I, s:I, s:I}", "path", x->ctl->words[0],
                                         "revision", (json_int_t)x->revision, "nodes",
                                         (json_int_t)x->nodes, "bytes", (json_int_t)x->bytes,
                                         "left_out", (json_int_t)x->left_out));
        return;
    }
    fprintf(to, "%" PRIu64 " node%s, %s, at revision %" PRIu64, x->nodes,
            x->nodes == 1 ? "" : "s", value_format_size(x->bytes, size), x->revision);
    if (x->left_out > 0) {
        fprintf(to, "; left out %" PRIu64 " that live%s by a session, lease or recipe",
                x->left_out, x->left_out == 1 ? "s" : "");
    }
    fputs("\n", to);
}

int ctl_export(struct ctl *ctl)
{
    const char *name = ctl->word_count > 1 ? ctl->words[1] : "-";
    bool is_stdout = strcmp(name, "-") == 0;
    struct exporting x = {.ctl = ctl, .out = stdout, .progress = progress_begin()};
    ctl->options.timeout_ms = ctl->options.timeout_ms != 0 ? ctl->options.timeout_ms : 5000;
    x.progress.shows = x.progress.shows && !(is_stdout && isatty(STDOUT_FILENO));
    int exit_code = is_stdout ? export_to(&x) : export_file(&x, name);
    if (exit_code == EXIT_DONE) {
        print_summary(&x, is_stdout);
    }
    return exit_code;
}
