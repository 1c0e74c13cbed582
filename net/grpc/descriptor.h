/* Finds things in a serialized google.protobuf.FileDescriptorSet, for gRPC reflection. Nothing
 * is unpacked or indexed: a set is small and rarely asked for. */
#ifndef NET_GRPC_DESCRIPTOR_H
#define NET_GRPC_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define DESCRIPTOR_FILES_MAX 64

/* The files of a set, each a serialized FileDescriptorProto, in the set's order. Returns how
 * many were found, at most DESCRIPTOR_FILES_MAX. All slices point into `set`. */
size_t descriptor_files(struct slice set, struct slice files[DESCRIPTOR_FILES_MAX]);

struct slice descriptor_file_name(struct slice file);

/* Whether the file declares the full name `symbol`, without a leading dot: a message, field,
 * oneof, enum, enum value, extension, service or method, nested ones included. */
bool descriptor_file_has(struct slice file, struct slice symbol);
/* The same, but for a message only. */
bool descriptor_file_has_message(struct slice file, struct slice symbol);

/* Marks file number `index` and all that it imports, directly or not. */
void descriptor_closure(const struct slice *files, size_t count, size_t index, bool *is_needed);

#endif
