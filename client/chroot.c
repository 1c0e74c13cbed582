#include "client/chroot.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* False: no memory. */
typedef bool (*change_fn)(const char *root, char **path);

/* ---- the walk ---------------------------------------------------------------------------- */

static bool is_path(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING &&
           (strcmp(field->name, "path") == 0 || strcmp(field->name, "paths") == 0) &&
           strcmp(m->descriptor->name, "coord.v1.ServiceCheck") != 0;
}

/* How many values a field has now. */
static size_t count_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)m;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count;
        memcpy(&count, base + field->quantifier_offset, sizeof count);
        return count;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t which;
        memcpy(&which, base + field->quantifier_offset, sizeof which);
        return which == field->id;
    }
    void *value;
    memcpy(&value, base + field->offset, sizeof value);
    return value != NULL;
}

static bool walk(const char *root, ProtobufCMessage *m, change_fn change)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (!is_message && !is_path(m, field)) {
            continue;
        }
        void *place = (char *)m + field->offset;
        size_t count = count_of(m, field);
        void **values = place;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&values, place, sizeof values);
        }
        for (size_t j = 0; j < count; j++) {
            bool was_changed = is_message ? walk(root, values[j], change)
                                          : change(root, (char **)&values[j]);
            if (!was_changed) {
                return false;
            }
        }
    }
    return true;
}

/* ---- both ways --------------------------------------------------------------------------- */

static bool put_in_front(const char *root, char **path)
{
    bool is_root = strcmp(*path, "/") == 0;
    if (**path == '\0') {
        return true;
    }
    size_t size = strlen(root);
    size_t more = is_root ? 0 : strlen(*path);
    char *whole = malloc(size + more + 1);
    if (whole == NULL) {
        return false;
    }
    memcpy(whole, root, size);
    memcpy(whole + size, *path, more);
    whole[size + more] = '\0';
    free(*path); /* which protobuf-c allocated, by malloc */
    *path = whole;
    return true;
}

static bool take_away(const char *root, char **path)
{
    size_t size = strlen(root);
    char *at = *path;
    if (strncmp(at, root, size) == 0 && at[size] == '/') {
        memmove(at, at + size, strlen(at + size) + 1);
    } else if (strcmp(at, root) == 0) {
        memcpy(at, "/", 2);
    }
    return true;
}

ProtobufCMessage *chroot_request(const char *root, const ProtobufCMessage *request)
{
    size_t bytes = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = malloc(bytes + 1);
    ProtobufCMessage *copy = NULL;
    if (packed != NULL) {
        protobuf_c_message_pack(request, packed);
        copy = protobuf_c_message_unpack(request->descriptor, NULL, bytes, packed);
        free(packed);
    }
    if (copy != NULL && !walk(root, copy, put_in_front)) {
        protobuf_c_message_free_unpacked(copy, NULL);
        copy = NULL;
    }
    return copy;
}

void chroot_reply(const char *root, ProtobufCMessage *reply)
{
    (void)walk(root, reply, take_away);
}

const char *chroot_refusal(const char *root)
{
    size_t size = strlen(root);
    return root[0] != '/'                      ? "is no whole path: it begins with /"
           : size < 2                          ? "is the root that there is"
           : root[size - 1] == '/'             ? "ends in /"
           : strstr(root, "//") != NULL        ? "has an empty component"
                                               : NULL;
}
