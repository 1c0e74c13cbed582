#include "net/grpc/descriptor.h"

#include "net/grpc/wire.h"

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
    SET_FILE = 1,

    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,

    MESSAGE_NAME = 1,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_ONEOF = 8,

    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    ANY_NAME = 1,
};

/* The deepest nesting of messages that is looked into. */
#define NESTING_MAX 16

static bool next(struct slice *rest, struct wire_field *field)
{
    return wire_next(rest, field) == RC_OK;
}

/* The last field `number` of the message; empty if there is none. */
static struct slice field_find(struct slice message, uint32_t number)
{
    struct slice found = slice_make(NULL, 0);
    struct wire_field field;
    while (next(&message, &field)) {
        if (field.number == number && field.type == WIRE_BYTES) {
            found = field.bytes;
        }
    }
    return found;
}

size_t descriptor_files(struct slice set, struct slice files[DESCRIPTOR_FILES_MAX])
{
    size_t count = 0;
    struct wire_field field;
    while (count < DESCRIPTOR_FILES_MAX && next(&set, &field)) {
        if (field.number == SET_FILE && field.type == WIRE_BYTES) {
            files[count++] = field.bytes;
        }
    }
    return count;
}

struct slice descriptor_file_name(struct slice file)
{
    return field_find(file, FILE_NAME);
}

/* What is left of `symbol` behind `name`: empty if they are equal. False if `name` is no prefix
 * of whole words. */
static bool symbol_enter(struct slice symbol, struct slice name, struct slice *rest)
{
    if (symbol.size < name.size || !slice_equal(slice_make(symbol.data, name.size), name)) {
        return false;
    }
    *rest = slice_make(symbol.data + name.size, symbol.size - name.size);
    if (rest->size == 0) {
        return true;
    }
    if (rest->data[0] != '.') {
        return false;
    }
    *rest = slice_make(rest->data + 1, rest->size - 1);
    return rest->size > 0;
}

/* Whether one of the fields `number` of `parent` is a declaration named `name`. */
static bool has_named(struct slice parent, uint32_t number, struct slice name)
{
    struct wire_field field;
    while (next(&parent, &field)) {
        if (field.number == number && field.type == WIRE_BYTES &&
            slice_equal(field_find(field.bytes, ANY_NAME), name)) {
            return true;
        }
    }
    return false;
}

/* Whether one of the declarations `number` of `parent` is `symbol`, or has it as a member
 * `child`. */
static bool has_member(struct slice parent, uint32_t number, uint32_t child,
                       struct slice symbol)
{
    struct wire_field field;
    struct slice rest;
    while (next(&parent, &field)) {
        if (field.number == number && field.type == WIRE_BYTES &&
            symbol_enter(symbol, field_find(field.bytes, ANY_NAME), &rest) &&
            (rest.size == 0 || has_named(field.bytes, child, rest))) {
            return true;
        }
    }
    return false;
}

/* Whether `name` is a value of one of the enums `number` of `parent`: in protobuf, values lie
 * beside their enum, not in it. */
static bool has_value(struct slice parent, uint32_t number, struct slice name)
{
    struct wire_field field;
    while (next(&parent, &field)) {
        if (field.number == number && field.type == WIRE_BYTES &&
            has_named(field.bytes, ENUM_VALUE, name)) {
            return true;
        }
    }
    return false;
}

/* The message that `symbol` names or lies in, among the fields `number` of `parent`; what is
 * left of the symbol goes to `rest`. */
static bool message_enter(struct slice parent, uint32_t number, struct slice symbol,
                          struct slice *message, struct slice *rest)
{
    struct wire_field field;
    while (next(&parent, &field)) {
        if (field.number == number && field.type == WIRE_BYTES &&
            symbol_enter(symbol, field_find(field.bytes, MESSAGE_NAME), rest)) {
            *message = field.bytes;
            return true;
        }
    }
    return false;
}

/* The symbol without the file's package; false if it does not lie in that package. */
static bool package_enter(struct slice file, struct slice symbol, struct slice *rest)
{
    struct slice package = field_find(file, FILE_PACKAGE);
    if (package.size == 0) {
        *rest = symbol;
        return symbol.size > 0;
    }
    return symbol_enter(symbol, package, rest) && rest->size > 0;
}

/* Enters messages as far as the symbol leads: true if it is used up, else `message` and `rest`
 * say where it goes on, `message` empty if at the file's top. */
static bool messages_enter(struct slice file, struct slice *rest, struct slice *message)
{
    struct slice parent = file;
    uint32_t number = FILE_MESSAGE;
    *message = slice_make(NULL, 0);
    for (int depth = 0; depth < NESTING_MAX; depth++) {
        struct slice inner;
        struct slice left;
        if (!message_enter(parent, number, *rest, &inner, &left)) {
            return false;
        }
        *message = inner;
        *rest = left;
        if (left.size == 0) {
            return true;
        }
        parent = inner;
        number = MESSAGE_NESTED;
    }
    return false;
}

bool descriptor_file_has_message(struct slice file, struct slice symbol)
{
    struct slice rest;
    struct slice message;
    return package_enter(file, symbol, &rest) && messages_enter(file, &rest, &message);
}

bool descriptor_file_has(struct slice file, struct slice symbol)
{
    struct slice rest;
    struct slice message;
    if (!package_enter(file, symbol, &rest)) {
        return false;
    }
    if (messages_enter(file, &rest, &message)) {
        return true;
    }
    if (message.size > 0) {
        return has_named(message, MESSAGE_FIELD, rest) ||
               has_named(message, MESSAGE_ONEOF, rest) ||
               has_named(message, MESSAGE_EXTENSION, rest) ||
               has_member(message, MESSAGE_ENUM, ENUM_VALUE, rest) ||
               has_value(message, MESSAGE_ENUM, rest);
    }
    return has_member(file, FILE_SERVICE, SERVICE_METHOD, rest) ||
           has_member(file, FILE_ENUM, ENUM_VALUE, rest) ||
           has_value(file, FILE_ENUM, rest) ||
           has_named(file, FILE_EXTENSION, rest);
}

/* Marks the files that `file` imports; true if one of them was not marked before. */
static bool imports_mark(const struct slice *files, size_t count, struct slice file,
                         bool *is_needed)
{
    bool is_new = false;
    struct wire_field field;
    while (next(&file, &field)) {
        if (field.number != FILE_DEPENDENCY || field.type != WIRE_BYTES) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (!is_needed[i] && slice_equal(descriptor_file_name(files[i]), field.bytes)) {
                is_needed[i] = true;
                is_new = true;
            }
        }
    }
    return is_new;
}

void descriptor_closure(const struct slice *files, size_t count, size_t index, bool *is_needed)
{
    is_needed[index] = true;
    bool is_growing = true;
    while (is_growing) {
        is_growing = false;
        for (size_t i = 0; i < count; i++) {
            if (is_needed[i] && imports_mark(files, count, files[i], is_needed)) {
                is_growing = true;
            }
        }
    }
}
