/* Leases: grant, keepalive, revoke, ttl, list. */
#include "cmd/coordctl/leases.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/socket.h"
#include "cmd/coordctl/session.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/lease.pb-c.h"

void leases_print_removed(const struct ctl *ctl, uint64_t removed)
{
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:I}", "removed", (json_int_t)removed));
    } else {
        printf("%" PRIu64 " node%s removed\n", removed, removed == 1 ? "" : "s");
    }
}

static int take_id(const struct ctl *ctl, uint64_t *id)
{
    return value_parse_id(ctl->words[0], id)
               ? EXIT_DONE
               : ctl_usage("%s: \"%s\" is not a lease's id: hexadecimal digits",
                           ctl->command->name, ctl->words[0]);
}

/* ---- what there is ---------------------------------------------------------------------- */

static json_t *lease_json(const struct coord_lease *l)
{
    return json_pack("{s:o, s:s, s:I, s:I, s:b, s:I, s:I, s:s}", "id", ctl_json_hex(l->id),
                     "kind", l->is_session ? "session" : "lease", "ttl_ms",
                     (json_int_t)l->ttl_ms, "attached", (json_int_t)l->attached, "renewable",
                     l->is_renewable, "granted_ms", (json_int_t)l->granted_ms, "generation",
                     (json_int_t)l->generation, "owner", l->owner);
}

static void print_lease(const struct coord_lease *l)
{
    char granted[32];
    char ttl[24];
    ctl_format_time(l->granted_ms, granted, sizeof granted);
    value_format_duration(l->ttl_ms, ttl, sizeof ttl);
    printf("%016" PRIx64 "  %-8s %6" PRIu64 "  %s  ", l->id, ttl, l->attached, granted);
    ctl_print_plain(l->owner);
    puts(l->is_renewable ? "" : " (not renewable)");
}

int leases_list(struct ctl *ctl, bool sessions)
{
    struct coord_error error;
    struct coord_leases list;
    enum coord_code code = coord_lease_list(ctl->client, &list, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    if (array == NULL && ctl_is_table(ctl)) {
        printf("%-16s  %-8s %6s  %-20s  %s\n", "ID", "TTL", "NODES", "SINCE", "OWNER");
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct coord_lease *l = &list.leases[i];
        if (l->is_session != sessions) {
            continue;
        }
        if (array != NULL) {
            json_array_append_new(array, lease_json(l));
        } else {
            print_lease(l);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    coord_leases_clear(&list);
    return EXIT_DONE;
}

int ctl_lease_list(struct ctl *ctl)
{
    return leases_list(ctl, false);
}

static void print_info(const struct ctl *ctl, const struct coord_lease_info *info)
{
    char ttl[24];
    char remaining[24];
    if (ctl_is_json(ctl)) {
        json_t *o = lease_json(&info->lease);
        json_object_set_new(o, "remaining_ms", json_integer((json_int_t)info->remaining_ms));
        json_t *paths = json_array();
        for (size_t i = 0; i < info->path_count; i++) {
            json_array_append_new(paths, json_string(info->paths[i]));
        }
        json_object_set_new(o, "paths", paths);
        ctl_print_json(ctl, o);
        return;
    }
    value_format_duration(info->lease.ttl_ms, ttl, sizeof ttl);
    value_format_duration(info->remaining_ms, remaining, sizeof remaining);
    printf("%s  %s of %s left, %" PRIu64 " node%s%s",
           info->lease.is_session ? "session" : "lease", remaining, ttl, info->lease.attached,
           info->lease.attached == 1 ? "" : "s", info->lease.owner[0] != '\0' ? ", owner " : "");
    ctl_print_plain(info->lease.owner);
    putchar('\n');
    for (size_t i = 0; i < info->path_count; i++) {
        puts(info->paths[i]);
    }
}

int ctl_lease_ttl(struct ctl *ctl)
{
    struct coord_error error;
    struct coord_lease_info info;
    uint64_t id;
    int exit_code = take_id(ctl, &id);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    enum coord_code code = coord_lease_ttl(ctl->client, id, ctl->paths, &info, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    print_info(ctl, &info);
    coord_lease_info_clear(&info);
    return EXIT_DONE;
}

/* ---- changes ---------------------------------------------------------------------------- */

int ctl_lease_grant(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__LeaseGrantRequest request = COORD__V1__LEASE_GRANT_REQUEST__INIT;
    ProtobufCMessage *m;
    if (!value_parse_duration(ctl->words[0], UINT32_MAX, &request.ttl_ms)) {
        return ctl_usage("lease grant: \"%s\" is not a time such as 10s, 2m or 1h",
                         ctl->words[0]);
    }
    request.header = &header;
    request.not_renewable = ctl->not_renewable;
    request.owner = ctl_text(ctl->owner != NULL ? ctl->owner : "");
    int exit_code = ctl_call(ctl, CLIENT_LEASE_GRANT, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__LeaseGrantReply *reply = (const Coord__V1__LeaseGrantReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:o, s:I}", "id", ctl_json_hex(reply->id), "ttl_ms",
                                      (json_int_t)reply->ttl_ms));
    } else {
        printf("%016" PRIx64 "\n", reply->id);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_lease_revoke(struct ctl *ctl)
{
    struct coord_error error;
    uint64_t id;
    uint64_t removed = 0;
    int exit_code = take_id(ctl, &id);
    if (exit_code == EXIT_DONE) {
        exit_code =
            ctl_check(ctl, coord_lease_revoke(ctl->client, id, &removed, &error), &error);
    }
    if (exit_code == EXIT_DONE) {
        leases_print_removed(ctl, removed);
    }
    return exit_code;
}

/* As session_hold, for a lease. `ttl_ms` and `confirmed_ms` are of the first keepalive. */
static int hold(struct ctl *ctl, struct signals *signals, uint64_t id, uint64_t ttl_ms,
                uint64_t confirmed_ms)
{
    struct coord_error error;
    for (;;) {
        uint64_t due_ms = confirmed_ms + ttl_ms / 3;
        uint64_t now = socket_now_ms();
        if (signals_wait(signals, -1, due_ms > now ? due_ms - now : 0) != 0) {
            return EXIT_DONE;
        }
        uint64_t sent_ms = socket_now_ms();
        enum coord_code code = coord_lease_keepalive(ctl->client, id, &ttl_ms, &error);
        if (code == COORD_OK) {
            confirmed_ms = sent_ms;
        } else if ((code != COORD_TIMEOUT && code != COORD_UNAVAILABLE) ||
                   socket_now_ms() >= confirmed_ms + ttl_ms / 10 * 8) {
            return ctl_failed(ctl, &error);
        }
    }
}

int ctl_lease_keepalive(struct ctl *ctl)
{
    struct coord_error error;
    struct signals signals;
    uint64_t id;
    uint64_t ttl_ms;
    int exit_code = take_id(ctl, &id);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    uint64_t sent_ms = socket_now_ms();
    enum coord_code code = coord_lease_keepalive(ctl->client, id, &ttl_ms, &error);
    if (code != COORD_OK || ctl->once) {
        return ctl_check(ctl, code, &error);
    }
    if (!signals_open(&signals)) {
        return ctl_general(ctl, "signals cannot be waited for");
    }
    exit_code = hold(ctl, &signals, id, ttl_ms, sent_ms);
    signals_close(&signals);
    return exit_code;
}
