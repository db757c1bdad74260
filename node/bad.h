/* Bad records: how many were passed over, and where the first of them stand, by the names of their files and their
 * places, so that the list does not depend on who came across them. A list belongs to one thread; the counter is
 * shared by the workers of a rank. */
#ifndef TQI_BAD_H
#define TQI_BAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tequio/status.h>

enum { TQI_BAD_KEPT = 24, TQI_BAD_REASON = 160 };

typedef struct tqi_bad_place {
    char *file; /* malloc'ed */
    uint64_t offset;
    char reason[TQI_BAD_REASON];
} tqi_bad_place;

typedef struct tqi_bad {
    uint64_t count;
    size_t n; /* the first min(count, TQI_BAD_KEPT), in order; less only where there was no memory */
    tqi_bad_place places[TQI_BAD_KEPT];
} tqi_bad;

/* Count one, and list it if it is among the first. */
void tqi_bad_add(tqi_bad *bad, const char *file, uint64_t offset, const char *reason);

/* All of other into bad; other is empty after. */
void tqi_bad_merge(tqi_bad *bad, tqi_bad *other);
void tqi_bad_free(tqi_bad *bad);

/* As bytes (malloc'ed, the caller frees them), and back: several of them back to back are merged into bad.
 * TQ_E_MEMORY. */
tq_status tqi_bad_pack(const tqi_bad *bad, char **bytes, size_t *size);
tq_status tqi_bad_unpack(tqi_bad *bad, const char *bytes, size_t size);

#endif
