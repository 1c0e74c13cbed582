/* Access control lists of nodes: "acl get", "acl set". An entry is RIGHTS:SCHEME:ID. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/rights.h"
#include "cmd/coordctl/ctl.h"
#include "coord/v1/tree.pb-c.h"

#define ENTRY_BYTES_MAX 1024

int ctl_acl_get(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetAclRequest request = COORD__V1__GET_ACL_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    int exit_code = ctl_call(ctl, CLIENT_GET_ACL, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__GetAclReply *reply = (const Coord__V1__GetAclReply *)m;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    for (size_t i = 0; i < reply->n_acl; i++) {
        const Coord__V1__Acl *e = reply->acl[i];
        char rights[RIGHTS_TEXT_BYTES];
        rights_print(e->permissions, rights);
        if (array != NULL) {
            json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "rights", rights,
                                                   "scheme", e->scheme, "id", e->id));
        } else {
            printf("%s:%s:%s\n", rights, e->scheme, e->id);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* "read,write:user:web"; `text` keeps the parts. */
static bool entry_parse(const char *word, char text[ENTRY_BYTES_MAX], Coord__V1__Acl *entry)
{
    if (strlen(word) >= ENTRY_BYTES_MAX) {
        return false;
    }
    memcpy(text, word, strlen(word) + 1);
    char *scheme = strchr(text, ':');
    char *id = scheme == NULL ? NULL : strchr(scheme + 1, ':');
    if (id == NULL) {
        return false;
    }
    *scheme++ = '\0';
    *id++ = '\0';
    coord__v1__acl__init(entry);
    entry->scheme = scheme;
    entry->id = id;
    return rights_parse(text, &entry->permissions);
}

int ctl_acl_set(struct ctl *ctl)
{
    char texts[CTL_WORDS_MAX][ENTRY_BYTES_MAX];
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__SetAclRequest request = COORD__V1__SET_ACL_REQUEST__INIT;
    Coord__V1__Expect expect = COORD__V1__EXPECT__INIT;
    Coord__V1__Acl entries[CTL_WORDS_MAX];
    Coord__V1__Acl *list[CTL_WORDS_MAX];
    size_t count = ctl->word_count - 1;
    for (size_t i = 0; i < count; i++) {
        if (!entry_parse(ctl->words[i + 1], texts[i], &entries[i])) {
            return ctl_usage("acl set: \"%s\" is not RIGHTS:SCHEME:ID, such as "
                             "read,write:user:web or read:world:anyone",
                             ctl->words[i + 1]);
        }
        list[i] = &entries[i];
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.acl = list;
    request.n_acl = count;
    if (ctl->version != COORD_ANY_VERSION) {
        expect.version = (uint32_t)ctl->version;
        request.expect = &expect;
    }
    return ctl_change(ctl, CLIENT_SET_ACL, &request.base, &header);
}
