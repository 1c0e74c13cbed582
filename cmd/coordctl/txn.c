/* txn: runs a transaction written in JSON (cmd/coordctl/txn_parse.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/guards.h"
#include "cmd/coordctl/session.h"
#include "cmd/coordctl/txn_parse.h"

static const char *outcome_name(Coord__V1__Outcome outcome)
{
    const ProtobufCEnumValue *v =
        protobuf_c_enum_descriptor_get_value(&coord__v1__outcome__descriptor, (int)outcome);
    return v != NULL ? v->name : "UNKNOWN";
}

static json_t *result_json(const Coord__V1__OperationResult *r)
{
    json_t *o = json_pack("{s:s}", "outcome", outcome_name(r->outcome));
    if (r->path[0] != '\0') {
        json_object_set_new(o, "path", json_string(r->path));
    }
    if (r->data.len > 0) {
        json_object_set_new(o, "data", ctl_json_bytes(r->data.data, r->data.len));
    }
    if (r->stat != NULL) {
        json_object_set_new(o, "stat", ctl_json_stat(r->stat));
    }
    if (r->count > 0) {
        json_object_set_new(o, "count", json_integer((json_int_t)r->count));
    }
    if (r->n_children > 0) {
        json_t *names = json_array();
        for (size_t i = 0; i < r->n_children; i++) {
            json_array_append_new(names, json_string(r->children[i]));
        }
        json_object_set_new(o, "children", names);
    }
    return o;
}

static void print_reply(const struct ctl *ctl, const Coord__V1__TxnReply *reply)
{
    const char *branch = reply->took_then ? "then" : "else";
    if (ctl_is_json(ctl)) {
        json_t *results = json_array();
        for (size_t i = 0; i < reply->n_results; i++) {
            json_array_append_new(results, result_json(reply->results[i]));
        }
        json_t *o = json_pack("{s:s, s:s, s:I, s:o}", "outcome", outcome_name(reply->outcome),
                              "branch", branch, "revision", (json_int_t)reply->header->revision,
                              "results", results);
        if (reply->outcome != COORD__V1__OUTCOME__OK) {
            json_object_set_new(o, "failed_op", json_integer(reply->failed_op));
        }
        if (reply->detail[0] != '\0') {
            json_object_set_new(o, "detail", json_string(reply->detail));
        }
        ctl_print_json(ctl, o);
        return;
    }
    if (reply->outcome == COORD__V1__OUTCOME__GUARD_STALE) {
        fputs("coordctl: txn: a grant that guards it is not held any more, nothing was done\n",
              stderr);
        return;
    }
    if (reply->outcome == COORD__V1__OUTCOME__GUARD_REFUSED) { /* and there was no "else" */
        fputs("coordctl: txn: the guards do not hold, nothing was done\n", stderr);
        return;
    }
    if (reply->outcome != COORD__V1__OUTCOME__OK) {
        bool has_detail = reply->detail[0] != '\0';
        fprintf(stderr, "coordctl: txn: %s %" PRIu32 ": %s%s%s, nothing was done\n", branch,
                reply->failed_op + 1, outcome_name(reply->outcome), has_detail ? ": " : "",
                reply->detail);
        return;
    }
    printf("%s\n", branch);
    for (size_t i = 0; i < reply->n_results; i++) {
        const Coord__V1__OperationResult *r = reply->results[i];
        printf("  %zu %s%s%s", i + 1, outcome_name(r->outcome), r->path[0] != '\0' ? " " : "",
               r->path);
        if (r->data.len > 0) {
            printf(" %.*s", (int)r->data.len, (const char *)r->data.data);
        }
        for (size_t j = 0; j < r->n_children; j++) {
            printf(" %s", r->children[j]);
        }
        putchar('\n');
    }
}

static int run(struct ctl *ctl, Coord__V1__TxnRequest *request)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    ProtobufCMessage *m;
    request->header = &header;
    struct guards guards;
    int exit_code = session_attach(ctl);
    if (exit_code != EXIT_DONE || (exit_code = guards_take(ctl, &guards)) != EXIT_DONE) {
        return exit_code;
    }
    if (guards_put(&guards, request)) {
        exit_code = ctl_call(ctl, CLIENT_TXN, &request->base, &header, &m);
        free(request->guards);
    } else {
        exit_code = ctl_general(ctl, "out of memory");
    }
    guards_clear(&guards);
    if (exit_code == EXIT_DONE) {
        const Coord__V1__TxnReply *reply = (const Coord__V1__TxnReply *)m;
        print_reply(ctl, reply);
        exit_code = ctl_outcome_exit(ctl, reply->outcome);
        client_reply_free(m);
    }
    return exit_code;
}

int ctl_txn(struct ctl *ctl)
{
    if (ctl->file == NULL) {
        return ctl_usage("txn needs -f FILE (- for standard input)");
    }
    bool is_stdin = strcmp(ctl->file, "-") == 0;
    const char *name = is_stdin ? "standard input" : ctl->file;
    json_error_t where;
    json_t *root = is_stdin ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &where)
                            : json_load_file(ctl->file, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL && where.line < 0) { /* it could not be opened */
        return ctl_general(ctl, "%s", where.text);
    }
    if (root == NULL) {
        return ctl_usage("txn: %s: line %d, column %d: %s", name, where.line, where.column,
                         where.text);
    }
    struct txn_parse p = {.error = ""};
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    int exit_code = txn_parse(&p, root, &request) ? run(ctl, &request)
                                                  : ctl_usage("txn: %s: %s", name, p.error);
    txn_parse_close(&p);
    json_decref(root);
    return exit_code;
}
