/* A member that says anything. Of a real cluster of three, over the simulator's disk, network
 * and clock, one member stays, as the leader or as a follower; the other two are played from
 * here, with the right HELLO and then with what is read from the input: messages of every type
 * whose numbers are near to what would be right (terms, indexes, rounds, tokens that were
 * heard) or far from it, entries with commands, configurations and garbage, frames cut and
 * changed under way, connections that break, time.
 *
 * The member may lose what its peers agree to lose, and may stop for a reason that it tells.
 * It must not crash, and as long as it serves its store must hold its invariants. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/frame_reader.h"
#include "raft/node_internal.h"
#include "tests/fuzz/draw.h"
#include "tests/sim/cluster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEER_PORT   7001 /* as in cluster.c */
#define OTHERS      2
#define HEARD       16
#define ENTRIES_MAX 4
#define STEPS_MAX   200
#define START_US    (5 * SECOND)

struct world_of_peers;

/* One of the other members. */
struct other {
    struct world_of_peers *w;
    uint32_t number; /* of its host, 1 and 2 */
    struct sim_env *process;
    struct env_listener *listener;
    struct env_stream *stream; /* NULL: not connected */
    bool is_up;
    bool is_accepted; /* the member has dialled, and says HELLO first */
    bool is_guest;    /* poses as somebody without a cluster */
    bool has_ended;   /* to be let go, outside callbacks */
    struct frame_reader reader;
};

struct world_of_peers {
    struct input in;
    struct cluster cluster;
    struct other others[OTHERS];
    bool helps; /* the others vote for the member, and store what it sends */
    uint64_t cluster_id;
    uint64_t ids[OTHERS + 1];
    uint64_t heard[HEARD]; /* numbers that the member has said */
    size_t heard_count;
};

/* NULL: it has stopped. */
static struct node *the_node(struct world_of_peers *w)
{
    return w->cluster.nodes[0].node;
}

/* ---- what the member says ----------------------------------------------------------------- */

static void hear(struct world_of_peers *w, uint64_t number)
{
    w->heard[w->heard_count++ % HEARD] = number;
}

static void say(struct other *o, struct slice bytes)
{
    if (o->stream != NULL && o->is_up) {
        (void)o->process->env.net->write(o->stream, bytes);
    }
}

static void say_hello(struct other *o)
{
    struct buf out = {0};
    struct message hello = {
        .type = MESSAGE_HELLO,
        .hello = {.format = MESSAGE_FORMAT,
                  .feature_level = FEATURE_LEVEL,
                  .cluster_id = o->is_guest ? 0 : o->w->cluster_id,
                  .node_id = o->is_guest ? 99 : o->w->ids[o->number],
                  .target_id = o->is_guest ? 0 : o->w->ids[0],
                  .boot_id = 77,
                  .name = slice_str(o->w->cluster.members[o->number].name),
                  .client_address = slice_str("127.0.0.1:1")}};
    message_encode(&out, &hello);
    say(o, buf_slice(&out));
    buf_close(&out);
}

static void answer(struct other *o, const struct message *m)
{
    struct buf out = {0};
    message_encode(&out, m);
    say(o, buf_slice(&out));
    buf_close(&out);
}

/* As a member would that agrees with everything. */
static void help(struct other *o, const struct message *m)
{
    struct message reply = {.type = (uint8_t)(m->type + 1)};
    if (m->type == MESSAGE_REQUEST_VOTE) {
        reply.request_vote_result = (struct message_request_vote_result){
            .term = m->request_vote.term,
            .vote_granted = true,
            .pre_vote = m->request_vote.pre_vote};
        answer(o, &reply);
    } else if (m->type == MESSAGE_APPEND_ENTRIES) {
        const struct message_append_entries *a = &m->append_entries;
        reply.append_entries_result = (struct message_append_entries_result){
            .term = a->term, .last_log_index = a->prev_log_index + a->entry_count};
        answer(o, &reply);
    } else if (m->type == MESSAGE_TERM_PROBE) {
        reply.term_probe = m->term_probe;
        answer(o, &reply);
    }
}

static bool hear_frame(void *context, struct slice frame)
{
    struct other *o = context;
    struct world_of_peers *w = o->w;
    struct arena arena = {0};
    struct message m;
    struct errmsg err = {0};
    PRE(message_decode(frame, &m, &arena, &err) == RC_OK); /* it says nothing malformed */
    switch (m.type) {
    case MESSAGE_REQUEST_VOTE: hear(w, m.request_vote.term); break;
    case MESSAGE_APPEND_ENTRIES:
        hear(w, m.append_entries.prev_log_index + m.append_entries.entry_count);
        break;
    case MESSAGE_SNAPSHOT_PULL:
        hear(w, m.snapshot_pull.index);
        hear(w, m.snapshot_pull.offset);
        break;
    case MESSAGE_TERM_PROBE:
    case MESSAGE_READ_INDEX: hear(w, m.term_probe.round); break;
    case MESSAGE_LEASE_ASK: hear(w, m.lease_ask.token); break;
    case MESSAGE_MEMBER_ASK: hear(w, m.member_ask.token); break;
    case MESSAGE_HELLO:
        w->ids[0] = m.hello.node_id; /* a new one, if it joins */
        if (o->is_accepted) {
            say_hello(o);
        }
        break;
    default: break;
    }
    if (w->helps) {
        help(o, &m);
    }
    arena_close(&arena);
    return true;
}

static void other_drop(struct other *o)
{
    if (o->stream != NULL) {
        o->process->env.net->close(o->stream, false);
        o->stream = NULL;
    }
    frame_reader_close(&o->reader);
    o->reader = (struct frame_reader){.frame_bytes_max = SIZE_MAX};
    o->is_up = o->is_accepted = o->is_guest = o->has_ended = false;
}

static void open_cb(void *owner)
{
    ((struct other *)owner)->is_up = true;
    say_hello(owner);
}

static void data_cb(void *owner, struct slice bytes)
{
    struct other *o = owner;
    struct errmsg err = {0};
    PRE(frame_reader_feed(&o->reader, bytes, hear_frame, o, &err) == RC_OK);
}

static void closed_cb(void *owner, enum status rc)
{
    struct other *o = owner;
    (void)rc;
    o->stream = NULL;
    o->has_ended = true;
}

static const struct env_stream_events stream_events = {
    .open = open_cb, .data = data_cb, .closed = closed_cb};

/* The member dials. */
static void accept_cb(void *owner, struct env_stream *stream)
{
    struct other *o = owner;
    other_drop(o);
    o->stream = stream;
    o->is_up = o->is_accepted = true;
    o->process->env.net->attach(stream, &stream_events, o);
}

/* ---- what the others say ------------------------------------------------------------------ */

static uint64_t near_to(uint64_t number, uint8_t die)
{
    return number + die % 4 - (number > 0); /* one less to two more */
}

static uint64_t draw_term(struct world_of_peers *w)
{
    uint8_t die = draw(&w->in);
    uint64_t term = node_term(the_node(w));
    return die < 0x80 ? term : die < 0xf8 ? near_to(term, die) : UINT64_MAX >> (die & 7) * 8;
}

static uint64_t draw_index(struct world_of_peers *w)
{
    struct node_status status;
    uint8_t die = draw(&w->in);
    node_status(the_node(w), &status);
    switch (die & 7) {
    case 0: return 0;
    case 1: return near_to(status.commit_index, die >> 3);
    case 2: return w->heard[die >> 3 & (HEARD - 1)];
    case 3: return near_to(w->heard[die >> 3 & (HEARD - 1)], die);
    case 4: return (die & 0x40) != 0 ? UINT64_MAX >> draw(&w->in) % 64 : die;
    default: return near_to(status.last_index, (die & 0x80) != 0 ? die >> 3 : 1);
    }
}

static struct slice draw_bytes(struct world_of_peers *w, size_t max)
{
    size_t bytes = draw(&w->in);
    bytes = bytes < max ? bytes : max;
    bytes = bytes < w->in.size ? bytes : w->in.size;
    struct slice drawn = slice_make(w->in.data, bytes);
    w->in.data += bytes;
    w->in.size -= bytes;
    return drawn;
}

static struct slice draw_text(struct world_of_peers *w)
{
    static const char *const texts[] = {"",        "n1",      "n2",       "n3",
                                        "n4",      "n2:7001", "n4:7001",  "n2,n3",
                                        "n1:7001", "x",       "n\xff:0", "a name with spaces"};
    return slice_str(texts[draw(&w->in) % (sizeof texts / sizeof texts[0])]);
}

/* A batch of one command, whole or damaged. */
static void put_commands(struct world_of_peers *w, struct buf *b)
{
    static const char *const paths[] = {"/a", "/a/b", "/b", "/"};
    uint8_t die = draw(&w->in);
    struct op op = {.type = (die & 1) != 0 ? OP_CREATE : OP_SET,
                    .space = SPACE_NODES,
                    .kind = NODE_PERSISTENT,
                    .path = slice_str(paths[die >> 1 & 3]),
                    .data = slice_str("data"),
                    .version = VERSION_ANY};
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = &op, .then_count = 1}};
    if ((die & 0x18) == 0x18) {
        c = (struct command){.type = COMMAND_GRANT,
                             .lease = {.id = die,
                                       .ttl_ms = 600,
                                       .kind = LEASE_SESSION,
                                       .renewable = true,
                                       .secret = slice_str("0123456789abcdef")}};
    }
    if ((die & 0x80) != 0) {
        c.origin_boot = the_node(w)->boot_id;
        c.origin_counter = draw(&w->in);
    }
    command_encode(b, &c);
    if ((die & 0x60) == 0x60) {
        b->data[draw(&w->in) % b->size] ^= draw(&w->in);
    }
}

static void put_payload(struct world_of_peers *w, uint8_t type, struct buf *b)
{
    const struct engine_configuration *present =
        the_node(w)->engine != NULL ? engine_configuration(the_node(w)->engine) : NULL;
    uint8_t die = draw(&w->in);
    if (die == 0) {
        buf_append_slice(b, draw_bytes(w, 64));
    } else if (type == ENTRY_COMMAND) {
        struct batch_header header = {
            .level = die % 4, .count = 1, .cluster_ms = draw_index(w), .wall_ms = die};
        size_t at = batch_begin(b);
        put_commands(w, b);
        batch_seal(b, at, &header);
    } else if (type == ENTRY_CHANGE) {
        struct engine_configuration next = {.count = OTHERS + 1};
        for (size_t i = 0; i <= OTHERS; i++) {
            const struct node_member *m = &w->cluster.members[i];
            next.members[i] = (struct engine_member){.id = w->ids[i], .role = ENGINE_VOTER};
            (void)snprintf(next.members[i].address, sizeof next.members[i].address, "%s=%s:%u",
                           m->name, m->host, (unsigned)m->port);
        }
        if (present != NULL && present->count > 0 && die % 2 == 0) { /* 0: it has not joined */
            next = *present;
        }
        next.members[die % next.count].role = (die >> 6) % 3; /* enum engine_role */
        next.count -= (die & 0x30) == 0x30 && next.count > 1;
        engine_configuration_encode(b, &next);
    }
}

/* What a message borrows while it is made. */
struct parts {
    struct message_entry entries[ENTRIES_MAX];
    struct buf payloads[ENTRIES_MAX];
    struct buf bytes;
    uint64_t touches[2];
};

static void draw_append(struct world_of_peers *w, struct message *m, struct parts *parts)
{
    struct message_append_entries *a = &m->append_entries;
    *a = (struct message_append_entries){.term = draw_term(w),
                                         .prev_log_index = draw_index(w),
                                         .prev_log_term = draw_term(w),
                                         .leader_commit = draw_index(w),
                                         .entries = parts->entries};
    a->entry_count = draw(&w->in) % (ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < a->entry_count; i++) {
        uint8_t type = (uint8_t)(draw(&w->in) % 4);
        struct message_entry *e = &parts->entries[i];
        e->type = type == 0 ? (uint8_t)ENTRY_COMMAND : type;
        e->term = draw_term(w);
        put_payload(w, e->type, &parts->payloads[i]);
        e->payload = buf_slice(&parts->payloads[i]);
    }
}

static void draw_member(struct world_of_peers *w, struct message *m, struct parts *parts)
{
    if (m->type == MESSAGE_MEMBER_ASK) {
        m->member_ask = (struct message_member_ask){
            .token = draw_index(w),
            .id = w->ids[draw(&w->in) % (OTHERS + 1)],
            .kind = (uint8_t)(MEMBER_ADD + draw(&w->in) % MEMBER_GROW),
            .learner = draw(&w->in) % 2 == 1,
            .name = draw_text(w),
            .address = draw_text(w),
            .held_index = draw_index(w),
            .held_term = draw_term(w)};
        return;
    }
    put_payload(w, ENTRY_CHANGE, &parts->bytes);
    m->member_tell = (struct message_member_tell){
        .token = draw_index(w),
        .verdict = (uint8_t)(MEMBER_DONE + draw(&w->in) % MEMBER_AWAITED),
        .text = draw_text(w),
        .address = draw_text(w),
        .cluster_id = w->cluster_id,
        .configuration = buf_slice(&parts->bytes),
        .offer_index = draw_index(w),
        .offer_term = draw_term(w),
        .offer_bytes = draw_index(w)};
}

/* Of consensus. */
static bool draw_consensus(struct world_of_peers *w, struct message *m, struct parts *parts)
{
    uint8_t die = draw(&w->in);
    switch (m->type) {
    case MESSAGE_REQUEST_VOTE:
        m->request_vote = (struct message_request_vote){
            draw_term(w), draw_index(w), draw_term(w), (die & 1) != 0, (die & 2) != 0};
        return true;
    case MESSAGE_REQUEST_VOTE_RESULT:
        m->request_vote_result =
            (struct message_request_vote_result){draw_term(w), (die & 3) != 0, (die & 4) != 0};
        return true;
    case MESSAGE_APPEND_ENTRIES: draw_append(w, m, parts); return true;
    case MESSAGE_APPEND_ENTRIES_RESULT:
        m->append_entries_result = (struct message_append_entries_result){
            draw_term(w), (die & 3) == 3 ? draw_index(w) : 0, draw_index(w), die, die};
        return true;
    case MESSAGE_INSTALL_SNAPSHOT:
        put_payload(w, ENTRY_CHANGE, &parts->bytes);
        m->install_snapshot = (struct message_install_snapshot){
            draw_term(w), draw_index(w), draw_term(w), draw_index(w), buf_slice(&parts->bytes),
            die * UINT64_C(16)};
        return true;
    case MESSAGE_TIMEOUT_NOW:
        m->timeout_now = (struct message_timeout_now){draw_term(w), draw_index(w), draw_term(w)};
        return true;
    case MESSAGE_SNAPSHOT_PULL:
        m->snapshot_pull = (struct message_snapshot_pull){draw_index(w), draw_index(w), die};
        return true;
    case MESSAGE_SNAPSHOT_CHUNK:
        m->snapshot_chunk = (struct message_snapshot_chunk){
            draw_index(w), draw_index(w), die * UINT64_C(16), draw_bytes(w, 64)};
        return true;
    default: return false;
    }
}

/* Between nodes. */
static void draw_other(struct world_of_peers *w, struct message *m, struct parts *parts)
{
    uint8_t die = draw(&w->in);
    switch (m->type) {
    case MESSAGE_TERM_PROBE:
    case MESSAGE_TERM_PROBE_RESULT:
        m->term_probe = (struct message_term_probe){draw_index(w), draw_term(w)};
        break;
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_RESULT:
        parts->touches[0] = die;
        parts->touches[1] = draw_index(w);
        m->read_index = (struct message_read_index){
            .round = draw_index(w),
            .term = draw_term(w),
            .index = draw_index(w),
            .refused = m->type == MESSAGE_READ_INDEX_RESULT && die % 4 == 0,
            .touches = parts->touches,
            .touch_count = die % 3};
        break;
    case MESSAGE_FORWARD:
        m->forward = (struct message_forward){draw_term(w), die % 2, 1 + (die == 0xff), {0}};
        put_commands(w, &parts->bytes);
        m->forward.commands = buf_slice(&parts->bytes);
        break;
    case MESSAGE_FORWARD_RESULT:
        m->forward_result = (struct message_forward_result){
            the_node(w)->boot_id, draw_index(w), die % 2, 1 + die % 4, (uint8_t)(1 + die % 8)};
        break;
    case MESSAGE_BOOT_RESULT: m->boot = (struct message_boot){draw_index(w), die % 2 == 1}; break;
    case MESSAGE_DIGEST:
        m->digest = (struct message_digest){draw_index(w), die % 2 == 0 ? die : draw_index(w)};
        break;
    case MESSAGE_LEASE_ASK: m->lease_ask = (struct message_lease_ask){draw_index(w), die}; break;
    case MESSAGE_LEASE_TELL:
        m->lease_tell = (struct message_lease_tell){
            .token = draw_index(w), .remaining_ms = die % 2 * UINT64_C(500), .found = die % 2 == 1};
        break;
    case MESSAGE_MEMBER_ASK:
    case MESSAGE_MEMBER_TELL: draw_member(w, m, parts); break;
    case MESSAGE_REMOVED: m->removed.id = w->ids[die < 8 ? 0 : 1]; break; /* rarely it */
    case MESSAGE_NOTE: m->note.bytes = draw_bytes(w, 64); break;
    default: break;
    }
}

static void say_message(struct world_of_peers *w, struct other *o)
{
    struct parts parts = {0};
    struct buf frame = {0};
    struct message m = {.type =
                            (uint8_t)(MESSAGE_REQUEST_VOTE + draw(&w->in) % (MESSAGE_NOTE - 1))};
    if (!draw_consensus(w, &m, &parts)) {
        draw_other(w, &m, &parts);
    }
    uint8_t die = draw(&w->in);
    message_encode(&frame, &m);
    if (die < 16) { /* changed, and sealed as if it had been meant so */
        size_t at = MESSAGE_HEADER_BYTES + draw(&w->in);
        frame.data[at < frame.size ? at : 8] ^= draw(&w->in);
        message_seal(frame.data, frame.size);
    } else if (die < 20) {
        frame.data[die % frame.size] ^= 1;
    }
    say(o, buf_slice(&frame));
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        buf_close(&parts.payloads[i]);
    }
    buf_close(&parts.bytes);
    buf_close(&frame);
}

/* ---- steps -------------------------------------------------------------------------------- */

static const uint64_t times_us[] = {100, 2 * MS, 30 * MS, 150 * MS};

static void other_connect(struct other *o, bool is_guest)
{
    other_drop(o);
    o->is_guest = is_guest;
    o->stream = o->process->env.net->connect(&o->process->env, "n1", PEER_PORT, &stream_events, o);
}

/* What liars can bring about: that it takes itself for removed, that they have it win a term twice,
 * and that it stops and says why, whatever they made it believe: that logs contradict, that entries
 * are committed which mean nothing, that it has long been a voter or is too old for the cluster. */
static bool is_allowed_end(const char *why)
{
    static const char *const ends[] = {"was removed", "stopped itself: ", "two leaders",
                                       "terms run away"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (strstr(why, ends[i]) != NULL) {
            return true;
        }
    }
    (void)fprintf(stderr, "%s\n", why);
    return false;
}

/* False: the member has stopped. */
static bool step(struct world_of_peers *w)
{
    uint8_t die = draw(&w->in);
    struct other *o = &w->others[die & 1];
    uint8_t action = die >> 1 & 0x1f;
    if (action == 0) {
        other_drop(o);
    } else if (action == 1) {
        other_connect(o, (die & 0xc0) == 0xc0);
    } else if (action == 2) {
        say(o, draw_bytes(w, 32));
    } else if (action < 6) {
        cluster_run(&w->cluster, times_us[die >> 6]);
    } else if (action == 6 && node_is_serving(the_node(w))) {
        node_touch(the_node(w), die);
    } else if (action == 7) {
        w->helps = !w->helps;
    } else {
        say_message(w, o);
    }
    if ((die & 0x80) == 0) {
        cluster_run(&w->cluster, MS);
    }
    for (size_t i = 0; i < OTHERS; i++) {
        if (w->others[i].has_ended) {
            other_drop(&w->others[i]);
        }
    }
    if (w->cluster.world.failed || the_node(w) == NULL) {
        PRE(is_allowed_end(w->cluster.world.why));
        return false;
    }
    if (node_store(the_node(w)) != NULL) {
        store_check(node_store(the_node(w)));
    }
    return true;
}

/* ---- begin and end ------------------------------------------------------------------------ */

static void nothing(void *context)
{
    (void)context;
}

static bool is_serving(struct cluster *c, void *context)
{
    (void)context;
    return cluster_leader(c) >= 0 && cluster_is_equal(c) && node_is_serving(c->nodes[0].node);
}

static void others_begin(struct world_of_peers *w)
{
    struct errmsg err = {0};
    struct node_status status;
    node_status(the_node(w), &status);
    w->cluster_id = status.cluster_id;
    w->ids[0] = status.node_id;
    for (uint32_t i = 0; i < OTHERS; i++) {
        struct other *o = &w->others[i];
        struct sim_host *host = &w->cluster.nodes[i + 1].host;
        node_status(w->cluster.nodes[i + 1].node, &status);
        w->ids[i + 1] = status.node_id;
        w->cluster.nodes[i + 1].is_out = true;
        cluster_crash(&w->cluster, i + 1, DEATH_KILL);
        *o = (struct other){.w = w, .number = i + 1};
        o->reader.frame_bytes_max = SIZE_MAX;
        o->process = sim_env_new(host, nothing, nothing, o);
        PRE(o->process->env.net->listen(&o->process->env, w->cluster.nodes[i + 1].name, PEER_PORT,
                                        accept_cb, o, &o->listener, &err) == RC_OK);
    }
}

static void others_end(struct world_of_peers *w)
{
    for (uint32_t i = 0; i < OTHERS; i++) {
        struct other *o = &w->others[i];
        other_drop(o);
        o->process->env.net->listener_close(o->listener);
        sim_env_kill(o->process, false);
        PRE(sim_env_free(o->process) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world_of_peers *w = mem_zalloc(sizeof *w);
    struct cluster_options options = {
        .nodes = OTHERS + 1,
        .election_timeout_ms = 60,
        .heartbeat_ms = 10,
        .wal_segment_bytes = (size_t)64 << 10,
        .snapshot_log_bytes = 4096,
        .trailing_log_bytes = 1024,
    };
    w->in = (struct input){data, size};
    uint8_t die = draw(&w->in);
    options.seed = die % 4 + 1U; /* who leads depends on it */
    w->helps = (die & 4) != 0;
    cluster_init(&w->cluster, &options);
    cluster_start_all(&w->cluster);
    PRE(cluster_run_until(&w->cluster, START_US, is_serving, NULL));
    others_begin(w);
    if ((die & 8) != 0) { /* with an empty disk it asks to be added */
        cluster_crash(&w->cluster, 0, DEATH_KILL);
        cluster_lose_disk(&w->cluster, 0);
        PRE(cluster_start(&w->cluster, 0));
    }
    cluster_run(&w->cluster, 50 * MS);
    for (size_t i = 0; i < OTHERS; i++) {
        if (w->others[i].stream == NULL) { /* it is not the member that has to dial */
            other_connect(&w->others[i], false);
        }
    }
    cluster_run(&w->cluster, w->helps ? 500 * MS : 10 * MS); /* until it leads */
    for (int i = 0; i < STEPS_MAX && w->in.size > 0 && step(w); i++) {
    }
    others_end(w);
    cluster_close(&w->cluster);
    mem_free(w);
    return 0;
}
