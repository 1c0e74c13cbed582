/* What members say to each other: plain structs and their codec. No I/O, strict, fuzzed.
 *
 * A frame on the wire is
 *
 *   u32 body bytes | u32 CRC-32C of all that follows | u8 type | u8[3] check | body
 *
 * message_decode accepts exactly what message_encode makes: counts match sizes, enums are in range,
 * nothing is left over. What a well-formed message may *say* (terms, indexes, membership) is judged
 * by raft/engine.c before it is stepped. To add a message: a type, a struct, two halves in
 * message.c, a line in docs/formats.md.
 */
#ifndef RAFT_MESSAGE_H
#define RAFT_MESSAGE_H

#include "base/arena.h"
#include "base/pack.h"
#include "base/status.h"

#define MESSAGE_FORMAT 2 /* of the whole peer protocol, exchanged in HELLO */
#define MESSAGE_HEADER_BYTES 12
#define MESSAGE_BODY_BYTES_MAX ((size_t)8 << 20)
#define MESSAGE_ENTRIES_MAX 65536
#define MESSAGE_CHUNK_BYTES_MAX ((size_t)256 << 10)
#define MESSAGE_CONFIGURATION_BYTES_MAX ((size_t)64 << 10)
#define MESSAGE_TOUCHES_MAX 65536
#define MESSAGE_NAME_BYTES_MAX 64
#define MESSAGE_ADDRESS_BYTES_MAX 280
#define MESSAGE_TEXT_BYTES_MAX 512
#define MESSAGE_NOTE_BYTES_MAX ((size_t)256 << 10)

enum message_type {
    MESSAGE_HELLO = 1,
    MESSAGE_REQUEST_VOTE = 2,
    MESSAGE_REQUEST_VOTE_RESULT = 3,
    MESSAGE_APPEND_ENTRIES = 4,
    MESSAGE_APPEND_ENTRIES_RESULT = 5,
    MESSAGE_INSTALL_SNAPSHOT = 6, /* offer: the file itself is pulled */
    MESSAGE_TIMEOUT_NOW = 7,
    MESSAGE_SNAPSHOT_PULL = 8,
    MESSAGE_SNAPSHOT_CHUNK = 9,
    MESSAGE_TERM_PROBE = 10, /* read index: what is your term? */
    MESSAGE_TERM_PROBE_RESULT = 11,
    MESSAGE_READ_INDEX = 12, /* follower asks the leader for a read index */
    MESSAGE_READ_INDEX_RESULT = 13,
    MESSAGE_FORWARD = 14, /* follower hands commands to the leader */
    MESSAGE_FORWARD_RESULT = 15,
    MESSAGE_BOOT_QUERY = 16, /* before bootstrap: are you past the bootstrap entry? */
    MESSAGE_BOOT_RESULT = 17,
    MESSAGE_PING = 18, /* no body; between transports only, never delivered */
    MESSAGE_DIGEST = 19, /* member to leader: my state's digest at this index */
    MESSAGE_LEASE_ASK = 20, /* member to leader: how long has this lease to live? */
    MESSAGE_LEASE_TELL = 21,
    MESSAGE_MEMBER_ASK = 22, /* to the leader: change the members, or how far is that? */
    MESSAGE_MEMBER_TELL = 23,
    MESSAGE_REMOVED = 24, /* to one that was a member, and is not any more */
    MESSAGE_NOTE = 25, /* what the daemons tell each other; to those that know it only */
};

enum entry_type { ENTRY_COMMAND = 1, ENTRY_BARRIER = 2, ENTRY_CHANGE = 3 };

/* First frame of each direction of a connection. */
struct message_hello {
    uint32_t format;        /* MESSAGE_FORMAT */
    uint32_t feature_level; /* highest level this build knows */
    uint64_t cluster_id;
    uint64_t node_id;
    uint64_t target_id; /* whom the connecting side believes to reach */
    uint64_t boot_id;   /* of this process */
    struct slice name;
    struct slice client_address; /* where clients reach this node, "host:port" */
};

struct message_request_vote {
    uint64_t term, last_log_index, last_log_term;
    bool disrupt_leader, pre_vote;
};

struct message_request_vote_result {
    uint64_t term;
    bool vote_granted, pre_vote;
};

struct message_entry {
    uint64_t term;
    uint8_t type; /* enum entry_type */
    struct slice payload;
};

struct message_append_entries {
    uint64_t term, prev_log_index, prev_log_term, leader_commit;
    const struct message_entry *entries;
    uint32_t entry_count;
};

struct message_append_entries_result {
    uint64_t term, rejected, last_log_index;
    uint16_t features, capacity;
};

struct message_install_snapshot {
    uint64_t term, last_index, last_term, configuration_index;
    struct slice configuration;
    uint64_t file_bytes;
};

struct message_timeout_now {
    uint64_t term, last_log_index, last_log_term;
};

struct message_snapshot_pull {
    uint64_t index, offset;
    uint32_t bytes;
};

struct message_snapshot_chunk {
    uint64_t index, offset;
    uint64_t file_bytes; /* 0: this snapshot is not here any more */
    struct slice data;
};

struct message_term_probe {
    uint64_t round;
    uint64_t term; /* of the asking leader; in the result, of the answering member */
};

struct message_read_index {
    uint64_t round;
    uint64_t term;  /* result: of the confirmed leader */
    uint64_t index; /* result: serve when applied up to here */
    bool refused;   /* result: not the leader, ask another */
    /* Leases to be renewed; result: those of them that are about to end, and were not. */
    const uint64_t *touches;
    uint32_t touch_count;
};

/* `commands` is a run of encoded commands (store/command.h), each with its origin filled in. */
struct message_forward {
    uint64_t term; /* of the leader it is meant for */
    uint64_t refusals; /* that the sender has heard of, in this term */
    uint32_t command_count;
    struct slice commands;
};

/* Only for commands that were not proposed: the others are answered by applying them. */
struct message_forward_result {
    uint64_t boot_id;
    uint64_t first_counter;
    uint64_t refusals; /* how often, in this term, something of this sender was refused */
    uint32_t count;
    uint8_t status; /* enum status */
};

struct message_digest {
    uint64_t index;
    uint64_t digest;
};

struct message_lease_ask {
    uint64_t token; /* comes back with the answer */
    uint64_t lease;
};

struct message_lease_tell {
    uint64_t token;
    uint64_t remaining_ms;
    bool found; /* else remaining_ms is 0 */
};

enum member_request {
    MEMBER_ADD = 1,
    MEMBER_REMOVE = 2,
    MEMBER_REPLACE = 3,
    MEMBER_PROMOTE = 4,
    MEMBER_TRANSFER = 5,
    MEMBER_JOIN = 6, /* asked by who wants to become one */
    MEMBER_GROW = 7, /* a single node: become three, with two that ask to join */
};

enum member_verdict {
    MEMBER_DONE = 1,
    MEMBER_UNDER_WAY = 2, /* ask again; `text` says what it waits for */
    MEMBER_REFUSED = 3,   /* `text` says why */
    MEMBER_UNKNOWN = 4,   /* nobody has that name; JOIN: the one that was asked cannot tell */
    MEMBER_ELSEWHERE = 5, /* this is not the leader: that may be at `address` */
    MEMBER_GONE = 6,      /* the one that asks was removed; its id does not come back */
    MEMBER_AWAITED = 7,   /* a single node grows with the one that asks: it shall fetch the state */
};

/* Asked again and again until the verdict is final: answering changes nothing but the first time.
 */
struct message_member_ask {
    uint64_t token;       /* comes back with the answer */
    uint64_t id;          /* JOIN: of the one that asks */
    uint8_t kind;         /* enum member_request */
    bool learner;         /* ADD, REPLACE, JOIN: stays a standby */
    struct slice name;    /* of the member; TRANSFER: empty = whoever is best; GROW: empty */
    /* ADD, REPLACE, JOIN: "host:port" of peers, or empty. GROW: "name,name", or empty = any two */
    struct slice address;
    uint64_t held_index; /* JOIN: the state that it has fetched and keeps; 0 = none */
    uint64_t held_term;
};

struct message_member_tell {
    uint64_t token;
    uint8_t verdict;            /* enum member_verdict */
    struct slice text;
    struct slice address;       /* ELSEWHERE: "host:port" of the leader's peers, or empty */
    uint64_t cluster_id;        /* JOIN and DONE, AWAITED; else 0 */
    struct slice configuration; /* likewise: the present one, or the future one; else empty */
    uint64_t offer_index;       /* AWAITED: the state to be fetched; 0 = there is none yet */
    uint64_t offer_term;
    uint64_t offer_bytes;
};

struct message_removed {
    uint64_t id;
};

struct message_note {
    struct slice bytes;
};

struct message_boot {
    uint64_t last_index; /* result */
    bool has_state;      /* result: past the bootstrap entry */
};

struct message {
    uint8_t type; /* enum message_type */
    union {
        struct message_hello hello;
        struct message_request_vote request_vote;
        struct message_request_vote_result request_vote_result;
        struct message_append_entries append_entries;
        struct message_append_entries_result append_entries_result;
        struct message_install_snapshot install_snapshot;
        struct message_timeout_now timeout_now;
        struct message_snapshot_pull snapshot_pull;
        struct message_snapshot_chunk snapshot_chunk;
        struct message_term_probe term_probe;
        struct message_read_index read_index;
        struct message_forward forward;
        struct message_forward_result forward_result;
        struct message_boot boot;
        struct message_digest digest;
        struct message_lease_ask lease_ask;
        struct message_lease_tell lease_tell;
        struct message_member_ask member_ask;
        struct message_member_tell member_tell;
        struct message_removed removed;
        struct message_note note;
    };
};

/* Makes check and checksum of a whole frame right, whose length is already there; of use to tests
 * that forge frames, too. */
void message_seal(uint8_t *frame, size_t bytes);

/* Appends one whole frame. Content beyond a limit above is the caller's mistake and asserts. */
void message_encode(struct buf *out, const struct message *m);

/* Looks at the front of `bytes`: RC_OK and *frame_bytes = whole frame there; *frame_bytes = 0 =
 * need more; RC_MALFORMED or RC_TOO_LARGE = close the connection. Checks the CRC, which also covers
 * the type; the length is checked as soon as it is there. */
enum status message_frame(struct slice bytes, size_t *frame_bytes, struct errmsg *err) MUST_USE;

/* How long the frame at the front of `bytes` says it is, 0 as long as that cannot be seen: what to
 * reserve for it. Trustworthy only after message_frame returned RC_OK for the same bytes. */
size_t message_announced(struct slice bytes);

/* Decodes one whole frame that message_frame found. Slices point into it, entry arrays into
 * `arena`. RC_MALFORMED unless message_encode would make the same bytes of `out` again. */
enum status message_decode(struct slice frame, struct message *out, struct arena *arena,
                           struct errmsg *err) MUST_USE;

#endif
