/* import: nodes from JSON lines (record.h) into a subtree.
 *
 * The lines are read twice. First all of them are checked, against each other and the nodes that
 * are there, and counted; nothing is written if one will not do. Then they are written, in
 * transactions of some nodes each, in the order of the file. What a failure leaves half done is
 * said, and can be gone on with by --conflict keep. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/session.h"
#include "cmd/coordctl/text/path.h"
#include "cmd/coordctl/transfer/existing.h"
#include "cmd/coordctl/transfer/order.h"
#include "cmd/coordctl/transfer/progress.h"
#include "cmd/coordctl/transfer/record.h"

#define BATCH_NODES 64
#define BATCH_BYTES ((size_t)256 << 10)

struct importing {
    struct ctl *ctl;
    const char *name; /* of the file, for messages */
    FILE *in;
    uint64_t line_number;
    struct record record;
    struct buf path; /* whole, of the record */
    struct existing existing;
    struct order order;
    struct signals signals;
    struct progress progress;
    /* counted in the first round */
    uint64_t to_create;
    uint64_t to_replace;
    uint64_t to_keep;
    struct buf conflict; /* path of the first node that is there already */
    /* written in the second */
    struct arena arena; /* of the batch */
    Coord__V1__Operation *operations[2 * BATCH_NODES];
    size_t operation_count;
    size_t batch_nodes;
    size_t batch_bytes;
    uint64_t nodes;
    uint64_t bytes;
};

typedef int (*record_fn)(struct importing *m);

/* ---- reading ---------------------------------------------------------------------------- */

static int refuse_line(const struct importing *m, uint64_t number, const char *why)
{
    return ctl_usage("import: %s: line %" PRIu64 ": %s", m->name, number, why);
}

static int refuse(const struct importing *m, const char *why)
{
    return refuse_line(m, m->line_number, why);
}

/* Calls `take` for every node; a header and empty lines are none. */
static int each_record(struct importing *m, record_fn take)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int exit_code = EXIT_DONE;
    m->line_number = 0;
    rewind(m->in);
    while (exit_code == EXIT_DONE && (size = getline(&line, &room, m->in)) >= 0) {
        m->line_number++;
        int number = signals_take(&m->signals);
        if (number != 0) {
            exit_code = ctl_signal_exit(number);
        } else if (strspn(line, " \t\r\n") == (size_t)size) {
            continue;
        } else if (!record_parse(&m->record, line, (size_t)size)) {
            exit_code = refuse(m, m->record.error);
        } else if (!m->record.is_header) {
            path_resolve(&m->path, m->ctl->words[0], m->record.path);
            exit_code = take(m);
        }
    }
    free(line);
    if (exit_code == EXIT_DONE && ferror(m->in) != 0) {
        exit_code = ctl_general(m->ctl, "%s: %s", m->name, strerror(errno));
    }
    return exit_code;
}

/* Standard input is kept in a file that has no name, as it is read twice. */
static int spool(struct importing *m)
{
    char bytes[65536];
    size_t got;
    m->in = tmpfile();
    if (m->in == NULL) {
        return ctl_general(m->ctl, "a temporary file: %s", strerror(errno));
    }
    while ((got = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        if (fwrite(bytes, 1, got, m->in) != got) {
            return ctl_general(m->ctl, "a temporary file: %s", strerror(errno));
        }
    }
    return ferror(stdin) == 0 ? EXIT_DONE
                              : ctl_general(m->ctl, "standard input: %s", strerror(errno));
}

static int open_input(struct importing *m)
{
    if (strcmp(m->name, "-") == 0) {
        m->name = "standard input";
        return spool(m);
    }
    m->in = fopen(m->name, "r");
    if (m->in == NULL) {
        return ctl_general(m->ctl, "%s: %s", m->name, strerror(errno));
    }
    if (fseek(m->in, 0, SEEK_SET) != 0) {
        return ctl_general(m->ctl, "%s: is no file that can be read twice; use -", m->name);
    }
    return EXIT_DONE;
}

/* ---- the first round -------------------------------------------------------------------- */

/* The root of the whole tree is always there, and its value is nobody's. */
static bool is_root(const struct importing *m)
{
    return m->path.size == 1;
}

static bool is_there(const struct importing *m)
{
    return existing_has(&m->existing, (const char *)m->path.data);
}

/* Whether it is the subtree's root or below it: /app2 is not below /app. */
static bool is_inside(const struct importing *m)
{
    size_t root = strlen(m->ctl->words[0]);
    return root == 1 || (m->path.size >= root &&
                         memcmp(m->path.data, m->ctl->words[0], root) == 0 &&
                         (m->path.size == root || m->path.data[root] == '/'));
}

static int count_record(struct importing *m)
{
    if (!is_inside(m)) {
        return refuse(m, "path: leads out of the subtree");
    }
    if (is_root(m)) {
        return EXIT_DONE;
    }
    order_add(&m->order, (const char *)m->path.data, m->line_number);
    if (!is_there(m)) {
        m->to_create++;
        return EXIT_DONE;
    }
    if (m->conflict.size == 0) {
        buf_append(&m->conflict, m->path.data, m->path.size + 1);
    }
    if (m->ctl->conflict == CONFLICT_REPLACE) {
        m->to_replace++;
    } else {
        m->to_keep++;
    }
    return EXIT_DONE;
}

static int check_order(struct importing *m)
{
    struct buf why = {0};
    uint64_t number = order_check(&m->order, &m->existing, &why);
    buf_append(&why, "", 1);
    int exit_code =
        number == 0 ? EXIT_DONE : refuse_line(m, number, (const char *)why.data);
    buf_close(&why);
    return exit_code;
}

static int refuse_conflicts(const struct importing *m)
{
    char more[48] = "";
    if (m->to_keep > 1) {
        snprintf(more, sizeof more, ", and %" PRIu64 " more", m->to_keep - 1);
    }
    (void)ctl_general(m->ctl,
                      "%s exists already%s; nothing was written. --conflict keep leaves such "
                      "nodes alone, --conflict replace sets their values",
                      (const char *)m->conflict.data, more);
    return EXIT_EXISTS;
}

/* ---- the second round ------------------------------------------------------------------- */

static char *keep(struct importing *m, const void *data, size_t bytes)
{
    return (char *)(uintptr_t)arena_copy(&m->arena, slice_make(data, bytes)).data;
}

static Coord__V1__Operation *add_operation(struct importing *m)
{
    Coord__V1__Operation *op = arena_alloc(&m->arena, sizeof *op);
    coord__v1__operation__init(op);
    m->operations[m->operation_count++] = op;
    return op;
}

static Coord__V1__Acl **keep_acl(struct importing *m)
{
    Coord__V1__Acl **list = arena_alloc(&m->arena, (m->record.acl_count + 1) * sizeof *list);
    for (size_t i = 0; i < m->record.acl_count; i++) {
        const Coord__V1__Acl *from = m->record.acl[i];
        list[i] = arena_alloc(&m->arena, sizeof *list[i]);
        *list[i] = *from;
        list[i]->scheme = keep(m, from->scheme, strlen(from->scheme) + 1);
        list[i]->id = keep(m, from->id, strlen(from->id) + 1);
    }
    return list;
}

static void add_create(struct importing *m, char *path, ProtobufCBinaryData data)
{
    Coord__V1__CreateOp *create = arena_alloc(&m->arena, sizeof *create);
    Coord__V1__Operation *op = add_operation(m);
    coord__v1__create_op__init(create);
    create->path = path;
    create->data = data;
    create->kind = m->record.kind;
    create->ttl_ms = m->record.ttl_ms;
    create->make_parents = true;
    create->acl = keep_acl(m);
    create->n_acl = m->record.acl_count;
    op->op_case = COORD__V1__OPERATION__OP_CREATE;
    op->create = create;
}

static void add_set(struct importing *m, char *path, ProtobufCBinaryData data)
{
    Coord__V1__SetOp *set = arena_alloc(&m->arena, sizeof *set);
    Coord__V1__Operation *op = add_operation(m);
    coord__v1__set_op__init(set);
    set->path = path;
    set->data = data;
    op->op_case = COORD__V1__OPERATION__OP_SET;
    op->set = set;
    if (m->record.acl_count > 0) {
        Coord__V1__SetAclOp *set_acl = arena_alloc(&m->arena, sizeof *set_acl);
        coord__v1__set_acl_op__init(set_acl);
        set_acl->path = path;
        set_acl->acl = keep_acl(m);
        set_acl->n_acl = m->record.acl_count;
        op = add_operation(m);
        op->op_case = COORD__V1__OPERATION__OP_SET_ACL;
        op->set_acl = set_acl;
    }
}

static const char *operation_path(const Coord__V1__Operation *op)
{
    return op->op_case == COORD__V1__OPERATION__OP_CREATE ? op->create->path
           : op->op_case == COORD__V1__OPERATION__OP_SET  ? op->set->path
                                                          : op->set_acl->path;
}

static int tell_failed(struct importing *m, const Coord__V1__TxnReply *reply)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
        &coord__v1__outcome__descriptor, (int)reply->outcome);
    const char *path = reply->failed_op < m->operation_count
                           ? operation_path(m->operations[reply->failed_op])
                           : "";
    (void)ctl_general(m->ctl, "%s: %s%s%s", path, v != NULL ? v->name : "UNKNOWN",
                      reply->detail[0] != '\0' ? ": " : "", reply->detail);
    return ctl_outcome_exit(m->ctl, reply->outcome);
}

static int write_batch(struct importing *m)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    ProtobufCMessage *reply;
    int exit_code = EXIT_DONE;
    if (m->operation_count > 0) {
        request.header = &header;
        request.then_ops = m->operations;
        request.n_then_ops = m->operation_count;
        exit_code = ctl_call(m->ctl, CLIENT_TXN, &request.base, &header, &reply);
        if (exit_code == EXIT_DONE) {
            const Coord__V1__TxnReply *done = (const Coord__V1__TxnReply *)reply;
            exit_code =
                done->outcome == COORD__V1__OUTCOME__OK ? EXIT_DONE : tell_failed(m, done);
            client_reply_free(reply);
        }
    }
    if (exit_code == EXIT_DONE) {
        m->nodes += m->batch_nodes;
        m->bytes += m->batch_bytes;
        progress_show(&m->progress, m->nodes, m->to_create + m->to_replace, m->bytes);
    }
    arena_clear(&m->arena);
    m->operation_count = 0;
    m->batch_nodes = 0;
    m->batch_bytes = 0;
    return exit_code;
}

static int write_record(struct importing *m)
{
    if (is_root(m) || (is_there(m) && m->ctl->conflict != CONFLICT_REPLACE)) {
        return EXIT_DONE;
    }
    if (m->batch_nodes == BATCH_NODES ||
        (m->batch_nodes > 0 && m->batch_bytes + m->record.data.size > BATCH_BYTES)) {
        int exit_code = write_batch(m);
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
    }
    char *path = keep(m, m->path.data, m->path.size + 1);
    ProtobufCBinaryData value;
    value.len = m->record.data.size;
    value.data = (uint8_t *)keep(m, m->record.data.data, value.len);
    if (is_there(m)) {
        add_set(m, path, value);
    } else {
        add_create(m, path, value);
    }
    m->batch_nodes++;
    m->batch_bytes += value.len;
    return EXIT_DONE;
}

/* ---- the command ------------------------------------------------------------------------ */

static void print_summary(const struct importing *m)
{
    const char *how = m->ctl->dry_run ? "would be " : "";
    if (ctl_is_json(m->ctl)) {
        ctl_print_json(m->ctl, json_pack("{s:s, s:I, s:I, s:I, s:b}", "path", m->ctl->words[0],
                                         "created", (json_int_t)m->to_create, "replaced",
                                         (json_int_t)m->to_replace, "kept",
                                         (json_int_t)m->to_keep, "dry_run", m->ctl->dry_run));
        return;
    }
    printf("%" PRIu64 " node%s %screated, %" PRIu64 " replaced, %" PRIu64 " kept\n",
           m->to_create, m->to_create == 1 ? "" : "s", how, m->to_replace, m->to_keep);
}

static int import(struct importing *m)
{
    int exit_code = existing_load(&m->existing, m->ctl, m->ctl->words[0]);
    if (exit_code == EXIT_DONE) {
        exit_code = each_record(m, count_record);
    }
    if (exit_code == EXIT_DONE) {
        exit_code = check_order(m);
    }
    if (exit_code == EXIT_DONE && m->ctl->conflict == CONFLICT_FAIL && m->to_keep > 0) {
        return refuse_conflicts(m);
    }
    if (exit_code != EXIT_DONE || m->ctl->dry_run) {
        return exit_code;
    }
    m->progress = progress_begin();
    exit_code = each_record(m, write_record);
    if (exit_code == EXIT_DONE) {
        exit_code = write_batch(m);
    }
    progress_clear(&m->progress);
    if (exit_code != EXIT_DONE) {
        fprintf(stderr,
                "coordctl: import %s: %" PRIu64 " of %" PRIu64 " nodes are written; the same "
                "with --conflict keep goes on\n",
                m->ctl->words[0], m->nodes, m->to_create + m->to_replace);
    }
    return exit_code;
}

int ctl_import(struct ctl *ctl)
{
    struct importing m = {.ctl = ctl, .name = ctl->word_count > 1 ? ctl->words[1] : "-"};
    int exit_code = session_attach(ctl);
    if (exit_code == EXIT_DONE) {
        exit_code = open_input(&m);
    }
    if (exit_code == EXIT_DONE && !signals_open(&m.signals)) {
        exit_code = ctl_general(ctl, "signals cannot be waited for");
    } else if (exit_code == EXIT_DONE) {
        exit_code = import(&m);
        signals_close(&m.signals);
    }
    if (exit_code == EXIT_DONE) {
        print_summary(&m);
    }
    if (m.in != NULL) {
        (void)fclose(m.in);
    }
    record_close(&m.record);
    existing_close(&m.existing);
    order_close(&m.order);
    arena_close(&m.arena);
    buf_close(&m.path);
    buf_close(&m.conflict);
    return exit_code;
}
