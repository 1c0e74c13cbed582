/* counter add, get, ids; latch set, count-down, get, await; barrier get, remove. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/client_internal.h"
#include "cmd/coordctl/guards.h"
#include "cmd/coordctl/locks.h"
#include "cmd/coordctl/values.h"
#include "coord/v1/barrier.pb-c.h"
#include "coord/v1/counter.pb-c.h"

static void print_value(const struct ctl *ctl, const char *kind, const char *name, int64_t value)
{
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:s, s:I}", kind, ctl->lock_path, name,
                                      (json_int_t)value));
    } else {
        printf("%" PRId64 "\n", value);
    }
}

/* The number in a word, from 1 on. */
static int take_count(const struct ctl *ctl, size_t word, uint64_t most, uint64_t *out)
{
    const char *text = ctl->words[word];
    return value_parse_number(text, most, out) && *out > 0
               ? EXIT_DONE
               : ctl_usage("%s: \"%s\" is not a number from 1 to %" PRIu64, ctl->command->name,
                           text, most);
}

/* ---- counters ---------------------------------------------------------------------------- */

int ctl_counter_add(struct ctl *ctl)
{
    Coord__V1__CounterAddRequest request = COORD__V1__COUNTER_ADD_REQUEST__INIT;
    Coord__V1__CounterBound low = COORD__V1__COUNTER_BOUND__INIT;
    Coord__V1__CounterBound high = COORD__V1__COUNTER_BOUND__INIT;
    ProtobufCMessage *m = NULL;
    int exit_code = locks_take(ctl, "/counters/");
    request.delta = 1;
    if (exit_code == EXIT_DONE && ctl->word_count > 1 &&
        !value_parse_signed(ctl->words[1], &request.delta)) {
        exit_code = ctl_usage("counter add: \"%s\" is not a number", ctl->words[1]);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    low.value = ctl->low;
    high.value = ctl->high;
    request.path = ctl->lock_path;
    request.low = ctl->has_low ? &low : NULL;
    request.high = ctl->has_high ? &high : NULL;
    exit_code = ctl_call(ctl, CLIENT_COUNTER_ADD, &request.base, NULL, &m);
    if (exit_code == EXIT_DONE) {
        print_value(ctl, "counter", "value", ((const Coord__V1__CounterAddReply *)m)->value);
        client_reply_free(m);
    }
    return exit_code;
}

int ctl_counter_get(struct ctl *ctl)
{
    Coord__V1__CounterGetRequest request = COORD__V1__COUNTER_GET_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int exit_code = locks_take(ctl, "/counters/");
    request.path = ctl->lock_path;
    if (exit_code == EXIT_DONE) {
        exit_code = ctl_call(ctl, CLIENT_COUNTER_GET, &request.base, NULL, &m);
    }
    if (exit_code == EXIT_DONE) {
        print_value(ctl, "counter", "value", ((const Coord__V1__CounterGetReply *)m)->value);
        client_reply_free(m);
    }
    return exit_code;
}

int ctl_counter_ids(struct ctl *ctl)
{
    Coord__V1__CounterAllocateIdsRequest request =
        COORD__V1__COUNTER_ALLOCATE_IDS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int exit_code = locks_take(ctl, "/ids/");
    if (exit_code == EXIT_DONE) {
        exit_code = take_count(ctl, 1, INT64_MAX, &request.count);
    }
    if (exit_code == EXIT_DONE && ctl->has_high && ctl->high < 1) {
        exit_code = ctl_usage("counter ids: --max: from 1 on");
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    request.path = ctl->lock_path;
    request.last = ctl->has_high ? (uint64_t)ctl->high : 0;
    exit_code = ctl_call(ctl, CLIENT_COUNTER_IDS, &request.base, NULL, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__CounterAllocateIdsReply *r = (const Coord__V1__CounterAllocateIdsReply *)m;
    uint64_t last = r->first + r->count - 1;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, json_pack("{s:s, s:I, s:I, s:I}", "ids", ctl->lock_path, "first",
                                      (json_int_t)r->first, "last", (json_int_t)last, "created",
                                      (json_int_t)r->created));
    } else {
        printf("%" PRIu64 " %" PRIu64 "\n", r->first, last);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* ---- latches ----------------------------------------------------------------------------- */

static int latch_call(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
                      bool prints)
{
    ProtobufCMessage *m = NULL;
    int exit_code = ctl_call(ctl, method, request, NULL, &m);
    if (exit_code == EXIT_DONE) {
        if (prints) {
            print_value(ctl, "latch", "count", ((const Coord__V1__LatchReply *)m)->count);
        }
        client_reply_free(m);
    }
    return exit_code;
}

int ctl_latch_set(struct ctl *ctl)
{
    Coord__V1__LatchSetRequest request = COORD__V1__LATCH_SET_REQUEST__INIT;
    uint64_t count;
    int exit_code = locks_take(ctl, "/latches/");
    if (exit_code == EXIT_DONE && !value_parse_number(ctl->words[1], UINT32_MAX, &count)) {
        exit_code = ctl_usage("latch set: \"%s\" is not a number from 0", ctl->words[1]);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    request.path = ctl->lock_path;
    request.count = (uint32_t)count;
    return latch_call(ctl, CLIENT_LATCH_SET, &request.base, false);
}

int ctl_latch_count_down(struct ctl *ctl)
{
    Coord__V1__LatchCountDownRequest request = COORD__V1__LATCH_COUNT_DOWN_REQUEST__INIT;
    uint64_t by = 1;
    int exit_code = locks_take(ctl, "/latches/");
    if (exit_code == EXIT_DONE && ctl->word_count > 1) {
        exit_code = take_count(ctl, 1, UINT32_MAX, &by);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    request.path = ctl->lock_path;
    request.by = (uint32_t)by;
    return latch_call(ctl, CLIENT_LATCH_COUNT_DOWN, &request.base, true);
}

static int latch_look(struct ctl *ctl, bool no_wait)
{
    Coord__V1__LatchAwaitRequest request = COORD__V1__LATCH_AWAIT_REQUEST__INIT;
    int exit_code = locks_take(ctl, "/latches/");
    request.path = ctl->lock_path;
    request.no_wait = no_wait;
    return exit_code != EXIT_DONE
               ? exit_code
               : latch_call(ctl, CLIENT_LATCH_AWAIT, &request.base, no_wait);
}

int ctl_latch_get(struct ctl *ctl)
{
    return latch_look(ctl, true);
}

int ctl_latch_await(struct ctl *ctl)
{
    return latch_look(ctl, false);
}

/* ---- barriers ---------------------------------------------------------------------------- */

static const char *where(const Coord__V1__BarrierParty *p)
{
    return p->leaving ? "leaving" : p->inside ? "inside" : "waiting";
}

static json_t *party_json(const Coord__V1__BarrierParty *p)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:o, s:I}", "path", p->entry->path,
                     "revision", (json_int_t)p->entry->revision, "state", where(p), "epoch",
                     (json_int_t)p->epoch, "lease", ctl_json_hex(p->lease), "name",
                     ctl_json_bytes(p->name, strlen(p->name)), "note",
                     ctl_json_bytes(p->note, strlen(p->note)), "since_ms",
                     (json_int_t)p->since_ms);
}

static void print_party(const Coord__V1__BarrierParty *p)
{
    char since[40];
    ctl_format_time(p->since_ms, since, sizeof since);
    printf("%-8s %-16s %-21s %016" PRIx64 "  %s@%" PRIu64 "%s%s%s\n", where(p),
           p->name[0] != '\0' ? p->name : "-", since, p->lease, p->entry->path,
           p->entry->revision, p->note[0] != '\0' ? "  (" : "", p->note,
           p->note[0] != '\0' ? ")" : "");
}

int ctl_barrier_get(struct ctl *ctl)
{
    char after[CTL_PATH_BYTES] = "";
    json_t *list = NULL;
    int exit_code = locks_take(ctl, "/barriers/");
    do {
        Coord__V1__BarrierGetRequest request = COORD__V1__BARRIER_GET_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        request.path = ctl->lock_path;
        request.after = after;
        exit_code = exit_code == EXIT_DONE
                        ? ctl_call(ctl, CLIENT_BARRIER_GET, &request.base, NULL, &m)
                        : exit_code;
        if (exit_code != EXIT_DONE) {
            json_decref(list);
            return exit_code;
        }
        const Coord__V1__BarrierGetReply *r = (const Coord__V1__BarrierGetReply *)m;
        if (after[0] == '\0' && ctl_is_json(ctl)) {
            list = json_array();
        } else if (after[0] == '\0') {
            printf("%-8s %-16s %-21s %-17s %s %" PRIu32 "\n", "STATE", "NAME", "SINCE", "LEASE",
                   "ENTRY, OF", r->parties);
        }
        for (size_t i = 0; i < r->n_entries && r->entries[i]->entry != NULL; i++) {
            if (list != NULL) {
                json_array_append_new(list, party_json(r->entries[i]));
            } else {
                print_party(r->entries[i]);
            }
        }
        snprintf(after, sizeof after, "%s", r->next);
        client_reply_free(m);
    } while (after[0] != '\0');
    if (list != NULL) {
        ctl_print_json(ctl, list);
    }
    return EXIT_DONE;
}

int ctl_barrier_remove(struct ctl *ctl)
{
    Coord__V1__BarrierLeaveRequest request = COORD__V1__BARRIER_LEAVE_REQUEST__INIT;
    Coord__V1__LockGrant entry = COORD__V1__LOCK_GRANT__INIT;
    ProtobufCMessage *m = NULL;
    struct guards guards;
    entry.path = ctl_text(ctl->words[0]);
    if (guards_parse(&guards, ctl->words[0]) && guards.count == 1) {
        entry.path = ctl_text(guards.grants[0].path);
        entry.revision = guards.grants[0].revision;
    }
    request.entry = &entry;
    int exit_code = ctl_call(ctl, CLIENT_BARRIER_REMOVE, &request.base, NULL, &m);
    client_reply_free(m);
    guards_clear(&guards);
    return exit_code;
}
