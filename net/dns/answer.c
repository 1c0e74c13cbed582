#include "net/dns/answer.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "recipes/instance.h"
#include "store/query.h"

#define HEADER_BYTES    12
#define LABELS_MAX      8
#define LABEL_BYTES_MAX 63
#define TEXT_BYTES_MAX  255 /* of one string of a TXT record */
#define PAGE_INSTANCES  ((uint32_t)100)
/* Of a record of an instance: a reference to its name, type, class, TTL, length and an A record's
 * address; all others have more. */
#define RECORD_BYTES_MIN ((size_t)16)

/* ---- headers ------------------------------------------------------------------------------ */

static unsigned word_at(struct slice packet, size_t at)
{
    return (unsigned)(packet.data[at] << 8 | packet.data[at + 1]);
}

static bool is_question(struct slice packet)
{
    return packet.size >= HEADER_BYTES && (packet.data[2] & 0x80) == 0;
}

/* Nothing but a header: all that may be said about what cannot be read. */
bool dns_fail(struct slice packet, enum dns_code code, struct buf *reply)
{
    if (!is_question(packet)) {
        return false;
    }
    uint8_t header[HEADER_BYTES] = {packet.data[0], packet.data[1]};
    header[2] = (uint8_t)(0x80 | (packet.data[2] & 0x79)); /* opcode and RD as asked */
    header[3] = (uint8_t)code;
    buf_append(reply, header, sizeof header);
    return true;
}

/* What is wrong with it before its names are looked at. */
static enum dns_code header_check(struct slice packet)
{
    unsigned opcode = packet.data[2] >> 3 & 15;
    bool is_plain = word_at(packet, 4) == 1 && word_at(packet, 6) == 0 &&
                    word_at(packet, 8) == 0 && word_at(packet, 10) <= 1;
    return opcode != 0 ? DNS_NOT_IMPLEMENTED : is_plain ? DNS_OK : DNS_FORMAT;
}

/* ---- names -------------------------------------------------------------------------------- */

/* The labels of a name in small letters, the last one first. */
struct name {
    char labels[LABELS_MAX][LABEL_BYTES_MAX + 1];
    size_t count; /* LABELS_MAX + 1: there are more, and only the last one was taken */
};

static void label_take(const uint8_t *label, char to[LABEL_BYTES_MAX + 1])
{
    for (size_t i = 0; i < label[0]; i++) {
        to[i] = (char)tolower(label[1 + i]);
    }
    to[label[0]] = '\0';
}

static void name_take(const ldns_rdf *from, struct name *to)
{
    const uint8_t *data = ldns_rdf_data(from);
    size_t size = ldns_rdf_size(from);
    const uint8_t *found[LABELS_MAX];
    const uint8_t *last = NULL;
    size_t count = 0;
    for (size_t at = 0; at < size && data[at] != 0; at += (size_t)data[at] + 1) {
        if (data[at] > LABEL_BYTES_MAX || at + data[at] >= size) {
            to->count = 0; /* no name; the library has none such */
            return;
        }
        last = data + at;
        if (count < LABELS_MAX) {
            found[count] = last;
        }
        count++;
    }
    to->count = count <= LABELS_MAX ? count : LABELS_MAX + 1;
    if (count > LABELS_MAX) {
        label_take(last, to->labels[0]);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        label_take(found[count - 1 - i], to->labels[i]);
    }
}

static bool label_is(const struct name *n, size_t at, const char *text)
{
    return n->count > at && strcmp(n->labels[at], text) == 0;
}

/* ---- an answer under way ------------------------------------------------------------------ */

struct answer {
    const struct store *store;
    const struct dns_asked *asked;
    ldns_pkt *reply;
    const ldns_rdf *owner; /* the name that was asked for */
    ldns_rr_type type;
    size_t room; /* bytes that the reply may have */
    struct arena arena;
    bool has_failed;   /* out of memory */
    bool is_truncated; /* it does not fit, or would take too long */
};

/* Takes `rr`, which is NULL if there was no memory for it. */
static void push(struct answer *a, ldns_pkt_section section, ldns_rr *rr)
{
    if (rr == NULL || !ldns_pkt_push_rr(a->reply, section, rr)) {
        ldns_rr_free(rr);
        a->has_failed = true;
    }
}

static ldns_rr *record_new(struct answer *a, ldns_rdf *owner, ldns_rr_type type)
{
    ldns_rr *rr = ldns_rr_new();
    if (rr == NULL || owner == NULL) {
        ldns_rdf_deep_free(owner);
        ldns_rr_free(rr);
        a->has_failed = true;
        return NULL;
    }
    ldns_rr_set_owner(rr, owner);
    ldns_rr_set_type(rr, type);
    ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(rr, a->asked->ttl_s);
    return rr;
}

static void add_data(struct answer *a, ldns_rr *rr, ldns_rdf *data)
{
    if (rr == NULL || data == NULL || !ldns_rr_push_rdf(rr, data)) {
        ldns_rdf_deep_free(data);
        a->has_failed = true;
    }
}

static ldns_rdf *name_new(const char *text)
{
    return ldns_dname_new_frm_str(text);
}

static bool wants(const struct answer *a, ldns_rr_type type)
{
    return a->type == type || a->type == LDNS_RR_TYPE_ANY;
}

/* ---- addresses ---------------------------------------------------------------------------- */

struct address {
    int family; /* 0: a host name */
    uint8_t bytes[16];
};

static struct address address_of(const char *text)
{
    struct address a = {0};
    if (inet_pton(AF_INET, text, a.bytes) == 1) {
        a.family = AF_INET;
    } else if (inet_pton(AF_INET6, text, a.bytes) == 1) {
        a.family = AF_INET6;
    }
    return a;
}

static void add_address(struct answer *a, ldns_pkt_section section, ldns_rdf *owner,
                        const struct address *address)
{
    bool is_v4 = address->family == AF_INET;
    ldns_rr *rr = record_new(a, owner, is_v4 ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA);
    add_data(a, rr,
             ldns_rdf_new_frm_data(is_v4 ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA, is_v4 ? 4 : 16,
                                   address->bytes));
    push(a, section, rr);
}

/* "10-0-0-7", "fd00--8": four numbers are IPv4, all else IPv6 or nothing. */
static struct address address_in_label(const char *label)
{
    char text[LABEL_BYTES_MAX + 1];
    struct address a = {0};
    for (int family = 0; family < 2 && a.family == 0; family++) {
        size_t i = 0;
        for (; label[i] != '\0'; i++) {
            text[i] = label[i] == '-' ? ".:"[family] : label[i];
        }
        text[i] = '\0';
        a = address_of(text);
    }
    return a;
}

/* The name that an SRV record points to. */
static void target_name(const char *address, char *text, size_t bytes)
{
    if (address_of(address).family == 0) {
        size_t size = strlen(address);
        (void)snprintf(text, bytes, "%s%s", address,
                       size > 0 && address[size - 1] == '.' ? "" : ".");
        return;
    }
    (void)snprintf(text, bytes, "%s.ip.coord.", address);
    for (size_t i = 0; address[i] != '\0'; i++) {
        text[i] = address[i] == '.' || address[i] == ':' ? '-' : address[i];
    }
}

/* ---- instances ---------------------------------------------------------------------------- */

struct found {
    struct service_instance in;
    struct slice id;
    const char *address;
};

static void add_text(struct answer *a, ldns_rr *rr, const char *name, struct slice value)
{
    uint8_t text[TEXT_BYTES_MAX + 1];
    size_t bytes = strlen(name);
    if (rr == NULL || bytes + 1 + value.size > TEXT_BYTES_MAX) {
        return; /* does not fit a string of the DNS */
    }
    memcpy(text + 1, name, bytes);
    text[1 + bytes] = '=';
    memcpy(text + 2 + bytes, value.data, value.size);
    text[0] = (uint8_t)(bytes + 1 + value.size);
    add_data(a, rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, (size_t)text[0] + 1, text));
}

static void add_txt(struct answer *a, const struct found *f)
{
    char weight[16];
    struct buf tags = {0};
    ldns_rr *rr = record_new(a, ldns_rdf_clone(a->owner), LDNS_RR_TYPE_TXT);
    int size = snprintf(weight, sizeof weight, "%u", f->in.weight);
    add_text(a, rr, "id", f->id);
    if (f->in.zone.size > 0) {
        add_text(a, rr, "zone", f->in.zone);
    }
    add_text(a, rr, "weight", slice_make(weight, (size_t)size));
    for (uint32_t i = 0; i < f->in.tag_count; i++) {
        buf_append_str(&tags, i > 0 ? "," : "");
        buf_append_slice(&tags, f->in.tags[i]);
    }
    if (tags.size > 0) {
        add_text(a, rr, "tags", buf_slice(&tags));
    }
    buf_close(&tags);
    for (uint32_t i = 0; i < f->in.meta_count; i++) {
        char name[INSTANCE_WORD_BYTES_MAX + 1];
        memcpy(name, f->in.meta[i].name.data, f->in.meta[i].name.size);
        name[f->in.meta[i].name.size] = '\0';
        add_text(a, rr, name, f->in.meta[i].value);
    }
    push(a, LDNS_SECTION_ANSWER, rr);
}

/* An address that is no name of the DNS, as "a..b", has no record. */
static void add_srv(struct answer *a, const struct found *f)
{
    char target[INSTANCE_ADDRESS_BYTES_MAX + 16];
    struct address address = address_of(f->address);
    target_name(f->address, target, sizeof target);
    ldns_rdf *name = NULL;
    ldns_status status = ldns_str2rdf_dname(&name, target);
    if (status != LDNS_STATUS_OK && status != LDNS_STATUS_MEM_ERR) {
        return;
    }
    ldns_rr *rr = record_new(a, ldns_rdf_clone(a->owner), LDNS_RR_TYPE_SRV);
    add_data(a, rr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, 0));
    add_data(a, rr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, (uint16_t)f->in.weight));
    add_data(a, rr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, f->in.port));
    add_data(a, rr, name);
    push(a, LDNS_SECTION_ANSWER, rr);
    if (address.family != 0) {
        add_address(a, LDNS_SECTION_ADDITIONAL, name_new(target), &address);
    }
}

static void add_instance(struct answer *a, const struct found *f)
{
    struct address address = address_of(f->address);
    if ((address.family == AF_INET && wants(a, LDNS_RR_TYPE_A)) ||
        (address.family == AF_INET6 && wants(a, LDNS_RR_TYPE_AAAA))) {
        add_address(a, LDNS_SECTION_ANSWER, ldns_rdf_clone(a->owner), &address);
    }
    if (wants(a, LDNS_RR_TYPE_SRV)) {
        add_srv(a, f);
    }
    if (wants(a, LDNS_RR_TYPE_TXT)) {
        add_txt(a, f);
    }
}

/* Tags are asked for in small letters, whatever they are. */
static bool has_tag(const struct service_instance *in, const char *tag)
{
    for (uint32_t i = 0; i < in->tag_count; i++) {
        const struct slice *t = &in->tags[i];
        if (t->size == strlen(tag) && strncasecmp((const char *)t->data, tag, t->size) == 0) {
            return true;
        }
    }
    return false;
}

/* Who is asked for first: those that are well, then those that may be, then anybody. */
enum tier { TIER_WELL, TIER_SUSPECTED, TIER_REST };

static enum tier tier_of(const struct service_instance *in)
{
    return in->draining || in->health == HEALTH_DOWN   ? TIER_REST
           : in->health == HEALTH_SUSPECTED_DOWN ? TIER_SUSPECTED
                                                 : TIER_WELL;
}

/* Those of the best tier that was seen. */
struct gathered {
    const char *tag; /* NULL: all */
    struct found *found;
    size_t count;
    size_t records; /* that they have at least, of the type that was asked for */
    enum tier tier;
};

/* Whether it has a record of the type for sure: of SRV, a host name may be none of the DNS. */
static bool has_record(const struct answer *a, const struct found *f)
{
    int family = address_of(f->address).family;
    return wants(a, LDNS_RR_TYPE_TXT) || (family == AF_INET && a->type == LDNS_RR_TYPE_A) ||
           (family == AF_INET6 && a->type == LDNS_RR_TYPE_AAAA) ||
           (family != 0 && a->type == LDNS_RR_TYPE_SRV);
}

static void gather(struct answer *a, const struct query_entry *e, struct gathered *g)
{
    struct slice service;
    struct found f;
    if (e->unreadable || !instance_path_split(e->path, &service, &f.id) ||
        !instance_decode(e->data, &f.in, &a->arena) || tier_of(&f.in) > g->tier ||
        (g->tag != NULL && !has_tag(&f.in, g->tag))) {
        return;
    }
    if (tier_of(&f.in) < g->tier) {
        g->tier = tier_of(&f.in);
        g->count = 0;
        g->records = 0;
    }
    if (g->count == DNS_INSTANCES_MAX) {
        return;
    }
    char *address = arena_alloc(&a->arena, f.in.address.size + 1);
    memcpy(address, f.in.address.data, f.in.address.size);
    address[f.in.address.size] = '\0';
    f.address = address;
    g->found[g->count++] = f;
    g->records += has_record(a, &f);
}

/* By pages, so that no more are looked at than an answer can take. */
static enum outcome gather_all(struct answer *a, struct slice path, struct gathered *g)
{
    size_t left = a->asked->by_tcp ? 2 * DNS_INSTANCES_MAX : DNS_UDP_LOOKED_MAX;
    struct query_result page = {.more = true};
    struct query query = {
        .type = QUERY_LIST, .space = SPACE_NODES, .path = path, .with_data = true};
    while (page.more && left > 0 && !a->is_truncated) {
        query.limit = left < PAGE_INSTANCES ? (uint32_t)left : PAGE_INSTANCES;
        store_query(a->store, &query, &page, &a->arena);
        if (page.outcome != OUTCOME_OK) {
            return (enum outcome)page.outcome;
        }
        for (uint32_t i = 0; i < page.entry_count; i++) {
            gather(a, &page.entries[i], g);
        }
        left -= page.entry_count;
        query.after = page.entry_count > 0 ? page.entries[page.entry_count - 1].path : path;
        a->is_truncated = !a->asked->by_tcp && g->tier == TIER_WELL &&
                          g->records * RECORD_BYTES_MIN > a->room;
    }
    a->is_truncated = a->is_truncated || (page.more && !a->asked->by_tcp);
    return OUTCOME_OK;
}

static enum dns_code answer_service(struct answer *a, const char *service, const char *tag)
{
    char path[INSTANCE_PATH_BYTES_MAX];
    if (service_name_check(slice_str(service), NULL) != RC_OK) {
        return DNS_NO_NAME;
    }
    struct gathered g = {
        .tag = tag,
        .found = arena_alloc(&a->arena, DNS_INSTANCES_MAX * sizeof *g.found),
        .tier = TIER_REST,
    };
    enum outcome outcome =
        gather_all(a, instance_path(slice_str(service), slice_make(NULL, 0), path), &g);
    if (outcome != OUTCOME_OK) {
        return outcome == OUTCOME_NO_NODE ? DNS_NO_NAME : DNS_REFUSED;
    }
    if (a->is_truncated) {
        return DNS_OK;
    }
    if (g.count == 0 && tag != NULL) {
        return DNS_NO_NAME;
    }
    /* What does not fit is not sent at all: the rest of it would be made for nothing. */
    for (size_t i = 0; i < g.count && !a->has_failed &&
                       ldns_pkt_ancount(a->reply) * RECORD_BYTES_MIN <= a->room;
         i++) {
        add_instance(a, &g.found[(a->asked->turn + i) % g.count]);
    }
    return DNS_OK;
}

/* ---- the zone ----------------------------------------------------------------------------- */

/* Who asks for what is not there keeps that in mind no longer than any other answer. */
static void add_soa(struct answer *a, ldns_pkt_section section)
{
    ldns_rr *rr = record_new(a, name_new("coord."), LDNS_RR_TYPE_SOA);
    add_data(a, rr, name_new("coord."));
    add_data(a, rr, name_new("nobody.coord."));
    const uint32_t numbers[] = {1, 3600, 600, 86400, a->asked->ttl_s};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        add_data(a, rr,
                 ldns_native2rdf_int32(i == 0 ? LDNS_RDF_TYPE_INT32 : LDNS_RDF_TYPE_PERIOD,
                                       numbers[i]));
    }
    push(a, section, rr);
}

static enum dns_code answer_ip(struct answer *a, const char *label)
{
    struct address address = address_in_label(label);
    if (address.family == 0) {
        return DNS_NO_NAME;
    }
    if (wants(a, address.family == AF_INET ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA)) {
        add_address(a, LDNS_SECTION_ANSWER, ldns_rdf_clone(a->owner), &address);
    }
    return DNS_OK;
}

static enum dns_code answer_name(struct answer *a, const struct name *n)
{
    if (!label_is(n, 0, "coord")) {
        return DNS_REFUSED;
    }
    if (n->count > LABELS_MAX) {
        return DNS_NO_NAME;
    }
    if (n->count == 1) {
        if (wants(a, LDNS_RR_TYPE_SOA)) {
            add_soa(a, LDNS_SECTION_ANSWER);
        }
        return DNS_OK;
    }
    if (n->count == 2) {
        return label_is(n, 1, "service") || label_is(n, 1, "ip") ? DNS_OK : DNS_NO_NAME;
    }
    if (label_is(n, 1, "ip") && n->count == 3) {
        return answer_ip(a, n->labels[2]);
    }
    if (!label_is(n, 1, "service") || n->count > 4) {
        return DNS_NO_NAME;
    }
    return answer_service(a, n->labels[2], n->count == 4 ? n->labels[3] : NULL);
}

/* ---- the packet --------------------------------------------------------------------------- */

static size_t room_of(const struct dns_asked *asked, const ldns_pkt *question)
{
    if (asked->by_tcp) {
        return DNS_TCP_BYTES_MAX;
    }
    size_t room = ldns_pkt_edns(question) ? ldns_pkt_edns_udp_size(question) : 0;
    room = room < DNS_UDP_BYTES_MIN ? DNS_UDP_BYTES_MIN : room;
    return room < DNS_UDP_BYTES_MAX ? room : DNS_UDP_BYTES_MAX;
}

static ldns_pkt *reply_new(const ldns_pkt *question, const ldns_rr *asked)
{
    ldns_pkt *reply = ldns_pkt_new();
    ldns_rr *copy = ldns_rr_clone(asked);
    if (reply == NULL || copy == NULL) {
        ldns_pkt_free(reply);
        ldns_rr_free(copy);
        return NULL;
    }
    ldns_pkt_set_id(reply, ldns_pkt_id(question));
    ldns_pkt_set_qr(reply, true);
    ldns_pkt_set_aa(reply, true);
    ldns_pkt_set_rd(reply, ldns_pkt_rd(question));
    ldns_rr_set_question(copy, true);
    (void)ldns_pkt_push_rr(reply, LDNS_SECTION_QUESTION, copy);
    if (ldns_pkt_edns(question)) {
        ldns_pkt_set_edns_udp_size(reply, DNS_UDP_BYTES_MAX);
    }
    return reply;
}

/* False: it does not fit. */
static bool append_reply(ldns_pkt *reply, size_t room, struct buf *out)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool ok = ldns_pkt2wire(&bytes, reply, &size) == LDNS_STATUS_OK && size <= room;
    if (ok) {
        buf_append(out, bytes, size);
    }
    LDNS_FREE(bytes);
    return ok;
}

/* So that it is asked for again by TCP. */
static bool answer_truncated(const ldns_pkt *question, const ldns_rr *asked, size_t room,
                             struct buf *out)
{
    ldns_pkt *reply = reply_new(question, asked);
    if (reply == NULL) {
        return false;
    }
    ldns_pkt_set_tc(reply, true);
    bool ok = append_reply(reply, room, out);
    ldns_pkt_free(reply);
    return ok;
}

static bool answer_question(const struct store *s, const struct dns_asked *asked,
                            const ldns_pkt *question, const ldns_rr *rr, struct buf *out)
{
    struct name name = {.count = 0};
    struct answer a = {
        .store = s,
        .asked = asked,
        .reply = reply_new(question, rr),
        .owner = ldns_rr_owner(rr),
        .type = ldns_rr_get_type(rr),
        .room = room_of(asked, question),
    };
    if (a.reply == NULL) {
        return false;
    }
    name_take(a.owner, &name);
    bool is_ours = ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN;
    a.is_truncated = asked->is_over;
    enum dns_code code = a.is_truncated ? DNS_OK
                         : is_ours      ? answer_name(&a, &name)
                                        : DNS_REFUSED;
    if ((code == DNS_OK && ldns_pkt_ancount(a.reply) == 0) || code == DNS_NO_NAME) {
        add_soa(&a, LDNS_SECTION_AUTHORITY);
    }
    ldns_pkt_set_rcode(a.reply, (uint8_t)code);
    bool fits = !a.has_failed && !a.is_truncated && append_reply(a.reply, a.room, out);
    bool ok = fits || (!a.has_failed && answer_truncated(question, rr, a.room, out));
    ldns_pkt_free(a.reply);
    arena_close(&a.arena);
    return ok;
}

bool dns_answer(const struct store *s, const struct dns_asked *asked, struct buf *reply)
{
    ldns_pkt *question = NULL;
    if (!is_question(asked->packet)) {
        return false;
    }
    enum dns_code code = header_check(asked->packet);
    if (code != DNS_OK) {
        return dns_fail(asked->packet, code, reply);
    }
    bool is_read = ldns_wire2pkt(&question, asked->packet.data, asked->packet.size) ==
                   LDNS_STATUS_OK;
    const ldns_rr *rr = is_read ? ldns_rr_list_rr(ldns_pkt_question(question), 0) : NULL;
    if (rr == NULL || ldns_rr_owner(rr) == NULL) {
        ldns_pkt_free(question);
        return dns_fail(asked->packet, DNS_FORMAT, reply);
    }
    bool ok = answer_question(s, asked, question, rr, reply);
    ldns_pkt_free(question);
    return ok || dns_fail(asked->packet, DNS_FAILURE, reply);
}
