/* Packing: the compression of what is spilled, behind one interface for all libraries. Which of them this build has is
 * decided by CMake; a packer of another does not come to be.
 *
 * One thread at a time for each packer. */
#ifndef TQI_PACKING_H
#define TQI_PACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/mapreduce.h>

/* Whether this build can. */
bool tqi_packing_built(tq_compression compression);

/* All zero: packs nothing. */
typedef struct tqi_packer {
    tq_compression compression;
    void *packing, *unpacking; /* the library's, made at need and once: they are larger than most of what is packed */
} tqi_packer;

void tqi_packer_free(tqi_packer *packer);

/* Pack size bytes into fewer. Returns how many, or 0 if they do not become fewer, which is no error. to has room for size
 * bytes. TQ_COMPRESSION_NONE: always 0. */
size_t tqi_pack(tqi_packer *packer, const uint8_t *bytes, size_t size, uint8_t *to);

/* The inverse: packed bytes become exactly size at to. False if they do not: they are not what tqi_pack wrote, or there
 * is no memory to unpack them. */
bool tqi_unpack(tqi_packer *packer, const uint8_t *bytes, size_t packed, uint8_t *to, size_t size);

#endif
