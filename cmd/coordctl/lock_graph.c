/* lock list and lock explain: which locks there are, and who waits because of whom. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/client_internal.h"
#include "cmd/coordctl/locks.h"
#include "coord/v1/lock.pb-c.h"

static json_t *text_json(const char *text)
{
    return ctl_json_bytes(text, strlen(text));
}

static const char *mode_text(Coord__V1__LockMode mode)
{
    return mode == COORD__V1__LOCK_MODE__READ_LOCK      ? "read"
           : mode == COORD__V1__LOCK_MODE__PERMITS_LOCK ? "permits"
                                                        : "write";
}

/* ---- list -------------------------------------------------------------------------------- */

static json_t *summary_json(const Coord__V1__LockSummary *s)
{
    json_t *first = json_null();
    if (s->first != NULL && s->first->grant != NULL) {
        const Coord__V1__LockEntry *e = s->first;
        first = json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:o, s:I}", "path", e->grant->path,
                          "revision", (json_int_t)e->grant->revision, "mode",
                          mode_text(e->mode), "epoch", (json_int_t)e->epoch, "lease",
                          ctl_json_hex(e->lease), "owner", text_json(e->owner), "note",
                          text_json(e->note), "since_ms", (json_int_t)e->since_ms);
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:o}", "path", s->path, "permits",
                     (json_int_t)s->permits, "held", (json_int_t)s->held, "waiting",
                     (json_int_t)s->waiting, "first", first);
}

static void print_summary(const Coord__V1__LockSummary *s)
{
    const Coord__V1__LockEntry *e = s->first;
    char since[40] = "-";
    char lease[24] = "-";
    if (e != NULL) {
        ctl_format_time(e->since_ms, since, sizeof since);
        snprintf(lease, sizeof lease, "%016" PRIx64, e->lease);
    }
    printf("%-24s %-8s %6" PRIu32 " %7" PRIu32 " %-21s %-17s", s->path,
           e != NULL ? mode_text(e->mode) : "-", s->held, s->waiting, since, lease);
    if (e != NULL && e->owner[0] != '\0') {
        printf(" owner ");
        ctl_print_plain(e->owner);
    }
    if (e != NULL && e->note[0] != '\0') {
        printf(" (");
        ctl_print_plain(e->note);
        putchar(')');
    }
    putchar('\n');
}

/* One page; adds to `list`, or prints. */
static int list_page(struct ctl *ctl, char after[CTL_PATH_BYTES], uint64_t *left, json_t *list)
{
    Coord__V1__LockListRequest request = COORD__V1__LOCK_LIST_REQUEST__INIT;
    ProtobufCMessage *m;
    request.path = ctl->lock_path;
    request.after = after;
    request.limit = (uint32_t)*left;
    int exit_code = ctl_call(ctl, CLIENT_LOCK_LIST, &request.base, NULL, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__LockListReply *reply = (const Coord__V1__LockListReply *)m;
    for (size_t i = 0; i < reply->n_locks; i++) {
        if (list != NULL) {
            json_array_append_new(list, summary_json(reply->locks[i]));
        } else {
            print_summary(reply->locks[i]);
        }
    }
    bool is_enough = *left != 0 && *left <= reply->n_locks;
    *left -= *left != 0 && !is_enough ? reply->n_locks : 0;
    snprintf(after, CTL_PATH_BYTES, "%s", is_enough ? "" : reply->next);
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_lock_list(struct ctl *ctl)
{
    char after[CTL_PATH_BYTES] = "";
    uint64_t left = ctl->limit;
    json_t *list = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code = EXIT_DONE;
    snprintf(ctl->lock_path, sizeof ctl->lock_path, "/");
    if (ctl->word_count > 0) {
        exit_code = locks_take(ctl, "/locks/");
    }
    if (exit_code == EXIT_DONE && list == NULL) {
        printf("%-24s %-8s %6s %7s %-21s %-17s %s\n", "LOCK", "MODE", "HELD", "WAITING", "SINCE",
               "LEASE", "HOLDER");
    }
    do {
        exit_code = exit_code == EXIT_DONE ? list_page(ctl, after, &left, list) : exit_code;
    } while (exit_code == EXIT_DONE && after[0] != '\0');
    if (exit_code == EXIT_DONE && list != NULL) {
        ctl_print_json(ctl, list);
    } else {
        json_decref(list);
    }
    return exit_code;
}

/* ---- explain ----------------------------------------------------------------------------- */

static json_t *wait_json(const Coord__V1__LockWait *w)
{
    return json_pack("{s:o, s:o, s:s, s:s, s:{s:o, s:o, s:b, s:s}}", "lease",
                     ctl_json_hex(w->lease), "owner", text_json(w->owner), "lock", w->path,
                     "mode", mode_text(w->mode), "blocker", "lease",
                     ctl_json_hex(w->blocker_lease), "owner", text_json(w->blocker_owner),
                     "holds", w->blocker_holds, "mode", mode_text(w->blocker_mode));
}

static void print_owner(uint64_t lease, const char *owner)
{
    printf("%016" PRIx64 "%s", lease, owner[0] != '\0' ? " " : "");
    ctl_print_plain(owner);
}

static void print_wait(const Coord__V1__LockWait *w)
{
    print_owner(w->lease, w->owner);
    printf(" waits for %s (%s), %s by ", w->path, mode_text(w->mode),
           w->blocker_holds ? "held" : "waited for before");
    print_owner(w->blocker_lease, w->blocker_owner);
    printf(" (%s)\n", mode_text(w->blocker_mode));
}

/* Within quotes of a graph. */
static void print_quoted(const char *text)
{
    struct buf plain = {0};
    ctl_append_plain(&plain, text);
    for (size_t i = 0; i < plain.size; i++) {
        if (plain.data[i] == '"' || plain.data[i] == '\\') {
            putchar('\\');
        }
        putchar(plain.data[i]);
    }
    buf_close(&plain);
}

static void print_node(uint64_t lease, const char *owner)
{
    printf("\"%016" PRIx64 "%s", lease, owner[0] != '\0' ? " " : "");
    print_quoted(owner);
    putchar('"');
}

static void print_edge(const Coord__V1__LockWait *w)
{
    fputs("    ", stdout);
    print_node(w->lease, w->owner);
    fputs(" -> ", stdout);
    print_node(w->blocker_lease, w->blocker_owner);
    fputs(" [label=\"", stdout);
    print_quoted(w->path);
    printf(" (%s)\"%s];\n", mode_text(w->mode), w->blocker_holds ? "" : ", style=dashed");
}

static void print_graph(const char *path, const Coord__V1__LockExplainReply *r)
{
    fputs("digraph \"", stdout);
    print_quoted(path);
    puts("\" {");
    for (size_t i = 0; i < r->n_waits; i++) {
        print_edge(r->waits[i]);
    }
    puts("}");
}

static void print_explained(struct ctl *ctl, const struct coord_lock_info *info,
                            const Coord__V1__LockExplainReply *r)
{
    if (ctl_is_json(ctl)) {
        json_t *whole = locks_json(info, ctl->lock_path);
        json_t *waits = json_array();
        for (size_t i = 0; i < r->n_waits; i++) {
            json_array_append_new(waits, wait_json(r->waits[i]));
        }
        json_object_set_new(whole, "waits", waits);
        json_object_set_new(whole, "more", json_boolean(r->more));
        ctl_print_json(ctl, whole);
        return;
    }
    locks_print(info);
    if (r->n_waits > 0) {
        putchar('\n');
    }
    for (size_t i = 0; i < r->n_waits; i++) {
        print_wait(r->waits[i]);
    }
}

int ctl_lock_explain(struct ctl *ctl)
{
    Coord__V1__LockExplainRequest request = COORD__V1__LOCK_EXPLAIN_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct coord_lock_info info = {0};
    struct coord_error error;
    int exit_code = locks_take(ctl, "/locks/");
    if (exit_code == EXIT_DONE && ctl->output != OUTPUT_DOT) {
        exit_code =
            ctl_check(ctl, coord_lock_get(ctl->client, ctl->lock_path, &info, &error), &error);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    request.path = ctl->lock_path;
    request.limit = (uint32_t)ctl->limit;
    exit_code = ctl_call(ctl, CLIENT_LOCK_EXPLAIN, &request.base, NULL, &m);
    if (exit_code == EXIT_DONE) {
        const Coord__V1__LockExplainReply *reply = (const Coord__V1__LockExplainReply *)m;
        if (ctl->output == OUTPUT_DOT) {
            print_graph(ctl->lock_path, reply);
        } else {
            print_explained(ctl, &info, reply);
        }
        if (reply->more) {
            fputs("coordctl: there are more waits than these; see --limit\n", stderr);
        }
        client_reply_free(m);
    }
    coord_lock_info_clear(&info);
    return exit_code;
}
