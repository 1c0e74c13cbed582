/* Every .proto file of this folder as one serialized google.protobuf.FileDescriptorSet.
 *
 * The build writes the bytes (see descriptors.c in the Makefile); gRPC reflection serves them.
 * Files come after the files they import, under the names the imports use: "coord/v1/tree.proto".
 */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

extern const unsigned char coord_descriptors[];
extern const unsigned long coord_descriptors_size;

#endif
