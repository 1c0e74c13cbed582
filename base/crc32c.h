/* CRC-32C (Castagnoli), as RFC 3720 appendix B.4: of log records, peer frames, snapshot chunks.
 * Uses the SSE4.2 instruction where the processor has it, else a table. Any thread. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over more bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

/* The same by table on every machine. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t bytes);

#endif
