#include "node/group_stream.h"

#include "common/error.h"
#include <stdlib.h>
#include <string.h>

void tqi_group_stream_pass(tqi_group_stream *from)
{
    const tqi_spec *spec = from->spool->spec;

    from->next = NULL;
    if (spec->stop && atomic_load_explicit(spec->stop, memory_order_relaxed))
        tqi_fail(from->error, TQ_E_CANCELLED, "cancelled");
    else
        from->next = tqi_spool_reader_next(&from->ahead, from->error);
    if (!from->next || ++from->seen <= from->accounted)
        return;
    from->accounted = from->seen;
    tqi_account_entry(spec, &spec->shape, from->next, from->sink->reduced);
}

static void close_readers(tqi_group_stream *from)
{
    tqi_spool_reader_close(&from->ahead);
    tqi_spool_reader_close(&from->behind);
}

static void open_readers(tqi_group_stream *from)
{
    from->left = from->seen = 0;
    from->next = NULL;
    if (!tqi_spool_reader_open(&from->ahead, from->spool, from->error) &&
        !tqi_spool_reader_open(&from->behind, from->spool, from->error))
        tqi_group_stream_pass(from);
}

void tqi_group_stream_open(tqi_group_stream *from, const tqi_spool *spool, const tqi_stream_sink *sink, tq_error *error)
{
    *from = (tqi_group_stream){.spool = spool, .sink = sink, .error = error};
    open_readers(from);
}

void tqi_group_stream_close(tqi_group_stream *from)
{
    close_readers(from);
    free(from->group);
    from->group = NULL;
}

void tqi_group_stream_rewind(tqi_group_stream *from)
{
    close_readers(from);
    open_readers(from);
}

const tqi_entry *tqi_group_stream_value(tqi_group_stream *from)
{
    const tqi_entry *entry = from->left && !from->error->status ? tqi_spool_reader_next(&from->behind, from->error) : NULL;

    from->left -= entry != NULL;
    return entry;
}

static bool keep_key(tqi_group_stream *from, tq_slice group)
{
    if (group.size > from->capacity || !from->group) {
        char *larger = realloc(from->group, 2 * group.size + 64);

        if (!larger) {
            tqi_fail_memory(from->error, group.size, "a key");
            return false;
        }
        from->group = larger;
        from->capacity = 2 * group.size + 64;
    }
    if (group.size)
        memcpy(from->group, group.data, group.size);
    from->size = group.size;
    return true;
}

static bool is_of_group(const tqi_group_stream *from, const tqi_entry *entry, uint32_t hash32)
{
    if (entry->hash32 != hash32)
        return false;
    tq_slice group = tqi_spec_group(from->spool->spec, tqi_entry_key(entry));
    return group.size == from->size && memcmp(group.data, from->group, group.size) == 0;
}

bool tqi_group_stream_next(tqi_group_stream *from)
{
    while (tqi_group_stream_value(from)) {
    }
    if (from->error->status || !from->next ||
        !keep_key(from, tqi_spec_group(from->spool->spec, tqi_entry_key(from->next))) ||
        from->sink->group(from->sink->owner, from->next, from->error))
        return false;
    uint32_t hash32 = from->next->hash32;
    if (from->sink->place)
        tqi_place_set_key(from->sink->place, (tq_slice){from->group, from->size});
    do {
        from->left++;
        tqi_group_stream_pass(from);
    } while (from->next && is_of_group(from, from->next, hash32));
    return from->error->status == TQ_OK;
}
