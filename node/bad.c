#include "node/bad.h"

#include <stdlib.h>
#include <string.h>

/* Whether a place comes before another. */
static bool is_before(const char *file, uint64_t offset, const tqi_bad_place *place)
{
    int order = strcmp(file, place->file);

    return order ? order < 0 : offset < place->offset;
}

/* List a place, if it is among the first, and take its file; otherwise free it. */
static void insert(tqi_bad *bad, const tqi_bad_place *place)
{
    size_t at = bad->n;

    if (at == TQI_BAD_KEPT) {
        if (!is_before(place->file, place->offset, &bad->places[at - 1])) {
            free(place->file);
            return;
        }
        free(bad->places[--at].file);
    }
    for (; at > 0 && is_before(place->file, place->offset, &bad->places[at - 1]); at--)
        bad->places[at] = bad->places[at - 1];
    bad->places[at] = *place;
    bad->n += bad->n < TQI_BAD_KEPT;
}

void tqi_bad_add(tqi_bad *bad, const char *file, uint64_t offset, const char *reason)
{
    tqi_bad_place place = {.offset = offset};

    bad->count++;
    if (bad->n == TQI_BAD_KEPT && !is_before(file, offset, &bad->places[TQI_BAD_KEPT - 1]))
        return;
    strncpy(place.reason, reason, sizeof place.reason - 1);
    place.file = strdup(file);
    if (place.file)
        insert(bad, &place);
}

void tqi_bad_merge(tqi_bad *bad, tqi_bad *other)
{
    bad->count += other->count;
    for (size_t i = 0; i < other->n; i++)
        insert(bad, &other->places[i]);
    *other = (tqi_bad){0};
}

void tqi_bad_free(tqi_bad *bad)
{
    for (size_t i = 0; i < bad->n; i++)
        free(bad->places[i].file);
    *bad = (tqi_bad){0};
}

/* count and n, then of each place its offset, file and reason with their NULs. */
tq_status tqi_bad_pack(const tqi_bad *bad, char **bytes, size_t *size)
{
    uint64_t head[2] = {bad->count, bad->n};
    size_t total = sizeof head;

    for (size_t i = 0; i < bad->n; i++)
        total += sizeof bad->places[i].offset + strlen(bad->places[i].file) + strlen(bad->places[i].reason) + 2;
    char *made = malloc(total), *at = made;
    if (!made)
        return TQ_E_MEMORY;
    at = mempcpy(at, head, sizeof head);
    for (size_t i = 0; i < bad->n; i++) {
        at = mempcpy(at, &bad->places[i].offset, sizeof bad->places[i].offset);
        at = stpcpy(at, bad->places[i].file) + 1;
        at = stpcpy(at, bad->places[i].reason) + 1;
    }
    *bytes = made;
    *size = total;
    return TQ_OK;
}

tq_status tqi_bad_unpack(tqi_bad *bad, const char *bytes, size_t size)
{
    const char *end = bytes + size;

    while (bytes < end) {
        uint64_t head[2];

        memcpy(head, bytes, sizeof head);
        bytes += sizeof head;
        bad->count += head[0];
        for (uint64_t i = 0; i < head[1]; i++) {
            tqi_bad_place place = {0};

            memcpy(&place.offset, bytes, sizeof place.offset);
            bytes += sizeof place.offset;
            place.file = strdup(bytes);
            if (!place.file)
                return TQ_E_MEMORY;
            bytes += strlen(bytes) + 1;
            strncpy(place.reason, bytes, sizeof place.reason - 1);
            bytes += strlen(bytes) + 1;
            insert(bad, &place);
        }
    }
    return TQ_OK;
}
